"""Read standard input and write standard output as bytes, in pieces, raw or base64.

Must not hold more than a piece, nor let a system's error out as anything but a line that says what to do.
"""

import base64
import binascii
import io
import os
import stat
import string
import sys
from contextlib import suppress
from typing import IO, Final, Protocol

import click

from sidecar.core.errors import BadCiphertext, SidecarError
from sidecar.envelope.streams import Readable


class StreamFailed(SidecarError):
    """Standard input cannot be read, or standard output not be written."""

    label = "stream_failed"


class Writable(Protocol):
    """Where bytes can be written to."""

    def write(self, piece: bytes, /) -> None:
        """Write a piece."""
        ...

    def close(self) -> None:
        """Write what is left, and let go."""
        ...


PIECE: Final = 64 * 1024
"""Bytes that are read at a time."""

_SPACE: Final = string.whitespace.encode()
_TEXT: Final = string.printable.encode()
_ODD: Final = b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f" + bytes(range(0x10, 0x20)) + b"\x7f"
"""Control characters that are no layout: to a terminal they may be commands."""

_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_NO_BASE64: Final = "Take it whole, as it was written: text is read as base64, unless --raw says otherwise."


class Input:
    """Standard input."""

    def __init__(self, stream: IO[bytes], hint: str) -> None:
        """Take the stream; raises UsageError where it is a terminal, with the hint of what to do instead."""
        if stream.isatty():
            raise click.UsageError(f"Standard input is a terminal. {hint}")
        self._stream = stream

    @property
    def size(self) -> int | None:
        """How many bytes are left to be read, where that can be known: of a file."""
        with suppress(OSError, io.UnsupportedOperation):
            number = self._stream.fileno()
            found = os.fstat(number)
            if stat.S_ISREG(found.st_mode):
                return found.st_size - os.lseek(number, 0, os.SEEK_CUR)
        return None

    def read(self, size: int, /) -> bytes:
        """Give `size` bytes, less only at the end."""
        try:
            return self._stream.read(size)
        except OSError as error:
            raise StreamFailed(f"standard input cannot be read: {error.strerror}") from error


class Output:
    """Standard output."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Take the stream."""
        self._stream = stream

    @property
    def is_terminal(self) -> bool:
        """Whether people see it."""
        return self._stream.isatty()

    def write(self, piece: bytes, /) -> None:
        """Write a piece; raises BrokenPipeError where nobody reads it any more."""
        try:
            self._stream.write(piece)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StreamFailed(f"standard output cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Write what is left; the stream itself is not ours to close."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StreamFailed(f"standard output cannot be written: {error.strerror}") from error


def standard_input(hint: str) -> Input:
    """Give standard input; the hint says what to do where it is a terminal. Raises UsageError, StreamFailed."""
    if sys.stdin is None:
        raise StreamFailed("standard input is closed", mend="Give it a file or a pipe to read from.")
    return Input(sys.stdin.buffer, hint)


def standard_output() -> Output:
    """Give standard output; raises StreamFailed."""
    if sys.stdout is None:
        raise StreamFailed("standard output is closed", mend="Give it a file or a pipe to write to.")
    return Output(sys.stdout.buffer)


def read_up_to(source: Readable, size: int) -> bytes:
    """Give `size` bytes, less only at the end."""
    found = b""
    while len(found) < size and (piece := source.read(size - len(found))):
        found += piece
    return found


def is_base64(head: bytes) -> bool:
    """Decide from its beginning whether this is meant as base64: it is text, and no ciphertext is."""
    return bool(head) and not head.translate(None, _TEXT)


def is_shown(content: bytes) -> bool:
    """Decide whether a terminal shows it as what it is: UTF-8 text without commands to the terminal."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return len(content.translate(None, _ODD)) == len(content)


class FromBase64:
    """A stream of base64, standard or URL-safe, padded or not, in lines or in one."""

    def __init__(self, source: Readable, about: str) -> None:
        """Take the stream, and what messages call it."""
        self._source = source
        self._about = about
        self._rest = b""  # fewer digits than make whole bytes
        self._ready = memoryview(b"")
        self._is_padded = self._has_ended = False

    def read(self, size: int, /) -> bytes:
        """Give up to `size` bytes; none at the end. Raises BadCiphertext for what is no base64."""
        while not self._ready and not self._has_ended:
            self._ready = memoryview(self._next())
        piece, self._ready = self._ready[:size], self._ready[size:]
        return bytes(piece)

    def _next(self) -> bytes:
        text = self._source.read(PIECE)
        self._has_ended = not text
        digits = self._rest + text.translate(_STANDARD, _SPACE)
        if self._has_ended:
            digits += b"=" * (-len(digits) % 4)
        whole = len(digits) // 4 * 4
        digits, self._rest = digits[:whole], digits[whole:]
        return self._decoded(digits) if digits else b""

    def _decoded(self, digits: bytes) -> bytes:
        if not self._is_padded:  # else something follows the end
            self._is_padded = digits.endswith(b"=")
            with suppress(binascii.Error):
                return binascii.a2b_base64(digits, strict_mode=True)
        raise BadCiphertext(f"{self._about}: this is no base64", mend=_NO_BASE64)


class ToBase64:
    """Writes base64 in one line, as configurations and environment variables want it."""

    def __init__(self, sink: Writable) -> None:
        """Take where to write."""
        self._sink = sink
        self._rest = b""

    def write(self, piece: bytes, /) -> None:
        """Write what makes whole digits."""
        given = self._rest + piece
        whole = len(given) // 3 * 3
        self._rest = given[whole:]
        self._sink.write(base64.b64encode(given[:whole]))

    def close(self) -> None:
        """Write the rest, and the line's end."""
        self._sink.write(base64.b64encode(self._rest) + b"\n")
        self._sink.close()
