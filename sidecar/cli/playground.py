"""Run the daemon against a fake AWS that is a child of this process; when one of them ends, so does the other."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from sidecar.app import Bound
from sidecar.cli.configured import load_config
from sidecar.cli.daemon import run
from sidecar.cli.sockets import DEV_SOCKET
from sidecar.cli.sources import read_text
from sidecar.core.config.layers import variable
from sidecar.core.config.models import Config
from sidecar.core.errors import ConfigError, Problem, SidecarError
from sidecar.fakeaws import control, seed

GRACE: Final = 5.0
"""Seconds that the fake may take to end."""

_DEFAULTS: Final = """\
listen:
  unix: {{path: {socket}}}
cache: {{refresh: 2s, negative_ttl: 2s}}
quotas: {{share: 100%}}
identities:
  default: {{region: {region}}}
"""
"""What the daemon does unless it is told otherwise: nobody else uses this AWS, and people want to see things change."""


class PlaygroundError(SidecarError):
    """The fake AWS and the daemon cannot run side by side here."""

    label = "playground"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line asks for."""

    seed: Path
    config: Path | None = None
    socket: Path | None = None
    weather: Sequence[str] = ()  # options of the fake that make it bad


@dataclass(slots=True)
class FakeProcess:
    """The fake AWS, and whether it ended without having been told to."""

    url: str
    process: subprocess.Popen[bytes]
    ending: threading.Event = field(default_factory=threading.Event)
    died: bool = False

    def end_with_us(self) -> None:
        """Wait for its end, and end the daemon when it comes by itself."""
        self.process.wait()
        if not self.ending.is_set():
            self.died = True
            os.kill(os.getpid(), signal.SIGTERM)


def play(wishes: Wishes) -> None:
    """Run both until they are ended."""
    planted = prepare_seed(wishes.seed)
    defaults = _DEFAULTS.format(socket=DEV_SOCKET, region=planted.region)
    environ = dict(os.environ)
    if wishes.socket:
        environ[variable(("listen", "unix", "path"))] = str(wishes.socket)
    read_seeded(wishes, environ, defaults)  # what is wrong with it is told before anything starts
    refuse_neighbour(wishes.socket or DEV_SOCKET)
    with running_fake(wishes) as fake:
        environment = sdk_environment(fake.url, planted.region)
        point_at(environment, os.environ)
        terminal = sys.stdin.isatty()

        def read() -> Config:
            if terminal and not sys.stdin.isatty():  # SIGHUP, as the terminal was closed: nobody wants us any more
                os.kill(os.getpid(), signal.SIGTERM)
            return read_seeded(wishes, environ, defaults)

        run(
            read,
            any_ops_port=True,
            on_bound=lambda bound, config: click.echo(banner(bound, config.secrets, wishes.seed, environment)),
        )
        if fake.died:
            raise PlaygroundError(f"the fake AWS ended by itself, with exit code {fake.process.returncode}")


def prepare_seed(path: Path) -> seed.Seed:
    """Write the seed file where there is none, and read it; raises ConfigError."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(seed.example())
        click.echo(f"sidecar dev: wrote {path}")
    except FileExistsError:
        pass
    except OSError as error:
        raise ConfigError([Problem(str(path), "", f"it cannot be written: {error.strerror}")]) from error
    with telling_of(path):
        return seed.parse_seed(read_text(path)[1])


@contextmanager
def telling_of(path: Path) -> Iterator[None]:
    """Make the problems of a seed file those of a configuration."""
    try:
        yield
    except seed.BadSeed as error:
        raise ConfigError([Problem(str(path), "", problem) for problem in error.problems]) from error


def read_seeded(wishes: Wishes, environ: Mapping[str, str], defaults: str) -> Config:
    """Read what configures the daemon: the file that is named or the seed's section, over our defaults."""
    if wishes.config:
        file: tuple[str, str] | None = read_text(wishes.config)
    else:
        name, text = read_text(wishes.seed)
        with telling_of(wishes.seed):
            section = seed.daemon_section(text)
        file = (name, section) if section else None
    return load_config(file, environ, ("the defaults of sidecar dev", defaults))


def refuse_neighbour(path: Path) -> None:
    """Refuse to start where a daemon answers already."""
    with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):  # a path too long is told when it is bound
        probe.connect(str(path))
        raise PlaygroundError(f"a daemon answers at {path} already", mend="End it, or choose another --socket.")


@contextmanager
def running_fake(wishes: Wishes) -> Iterator[FakeProcess]:
    """Run the fake for the length of the block; its death ends this process as SIGTERM would."""
    command = control.command("--port", "0", "--seed", str(wishes.seed), *wishes.weather)
    # In a process group of its own: Ctrl-C is for us, and the fake ends after the daemon, not before.
    with subprocess.Popen(  # noqa: S603 -- our own interpreter
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
    ) as process:
        assert process.stdout is not None
        try:
            fake = FakeProcess(control.parse_start(process.stdout.readline()).url, process)
        except ChildProcessError:
            raise PlaygroundError(f"the fake AWS did not start, with exit code {process.wait()}") from None
        watcher = threading.Thread(target=fake.end_with_us, name="fake-aws", daemon=True)
        watcher.start()
        try:
            yield fake
        finally:
            fake.ending.set()
            process.terminate()
            watcher.join(GRACE)
            process.kill()


def point_at(environment: Mapping[str, str], environ: MutableMapping[str, str]) -> None:
    """Let the SDK in this process know the fake, and nothing of the user's own AWS."""
    for name in [name for name in environ if name.startswith("AWS_")]:
        del environ[name]
    environ.update(environment)
    environ.update(dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull))
    for name in ("no_proxy", "NO_PROXY"):
        environ[name] = ",".join(filter(None, (environ.get(name), "127.0.0.1")))


def sdk_environment(url: str, region: str) -> dict[str, str]:
    """Give what any SDK and the AWS CLI need to use the fake."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": "made-up",
        "AWS_SECRET_ACCESS_KEY": "made-up",
    }


def banner(bound: Bound, names: Iterable[str], seed_path: Path, environment: Mapping[str, str]) -> str:
    """Say what runs and what to try, in lines that can be pasted."""
    name = next(iter(names), None)
    targets = [f"values/{name}", f"secrets/{name}", "secrets"] if name else ["secrets", "status", "watch"]
    curl = f"curl --unix-socket {shlex.quote(bound.unix)}"
    lines = [
        "sidecar dev: a fake AWS and the daemon are running; Ctrl-C ends both.",
        "",
        f"  socket   {bound.unix}",
        *([f"  metrics  http://{bound.ops}/metrics"] if bound.ops else []),
        f"  seed     {seed_path}: edit it, and see values change",
        "",
        "Try:",
        *(f"  {curl} http://localhost/v1/{target}" for target in targets),
        "",
        "Any AWS SDK and the AWS CLI can use the fake:",
        f"  export {' '.join(f'{key}={value}' for key, value in environment.items())}",
    ]
    return "\n".join(lines)
