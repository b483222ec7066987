"""The daemon put together, where what a process shows is not enough; tests/e2e runs it as one."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sidecar.app import App, Bound
from sidecar.core.config.loading import load
from sidecar.core.config.models import Config
from sidecar.core.quotas import Scope
from sidecar.household import limits_of
from sidecar.telemetry import events
from tests.e2e.processes import short_folder

SCOPE = Scope("111111111111", "eu-west-1")


def configured(text: str) -> Config:
    """Read a configuration."""
    return load(file=("sidecar.yaml", text), environ={})


async def status_of(socket: str) -> bytes:
    """Ask the daemon something, and give the answer's first line."""
    reader, writer = await asyncio.open_unix_connection(socket)
    writer.write(b"GET /v1/secrets HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    line = await reader.readline()
    writer.close()
    return line


async def hang_up_twice(folder: Path, read: Callable[[], Config]) -> bytes:
    """Run a daemon that is told twice to read its configuration anew, by `read`; give what it answers afterwards."""
    config = configured(
        f"listen: {{unix: {{path: {folder}/s}}, ops: null}}\nidentities: {{default: {{region: eu-west-1}}}}"
    )
    bound: asyncio.Future[Bound] = asyncio.get_running_loop().create_future()
    reads = asyncio.Semaphore(0)
    loop = asyncio.get_running_loop()

    def read_and_tell() -> Config:
        loop.call_soon_threadsafe(reads.release)
        return read()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(App(config, load=read_and_tell, on_bound=bound.set_result).run())
        where = await bound
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGHUP)
            await reads.acquire()
        answer = await status_of(where.unix)
        os.kill(os.getpid(), signal.SIGTERM)
    return answer


@pytest.mark.parametrize("fault", [RuntimeError("canary"), RecursionError("canary"), KeyError("canary")])
async def test_a_fault_of_ours_in_a_reload_changes_nothing(fault: Exception) -> None:
    """The daemon serves on, and says so without what the fault may quote; the next reload is tried again."""

    def read() -> Config:
        raise fault

    with short_folder() as folder, capture_logs() as lines:
        answer = await hang_up_twice(folder, read)
    rejected = [line for line in lines if line["event"] == events.CONFIG_REJECTED]
    assert answer == b"HTTP/1.1 200 OK\r\n"
    assert [line["problems"] for line in rejected] == [
        [f"a fault of the program in reading it: {type(fault).__name__}"]
    ] * 2
    assert "canary" not in str(lines)
    assert lines[-1]["event"] == events.DAEMON_STOPPED


def test_what_a_fleet_may_take() -> None:
    """A daemon keeps to its own share by itself, its fleet to the fleet's, whatever AWS says of the account."""
    text = "quotas: {share: 5%, discover: true}\nfleet: {store: 'redis://h', name: prod, share: 60%}"
    limits = limits_of(configured(text), {SCOPE: {"ssm.get": 1_000.0}}).of(SCOPE)
    assert (limits.ceiling("ssm.get", "eu-west-1"), limits.fleet_ceiling("ssm.get", "eu-west-1")) == (50, 600)
    alone = limits_of(configured("quotas: {share: 5%}"), {SCOPE: {"ssm.get": 1_000.0}}).of(SCOPE)
    assert alone.ceiling("ssm.get", "eu-west-1") == 2
