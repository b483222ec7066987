import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import BadName
from sidecar.core.names import NAME_PATTERN, Name, name_below, parse_name
from tests.core.strategies import quick


@pytest.mark.parametrize(
    "text", ["db-password", "app/feature/x", "a", ".env", "..a", "a..", "...", "A_1/b.c", "x" * 512]
)
def test_takes_a_name(text: str) -> None:
    """Letters, digits, `._-` and single slashes between segments make a name of up to 512 bytes."""
    assert parse_name(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *[
            "",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/..",
            "../a",
            "a/./b",
            "x" * 513,
            "a b",
            "a\n",
            "a\0",
            "é",
            "sm:x",
            "a%2Fb",
        ],
        "x" * 10_240,
    ],
)
def test_refuses_what_is_no_name(text: str) -> None:
    """Whatever could leave its place, break a line or be a ref is no name, and is not quoted."""
    with pytest.raises(BadName) as refused:
        parse_name(text)
    assert len(text) < 2 or text not in str(refused.value)


@quick
@given(st.text())
def test_names_exactly_what_the_contract_says(text: str) -> None:
    """Any text is a name or BadName, by the rules of the contract told another way."""
    segments = text.split("/")
    said = all(re.fullmatch(r"[A-Za-z0-9._-]+", part) and part not in {".", ".."} for part in segments)
    assert bool(re.fullmatch(NAME_PATTERN, text)) == said
    if said:
        assert parse_name(text) == text
    else:
        with pytest.raises(BadName):
            parse_name(text)


@quick
@given(st.text("ab./-", max_size=12))
def test_dots_and_slashes_are_judged_alike(text: str) -> None:
    """The pattern agrees with the rules where they are subtle."""
    segments = text.split("/")
    said = all(part not in {"", ".", ".."} for part in segments)
    assert bool(re.fullmatch(NAME_PATTERN, text)) == said


def test_names_what_lies_below_a_tree() -> None:
    """A tree's name and the rest of the path make the name, which obeys the same rules."""
    assert name_below(Name("app"), "feature/x") == "app/feature/x"
    with pytest.raises(BadName):
        name_below(Name("app"), "../x")
    with pytest.raises(BadName):
        name_below(Name("app"), "")
