from sidecar.telemetry.labels import OPERATIONS, SERVED, HttpRoute, Listener


def test_the_ops_listener_never_serves_values() -> None:
    """What TCP can reach has no route to a value, a ref or the status of secrets."""
    assert {route for listener, route in SERVED if listener is Listener.OPS} == {
        HttpRoute.HEALTHZ,
        HttpRoute.READYZ,
        HttpRoute.METRICS,
        HttpRoute.OPENAPI,
        HttpRoute.OTHER,
    }


def test_operations_are_spelt_as_botocore_does() -> None:
    """A service is lower case, an operation CamelCase: what the guard is told fits the series made before."""
    assert all(service.islower() and operation[0].isupper() for service, operation in OPERATIONS)
