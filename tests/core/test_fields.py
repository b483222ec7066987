import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import BadField
from sidecar.core.fields import cut
from tests.core.strategies import quick

RFC_6901 = b"""{"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\\\j": 5, "k\\"l": 6, " ": 7,
                "m~n": 8}"""

_texts = st.text(st.characters(codec="utf-8"), max_size=8)
_nodes = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _texts,
    lambda nodes: st.lists(nodes, max_size=4) | st.dictionaries(_texts, nodes, max_size=4),
    max_leaves=12,
)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("/foo", b'["bar","baz"]'),
        ("/foo/0", b"bar"),
        ("/", b"0"),
        ("/a~1b", b"1"),
        ("/c%d", b"2"),
        ("/e^f", b"3"),
        ("/g|h", b"4"),
        ("/i\\j", b"5"),
        ('/k"l', b"6"),
        ("/ ", b"7"),
        ("/m~0n", b"8"),
    ],
)
def test_follows_a_json_pointer(pointer: str, found: bytes) -> None:
    """The examples of RFC 6901, section 5."""
    assert cut(RFC_6901, pointer) == found


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (b'"s3cret \\u00e9\\n"', "s3cret é\n".encode()),
        (b'""', b""),
        (b"1.10", b"1.10"),
        (b"-0", b"-0"),
        (b"1E400", b"1E400"),
        (b"9" * 5000, b"9" * 5000),
        (b"true", b"true"),
        (b"null", b"null"),
        ('{ "é" : [ 1.10, {"b": "ü\\""} ], "c": null }'.encode(), '{"é":[1.10,{"b":"ü\\""}],"c":null}'.encode()),
        (b"[]", b"[]"),
        (b'["\\ud800"]', b'["\\ud800"]'),
    ],
)
def test_gives_a_member_as_text(written: bytes, found: bytes) -> None:
    """A string is its text; numbers stay as they were written; the rest is compact JSON."""
    assert cut(b'{"a": ' + written + b"}", "a") == found


def test_a_field_without_a_slash_is_a_key_of_the_top() -> None:
    """Nothing in it means anything but itself; of two such keys the last counts."""
    assert cut(b'{"a/b~": 1}', "a/b~") == b"1"
    assert cut(b'{"a": 1, "a": 2}', "a") == b"2"


def test_a_byte_order_mark_is_ignored() -> None:
    """A value saved by a Windows editor is JSON all the same."""
    assert cut(b'\xef\xbb\xbf{"a": 1}', "a") == b"1"


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (b"canary", "a"),
        (b"\xff\xfe", "a"),
        (b"", "a"),
        (b'{"a": NaN}', "a"),
        (b'{"a": 1} canary', "a"),
        (b'{"canary": 1}', "a"),
        (b'["canary"]', "0"),
        (b'"canary"', "a"),
        (b'{"a": "canary"}', "/a/b"),
        (b'{"a": "canary"}', "/b"),
        (b'["canary"]', "/1"),
        (b'["canary"]', "/-"),
        (b'["canary"]', "/00"),
        (b'["canary"]', "/9999999999999999"),
        (b'{"a~": "canary"}', "/a~"),
        (b'{"a~2": "canary"}', "/a~2"),
        (b'{"a": "canary\\ud800"}', "a"),
        (b"[" * 100_000 + b'"canary"' + b"]" * 100_000, "/0"),
    ],
)
def test_says_that_there_is_no_such_field_and_nothing_else(value: bytes, field: str) -> None:
    """Whatever is wrong is BadField; neither it nor an exception behind it holds anything of the value."""
    with pytest.raises(BadField) as refused:
        cut(value, field)
    assert "canary" not in str(refused.value) + refused.value.mend
    assert refused.value.__context__ is None


def test_a_field_is_at_most_a_hundred_levels_deep() -> None:
    """What can be read but is too deep to be written again is BadField too, never RecursionError."""
    assert cut(b'{"a": ' + b"[" * 99 + b"1" + b"]" * 99 + b"}", "a") == b"[" * 99 + b"1" + b"]" * 99
    with pytest.raises(BadField):
        cut(b'{"a": ' + b"[" * 100 + b"1" + b"]" * 100 + b"}", "a")


@quick
@given(_nodes, _texts)
def test_what_was_put_in_is_cut_out(node: object, key: str) -> None:
    """By key and by pointer, through an object and through an array."""
    value = json.dumps({key: [0, node]}).encode()
    found = cut(value, f"/{_escaped(key)}/1")
    if isinstance(node, str):
        assert found == node.encode()
    else:
        assert json.loads(found) == node
    if not key.startswith("/"):
        assert json.loads(cut(value, key)) == [0, node]


@quick
@given(st.binary(max_size=40), st.text(min_size=1, max_size=8))
def test_any_bytes_give_bytes_or_bad_field(value: bytes, field: str) -> None:
    """Nothing else comes out, whatever goes in."""
    with suppress(BadField):
        assert isinstance(cut(value, field), bytes)
