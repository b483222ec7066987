"""How fast and how lean envelopes are: in the pipes of the commands, by the daemon with its data-key cache, in memory.

Beside each pipe stands the SDK alone, in the same run, with the same algorithm and frames: its streams, and its way at
one stroke, which is slower.
"""

import base64
import os
import subprocess
import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Final

from bench.environment import run_only_python
from bench.figures import Figure
from bench.memory import look
from bench.running import Daemon, World, declared, until, world
from sidecar.core.ports import DataKey
from sidecar.core.secret import Plaintext
from sidecar.envelope import sdk
from sidecar.envelope.pipes import MOST, Arriving, seal
from sidecar.envelope.streams import Readable

LEAST: Final = 0.8  # of what the SDK does alone
MIB: Final = 1 << 20
SECONDS: Final = 0.2
RUNS: Final = 7

MESSAGES: Final = 1000
AT_A_KEY: Final = 100

HELD: Final = {"encrypt": 8, "decrypt --stream": 8, "decrypt": 116}
"""MiB that a command may hold for 100 MiB beyond what it takes for 10 KB: next to nothing, or all of it once."""

_LOOKS: Final = 10
_COMMAND: Final = "from sidecar.cli import main; main()"
_DATA_KEY: Final = DataKey("arn:aws:kms:eu-west-1:111122223333:key/1", Plaintext(bytes(32)), bytes(184))
_WRAPPED: Final = sdk.Wrapped(_DATA_KEY.key, _DATA_KEY.blob)


def measure() -> list[Figure]:
    """Measure the pipe, then the daemon, then the commands."""
    return [*_throughput(), *_by_the_daemon(), *_by_commands()]


def _throughput() -> list[Figure]:
    one = os.urandom(MIB)
    message = sdk.seal_message(one, _DATA_KEY, ())

    def opened() -> int:
        return sum(map(len, Arriving(BytesIO(message), "bench").open(_WRAPPED, _DATA_KEY.plaintext)))

    return [
        *_compare(
            "encrypt",
            lambda: sum(map(len, seal(BytesIO(one), _DATA_KEY, (), "bench"))),
            lambda: _drained(sdk.sealing(BytesIO(one), _DATA_KEY, ())),
            lambda: len(sdk.seal_message(one, _DATA_KEY, ())),
        ),
        *_compare(
            "decrypt",
            opened,
            lambda: _drained(sdk.opening(BytesIO(message), _WRAPPED, bytes(32), MIB)),
            lambda: len(sdk.open_message(message, _WRAPPED, bytes(32), "bench")),
        ),
    ]


def _drained(stream: Readable) -> int:
    return sum(map(len, iter(lambda: stream.read(sdk.FRAME), b"")))


def _compare(
    command: str, ours: Callable[[], int], streamed: Callable[[], int], at_once: Callable[[], int]
) -> list[Figure]:
    """Let all work in turns, so that a slower moment of the machine is everybody's; take the best of each."""
    assert MIB <= ours() == streamed() == at_once(), "each must do all of it, and the same"
    runs = [(_rate(ours), _rate(streamed), _rate(at_once)) for _ in range(RUNS)]
    best = [max(run[way] for run in runs) for way in range(3)]
    part = best[0] / best[1]
    return [
        Figure(f"the pipe of `{command}`, messages of 1 MiB, MiB/s", "", f"{best[0]:,.0f}"),
        Figure("... against the SDK's stream alone", f">= {LEAST:.0%}", f"{part:.0%}", part >= LEAST),
        Figure("... against the SDK alone at one stroke", "", f"{best[0] / best[2]:.0%}"),
    ]


def _rate(work: Callable[[], int]) -> float:
    """Give times for each second of processor time: what the machine gives to others does not count."""
    times, began = 0, time.process_time()
    while (took := time.process_time() - began) < SECONDS:
        work()
        times += 1
    return times / took


def _by_the_daemon() -> list[Figure]:
    """Encrypt over the socket, and see what KMS was asked and what it takes in memory."""
    with world(99, 1) as here:
        limits = {"data_key_cache": {"max_messages": AT_A_KEY}}
        with here.daemon(here.configure(declared(99, 1), kms=limits)) as daemon:
            until(daemon.ready, within=60)
            before, key = max(look(daemon) for _ in range(_LOOKS)), here.create_key()
            took = _encrypt(daemon, key)
            asked = here.fake.counts().get("kms.GenerateDataKey", 0)
            after = max(look(daemon) for _ in range(_LOOKS))
    goal = MESSAGES // AT_A_KEY
    return [
        Figure(f"{MESSAGES:,} x 1 KiB at {AT_A_KEY} a key: GenerateDataKey", str(goal), str(asked), asked == goal),
        Figure("... over the socket, one after the other, envelopes/s", "", f"{MESSAGES / took:,.0f}"),
        Figure("resident memory, 100 secrets, before any envelope", "", f"{before / 1024:.1f} MiB"),
        Figure("... what the envelopes add", "", f"{(after - before) / 1024:.1f} MiB"),
    ]


def _encrypt(daemon: Daemon, key: str) -> float:
    """Encrypt all of it; give the seconds that it took."""
    body = {"KeyId": key, "Plaintext": base64.b64encode(bytes(1024)).decode(), "envelope": True}
    began = time.perf_counter()
    for _ in range(MESSAGES):
        status, told = daemon.post("/v1/kms/encrypt", body)
        assert (status, told["envelope"]) == (200, True)
    return time.perf_counter() - began


def _by_commands() -> list[Figure]:
    """Let the commands work on 100 MiB, and see what they hold of it."""
    with world(0) as here:
        few, many, sealed = (here.folder / name for name in ("few", "many", "sealed"))
        few.write_bytes(bytes(10_000))
        with many.open("wb") as file:
            file.truncate(MOST)
        here.configure({})
        options = {"encrypt": ("--key-id", here.create_key())}
        base = _peak(here, ("encrypt", *options["encrypt"]), few, sealed)
        told = [Figure("`sidecar encrypt`, 10 KB: most memory", "", f"{base / MIB:.1f} MiB")]
        for command, most in HELD.items():
            source, target = (many, sealed) if command == "encrypt" else (sealed, here.folder / "opened")
            held = (_peak(here, (*command.split(), *options.get(command, ())), source, target) - base) / MIB
            what = f"`sidecar {command}`, 100 MiB: held beyond that"
            told.append(Figure(what, f"<= {most} MiB", f"{held:.1f} MiB", held <= most))
        return told


def _peak(here: World, command: tuple[str, ...], source: Path, target: Path) -> int:
    """Run a command from file to file, alone; give the most memory that it took, in bytes."""
    arguments = [str(run_only_python()), "-c", _COMMAND, *command, "--alone"]
    with source.open("rb") as content, target.open("wb") as printed:
        process = subprocess.Popen(
            arguments, cwd=here.folder, env=_environ(here), stdin=content, stdout=printed, stderr=sys.stderr
        )
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return int(used.ru_maxrss) * 1024


def _environ(here: World) -> dict[str, str]:
    return {**here.environ, "SIDECAR_CONFIG": str(here.folder / "sidecar.yaml")}
