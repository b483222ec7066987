"""Under systemd: what it is told, and a socket that it has opened. A datagram socket and a shell take its place."""

import json
import shlex
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from sidecar.client import UnixConnection
from sidecar.systemd import VARIABLES
from tests.aws_fixtures import AwsAccount
from tests.e2e.processes import BOUND, PROGRAM, Daemon, Lines, configuration, environment, read_answer, send


class Manager:
    """What systemd hears, message by message."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(BOUND)

    def wait_for(self, *begun: str) -> str:
        """Give the next message with a line that begins so; those before it are forgotten."""
        while True:
            message = self._socket.recv(4096).decode()
            if any(line.startswith(begun) for line in message.splitlines()):
                return message

    def close(self) -> None:
        """Listen no longer."""
        self._socket.close()


def listening(path: Path) -> socket.socket:
    """Open the app's socket as a socket unit does, with a mode that is none of ours."""
    opened = socket.socket(socket.AF_UNIX)
    opened.bind(str(path))
    path.chmod(0o622)
    opened.listen()
    return opened


def spawn(folder: Path, environ: Mapping[str, str], *sockets: socket.socket) -> Daemon:
    """Start a daemon with these sockets as descriptors 3, 4, …; the variables name its own process."""
    moves = " ".join(f"{3 + number}<&{each.fileno()} {each.fileno()}<&-" for number, each in enumerate(sockets))
    variables = f"LISTEN_PID=$$ LISTEN_FDS={len(sockets)} LISTEN_FDNAMES=app:ops" if sockets else ""
    command = f"{variables} exec {shlex.quote(PROGRAM)} run --config sidecar.yaml {moves}"
    process = subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=[each.fileno() for each in sockets],
    )
    assert process.stderr is not None
    return Daemon(process, Lines(process.stderr), folder)


@contextmanager
def ended(daemon: Daemon) -> Iterator[Daemon]:
    """End a daemon with the block, whatever its state."""
    try:
        yield daemon
    finally:
        daemon.close()
        assert daemon.process.stderr is not None
        daemon.process.stderr.close()


def sections(folder: Path) -> dict[str, object]:
    """Declare a secret, another socket than the one that is opened, and a hook that tells what a child inherits."""
    child = shlex.quote(str(folder / "child"))
    hook = {"exec": ["bash", "-c", f"env > {child}; ls -l /proc/self/fd >> {child}"]}
    return {
        "secrets": {"s": "sm:s"},
        "listen": {"unix": {"path": str(folder / "ignored")}, "ops": "127.0.0.1:1"},
        "files": [{"path": str(folder / "f"), "secret": "s", "allow_disk": True, "on_change": hook, "wait": "1s"}],
    }


def test_a_life_under_systemd(aws: AwsAccount, folder: Path) -> None:
    """Who asks before it runs is answered by it, and who asks after it has ended by the next; the socket stays."""
    aws.put_secret("s", "0")
    (folder / "sidecar.yaml").write_text(json.dumps(configuration(folder, sections(folder))))
    tcp = socket.create_server(("127.0.0.1", 0))
    with closing(Manager(folder / "n")) as manager, listening(folder / "s") as opened, tcp:
        environ = environment(aws, NOTIFY_SOCKET=str(folder / "n"), WATCHDOG_USEC="400000")
        before = (folder / "s").stat()
        for turn in range(2):
            early = UnixConnection(str(folder / "s"), BOUND)
            send(early, "GET", "/v1/values/s", Prefer="wait=30")
            with ended(spawn(folder, environ, opened, tcp)) as daemon:
                assert manager.wait_for("READY=1") == "READY=1"
                assert read_answer(early).body == str(turn).encode()
                early.close()
                assert_told(daemon, manager, tcp)
                held = daemon.value("s")
                aws.put_secret("s", str(turn + 1))
                daemon.changed("s", held.etag)
                assert_nothing_is_handed_on(daemon)
                daemon.process.send_signal(signal.SIGTERM)
                assert manager.wait_for("STOPPING=1") == "STOPPING=1\nSTATUS=draining"
                assert daemon.wait() == 0
            after = (folder / "s").stat()
            assert (after.st_ino, stat.S_IMODE(after.st_mode)) == (before.st_ino, 0o622)
            assert not (folder / "ignored").exists()


def assert_told(daemon: Daemon, manager: Manager, tcp: socket.socket) -> None:
    """Signs of life, reloads good and bad; the log says what of the configuration does not count."""
    assert manager.wait_for("STATUS=ready").endswith("STATUS=ready: 1 fresh")
    assert manager.wait_for("WATCHDOG=1") == "WATCHDOG=1"
    inherited = [(line["listener"], line["where"], line["ignored"]) for line in daemon.events("socket_inherited")]
    port = tcp.getsockname()[1]
    assert inherited == [("unix", str(daemon.socket), "listen.unix"), ("ops", f"127.0.0.1:{port}", "listen.ops")]
    daemon.ops = f"127.0.0.1:{port}"
    assert daemon.from_ops("/readyz").status == 200

    good = daemon.config.read_text()
    daemon.reload("secrets: {a: nonsense}")
    assert manager.wait_for("RELOADING=1").split("\n")[1].startswith("MONOTONIC_USEC=")
    manager.wait_for("READY=1")
    assert "rejected" in manager.wait_for("STATUS=")
    daemon.reload(good)
    manager.wait_for("RELOADING=1")
    manager.wait_for("READY=1")
    assert manager.wait_for("STATUS=").endswith("STATUS=ready: 1 fresh")


def assert_nothing_is_handed_on(daemon: Daemon) -> None:
    """See to it that a child has neither systemd's variables nor the sockets."""
    daemon.wait_for("hook_fired")
    inherited = (daemon.folder / "child").read_text()
    assert "\nPATH=" in inherited
    assert "/dev/null" in inherited
    assert [word for word in (*VARIABLES, "socket:") if word in inherited] == []


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("WATCHDOG_USEC=soon", "WATCHDOG_USEC: want a number of microseconds above 0, got 'soon'"),
        ("LISTEN_FDS=many", "LISTEN_FDS: want a number of sockets, got 'many'"),
    ],
)
def test_what_it_cannot_be_told(folder: Path, variable: str, told: str) -> None:
    """One line and its mend; nothing is served."""
    name, value = variable.split("=")
    (folder / "sidecar.yaml").write_text(json.dumps(configuration(folder, {})))
    environ = {**environment(NOTIFY_SOCKET="@nobody", AWS_REGION="eu-west-1"), name: value}
    with ended(spawn(folder, environ)) as daemon:
        assert daemon.wait() == 1
        assert [told in line for line in daemon.log.all] == [True]
        assert "deploy/systemd" in daemon.log.text
    assert not (folder / "s").exists()
