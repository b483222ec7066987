"""Keep the daemon's resident memory small, in ways that cost nothing else.

Must be entered before what is big is imported, by whoever is about to import it. Must not change what anything does:
where the system lacks a way, the process is larger and that is all.
"""

import ctypes
import gc
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

M_MMAP_THRESHOLD: Final = -3  # malloc.h
M_ARENA_MAX: Final = -8

LARGE: Final = 128 * 1024
"""Blocks from this size (bytes) get pages of their own and give them back. It is glibc's own default, but glibc raises
it each time that such a block is freed, and what start-up needed once then stays: 2 MB, with 10,000 secrets 5 MB."""

WHILE_IMPORTING: Final = {
    "FROZENLIST_NO_EXTENSIONS": "1",  # its extension alone brings in libstdc++: 1 MB for a list that is read at start
    "SSL_CERT_FILE": os.devnull,  # aiohttp fills a TLS context with all authorities, 1 MB, which no client of ours uses
    "SSL_CERT_DIR": os.devnull,
    "PYDANTIC_DISABLE_PLUGINS": "__all__",  # it looks for them in the metadata of every package that is installed
}
"""Variables that spare memory when libraries are imported; they are put back, so that no child sees them."""

MADV_DONTNEED: Final = 4  # asm-generic/mman-common.h
MAPPINGS: Final = Path("/proc/self/smaps")

Mallopt = Callable[[int, int], int]
Madvise = Callable[[int, int, int], int]


@contextmanager
def small_imports() -> Iterator[None]:
    """Import within this block what the daemon is made of."""
    settle_allocator(_mallopt())
    before = {name: os.environ.get(name) for name in WHILE_IMPORTING}
    os.environ.update(WHILE_IMPORTING)
    try:
        yield
    finally:
        for name, value in before.items():
            _put_back(name, value)
    gc.collect()  # what imports leave behind in cycles makes room for what comes next


def spare_from_collection() -> None:
    """Let garbage collections pass over all that is there now: it is there to stay, and most of what is there.

    A full one walks through every object: with 10,000 secrets it would hold the event loop for 50 ms.
    """
    gc.freeze()


def give_back_code(mappings: Path = MAPPINGS, madvise: Madvise | None = None) -> None:
    """Let go of the pages of libraries' code that only the start has used: 10 MB, and 5 MB once all is busy.

    What runs again comes back from the system's cache, in microseconds. Only where no page was written to: what the
    file says is then what was there (madvise(2), MADV_DONTNEED).
    """
    madvise = madvise or _madvise()
    if madvise is None or not mappings.exists():
        return
    for start, end in clean_code(mappings.read_text("utf-8", "replace")):
        madvise(start, end - start, MADV_DONTNEED)


def clean_code(mappings: str) -> list[tuple[int, int]]:
    """Find where code of files is mapped that nobody has written to, in the text of /proc/<pid>/smaps."""
    return [
        (int(found["start"], 16), int(found["end"], 16))
        for found in _MAPPING.finditer(mappings)
        if not _WRITTEN.search(found["told"])
    ]


_MAPPING: Final = re.compile(
    r"^(?P<start>[0-9a-f]+)-(?P<end>[0-9a-f]+) r-xp \S+ \S+ \S+ +/.*\n(?P<told>(?:[A-Z]\w+: .*\n)+)", re.MULTILINE
)
_WRITTEN: Final = re.compile(r"^(?:Anonymous|Swap): +[1-9]", re.MULTILINE)


def settle_allocator(mallopt: Mallopt | None) -> None:
    """Let the C library keep one heap for all threads, and give large blocks back; None where it has no such choice."""
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_MMAP_THRESHOLD, LARGE)


def _mallopt() -> Mallopt | None:
    function = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's; musl and macOS have none
    return (lambda option, value: int(function(option, value))) if function else None


def _madvise() -> Madvise | None:
    if sys.platform != "linux":
        return None
    function = ctypes.CDLL(None).madvise
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return lambda start, length, advice: int(function(start, length, advice))


def _put_back(name: str, value: str | None) -> None:
    if value is None:
        del os.environ[name]
    else:
        os.environ[name] = value
