from sidecar import __version__
from tests.cli.conftest import Invoke


def test_version(invoke: Invoke) -> None:
    """One line with the version."""
    assert invoke("version").stdout == f"sidecar {__version__}\n"
