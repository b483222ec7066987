"""Describe what is served in OpenAPI's words, from the table by which it is routed.

Must not name a route of its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Final

from sidecar import __version__
from sidecar.api import kms_shapes, problems
from sidecar.api.routing import NAME, Parameter, Route
from sidecar.core.names import MAX_BYTES, NAME_PATTERN

_REF: Final = "#/components/schemas/"
_ALWAYS: Final = (400, 431)
"""What any route answers to a request that cannot be understood."""

_HEADERS: Final[Mapping[str, str]] = {
    "If-None-Match": "Entity tags that the caller has; answered by 304 while one of them is current.",
    "Prefer": "wait=N: the seconds to wait for AWS or, with If-None-Match, for a change; at most 300.",
    "Last-Event-ID": "The `id` of the last event that was seen; a strange one gets every current version.",
}

_SCHEMAS: Final[Mapping[str, object]] = {
    "Name": {"type": "string", "pattern": NAME_PATTERN, "maxLength": MAX_BYTES},
    "Problem": {
        "type": "object",
        "required": ["type", "title", "status", "detail", "mend"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "Which secret, and what happened."},
            "mend": {"type": "string", "description": "What to do about it."},
            "name": {"type": "string"},
            "errors": {"type": "array", "items": {"$ref": f"{_REF}Problem"}},
        },
    },
    "Refresh": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "names": {"type": "array", "items": {"$ref": f"{_REF}Name"}, "description": "None means all: for admins."},
            "rejected": {"type": "string", "description": "With one name: the entity tag of what did not work."},
        },
    },
}


def openapi_document(routes: Sequence[Route]) -> dict[str, object]:
    """Write the document."""
    paths: dict[str, dict[str, object]] = {}
    for route in routes:
        paths.setdefault(str(route.path), {}).update(_operations(route))
    return {
        "openapi": "3.1.0",
        "info": {"title": "sidecar", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {"schemas": {**_SCHEMAS, **{name: shape.schema() for name, shape in kms_shapes.SHAPES.items()}}},
    }


def _operations(route: Route) -> dict[str, object]:
    operation: dict[str, object] = {
        "operationId": route.serve.__name__.removeprefix("serve_"),
        "summary": route.summary,
        "parameters": list(_parameters(route)),
        "responses": _responses(route),
    }
    if route.body:
        operation["requestBody"] = {"content": {"application/json": {"schema": {"$ref": f"{_REF}{route.body}"}}}}
    return {route.method.lower(): operation}


def _parameters(route: Route) -> Iterable[dict[str, object]]:
    if route.path.endswith(NAME):
        schema = {"$ref": f"{_REF}Name"}
        yield {"name": "name", "in": "path", "required": True, "schema": schema, "description": "Its / may be %2F."}
    yield from (_query_parameter(parameter) for parameter in route.parameters)
    for header in route.headers:
        yield {"name": header, "in": "header", "schema": {"type": "string"}, "description": _HEADERS[header]}


def _query_parameter(parameter: Parameter) -> dict[str, object]:
    schema: dict[str, object] = {"$ref": f"{_REF}Name"} if parameter.name == "name" else {"type": "string"}
    if parameter.values:
        schema["enum"] = list(parameter.values)
    if parameter.repeated:
        schema = {"type": "array", "items": schema}
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.description,
        "schema": schema,
    }


def _responses(route: Route) -> dict[str, object]:
    described: dict[str, object] = {
        str(int(HTTPStatus.OK)): {
            "description": HTTPStatus.OK.phrase,
            "content": {content_type: {} for content_type in route.content_types},
        }
    }
    for status in sorted({*route.refusals, *_ALWAYS}):
        described[str(status)] = _refusal(HTTPStatus(status), route)
    return described


def _refusal(status: HTTPStatus, route: Route) -> dict[str, object]:
    if status == HTTPStatus.NOT_MODIFIED:
        return {"description": status.phrase}
    schema: dict[str, object] = {"schema": {"$ref": f"{_REF}Problem"}}
    if status == HTTPStatus.SERVICE_UNAVAILABLE and not route.headers:  # a probe says no in its own words
        return {"description": status.phrase, "content": {"application/json": {}}}
    return {"description": status.phrase, "content": {problems.CONTENT_TYPE: schema}}
