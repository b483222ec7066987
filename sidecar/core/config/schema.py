"""Describe the configuration to editors, as JSON Schema 2020-12.

Made from the models alone. `docs/sidecar.schema.json` is what it said last; a test keeps that current.
"""

from typing import Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import SchemaSerializer
from pydantic_core.core_schema import CoreSchema, DictSchema, WithDefaultSchema

from sidecar.core.config.models import Config

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TITLE: Final = "sidecar.yaml"


def schema() -> dict[str, object]:
    """Give the JSON Schema of sidecar.yaml."""
    described = Config.model_json_schema(schema_generator=_ForEditors)
    return {"$schema": _DIALECT, **described, "title": _TITLE}


class _ForEditors(GenerateJsonSchema):
    """Spell defaults as one would write them, and leave out titles that only repeat the key."""

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        """Describe a key that has a default; those of whole sections stand with their own keys."""
        described = self.generate_inner(schema["schema"])
        default: object = schema.get("default")
        if default is None or isinstance(default, BaseModel | dict) or default == ():
            return described
        return {**described, "default": SchemaSerializer(schema["schema"]).to_python(default, mode="json")}

    def dict_schema(self, schema: DictSchema) -> JsonSchemaValue:
        """Describe a mapping with free names: each name must fit, whatever its value."""
        names = self.generate_inner(schema["keys_schema"])
        values = self.generate_inner(schema["values_schema"])
        return {"type": "object", "propertyNames": names, "additionalProperties": values}

    def field_title_should_be_set(self, schema: CoreSchema) -> bool:  # noqa: ARG002  # pydantic's signature
        """Leave them out."""
        return False
