import pytest

from sidecar.api import routes
from sidecar.api.problems import BadRequest, MethodNotAllowed, NoSuchPath
from sidecar.api.routing import Parameter, Router
from sidecar.telemetry import HttpRoute

ROUTER = Router(routes.UNIX)


def test_a_name_may_hold_anything() -> None:
    """What stands for it is given as it was sent."""
    route, tail = ROUTER.find("GET", "/v1/values/a%2Fb/c")
    assert (route.path, tail) == (HttpRoute.VALUE, "a%2Fb/c")


def test_the_longer_path_is_not_the_shorter_one() -> None:
    """/v1/values and /v1/values/ are two things."""
    assert ROUTER.find("GET", "/v1/values")[0].path is HttpRoute.VALUES
    assert ROUTER.find("GET", "/v1/values/") == (ROUTER.find("GET", "/v1/values/x")[0], "")


def test_a_get_is_a_head() -> None:
    """And nothing else."""
    assert ROUTER.find("HEAD", "/healthz") == ROUTER.find("GET", "/healthz")
    with pytest.raises(MethodNotAllowed):
        ROUTER.find("HEAD", "/v1/refresh")


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/value", "/healthz/", "/V1/values", "//healthz"])
def test_other_paths_are_nothing(path: str) -> None:
    """Paths are compared, not understood."""
    with pytest.raises(NoSuchPath):
        ROUTER.find("GET", path)


@pytest.mark.parametrize(
    ("parameter", "given"),
    [
        (Parameter("a", "", required=True), []),
        (Parameter("a", ""), ["1", "2"]),
        (Parameter("a", "", values=("0", "1")), ["2"]),
    ],
)
def test_a_parameter_is_as_the_table_says(parameter: Parameter, given: list[str]) -> None:
    """Missing, doubled, another than it can be."""
    with pytest.raises(BadRequest):
        parameter.check(given)
