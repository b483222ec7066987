import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from aiohttp import web

from sidecar.core.config.models import HttpHook, OnChange
from sidecar.outputs.failures import Untold
from sidecar.outputs.hooks import Change, Hook, hook_environment, hook_of, signature
from sidecar.outputs.values import Values
from tests.engine.world import Laboratory, laboratory
from tests.outputs.world import DB, declare, values

CHANGE = Change("/run/x", ("a", "b"))


async def hook(on_change: OnChange) -> Hook:
    """Make a hook that needs no secret."""
    async with values() as (_, held):
        return hook_of(on_change, held, lambda: 1.0)


class TestSignal:
    """A signal to the process in a file."""

    async def fire(self, pid_file: Path) -> None:
        """Send USR1."""
        await (await hook(OnChange(signal="USR1", pid_file=str(pid_file))))(CHANGE)

    async def test_reaches_the_process(self, tmp_path: Path) -> None:
        """A real one, which ends by it."""
        process = await asyncio.create_subprocess_exec("sleep", "60")
        (tmp_path / "pid").write_text(f"{process.pid}\n")
        await self.fire(tmp_path / "pid")
        assert await process.wait() == -signal.SIGUSR1
        with pytest.raises(Untold, match="no process"):
            await self.fire(tmp_path / "pid")

    @pytest.mark.parametrize("text", ["", "0", "1", "-1", "x", pytest.param(str(os.getpid()), id="itself"), "9" * 30])
    async def test_what_is_no_process_of_the_apps(self, tmp_path: Path, text: str) -> None:
        """Neither groups, nor everybody, nor the first process, nor itself."""
        (tmp_path / "pid").write_text(text)
        with pytest.raises(Untold):
            await self.fire(tmp_path / "pid")

    async def test_without_a_file(self, tmp_path: Path) -> None:
        """The program has not started yet, say."""
        with pytest.raises(Untold, match="No such file"):
            await self.fire(tmp_path / "none")


class TestCommand:
    """A command."""

    async def fire(self, *command: str, timeout: float = 30.0) -> None:  # noqa: ASYNC109 -- the hook's own
        """Run it."""
        await (await hook(OnChange(exec=command, timeout=timeout)))(CHANGE)

    async def test_is_told_what_changed(self, tmp_path: Path) -> None:
        """By its environment; what it prints goes nowhere."""
        script = 'echo printed; echo "$SIDECAR_FILE $SIDECAR_CHANGED" > "$1"'
        await self.fire("sh", "-c", script, "sh", str(tmp_path / "out"))
        assert (tmp_path / "out").read_text() == "/run/x a b\n"

    def test_gets_no_credentials(self) -> None:
        """Those of the daemon are not the command's."""
        environ = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "canary", "SIDECAR_CONFIG_YAML": "canary"}
        assert hook_environment(environ, CHANGE) == {
            "PATH": "/bin",
            "SIDECAR_FILE": "/run/x",
            "SIDECAR_CHANGED": "a b",
        }

    async def test_failures_are_told(self, tmp_path: Path) -> None:
        """By exit code or signal, or why it cannot be run."""
        for command, why in (("exit 3", "exit code 3"), ("kill -9 $$", "signal 9")):
            with pytest.raises(Untold, match=why):
                await self.fire("sh", "-c", command)
        with pytest.raises(Untold, match="No such file"):
            await self.fire(str(tmp_path / "none"))

    async def test_one_that_does_not_end_is_killed_with_its_children(self, tmp_path: Path) -> None:
        """A pipe that both hold open closes."""
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        with pytest.raises(Untold, match="has not ended within 1 s"):
            await self.fire("sh", "-c", f"exec 3>{fifo}; sleep 60 & echo up >&3; wait", timeout=1.0)
        with os.fdopen(reader, "rb") as pipe:
            os.set_blocking(reader, True)
            assert await asyncio.to_thread(pipe.read) == b"up\n"

    async def test_a_cancelled_one_is_killed(self) -> None:
        """When the daemon ends or reloads."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.fire(sys.executable, "-c", "import time; time.sleep(60)"))
            await asyncio.sleep(0.2)
            task.cancel()
        assert task.cancelled()


class TestPost:
    """A signed POST to a real receiver."""

    async def fire(self, lab: Laboratory, status: int) -> list[tuple[dict[str, str], bytes]]:
        """Send one to a receiver that answers with this status; give what it got."""
        got = []

        async def receive(request: web.Request) -> web.Response:
            got.append((dict(request.headers), await request.read()))
            return web.Response(status=status, headers={"Location": "/elsewhere"})

        app = web.Application()
        app.router.add_post("/hook", receive)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        to = HttpHook(url=f"http://{host}:{port}/hook", secret="db")
        try:
            await hook_of(OnChange(http=to), Values(lab.engine), lambda: 1_770_000_000.9)(CHANGE)
        finally:
            await runner.cleanup()
        return got

    async def test_is_signed(self) -> None:
        """Over time and body, by the bytes of the secret."""
        async with laboratory() as lab:
            lab.source.put(DB, b"key")
            declare(lab, db=DB)
            await lab.engine.store.changed_since(0)
            [(headers, body)] = await self.fire(lab, 204)
            assert body == b'{"path": "/run/x", "changed": ["a", "b"]}'
            assert headers["Sidecar-Timestamp"] == "1770000000"
            assert headers["Sidecar-Signature"] == f"v1={signature(b'key', '1770000000', body)}"
            for status in (302, 500):
                with pytest.raises(Untold, match=str(status)):
                    await self.fire(lab, status)

    async def test_nobody_there_or_no_key(self) -> None:
        """Told by host, without the path, which may be all that keeps strangers out."""
        async with laboratory() as lab:
            lab.source.put(DB, b"key")
            declare(lab, db=DB)
            to = HttpHook(url="http://127.0.0.1:9/canary", secret="db")
            post = hook_of(OnChange(http=to), Values(lab.engine), lambda: 1.0)
            with pytest.raises(Untold, match="no key"):
                await post(CHANGE)
            await lab.engine.store.changed_since(0)
            with pytest.raises(Untold) as failed:
                await post(CHANGE)
            assert str(failed.value) == "127.0.0.1:9: ClientConnectorError"


def test_a_signature_is_the_one_that_anybody_computes() -> None:
    """As `openssl dgst -sha256 -hmac key` gives it for `1.{}`."""
    assert signature(b"key", "1", b"{}") == "1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224"
