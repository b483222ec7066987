import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.api.asks import Ask, decoded_name, joined, parse_object, parse_query, split_target
from sidecar.api.permits import UNKNOWN
from sidecar.api.problems import BadRequest
from sidecar.core.errors import BadName


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("/v1/x", ("/v1/x", "")),
        ("/v1/x?a=b?c", ("/v1/x", "a=b?c")),
        ("http://host:1/v1/x?a", ("/v1/x", "a")),
        ("http://host", ("/", "")),
        ("*", ("/", "")),
        ("/a%2Fb/../c", ("/a%2Fb/../c", "")),
    ],
)
def test_a_target_is_path_and_query(target: str, parts: tuple[str, str]) -> None:
    """As they were sent: nothing is decoded or made simpler."""
    assert split_target(target) == parts


def test_a_query_keeps_plus_and_repeats() -> None:
    """Only percent escapes are undone."""
    assert parse_query("name=a%2Fb&name=a+b&flag&&x=1=2") == {"name": ["a/b", "a+b"], "flag": [""], "x": ["1=2"]}


def test_a_query_that_is_not_utf8_is_refused() -> None:
    """Without repeating it."""
    with pytest.raises(BadRequest, match=r"^a parameter is not UTF-8$"):
        parse_query("a=%ff")


@given(st.text(max_size=100))
def test_a_path_gives_a_name_or_a_refusal(raw: str) -> None:
    """Nothing else comes of it."""
    with suppress(BadName):
        assert decoded_name(raw)


@given(st.binary(max_size=100))
def test_a_body_gives_an_object_or_a_refusal(body: bytes) -> None:
    """Nothing else comes of it."""
    try:
        assert isinstance(parse_object(body), dict)
    except BadRequest:
        assert body.strip()


def test_the_names_of_a_query_count_once() -> None:
    """In their order."""
    assert Ask(UNKNOWN, {}, query={"name": ["b", "a", "b"]}).names == ["b", "a"]


@pytest.mark.looptime
async def test_the_deadline_is_ten_seconds_or_what_is_preferred() -> None:
    """In loop time, which stands at 0 here."""
    assert Ask(UNKNOWN, {}).deadline == 10
    assert Ask(UNKNOWN, {"prefer": "wait=3"}).deadline == 3
    assert Ask(UNKNOWN, {"prefer": "wait=0"}).deadline == 0


@pytest.mark.looptime
async def test_the_deadline_stays_where_it_is() -> None:
    """However many waits a request is made of, together they are no longer than the caller's."""
    ask = Ask(UNKNOWN, {"prefer": "wait=3"})
    assert ask.deadline == 3
    await asyncio.sleep(2)
    assert ask.deadline == 3


def test_a_header_in_several_lines_is_one_list() -> None:
    """As RFC 9110 has it, whatever the case of its name."""
    assert joined([("Prefer", "a"), ("X", "1"), ("PREFER", "wait=3")]) == {"prefer": "a, wait=3", "x": "1"}


def test_the_last_access_is_the_one_that_went_wrong() -> None:
    """Where there was one at all."""
    ask, error = Ask(UNKNOWN, {}), BadName("x")
    ask.blame(error)
    assert ask.accesses == {}
    ask.accesses |= {"a": None, "b": None}
    ask.blame(error)
    assert ask.accesses == {"a": None, "b": error}
