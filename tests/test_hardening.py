import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.processes import clean

# In a process of its own, as nothing of it can be undone; as somebody else than root where that can be chosen.
CODE = """
import os, resource
from prometheus_client import CollectorRegistry, ProcessCollector
from sidecar import hardening
registry = CollectorRegistry()
ProcessCollector(registry=registry)
was_root = os.geteuid() == 0
if was_root:
    os.seteuid(65534)
{harden}
print(resource.getrlimit(resource.RLIMIT_CORE))
print(open("/proc/self/stat").read() != "" and len(os.listdir("/proc/self/fd")) > 3)
for name in ("process_resident_memory_bytes", "process_open_fds"):
    print(registry.get_sample_value(name) > 3)
if was_root:
    os.seteuid(0)
print(os.stat("/proc/self/environ").st_uid)
"""


def run(harden: str, cwd: Path) -> list[str]:
    """Run it, and give what it printed."""
    code = [sys.executable, "-c", CODE.format(harden=harden)]
    run = subprocess.run(code, cwd=cwd, env=clean({}), capture_output=True, text=True, check=True)
    return run.stdout.splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has PR_SET_DUMPABLE")
def test_memory_is_nobody_elses(tmp_path: Path) -> None:
    """No core dumps, /proc is root's; what the process reads of itself for its metrics stays readable."""
    assert run("print(hardening.harden())", tmp_path) == ["None", "(0, 0)", "True", "True", "True", "0"]


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_what_cannot_be_done_is_told(tmp_path: Path) -> None:
    """A system that refuses is no reason not to start."""
    refused = "import ctypes; ctypes.set_errno(1); print(hardening.harden(lambda option, value: -1))"
    assert run(refused, tmp_path)[:2] == ["PR_SET_DUMPABLE: Operation not permitted", "(0, 0)"]


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_other_systems(tmp_path: Path) -> None:
    """Where there is no such call, that is told, and core dumps are off all the same."""
    other = "import sys; sys.platform = 'plan9'; print(hardening.harden()); sys.platform = 'linux'"
    assert run(other, tmp_path)[:2] == ["plan9 has no way to keep debuggers out", "(0, 0)"]
