"""Give an app's settings their values from the daemon: a source for pydantic-settings (the extra `settings`).

Only apps import this. Must import nothing of ours but the client, and must never quote a value in an error.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Final, Union, cast, get_args, get_origin

from pydantic import AliasChoices, SecretBytes
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from sidecar.client import PATIENCE, SOCKET, Client, ClientError, NotFound, Value

_BYTES: Final = (bytes, SecretBytes)
_UNIONS: Final = (Union, UnionType)


@dataclass(frozen=True, slots=True)
class FromSidecar:
    """Marks a field: `Annotated[SecretStr, FromSidecar("db-password")]`.

    Without a name the secret is called as the field is, with `-` for `_`.
    """

    name: str | None = None

    def of(self, field_name: str) -> str:
        """Give the secret's name."""
        return self.name or field_name.replace("_", "-")


class SidecarSettingsSource(PydanticBaseSettingsSource):
    """Reads the marked fields that no source before it has given.

    Text for text and numbers, bytes for bytes, JSON for models, mappings and sequences. A field that has a default
    keeps it where there is no such secret; every other trouble is told at once in one SettingsError.
    """

    def __init__(
        self, settings_cls: type[BaseSettings], client: Client | None = None, *, wait: float = PATIENCE
    ) -> None:
        """Take whom to ask: by default the daemon at $SIDECAR_SOCKET, else where it listens by default."""
        super().__init__(settings_cls)
        self._client = client or Client(os.environ.get("SIDECAR_SOCKET") or SOCKET)
        self._wait = wait

    def __call__(self) -> dict[str, object]:
        """Give the values by the keys that the model takes."""
        self._refuse_quoting()
        found: dict[str, object] = {}
        troubles: dict[str, list[str]] = {}
        for name, field in self._wanted():
            try:
                found[next(_keys(name, field))], _, _ = self.get_field_value(field, name)
            except ClientError as error:
                if not isinstance(error, NotFound) or field.is_required():
                    what = f"{str(error).rstrip('.')}. {error.mend}".rstrip()
                    troubles.setdefault(what, []).append(f"{name} (secret {_secret(name, field)})")
        if troubles:
            raise SettingsError("\n".join(f"{', '.join(fields)}: {what}" for what, fields in troubles.items()))
        return found

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[object, str, bool]:
        """Ask for one field's value; raises ClientError."""
        secret = _secret(field_name, field)
        assert secret is not None
        value = self._client.value(secret, wait=self._wait)
        return self._fitting(field, value), field_name, False

    def _wanted(self) -> Iterator[tuple[str, FieldInfo]]:
        """Give the fields to ask for; of a model that others gave a part of, the rest is wanted."""
        for name, field in self.settings_cls.model_fields.items():
            given = [self.current_state[key] for key in _keys(name, field) if key in self.current_state]
            if _secret(name, field) and all(isinstance(each, dict) for each in given):
                yield name, field

    def _fitting(self, field: FieldInfo, value: Value) -> object:
        leaves = list(_leaves(field.annotation))
        if any(leaf in _BYTES for leaf in leaves):
            return value.content
        return value.json() if any(map(self._is_structured, leaves)) else value.text

    def _is_structured(self, annotation: object) -> bool:
        return self.field_is_complex(FieldInfo.from_annotation(cast("type[object]", annotation)))

    def _refuse_quoting(self) -> None:
        """Stop before a value that does not fit its field could be quoted in the model's own error."""
        if not self.config.get("hide_input_in_errors"):
            raise SettingsError(
                f"{self.settings_cls.__name__} would quote secrets in its errors: set hide_input_in_errors=True in its "
                "model_config, or derive it from SidecarSettings"
            )


class SidecarSettings(BaseSettings):
    """Settings whose marked fields come from the daemon, after arguments, variables and .env files, before defaults."""

    model_config = SettingsConfigDict(hide_input_in_errors=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the daemon after what somebody wrote down for this very run."""
        daemon = SidecarSettingsSource(settings_cls)
        return init_settings, env_settings, dotenv_settings, file_secret_settings, daemon


def _secret(name: str, field: FieldInfo) -> str | None:
    return next((mark.of(name) for mark in field.metadata if isinstance(mark, FromSidecar)), None)


def _keys(name: str, field: FieldInfo) -> Iterator[str]:
    """Give what the model takes a field by, best first: its aliases that are names, then its own name."""
    alias = field.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    yield from (choice for choice in choices if isinstance(choice, str))
    yield name


def _leaves(annotation: object) -> Iterator[object]:
    """Give the members of a union, or what is none."""
    if get_origin(annotation) not in _UNIONS:
        yield annotation
        return
    for member in get_args(annotation):
        yield from _leaves(member)
