"""`sidecar encrypt` and `decrypt` as a shell script uses them: by a daemon and alone, much and little, good and bad."""

import os
import pty
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.aws_fixtures import AwsAccount
from tests.e2e.conftest import Lend
from tests.e2e.processes import BOUND, PROGRAM, environment, running, short_folder

CANARY = b"Canary0plain8vQw"
MANY = 100 << 20
"""Bytes of the largest plaintext."""

LARGE = CANARY * 20_000


@dataclass
class Shell:
    """Somebody who pipes bytes through commands, beside a daemon or without one."""

    aws: AwsAccount
    folder: Path
    socket: Path
    key: str
    foreign: str
    pair: str
    kept: dict[str, bytes] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        """What a command needs to find the daemon, and AWS where it is alone."""
        return environment(self.aws, SIDECAR_SOCKET=str(self.socket), SIDECAR_CONFIG=str(self.folder / "alone.yaml"))

    def pipe(self, *arguments: str, content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a command on these bytes."""
        return subprocess.run(
            [PROGRAM, *arguments],
            cwd=self.folder,
            env=self.environ,
            input=content,
            capture_output=True,
            check=False,
            timeout=BOUND,
        )

    def out(self, *arguments: str, content: bytes = b"") -> bytes:
        """Give what one prints that succeeds, without a word."""
        done = self.pipe(*arguments, content=content)
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout

    def asked(self, *arguments: str, content: bytes = b"") -> dict[str, int]:
        """Give what KMS is asked for one that succeeds; what it prints is kept."""
        self.aws.fake.forget_requests()
        self.kept[arguments[0]] = self.out(*arguments, content=content)
        return {name: count for name, count in self.aws.fake.counts().items() if name.startswith("kms.")}


@pytest.fixture(scope="module")
def shell(lend_account: Lend) -> Iterator[Shell]:
    """Start a daemon that allows one key and a pair; who is alone allows the same."""
    with lend_account() as account, short_folder() as folder:
        kms = account.client("kms")
        key, foreign = account.create_key("alias/app"), account.create_key()
        pair = kms.create_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["Arn"]
        (folder / "alone.yaml").write_text(f"kms: {{allow_keys: ['{key}', '{pair}']}}")
        (folder / "pub.der").write_bytes(kms.get_public_key(KeyId=pair)["PublicKey"])
        sections = {"kms": {"allow_keys": [key, pair]}}
        with running(folder, sections, environment(account)) as daemon:
            yield Shell(account, folder, daemon.socket, key, foreign, pair)


ALONE = pytest.mark.parametrize("alone", [(), ("--alone",)], ids=["by the daemon", "alone"])


@ALONE
def test_there_and_back(shell: Shell, alone: Sequence[str]) -> None:
    """Little by KMS itself, much in an envelope: one call each, and the plaintext never goes to KMS then."""
    context = ("--context", "app=web")
    for content, encrypting in ((CANARY, "kms.Encrypt"), (LARGE, "kms.GenerateDataKey")):
        assert shell.asked("encrypt", "--key-id", shell.key, *context, *alone, content=content) == {encrypting: 1}
        assert shell.asked("decrypt", *context, *alone, content=shell.kept["encrypt"]) == {"kms.Decrypt": 1}
        assert shell.kept["decrypt"] == content


def test_the_daemon_and_whoever_is_alone_understand_each_other(shell: Shell) -> None:
    """As base64, each way."""
    for one, other in (((), ("--alone",)), (("--alone",), ())):
        text = shell.out("encrypt", "--key-id", shell.key, "--base64", *one, content=LARGE)
        assert shell.out("decrypt", *other, content=text) == LARGE


@ALONE
def test_for_a_pair(shell: Shell, alone: Sequence[str]) -> None:
    """Offline by its file, or by the key; what decrypts is KMS."""
    opening = ("decrypt", "--key-id", shell.pair, "--algorithm", "RSAES_OAEP_SHA_256", *alone)
    assert shell.asked("encrypt", "--public-key", "pub.der", *alone, content=CANARY) == {}
    assert shell.asked(*opening, content=shell.kept["encrypt"]) == {"kms.Decrypt": 1}
    assert (
        shell.out(*opening, content=shell.out("encrypt", "--public-key", shell.pair, *alone, content=CANARY)) == CANARY
    )


@pytest.fixture(scope="module")
def bad(shell: Shell) -> dict[str, tuple[bytes, tuple[str, ...], int, str]]:
    """Give what does not open: bytes, options, the exit code, what is said.

    What is told without KMS, tests/cli/test_decrypt.py goes through.
    """
    kms = shell.aws.client("kms")
    foreign = kms.encrypt(KeyId=shell.foreign, Plaintext=CANARY)["CiphertextBlob"]
    (shell.folder / "all.yaml").write_text("{}")
    foreign_message = shell.out("encrypt", "--key-id", shell.foreign, "--alone", "--config", "all.yaml", content=LARGE)
    message = shell.out("encrypt", "--key-id", shell.key, "--context", "app=web", content=LARGE)
    blob = shell.out("encrypt", "--key-id", shell.key, "--context", "app=web", content=CANARY)
    right, wrong = ("--context", "app=web"), ("--context", "app=shop")
    return {
        "of another key": (foreign, (), 4, "not allowed"),
        "a message of another key": (foreign_message, (), 4, "not allowed"),
        "one bit another": (message[:-50_000] + bytes([message[-50_000] ^ 1]) + message[-49_999:], right, 1, "altered"),
        "a ciphertext, one bit another": (blob[:-1] + bytes([blob[-1] ^ 1]), right, 1, "damaged"),
        "another context": (blob, wrong, 1, "encryption context"),
    }


ALONE_TOO = {"of another key", "a message of another key", "another context"}
"""What KMS or the configuration judges; the rest is the same."""


def test_what_does_not_open(shell: Shell, bad: dict[str, tuple[bytes, tuple[str, ...], int, str]]) -> None:
    """One line each, its code, nothing printed, nothing quoted; the daemon goes on."""
    for name, (content, options, code, told) in bad.items():
        for alone in ((), ("--alone",)) if name in ALONE_TOO else ((),):
            done = shell.pipe("decrypt", *options, *alone, content=content)
            assert (done.returncode, done.stdout) == (code, b""), (name, done)
            assert told in done.stderr.decode(), (name, done.stderr)
            assert (done.stderr.count(b"\n"), done.stderr.count(CANARY)) == (1, 0)
    assert shell.out("decrypt", content=shell.out("encrypt", "--key-id", shell.key, content=CANARY)) == CANARY


def test_a_key_that_is_not_allowed_encrypts_nothing(shell: Shell) -> None:
    """Neither little nor much, by the daemon or alone."""
    for content, alone in ((CANARY, ()), (LARGE, ()), (LARGE, ("--alone",))):
        done = shell.pipe("encrypt", "--key-id", shell.foreign, *alone, content=content)
        assert (done.returncode, done.stdout) == (4, b"")
        assert b"not allowed" in done.stderr


def test_alone_without_aws(shell: Shell) -> None:
    """It is told within the wait, in one line."""
    away = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    done = subprocess.run(
        [PROGRAM, "encrypt", "--key-id", shell.key, "--alone", "--wait", "500ms"],
        cwd=shell.folder,
        env=shell.environ | away,
        input=CANARY,
        capture_output=True,
        check=False,
        timeout=BOUND,
    )
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (5, b"", 1)


def peak(shell: Shell, command: Sequence[str], source: Path, target: Path) -> int:
    """Run a command from file to file; give the most memory that it took, in bytes."""
    with source.open("rb") as content, target.open("wb") as printed:
        process = subprocess.Popen([PROGRAM, *command], env=shell.environ, stdin=content, stdout=printed)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_maxrss * 1024


def test_a_hundred_mebibytes(shell: Shell) -> None:
    """Encrypting holds next to nothing of them, decrypting at most once; what is more is refused at once."""
    small, large, sealed, opened = (shell.folder / name for name in ("small", "large", "sealed", "opened"))
    small.write_bytes(bytes(10_000))
    with large.open("wb") as file:
        file.truncate(MANY)
    encrypting = ("encrypt", "--key-id", shell.key)
    base = peak(shell, encrypting, small, sealed)
    assert peak(shell, encrypting, large, sealed) < base + (8 << 20)
    assert peak(shell, ("decrypt", "--stream"), sealed, opened) < base + (8 << 20)
    assert opened.stat().st_size == MANY
    assert peak(shell, ("decrypt",), sealed, opened) < base + MANY + (16 << 20)
    assert opened.stat().st_size == MANY
    shell.aws.fake.forget_requests()
    for source, command in ((large, encrypting), (sealed, ("decrypt", "--stream"))):
        os.truncate(source, MANY + (1 << 20))
        with source.open("rb") as content:
            done = subprocess.run(
                [PROGRAM, *command], env=shell.environ, stdin=content, capture_output=True, check=False
            )
        assert (done.returncode, done.stdout) == (1, b"")
        assert b"larger than 100 MiB" in done.stderr
    assert shell.aws.fake.counts() == {}


def test_a_reader_that_goes_away(shell: Shell) -> None:
    """Is the end of it, without a word."""
    reading, writing = os.pipe()
    source = shell.folder / "zeros"
    with source.open("wb") as file:
        file.truncate(1 << 20)
    with source.open("rb") as content:
        process = subprocess.Popen(
            [PROGRAM, "encrypt", "--key-id", shell.key], env=shell.environ, stdin=content, stdout=writing, stderr=-1
        )
    os.close(writing)
    assert len(os.read(reading, 10)) == 10
    os.close(reading)
    assert process.communicate(timeout=BOUND)[1] == b""
    assert process.returncode == 1


def interrupt(process: subprocess.Popen[bytes]) -> bytes:
    """Press Ctrl-C, again where it came when Python was just about to read, which it then does first."""
    for _ in range(int(BOUND)):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=1)[1]
    raise AssertionError("it does not end")


def test_interrupted(shell: Shell) -> None:
    """Ctrl-C ends it as shells have it, whatever it waits for."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as content, os.fdopen(writing, "wb", buffering=0) as typed:
        process = subprocess.Popen(
            [PROGRAM, "encrypt", "--key-id", shell.key], env=shell.environ, stdin=content, stdout=-1, stderr=-1
        )
        typed.write(bytes(100_000))  # more than a frame, and less than what pipes hold beside it
        assert process.stdout is not None
        process.stdout.read(1)  # it is in the midst of it
        told = interrupt(process)
    assert process.returncode == 130
    assert b"Traceback" not in told


def test_terminals(shell: Shell) -> None:
    """None is read from; none is given what it does not show."""
    terminal, side = pty.openpty()
    try:
        for command, options in (("encrypt", ("--key-id", shell.key)), ("decrypt", ())):
            done = subprocess.run(
                [PROGRAM, command, *options], env=shell.environ, stdin=side, capture_output=True, check=False
            )
            assert (done.returncode, done.stdout) == (2, b"")
            assert b"Standard input is a terminal" in done.stderr
        encrypting = [PROGRAM, "encrypt", "--key-id", shell.key]
        done = subprocess.run(encrypting, env=shell.environ, input=b"x", stdout=side, stderr=-1, check=False)
        assert (done.returncode, b"Add --base64" in done.stderr) == (2, True)
    finally:
        os.close(side)
        os.close(terminal)
