"""Tell others that a file has changed: a signal, a command, a signed POST.

One try each: `delivery` decides when there is another. Nothing that others print or answer is kept.
"""

import asyncio
import hashlib
import hmac
import json
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from sidecar.core.config.models import HttpHook, OnChange
from sidecar.outputs.failures import NotYet, Unrendered, Untold
from sidecar.outputs.values import Values

TIMEOUT: Final = 10.0
"""Seconds in which a POST must be answered."""

SIGNATURE: Final = "Sidecar-Signature"
TIMESTAMP: Final = "Sidecar-Timestamp"

_LONGEST_PID_FILE: Final = 32
_LARGEST_PID: Final = 2**31 - 1
_NOT_PASSED_ON: Final = ("AWS_", "SIDECAR_")
_OK: Final = range(200, 300)


@dataclass(frozen=True, slots=True)
class Change:
    """What has happened: which file, and which secrets in it are of other versions."""

    path: str
    names: tuple[str, ...]


Hook = Callable[[Change], Awaitable[None]]
"""Tell of a change; raises Untold. Cancelling it ends what it has started."""


def hook_of(on_change: OnChange, values: Values, wall: Callable[[], float]) -> Hook:
    """Give what tells of a change as it is configured."""
    if on_change.signal is not None and on_change.pid_file is not None:
        return SignalHook(on_change.signal, Path(on_change.pid_file))
    if on_change.http is not None:
        return PostHook(on_change.http, values, wall)
    return CommandHook(on_change.exec, on_change.timeout)


# --- a signal ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SignalHook:
    """Send a signal to the process whose number is in a file."""

    name: str
    pid_file: Path

    async def __call__(self, change: Change) -> None:  # noqa: ARG002 -- a signal says no more
        """Read the file and send it."""
        pid = _pid_in(self.pid_file)
        try:
            os.kill(pid, signal.Signals[f"SIG{self.name}"])
        except ProcessLookupError:
            raise Untold(f"{self.pid_file}: there is no process {pid}") from None
        except PermissionError:
            raise Untold(f"{self.pid_file}: process {pid} may not be signalled", mend=_SAME_USER) from None


_SAME_USER: Final = (
    "Run the daemon as the same user as the process, or with CAP_KILL; in a pod, share the PID namespace."
)


def _pid_in(path: Path) -> int:
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST_PID_FILE).strip()
    except OSError as error:
        raise Untold(f"{path}: {os.strerror(error.errno or 0)}") from None
    if not text.isdigit():
        raise Untold(f"{path} holds no number of a process")
    pid = int(text)
    # kill(2) takes 0 and less for groups of processes, and everybody; 1 is what looks after all others.
    if pid <= 1 or pid > _LARGEST_PID or pid == os.getpid():
        raise Untold(f"{path}: {pid} is no process to be signalled")
    return pid


# --- a command -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CommandHook:
    """Run a command."""

    command: tuple[str, ...]
    timeout: float

    async def __call__(self, change: Change) -> None:
        """Run it to its end; what does not end in time is killed, with all that it has started."""
        process = await self._start(change)
        try:
            async with asyncio.timeout(self.timeout):
                code = await process.wait()
        except TimeoutError:
            raise Untold(f"{self.command[0]} has not ended within {self.timeout:g} s") from None
        finally:
            if process.returncode is None:  # too long, or cancelled
                _kill(process)
                await process.wait()  # at once: nothing outlives this signal
        if code:
            raise Untold(f"{self.command[0]} has ended with {_ending(code)}")

    async def _start(self, change: Change) -> asyncio.subprocess.Process:
        nowhere = asyncio.subprocess.DEVNULL
        try:
            return await asyncio.create_subprocess_exec(
                *self.command,
                stdin=nowhere,
                stdout=nowhere,
                stderr=nowhere,
                env=hook_environment(os.environ, change),
                start_new_session=True,  # a group of its own, which can be killed whole
            )
        except OSError as error:
            raise Untold(f"{self.command[0]}: {os.strerror(error.errno or 0)}") from None


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def hook_environment(environ: Mapping[str, str], change: Change) -> dict[str, str]:
    """Give a command the daemon's environment without its credentials and settings, and say what has changed."""
    kept = {name: value for name, value in environ.items() if not name.startswith(_NOT_PASSED_ON)}
    return {**kept, "SIDECAR_FILE": change.path, "SIDECAR_CHANGED": " ".join(change.names)}


def _ending(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"signal {-code}"


# --- a POST --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PostHook:
    """Send a signed POST."""

    to: HttpHook
    values: Values
    wall: Callable[[], float]

    async def __call__(self, change: Change) -> None:
        """Send it; anything but 2xx is a failure, a redirection too."""
        timestamp = str(int(self.wall()))
        body = json.dumps({"path": change.path, "changed": list(change.names)}).encode()
        headers = {
            "Content-Type": "application/json",
            TIMESTAMP: timestamp,
            SIGNATURE: f"v1={signature(self._key(), timestamp, body)}",
        }
        status = await self._post(body, headers)
        if status not in _OK:
            raise Untold(f"{self._host} answers {status}")

    @property
    def _host(self) -> str:
        """Who is told, without the path: it may be all that keeps strangers from posting there."""
        return urlsplit(self.to.url).netloc

    def _key(self) -> bytes:
        try:
            return self.values.open(self.to.secret)
        except (NotYet, Unrendered) as failure:
            raise Untold(f"{self._host}: no key to sign with: {failure}", mend=failure.mend) from None

    async def _post(self, body: bytes, headers: Mapping[str, str]) -> int:
        import aiohttp  # noqa: PLC0415 -- its client, only where it is configured

        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT)) as session,
                session.post(self.to.url, data=body, headers=headers, allow_redirects=False) as response,
            ):
                return response.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Untold(f"{self._host}: {type(error).__name__}") from None


def signature(key: bytes, timestamp: str, body: bytes) -> str:
    """Sign when and what: HMAC-SHA256 of `timestamp.body`, in hex."""
    return hmac.new(key, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
