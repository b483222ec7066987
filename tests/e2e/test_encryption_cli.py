"""The AWS Encryption CLI reads what `sidecar encrypt` writes, and the other way round."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.aws_fixtures import AwsAccount
from tests.deploy.conftest import missing
from tests.deploy.layer import NotFetchedError
from tests.e2e.conftest import Lend
from tests.e2e.encryption_cli import encryption_cli
from tests.e2e.processes import BOUND, PROGRAM, environment, short_folder

LARGE = bytes(range(256)) * 4096  # 1 MiB


@dataclass(frozen=True)
class Desk:
    """Both programs, with the same key of the same account."""

    theirs: Path
    aws: AwsAccount
    folder: Path
    key: str

    def sidecar(self, *arguments: str, content: bytes) -> bytes:
        """Run ours."""
        return self._run(PROGRAM, *arguments, "--alone", "--context", "app=web", content=content)

    def cli(self, *arguments: str, content: bytes) -> bytes:
        """Run theirs, from standard input to standard output."""
        streams = ("--input", "-", "--output", "-", "--suppress-metadata")
        named = ("--wrapping-keys", f"key={self.key}", "--encryption-context", "app=web")
        return self._run(str(self.theirs), *arguments, *streams, *named, content=content)

    def _run(self, *command: str, content: bytes) -> bytes:
        environ = environment(self.aws, PATH="/usr/bin:/bin", HOME=str(self.folder))
        done = subprocess.run(
            command, cwd=self.folder, env=environ, input=content, capture_output=True, check=False, timeout=BOUND
        )
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout


@pytest.fixture(scope="module")
def desk(lend_account: Lend) -> Iterator[Desk]:
    """Fetch theirs, and make a key."""
    try:
        theirs = encryption_cli()
    except NotFetchedError as error:
        missing(f"the AWS Encryption CLI cannot be fetched: {error}")
    with lend_account() as account, short_folder() as folder:
        yield Desk(theirs, account, folder, account.create_key())


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (LARGE, ()),
        (b"hello", ("--algorithm", "AES_256_GCM_HKDF_SHA512_COMMIT_KEY", "--frame-length", "65536")),
        (
            LARGE,
            ("--algorithm", "AES_256_GCM_IV12_TAG16", "--commitment-policy", "forbid-encrypt-allow-decrypt"),
        ),
        (b"hello", ("--encode",)),
    ],
    ids=["signed", "as we write", "without commitment", "base64"],
)
def test_what_it_writes_is_read(desk: Desk, content: bytes, options: tuple[str, ...]) -> None:
    """Signed or not, with commitment or without, in small frames or large, as base64."""
    assert desk.sidecar("decrypt", content=desk.cli("--encrypt", *options, content=content)) == content


@pytest.mark.parametrize(
    ("content", "options", "theirs"),
    [(LARGE, (), ()), (b"", ("--envelope",), ()), (b"hello", ("--envelope", "--base64"), ("--decode",))],
    ids=["much", "nothing", "base64"],
)
def test_what_we_write_is_read(desk: Desk, content: bytes, options: tuple[str, ...], theirs: tuple[str, ...]) -> None:
    """Much, nothing, as base64; with the strictest policy."""
    message = desk.sidecar("encrypt", "--key-id", desk.key, *options, content=content)
    strict = ("--commitment-policy", "require-encrypt-require-decrypt")
    assert desk.cli("--decrypt", *strict, *theirs, content=message) == content
