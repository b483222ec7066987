"""Run the fake AWS as a process of its own: one line of JSON when it serves, gone when its parent is."""

import asyncio
import json
import os
import random
import signal
import ssl
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import uvloop

from sidecar.fakeaws.aws import Aws
from sidecar.fakeaws.planting import Garden, complain, tend
from sidecar.fakeaws.seed import BadSeed, parse_seed
from sidecar.fakeaws.server import bind
from sidecar.fakeaws.weather import Weather

_LOOK_FOR_PARENT: Final = 1.0  # seconds, where standard input is no pipe that tells at once


@dataclass(frozen=True, slots=True)
class _Listen:
    """Where to listen, and the certificate to show there."""

    host: str
    port: int
    cert: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext | None:
        """Return what TLS needs, None for plain HTTP."""
        if self.cert is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context


def _is_pipe(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _watch_input(ended: asyncio.Event) -> None:
    """End when the parent closes our standard input, be it only by dying."""
    descriptor = sys.stdin.fileno()

    def read() -> None:
        if not os.read(descriptor, 4096):
            asyncio.get_running_loop().remove_reader(descriptor)
            ended.set()

    if _is_pipe(descriptor):
        asyncio.get_running_loop().add_reader(descriptor, read)


async def _until_ended(ended: asyncio.Event, parent: int) -> None:
    """Return when we are told to end, or when the parent is gone."""
    while os.getppid() == parent and not ended.is_set():
        try:
            async with asyncio.timeout(_LOOK_FOR_PARENT):
                await ended.wait()
        except TimeoutError:
            continue


async def _serve(aws: Aws, garden: Garden, seed: Path | None, listen: _Listen) -> None:
    ended, parent = asyncio.Event(), os.getppid()  # asked for before anybody can know that we serve
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    _watch_input(ended)
    listening, url = await bind(aws, listen.host, listen.port, listen.context())
    told = {"url": url, "pid": os.getpid(), "ca": str(listen.cert) if listen.cert else None}
    print(json.dumps(told), flush=True)  # noqa: T201 -- the parent waits for this line
    async with asyncio.TaskGroup() as tasks:
        tending = tasks.create_task(tend(seed, garden, complain), name="seed") if seed else None
        await _until_ended(ended, parent)
        listening.close()
        if tending is not None:
            tending.cancel()


def _plant(garden: Garden, seed: Path) -> None:
    try:
        garden.plant(parse_seed(seed.read_text("utf-8")))
    except BadSeed as error:
        complain(f"{seed}: {problem}" for problem in error.problems)
        sys.exit(2)


def _seconds(_context: click.Context, _option: click.Parameter, text: str) -> float:
    """Read a duration: 100ms, 2s or plain seconds."""
    unit = 0.001 if text.endswith("ms") else 1.0
    try:
        return float(text.removesuffix("s").removesuffix("m")) * unit
    except ValueError:
        raise click.BadParameter(f"want a duration like 100ms or 2s, got {text}") from None


@click.command(context_settings={"max_content_width": 100})
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=0, help="Where to listen; 0 is a free one.")
@click.option("--seed", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="What AWS holds; YAML.")
@click.option("--throttle", type=float, help="Let each quota be so many requests per second.")
@click.option("--fail", "failing", type=click.FloatRange(0, 1), default=0.0, help="Probability of a 500 or 503.")
@click.option("--latency", default="0s", callback=_seconds, help="Added to each request, as 100ms.")
@click.option("--dice", type=int, default=0, show_default=True, help="Where chance begins: equal runs fail alike.")
@click.option("--tls", type=click.Choice(["self-signed"]), help="Serve TLS; the line printed names the certificate.")
@click.option("--tls-cert", type=click.Path(path_type=Path, exists=True), help="Serve TLS with this certificate.")
@click.option("--tls-key", type=click.Path(path_type=Path, exists=True), help="Its key, if that is another file.")
def main(  # noqa: PLR0913 -- one for each option
    *,
    host: str,
    port: int,
    seed: Path | None,
    throttle: float | None,
    failing: float,
    latency: float,
    dice: int,
    tls: str | None,
    tls_cert: Path | None,
    tls_key: Path | None,
) -> None:
    """Serve a fake AWS (ssm, secretsmanager, kms, sts, dynamodb) and print one line of JSON with its URL."""
    aws = Aws(random.Random(dice), Weather(throttle, failing, latency))  # noqa: S311 -- chance, not secrecy
    garden = Garden(aws.tokens)
    if seed is not None:
        _plant(garden, seed)
    with tempfile.TemporaryDirectory(prefix="sidecar-fake-") as folder:
        if tls is not None:
            from sidecar.fakeaws.certs import write_self_signed  # noqa: PLC0415 -- 50 ms, for those who want TLS

            tls_cert, tls_key = write_self_signed(Path(folder))
        uvloop.run(_serve(aws, garden, seed, _Listen(host, port, tls_cert, tls_key)))


if __name__ == "__main__":
    main()
