import json
import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.footprint import (
    LARGE,
    M_ARENA_MAX,
    M_MMAP_THRESHOLD,
    MADV_DONTNEED,
    WHILE_IMPORTING,
    give_back_code,
    settle_allocator,
    small_imports,
    spare_from_collection,
)


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


MAPPINGS = """\
559c0000-559c1000 r--p 00000000 08:01 1 /usr/bin/python3
Rss:                   4 kB
Anonymous:             0 kB
559c1000-559d0000 r-xp 00001000 08:01 1 /usr/bin/python3
Rss:                  60 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me
7f000000-7f001000 r-xp 00000000 08:01 2 /lib/relocated in its text.so
Rss:                   4 kB
Anonymous:             4 kB
Swap:                  0 kB
7f010000-7f011000 r-xp 00000000 08:01 3 /lib/relocated and swapped.so
Rss:                   0 kB
Anonymous:             0 kB
Swap:                  4 kB
7f020000-7f021000 rw-p 00000000 00:00 0 [heap]
Rss:                   4 kB
Anonymous:             4 kB
7ffc0000-7ffc1000 r-xp 00000000 00:00 0 [vdso]
Rss:                   4 kB
Anonymous:             0 kB
7f030000-7f032000 r-xp 00000000 08:01 4 /lib/last.so
Rss:                   8 kB
Anonymous:             0 kB
"""


def test_only_code_of_files_that_nobody_wrote_to_is_given_back(tmp_path: Path) -> None:
    """Data, what is no file, and code with pages of its own (in memory or in swap) stay."""
    mappings = tmp_path / "smaps"
    mappings.write_text(MAPPINGS)
    said: list[tuple[int, int, int]] = []

    def madvise(start: int, length: int, advice: int) -> int:
        said.append((start, length, advice))
        return 0

    give_back_code(mappings, madvise)
    assert said == [(0x559C1000, 0xF000, MADV_DONTNEED), (0x7F030000, 0x2000, MADV_DONTNEED)]


def test_a_system_that_tells_no_mappings_is_left_alone(tmp_path: Path) -> None:
    """Where there is no /proc there is nothing to give back, and nothing fails."""
    give_back_code(tmp_path / "smaps")


def test_code_that_was_given_back_runs_on() -> None:
    """The process, with all its libraries, goes on as before."""
    give_back_code()
    spare_from_collection()
    assert len(ssl.create_default_context().get_ca_certs()) >= 0
    assert json.loads(json.dumps({"a": [1.5, None]})) == {"a": [1.5, None]}


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
