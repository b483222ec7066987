from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import pytest
from aws_encryption_sdk.identifiers import Algorithm

from sidecar.core.errors import BadCiphertext, SidecarError, TooLarge, Undecryptable
from sidecar.core.secret import Plaintext
from sidecar.envelope import pipes, sdk
from sidecar.envelope.pipes import MOST, MOST_AT_ONCE, Arriving, seal
from sidecar.envelope.streams import Readable
from tests.envelope.test_sdk import ARN, CONTEXT, DATA_KEY, written

KEY = Plaintext(b"k" * 32)
SIZES = [0, 1, sdk.FRAME - 1, sdk.FRAME, sdk.FRAME + 1, 1_000_000]


@dataclass
class Zeros:
    """A stream of zeros that holds none of them."""

    left: int

    def read(self, size: int, /) -> bytes:
        """Give some."""
        given = min(size, self.left)
        self.left -= given
        return bytes(given)


class Dripping(BytesIO):
    """A stream that gives less than it is asked for, as pipes do."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Give some."""
        return super().read(min(size or 1, 1000))


def sealed(plaintext: bytes) -> bytes:
    """Make a message."""
    return b"".join(seal(BytesIO(plaintext), DATA_KEY, CONTEXT, "t"))


def opened(source: Readable, key: Plaintext = KEY) -> Iterator[bytes]:
    """Open a message."""
    message = Arriving(source, "t")
    return message.open(message.needs.data_keys[0], key)


@pytest.mark.parametrize("size", SIZES)
def test_what_is_sealed_opens(size: int) -> None:
    """In pieces as at one stroke, each way, from a stream that gives little at a time."""
    plaintext = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    message = b"".join(seal(Dripping(plaintext), DATA_KEY, CONTEXT, "t"))
    assert sdk.open_message(message, sdk.Wrapped(ARN, b"wrapped"), b"k" * 32, "t") == plaintext
    for each in (message, sdk.seal_message(plaintext, DATA_KEY, CONTEXT)):
        arriving = Arriving(Dripping(each), "t")
        assert arriving.needs == sdk.Needs((sdk.Wrapped(ARN, b"wrapped"),), CONTEXT)
        assert b"".join(arriving.open(arriving.needs.data_keys[0], KEY)) == plaintext


@pytest.mark.parametrize("frame", [0, 128, 4096], ids=["unframed", "several frames", "one frame"])
@pytest.mark.parametrize("algorithm", [each for each in Algorithm if each.allowed], ids=lambda each: each.name)
def test_what_others_wrote(algorithm: Algorithm, frame: int) -> None:
    """Of whatever algorithm and however framed: it opens; a byte more or less, or one bit another, is told."""
    message, key = written(b"x" * 300, algorithm, frame), Plaintext(b"k" * algorithm.kdf_input_len)
    assert b"".join(opened(BytesIO(message), key)) == b"x" * 300
    with pytest.raises(BadCiphertext, match="t: something follows the message"):
        list(opened(BytesIO(message + b"?"), key))
    for size in range(message.index(b"wrapped") + 60, len(message)):
        with pytest.raises(BadCiphertext, match="t: the message was altered or cut short"):
            list(opened(BytesIO(message[:size]), key))
    for at in range(message.index(b"wrapped") + 60, len(message), 7):
        with pytest.raises(SidecarError) as caught:
            list(opened(BytesIO(message[:at] + bytes([message[at] ^ 1]) + message[at + 1 :]), key))
        assert isinstance(caught.value, BadCiphertext | TooLarge)


