from sidecar.telemetry import events


def test_an_event_is_called_as_its_constant() -> None:
    """Searching the code for what a log line says finds the constant, and no two events share a name."""
    names = {name: value for name, value in vars(events).items() if name.isupper()}
    assert names
    assert names == {name: name.lower() for name in names}
