"""Say what a stream is, for those who have no message and want no SDK. Must not hold more than it was given."""

from typing import Protocol


class Readable(Protocol):
    """What bytes can be read from."""

    def read(self, size: int, /) -> bytes:
        """Give up to `size` bytes; none at the end."""
        ...


class Resumed:
    """A stream of which something was read already: that comes first."""

    def __init__(self, head: bytes, rest: Readable) -> None:
        """Take what was read, and where it was read from."""
        self._head = memoryview(head)
        self._rest = rest

    def read(self, size: int, /) -> bytes:
        """Give up to `size` bytes; none at the end."""
        if not self._head:
            return self._rest.read(size)
        piece, self._head = self._head[:size], self._head[size:]
        return bytes(piece)
