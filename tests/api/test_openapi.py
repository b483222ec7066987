from collections.abc import Mapping
from typing import Any

from sidecar.api import routes
from sidecar.api.openapi import openapi_document
from tests.api.served import served


def operations() -> Mapping[tuple[str, str], Any]:
    """Give every operation of the document."""
    document: Any = openapi_document(routes.UNIX)
    return {(method, path): operation for path, item in document["paths"].items() for method, operation in item.items()}


def test_every_route_is_described_and_nothing_else() -> None:
    """The document and the router come of one table."""
    assert operations().keys() == {(route.method.lower(), str(route.path)) for route in routes.UNIX}


def test_operations_have_names_of_their_own() -> None:
    """As generators of clients need them."""
    names = [operation["operationId"] for operation in operations().values()]
    assert len(set(names)) == len(names)


def test_references_lead_somewhere() -> None:
    """Every $ref names a schema that is there."""
    document: Any = openapi_document(routes.UNIX)
    found = set(_references(document))
    assert found == {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


def _references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [each for member in value.values() for each in _references(member)]
    return [each for member in value for each in _references(member)] if isinstance(value, list | tuple) else []


async def test_it_is_served() -> None:
    """As JSON."""
    async with served() as one:
        answer = await one.get("/openapi.json")
    assert (answer.status, answer.json["openapi"]) == (200, "3.1.0")


async def test_what_is_described_is_answered() -> None:
    """Each operation answers with a status that its description has."""
    async with served() as one:
        for (method, path), operation in operations().items():
            target = path.replace("{name}", "db") + ("?name=db" if path == "/v1/values" else "")
            answer = await one.ask("HEAD" if path == "/v1/watch" else method.upper(), target)
            assert str(answer.status) in operation["responses"], path
