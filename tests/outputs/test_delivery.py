import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from sidecar.core.errors import AccessDenied
from sidecar.core.files import FileState
from sidecar.core.settling import Settling, Wait
from sidecar.outputs.contents import ALONE
from sidecar.outputs.delivery import Around, Delivery
from sidecar.outputs.failures import Untold, Unwritten
from sidecar.outputs.hooks import Change
from sidecar.outputs.journal import Remembered
from sidecar.outputs.values import Values
from tests.engine.world import Laboratory, laboratory
from tests.outputs.world import API, DB, Paper, declare

pytestmark = pytest.mark.looptime


@dataclass
class Listener:
    """Whoever is told."""

    told: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)
    deaf: bool = False

    async def __call__(self, change: Change) -> None:
        """Take it, or not."""
        self.told.append((asyncio.get_running_loop().time(), change.names))
        if self.deaf:
            raise Untold("x: deaf")


@asynccontextmanager
async def kept(paper: Paper, listener: Listener | None = None) -> AsyncIterator[tuple[Laboratory, Delivery]]:
    """Keep a file of `db` and `api`, checked each second; it is told of after two quiet seconds."""
    async with laboratory() as lab:
        lab.source.put(DB, b"db1")
        lab.source.put(API, b"api1")
        declare(lab, db=DB, api=API)
        around = Around(Values(lab.engine), lab.metrics, lab.clock.wall, lambda: 1.0)
        delivery = Delivery(
            "/run/x",
            lambda reading: {ALONE: reading.secret("db") + b" " + reading.secret("api")},
            paper,
            listener,
            Settling(Wait(2.0, 6.0)),
            around,
        )
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(delivery.run())
            try:
                yield lab, delivery
            finally:
                task.cancel()


async def test_the_first_delivery_is_at_once_and_told_to_nobody() -> None:
    """As soon as all of it is held, without waiting for more."""
    paper, listener = Paper(), Listener()
    async with kept(paper, listener) as (_, delivery):
        assert delivery.reading().state is FileState.PENDING
        await asyncio.sleep(0.5)
        assert (paper.writes, listener.told) == ([b"db1 api1"], [])
        assert delivery.reading().state is FileState.CURRENT


async def test_a_group_of_changes_is_written_and_told_once() -> None:
    """Two seconds after the last of it; another version of the same bytes is told to nobody."""
    paper, listener = Paper(), Listener()
    async with kept(paper, listener) as (lab, _):
        await asyncio.sleep(10)
        lab.source.put(DB, b"db2", "2")
        await asyncio.sleep(1.2)
        lab.source.put(API, b"api2", "2")
        await asyncio.sleep(10)
        assert paper.writes == [b"db1 api1", b"db2 api2"]
        assert [names for _, names in listener.told] == [("api", "db")]
        lab.source.put(DB, b"db2", "3")
        await asyncio.sleep(10)
        assert (len(paper.writes), len(listener.told)) == (2, 1)


async def test_what_changed_while_the_daemon_was_down_is_told_at_the_start() -> None:
    """By the versions that are remembered; so is what was written, but not told."""
    for remembered, content in ((Remembered({"db": "0"}), None), (Remembered({"db": "0"}, owed=True), b"db1 api1")):
        paper, listener = Paper(content, remembered), Listener()
        async with kept(paper, listener):
            await asyncio.sleep(0.5)
            assert [names for _, names in listener.told] == [("api", "db")]
            assert paper.remembered is not None
            assert not paper.remembered.owed


async def test_a_hook_that_fails_is_tried_again_ever_more_seldom() -> None:
    """Said once when it begins and once when it ends; the file is right all the while."""
    paper, listener = Paper(b"old"), Listener(deaf=True)
    with capture_logs() as logs:
        async with kept(paper, listener) as (_, delivery):
            await asyncio.sleep(100)
            times = [at for at, _ in listener.told]
            assert [round(later - sooner) for sooner, later in pairwise(times)] == [2, 4, 8, 16, 32]
            reading = delivery.reading()
            assert (reading.state, reading.why) == (FileState.CURRENT, "x: deaf")
            listener.deaf = False
            await asyncio.sleep(100)
            assert delivery.reading().why == ""
            assert len({names for _, names in listener.told}) == 1
    said = [line["event"] for line in logs if line["event"].startswith("hook")]
    assert said == ["hook_failed", "hook_fired", "hook_recovered"]


async def test_a_failed_render_keeps_the_old_file() -> None:
    """Said once; made again when the secret is back."""
    paper = Paper()
    with capture_logs() as logs:
        async with kept(paper) as (lab, delivery):
            await asyncio.sleep(1)
            gone = lab.source.values.pop(DB)
            await asyncio.sleep(20)
            assert (paper.writes, delivery.reading().state) == ([b"db1 api1"], FileState.FAILED)
            assert delivery.reading().why == "db: not_found"
            lab.source.values[DB] = gone
            await asyncio.sleep(400)
            assert (paper.writes, delivery.reading().state) == ([b"db1 api1"], FileState.CURRENT)
    said = [line["event"] for line in logs if line["event"].startswith("file")]
    assert said == ["file_written", "file_failed", "file_recovered"]


async def test_what_aws_refuses_from_the_start_is_said() -> None:
    """That is no change of any value, so it is looked for."""
    paper = Paper(b"old")
    async with laboratory() as lab:
        lab.source.failures[DB] = AccessDenied("ssm:/db: no")
        declare(lab, db=DB)
        around = Around(Values(lab.engine), lab.metrics, lab.clock.wall, lambda: 1.0)
        make = Delivery("/x", lambda reading: {ALONE: reading.secret("db")}, paper, None, Settling(), around)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(make.run())
            await asyncio.sleep(6)
            assert (make.reading().state, make.reading().why) == (FileState.FAILED, "db: access_denied")
            task.cancel()
    assert paper.writes == []


async def test_a_write_that_fails_is_tried_again() -> None:
    """With the same backoff, said once."""
    paper = Paper(broken=Unwritten("/run: No space left on device"))
    with capture_logs() as logs:
        async with kept(paper) as (_, delivery):
            await asyncio.sleep(20)
            assert delivery.reading().state is FileState.FAILED
            paper.broken = None
            await asyncio.sleep(30)
            assert paper.writes == [b"db1 api1"]
    assert [line["event"] for line in logs if line["event"] == "file_failed"] == ["file_failed"]
