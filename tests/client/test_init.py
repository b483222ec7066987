import subprocess
import sys

import pytest

import sidecar.client
from sidecar.client import SOCKET, AsyncClient
from sidecar.client.asynchronous import AsyncClient as Defined
from sidecar.core.config.models import Unix


def test_it_takes_nothing_of_the_project_in() -> None:
    """An app that imports the client gets the standard library and this room, not the daemon, and no event loop."""
    code = "import sys; had = set(sys.modules); import sidecar.client; print(*(set(sys.modules) - had))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    taken = set(run.stdout.split())
    assert {"sidecar", "sidecar.client"} <= {name for name in taken if name.partition(".")[0] == "sidecar"}
    assert not [name for name in taken if name.startswith("sidecar.") and not name.startswith("sidecar.client")]
    assert {name.partition(".")[0] for name in taken} <= {"sidecar", *sys.stdlib_module_names}
    assert not taken & {"asyncio", "logging", "sidecar.client.asynchronous"}


def test_the_asynchronous_client_is_imported_when_it_is_named() -> None:
    """It is the room's like the rest; what is of no such name is an error as of any module."""
    assert AsyncClient is Defined
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        sidecar.client.Nonsense  # noqa: B018 -- naming it is the test


def test_it_knows_where_the_daemon_listens() -> None:
    """Its default is the configuration's."""
    assert Unix().path == SOCKET
