import json
import os
import ssl
import subprocess
import sys

import pytest

from sidecar.footprint import LARGE, M_ARENA_MAX, M_MMAP_THRESHOLD, WHILE_IMPORTING, settle_allocator, small_imports


def test_the_allocator_keeps_one_heap_and_gives_large_blocks_back() -> None:
    """Both options are set, with the values that glibc documents."""
    said: list[tuple[int, int]] = []

    def mallopt(option: int, value: int) -> int:
        said.append((option, value))
        return 1

    settle_allocator(mallopt)
    assert said == [(M_ARENA_MAX, 1), (M_MMAP_THRESHOLD, LARGE)]


def test_a_system_without_such_options_is_left_alone() -> None:
    """Where the C library has no mallopt there is nothing to do, and nothing fails."""
    settle_allocator(None)


def test_variables_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user has set is there again afterwards, what was not there is gone, even after a failure."""
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/mine.pem")
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)

    def fail_to_import() -> None:
        with small_imports():
            assert {name: os.environ[name] for name in WHILE_IMPORTING} == WHILE_IMPORTING
            raise ImportError

    with pytest.raises(ImportError):
        fail_to_import()
    assert os.environ["SSL_CERT_FILE"] == "/etc/mine.pem"
    assert "SSL_CERT_DIR" not in os.environ


_LOOK = """
import json, sys
from sidecar.footprint import small_imports
with small_imports():
    import sidecar.cli.daemon
import ssl
optional = ("moto", "boto3", "redis", "aws_encryption_sdk", "jinja2", "aiohttp.web")
mapped = open("/proc/self/maps").read() if sys.platform == "linux" else ""
print(json.dumps({
    "optional": [name for name in optional if name in sys.modules],
    "libstdc++": "libstdc++" in mapped,
    "authorities": len(ssl.create_default_context().get_ca_certs()),
}))
"""


def test_the_daemon_is_imported_without_what_it_does_not_need() -> None:
    """No optional feature, web framework or C++ library is loaded; afterwards the system's authorities are trusted."""
    here = subprocess.run([sys.executable, "-c", _LOOK], check=True, capture_output=True, text=True)
    authorities = len(ssl.create_default_context().get_ca_certs())
    assert json.loads(here.stdout) == {"optional": [], "libstdc++": False, "authorities": authorities}