def test_nothing_comes_out_that_is_not_authentic() -> None:
    """What comes before an altered frame was written so; the frame itself does not come."""
    message = bytearray(sealed(b"a" * sdk.FRAME + b"b" * sdk.FRAME + b"c"))
    message[len(message) // 2 + 1000] ^= 1
    pieces = opened(BytesIO(bytes(message)))
    assert next(pieces) == b"a" * sdk.FRAME
    with pytest.raises(BadCiphertext, match="altered"):
        next(pieces)


def test_another_data_key() -> None:
    """Nothing comes out."""
    with pytest.raises(BadCiphertext, match="altered or cut short"):
        next(opened(BytesIO(sealed(b"x")), Plaintext(b"o" * 32)))


@pytest.mark.parametrize("odd", [b"\x02\xff\xff" + b"\0" * 100, b"\x02\x05", b"\x03" + b"\0" * 99, b"", b"\x01\x80"])
def test_what_is_no_message(odd: bytes, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told from the header on, in one line, without the SDK's own."""
    with caplog.at_level("DEBUG", "root"), pytest.raises(Undecryptable, match=r"^t: "):
        Arriving(BytesIO(odd), "t")
    assert caplog.records == []
    assert capsys.readouterr() == ("", "")


def test_more_than_a_stream_takes() -> None:
    """The last byte that fits does, the next is refused; both ways."""
    assert sum(map(len, seal(Zeros(MOST), DATA_KEY, CONTEXT, "t"))) > MOST
    with pytest.raises(TooLarge, match="t: the plaintext is larger than 100 MiB"):
        list(map(len, seal(Zeros(MOST + 1), DATA_KEY, CONTEXT, "t")))
    with pytest.raises(TooLarge, match="larger than 100 MiB"):
        list(map(len, opened(_Endless())))


class _Endless:
    """A message of more than a stream takes, made as it is read."""

    def __init__(self) -> None:
        self._rest = b""
        stream = sdk.sealing(Zeros(MOST + sdk.FRAME), DATA_KEY, CONTEXT)
        self._pieces = iter(lambda: stream.read(sdk.FRAME), b"")

    def read(self, size: int, /) -> bytes:
        """Give some."""
        self._rest = self._rest or next(self._pieces, b"")
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


def test_frames_that_would_fill_the_memory() -> None:
    """A message without frames, or with huge ones, is refused by what its header says, before any is read."""
    huge = bytes(MOST_AT_ONCE + 1)
    for frame in (0, MOST_AT_ONCE + 128):
        message = written(huge, sdk.ALGORITHM, frame)
        source = BytesIO(message)
        with pytest.raises(TooLarge, match="of more than 16 MiB"):
            next(opened(source))
        assert source.tell() < 1000


@pytest.mark.parametrize("frame", [0, 128, 65_536], ids=["unframed", "small frames", "large frames"])
@pytest.mark.parametrize("algorithm", [each for each in Algorithm if each.allowed], ids=lambda each: each.name)
def test_what_is_too_large_is_known_by_its_size(algorithm: Algorithm, frame: int) -> None:
    """Before any of it is opened: nothing that fits is refused, and all that is a few frames larger is."""
    around = len(written(b"", algorithm, frame))
    size = MOST + around + (MOST // frame * 32 if frame else 0)
    message = Arriving(BytesIO(written(b"x", algorithm, frame)), "t")
    for small in (0, 1000, size):
        message.check_size(small)
    with pytest.raises(TooLarge, match="t: the plaintext is larger than 100 MiB"):
        message.check_size(size + 3 * frame + 512)


class Trouble(SidecarError):
    """Something that happens to a source."""


@pytest.mark.parametrize("trouble", [Trouble("gone"), OSError()], ids=["ours", "the system's"])
@pytest.mark.parametrize("after", [0, 1], ids=["in the header", "behind it"])
def test_what_befalls_the_source_is_told_as_it_is(trouble: Exception, after: int) -> None:
    """It is no damage of the message."""

    class Failing(BytesIO):
        """A source that breaks."""

        def read(self, size: int | None = -1, /) -> bytes:
            """Give half of it."""
            limit = 10 if not after else len(message) - 10
            if self.tell() + (size or 0) > limit:
                raise trouble
            return super().read(size)

    message = sealed(b"x" * 100)
    with pytest.raises(type(trouble)) as caught:
        list(opened(Failing(message)))
    assert caught.value is trouble


def test_the_limits() -> None:
    """As the documents have them."""
    assert (MOST, MOST_AT_ONCE) == (100 * 1024 * 1024, 16 * 1024 * 1024)
    assert pipes.too_large("t").mend
