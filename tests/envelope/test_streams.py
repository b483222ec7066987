from io import BytesIO

from sidecar.envelope.streams import Resumed


def test_what_was_read_comes_first() -> None:
    """Then the rest, whatever sizes are asked for."""
    for size in (1, 2, 3, 7, 100):
        stream, found = Resumed(b"abc", BytesIO(b"defg")), b""
        while piece := stream.read(size):
            assert len(piece) <= size
            found += piece
        assert found == b"abcdefg"


def test_nothing_was_read() -> None:
    """It is the stream itself."""
    assert Resumed(b"", BytesIO(b"x")).read(10) == b"x"
