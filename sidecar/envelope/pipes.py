"""Encrypt and decrypt streams as Encryption SDK messages, piece by piece, under a data key that is known beforehand.

Holds a piece at a time, whatever the length. Must not ask KMS, nor decide when a piece may be shown: it is authentic
when it comes, but only the end tells that nothing is missing.
"""

from collections.abc import Iterator
from typing import Final

from aws_encryption_sdk.exceptions import CustomMaximumValueExceeded

from sidecar.core.errors import BadCiphertext, SidecarError, TooLarge
from sidecar.core.ports import DataKey
from sidecar.core.refs import Context
from sidecar.core.secret import Plaintext
from sidecar.envelope import sdk
from sidecar.envelope.sdk import Needs, Wrapped
from sidecar.envelope.streams import Readable, Resumed

MOST: Final = 100 << 20
"""Bytes of plaintext in a stream."""

MOST_AT_ONCE: Final = 16 << 20
"""Bytes of the largest frame, or of a message without frames, that is opened: all of it must be held to be judged."""

_PIECE: Final = sdk.FRAME
_AROUND_FRAME: Final = 32  # its number, IV and tag
_MOST_AROUND: Final = 256  # what authenticates the header, what is more around the last frame, a signature
_WHOLE: Final = "Take the whole message as it was written, and nothing behind it."


class _Noted:
    """A stream that remembers what was read of it."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self.read_so_far = bytearray()

    def read(self, size: int, /) -> bytes:
        piece = self._source.read(size)
        self.read_so_far += piece
        return piece


class _Bounded:
    """A stream that may not be longer than a stream of ours."""

    def __init__(self, source: Readable, about: str) -> None:
        self._source = source
        self._about = about
        self._left = MOST

    def read(self, size: int, /) -> bytes:
        piece = self._source.read(size)
        self._left -= len(piece)
        if self._left < 0:
            raise too_large(self._about)
        return piece


def too_large(about: str) -> TooLarge:
    """Say that there is more plaintext than a stream takes."""
    return TooLarge(f"{about}: the plaintext is larger than {MOST >> 20} MiB", mend="Part it, and take part by part.")


def seal(source: Readable, data_key: DataKey, context: Context, about: str) -> Iterator[bytes]:
    """Make a message of all that `source` gives, under a data key that was made with the same context.

    What has been given opens for nobody before the last piece is there. Raises TooLarge, and what `source` raises.
    """
    stream = sdk.sealing(_Bounded(source, about), data_key, context)
    while piece := stream.read(_PIECE):
        yield piece


class Arriving:
    """A message whose header has been read, and whose data key is yet to be had."""

    def __init__(self, source: Readable, about: str) -> None:
        """Read the header; raises Undecryptable for what begins no message that can be opened."""
        noted = _Noted(source)
        needs, algorithm = sdk.first_reading(noted, about)
        header = bytes(noted.read_so_far)
        self.needs: Needs = needs
        self._header = len(header)
        self._frame = sdk.frame_of(header, algorithm)
        self._source = source
        self._message = Resumed(header, source)
        self._about = about

    def check_size(self, size: int) -> None:
        """Raise TooLarge where a message of so many bytes, header included, must hold more than a stream takes."""
        body = size - self._header - _MOST_AROUND
        frames = body // (self._frame + _AROUND_FRAME)
        if (frames * self._frame if self._frame else body) > MOST:
            raise too_large(self._about)

    def open(self, wrapped: Wrapped, data_key: Plaintext) -> Iterator[bytes]:
        """Decrypt with one of its data keys; each piece is authentic, and all of it is once this has ended.

        Raises BadCiphertext where it was altered, was cut short or has something behind it, TooLarge, and what the
        source raises.
        """
        stream = sdk.opening(self._message, wrapped, data_key.reveal(), MOST_AT_ONCE)
        given = 0
        while piece := self._piece(stream):
            given += len(piece)
            if given > MOST:
                raise too_large(self._about)
            yield piece
        if self._source.read(1):
            raise BadCiphertext(f"{self._about}: something follows the message", mend=_WHOLE)

    def _piece(self, stream: Readable) -> bytes:
        try:
            return bytes(stream.read(_PIECE))
        except (SidecarError, OSError):
            raise  # the source's own
        except CustomMaximumValueExceeded:
            raise TooLarge(
                f"{self._about}: the message has a frame, or is without frames, of more than {MOST_AT_ONCE >> 20} MiB",
                mend="Write it in smaller frames: 4 KiB are usual.",
            ) from None
        except Exception:  # noqa: BLE001 -- whatever the SDK stumbles over
            raise BadCiphertext(f"{self._about}: the message was altered or cut short", mend=_WHOLE) from None
