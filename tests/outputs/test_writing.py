import asyncio
import json
import threading
from pathlib import Path

import pytest

from sidecar.outputs.contents import ALONE
from sidecar.outputs.folders import Ownership
from sidecar.outputs.places import SingleFile, Site
from sidecar.outputs.writing import Put, Writer, unbroken


def writer(memory: Path) -> Writer:
    """Write one file."""
    return Writer(Site(memory, SingleFile("x", Ownership(0o400)), allow_disk=False))


def owed(memory: Path) -> bool:
    """Say what is written down."""
    return bool(json.loads((memory / ".x.sidecar").read_text())["owed"])


async def test_a_change_is_owed_until_it_is_told(memory: Path) -> None:
    """Over as many tries as it takes; the names are those since the last time that was told of."""
    one = writer(memory)
    assert await one.put({ALONE: b"1"}, {"db": "1"}, tells=True) == Put(written=True, owed=False, names=("db",))
    assert await one.put({ALONE: b"2"}, {"db": "2"}, tells=True) == Put(written=True, owed=True, names=("db",))
    assert owed(memory)
    again = await writer(memory).put({ALONE: b"2"}, {"db": "2"}, tells=True)
    assert again == Put(written=False, owed=True, names=("db",))
    await one.told({"db": "2"})
    assert not owed(memory)
    assert await one.put({ALONE: b"2"}, {"db": "3"}, tells=True) == Put(written=False, owed=False, names=("db",))


async def test_where_nobody_is_told_nothing_is_owed(memory: Path) -> None:
    """`on_change: none` is a choice."""
    one = writer(memory)
    await one.put({ALONE: b"1"}, {"db": "1"}, tells=False)
    assert not (await one.put({ALONE: b"2"}, {"db": "2"}, tells=False)).owed
    assert not owed(memory)


async def test_unchanged_bytes_are_not_written(memory: Path) -> None:
    """The inode stays; its mode is set right."""
    one = writer(memory)
    await one.put({ALONE: b"1"}, {"db": "1"}, tells=False)
    before = (memory / "x").stat()
    (memory / "x").chmod(0o666)
    assert not (await one.put({ALONE: b"1"}, {"db": "2"}, tells=False)).written
    assert ((memory / "x").stat().st_ino, (memory / "x").stat().st_mode & 0o777) == (before.st_ino, 0o400)


async def test_what_has_begun_is_ended() -> None:
    """A cancelled write goes on in its thread, and is waited for."""
    begun, go, ended = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        assert go.wait(10)
        ended.append(True)

    task = asyncio.get_running_loop().create_task(unbroken(work))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]
