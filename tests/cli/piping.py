"""Pipe bytes through a command within this process, with a daemon that says what it is told to."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from click.testing import CliRunner, Result

from sidecar.cli import main
from tests.unix_peer import Peer, answer, listening

ARN = "arn:aws:kms:eu-west-1:111122223333:key/1"
DATA_KEY = b"k" * 32


def pipe(*arguments: str, content: bytes = b"") -> Result:
    """Run a command on these bytes."""
    return CliRunner().invoke(main, arguments, input=content, prog_name="sidecar")


def fails(result: Result, code: int, told: str) -> None:
    """Judge a failure: its code, one line with these words, and nothing printed."""
    assert (result.exit_code, result.stdout_bytes) == (code, b""), result.stderr
    assert result.stderr.startswith("sidecar: ")
    assert told in result.stderr
    assert result.stderr.count("\n") == 1


@contextmanager
def kms(path: Path) -> Iterator[Peer]:
    """Be a daemon that encrypts to `wrapped`, and decrypts to what data keys are."""
    key, blob = base64.b64encode(DATA_KEY).decode(), base64.b64encode(b"wrapped").decode()
    routes = {
        "/v1/kms/encrypt": answer({"CiphertextBlob": blob, "KeyId": ARN}),
        "/v1/kms/decrypt": answer({"Plaintext": key, "KeyId": ARN}),
        "/v1/kms/generate-data-key": answer({"Plaintext": key, "CiphertextBlob": blob, "KeyId": ARN}),
    }
    with listening(path, routes=routes) as peer:
        yield peer


def asked(peer: Peer) -> list[tuple[str, dict[str, object]]]:
    """Give what a daemon was asked: operations, with their members."""
    return [(each.line.split(" ")[1].rpartition("/")[2], json.loads(each.body or b"{}")) for each in peer.asked]
