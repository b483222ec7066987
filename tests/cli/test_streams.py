import base64
import errno
import io
import sys
from pathlib import Path
from typing import IO

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cli.streams import (
    FromBase64,
    Input,
    Output,
    StreamFailed,
    ToBase64,
    is_base64,
    is_shown,
    read_up_to,
    standard_input,
    standard_output,
)
from sidecar.core.errors import BadCiphertext
from tests.cli.test_get import Screen


class Broken(io.BytesIO):
    """A stream that fails."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self._error = error

    def read(self, _size: int | None = -1, /) -> bytes:
        """Fail."""
        raise self._error

    def write(self, _piece: object, /) -> int:
        """Fail."""
        raise self._error

    def flush(self) -> None:
        """Fail."""
        raise self._error


def everything(stream: FromBase64, size: int = 10) -> bytes:
    """Read to the end."""
    found = b""
    while piece := stream.read(size):
        assert len(piece) <= size
        found += piece
    return found


@given(content=st.binary(max_size=200), size=st.integers(1, 50), width=st.integers(1, 80), url=st.booleans())
def test_base64_of_every_kind(content: bytes, size: int, width: int, *, url: bool) -> None:
    """In one line or in many, standard or URL-safe, padded or not: what went in comes out."""
    text = (base64.urlsafe_b64encode if url else base64.b64encode)(content)
    lines = b"\r\n".join(text[at : at + width] for at in range(0, len(text), width))
    for each in (text, lines, text.rstrip(b"="), b" " + lines + b"\n\n"):
        assert everything(FromBase64(io.BytesIO(each), "t"), size) == content


def test_much_base64() -> None:
    """More than is read at a time, with the padding at the end."""
    content = bytes(range(256)) * 1000 + b"x"
    text = base64.encodebytes(content)
    assert everything(FromBase64(io.BytesIO(text), "t"), 1000) == content


@pytest.mark.parametrize(
    "text",
    [b"hello!", b"A", b"QUJDR", b"QQ==QQ==", b"QQ==x", b"=", b"Q=Q=", b"QUI\xff", b"QQ==" + b"\n" * 70_000 + b"QQ=="],
)
def test_what_is_no_base64(text: bytes) -> None:
    """It is told without quoting it."""
    with pytest.raises(BadCiphertext, match=r"^t: this is no base64$"):
        everything(FromBase64(io.BytesIO(text), "t"))


@given(pieces=st.lists(st.binary(max_size=10), max_size=10))
def test_writes_base64_in_one_line(pieces: list[bytes]) -> None:
    """However it comes."""
    stream = io.BytesIO()
    sink = ToBase64(Output(stream))
    for piece in pieces:
        sink.write(piece)
    sink.close()
    assert stream.getvalue() == base64.b64encode(b"".join(pieces)) + b"\n"


def test_reads_up_to_a_size() -> None:
    """From streams that give little at a time."""
    assert read_up_to(FromBase64(io.BytesIO(b"QUJD" * 100), "t"), 7) == b"ABCABCA"
    assert read_up_to(io.BytesIO(b"ab"), 7) == b"ab"


@pytest.mark.parametrize(
    ("head", "text"),
    [(b"QUJD\n", True), (b"hello!", True), (b"\x02\x05\x78", False), (b"QUJD\xff", False), (b"", False)],
)
def test_text_is_taken_for_base64(head: bytes, *, text: bool) -> None:
    """No ciphertext is text."""
    assert is_base64(head) is text


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("pässword\n\t".encode(), True),
        (b"", True),
        (b"\xff", False),
        (b"a\0b", False),
        (b"\x1b[2J", False),
        (b"\x7f", False),
    ],
)
def test_what_a_terminal_shows(content: bytes, *, shown: bool) -> None:
    """Text, without commands to it."""
    assert is_shown(content) is shown


def test_a_terminal_is_no_input() -> None:
    """What is typed there can be seen, and lines of more than 4 KiB cannot be pasted."""
    with pytest.raises(click.UsageError, match=r"terminal\. Do this"):
        Input(Screen(), "Do this.")
    assert Output(Screen()).is_terminal
    assert not Output(io.BytesIO()).is_terminal


def test_the_size_of_a_file_is_known(tmp_path: Path) -> None:
    """From where it is read on; that of a pipe is not."""
    (tmp_path / "x").write_bytes(b"12345")
    with (tmp_path / "x").open("rb", buffering=0) as file:
        file.read(2)
        assert Input(file, "").size == 3
        assert Input(file, "").read(10) == b"345"
    assert Input(io.BytesIO(b"12345"), "").size is None
    with Path("/dev/zero").open("rb") as endless:
        assert Input(endless, "").size is None


def test_what_the_system_says_is_one_line() -> None:
    """A disk that is full, an input that cannot be read; that nobody reads on is the shell's business."""
    full, gone = OSError(errno.ENOSPC, "No space left on device"), BrokenPipeError(errno.EPIPE, "x")
    with pytest.raises(StreamFailed, match="cannot be read: No space left"):
        Input(Broken(full), "").read(1)
    for kind, error in ((StreamFailed, full), (BrokenPipeError, gone)):
        output = Output(Broken(error))
        with pytest.raises(kind):
            output.write(b"x")
        with pytest.raises(kind):
            output.close()


def test_streams_that_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python has none then."""
    for name, give in (("stdin", lambda: standard_input("")), ("stdout", standard_output)):
        monkeypatch.setattr(sys, name, None)
        with pytest.raises(StreamFailed, match="is closed"):
            give()


def test_the_standard_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their bytes."""
    streams: tuple[IO[str], IO[str]] = io.TextIOWrapper(io.BytesIO(b"\xff")), io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdin", streams[0])
    monkeypatch.setattr(sys, "stdout", streams[1])
    assert standard_input("").read(5) == b"\xff"
    assert not standard_output().is_terminal
