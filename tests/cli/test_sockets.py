from pathlib import Path

import pytest

from sidecar.cli.sockets import DEV_SOCKET, connect, find_socket
from sidecar.client import NoDaemon

YAML = "listen: {unix: {path: %s}}"


def test_the_order(folder: Path) -> None:
    """Option, variable, configuration, the one of `sidecar dev`, the usual place: each where nothing before is."""
    assert find_socket(None, {}) == Path("/run/sidecar/sidecar.sock")
    (folder / DEV_SOCKET).parent.mkdir()
    (folder / DEV_SOCKET).touch()
    assert find_socket(None, {}) == DEV_SOCKET
    (folder / "sidecar.yaml").write_text("log: {level: debug}")
    assert find_socket(None, {}) == DEV_SOCKET
    (folder / "sidecar.yaml").write_text(YAML % "/tmp/file")
    assert find_socket(None, {}) == Path("/tmp/file")
    assert find_socket(None, {"SIDECAR_SOCKET": "/tmp/variable"}) == Path("/tmp/variable")
    assert find_socket(Path("/tmp/option"), {"SIDECAR_SOCKET": "/tmp/variable"}) == Path("/tmp/option")


@pytest.mark.parametrize(
    "environ",
    [
        {"SIDECAR_LISTEN__UNIX__PATH": "/tmp/env"},
        {"SIDECAR_CONFIG_YAML": YAML % "/tmp/env"},
        {"SIDECAR_CONFIG": "other.yaml"},
    ],
)
def test_the_environment_configures_too(folder: Path, environ: dict[str, str]) -> None:
    """A task without files is asked where its daemon listens."""
    (folder / "other.yaml").write_text(YAML % "/tmp/env")
    assert find_socket(None, environ) == Path("/tmp/env")


def test_a_configuration_that_cannot_be_read_is_passed_over(folder: Path) -> None:
    """It may be the daemon's alone; and what is wrong in it is the daemon's to say."""
    (folder / "latin.yaml").write_bytes(b"\xe4")
    for name in ("missing.yaml", "latin.yaml"):
        assert find_socket(None, {"SIDECAR_CONFIG": name}) == Path("/run/sidecar/sidecar.sock")


def test_connecting_opens_nothing(folder: Path) -> None:
    """The first question does."""
    client = connect(folder / "s", {})
    with pytest.raises(NoDaemon):
        client.status()
