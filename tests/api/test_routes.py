from sidecar.api import routes
from sidecar.telemetry import HttpRoute


def test_everything_that_is_counted_is_served() -> None:
    """The metric's routes and the table are the same, but for what leads nowhere."""
    assert {route.label for route in routes.UNIX} == set(HttpRoute) - {HttpRoute.OTHER}


def test_strangers_get_a_part_of_it() -> None:
    """Probes and metrics."""
    assert {str(route.path) for route in routes.OPS} == {"/healthz", "/readyz", "/metrics"}
    assert set(routes.OPS) <= set(routes.UNIX)
