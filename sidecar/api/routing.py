"""Find the route of a request in a table of what is served.

Must not answer anything itself, nor know what is served.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.api.answers import Reply
from sidecar.api.asks import Ask, Query, parse_query
from sidecar.api.problems import BadRequest, MethodNotAllowed, NoSuchPath
from sidecar.api.services import Services
from sidecar.telemetry import HttpRoute

Serve = Callable[[Services, Ask], Awaitable[Reply]]

NAME: Final = "{name}"
MOST_BODY_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a query."""

    name: str
    description: str
    required: bool = False
    repeated: bool = False
    values: tuple[str, ...] = ()  # all that it can be; none: any text

    def check(self, given: Sequence[str]) -> None:
        """Compare what a request gives with what is wanted; raises BadRequest."""
        if self.required and not given:
            raise BadRequest(f"the parameter {self.name} is missing")
        if len(given) > 1 and not self.repeated:
            raise BadRequest(f"the parameter {self.name} is there twice")
        if self.values and not set(given) <= set(self.values):
            raise BadRequest(f"the parameter {self.name} is none of {', '.join(self.values)}")


@dataclass(frozen=True, slots=True)
class Route:
    """One thing that is served: where, what it needs, what it answers."""

    method: str  # a GET is also a HEAD
    path: str
    serve: Serve
    summary: str
    parameters: tuple[Parameter, ...] = ()
    headers: tuple[str, ...] = ()  # of the request, that matter
    content_types: tuple[str, ...] = ("application/json",)
    refusals: tuple[int, ...] = ()  # statuses other than 200 that it answers by itself
    body: str = ""  # the schema of what it takes; none: it takes no body
    most_body: int = MOST_BODY_BYTES
    counted_as: HttpRoute | None = None  # where several paths are one in the metrics

    @property
    def label(self) -> HttpRoute:
        """What metrics call it."""
        return self.counted_as or HttpRoute(self.path)

    def read_query(self, raw: str) -> Query:
        """Read the query; raises BadRequest for what this route does not know or needs."""
        query = parse_query(raw) if raw else {}
        known = {parameter.name: parameter for parameter in self.parameters}
        if query.keys() - known.keys():
            raise BadRequest("the path does not take one of the parameters")
        for name, parameter in known.items():
            parameter.check(query.get(name, ()))
        return query


class Router:
    """A table of routes, searched by method and path."""

    def __init__(self, routes: Sequence[Route]) -> None:
        """Take the table; a path that ends in {name} has anything in its place."""
        self.routes = tuple(routes)
        self._exact: dict[str, dict[str, Route]] = {}
        self._below: dict[str, dict[str, Route]] = {}
        for route in routes:
            table = self._below if route.path.endswith(NAME) else self._exact
            methods = table.setdefault(route.path.removesuffix(NAME), {})
            methods[route.method] = route
            if route.method == "GET":
                methods["HEAD"] = route

    def find(self, method: str, path: str) -> tuple[Route, str]:
        """Give the route, and what stands for {name}; raises NoSuchPath, MethodNotAllowed."""
        methods, tail = self._methods(path)
        route = methods.get(method)
        if route is None:
            raise MethodNotAllowed(", ".join(methods))
        return route, tail

    def _methods(self, path: str) -> tuple[dict[str, Route], str]:
        if methods := self._exact.get(path):
            return methods, ""
        for prefix, methods in self._below.items():
            if path.startswith(prefix):
                return methods, path[len(prefix) :]
        raise NoSuchPath("nothing is served on this path")
