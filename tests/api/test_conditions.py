import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.api.conditions import holds_tag, names_tag, preferred_wait

TAG = '"abc"'


@pytest.mark.parametrize("header", ["*", " * ", TAG, f"W/{TAG}", f'"x",{TAG}', f'"a,b" , W/"c" , {TAG}'])
def test_a_condition_names_the_tag(header: str) -> None:
    """In every form that RFC 9110 has."""
    assert names_tag(header, TAG)


@pytest.mark.parametrize("header", ["", "abc", '"abcd"', '"ab', "**", '"a"bc"'])
def test_a_condition_does_not_name_it(header: str) -> None:
    """Another, or none at all."""
    assert not names_tag(header, TAG)


@pytest.mark.parametrize(("text", "held"), [(TAG, True), (f"W/{TAG}", True), ("abc", False), ("*", False), ("", False)])
def test_a_text_holds_a_tag_or_none(text: str, *, held: bool) -> None:
    """A tag has its quotes."""
    assert holds_tag(text) is held


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=30", 30),
        ("respond-async, wait=10", 10),
        ("Wait = 5; x=y", 5),
        ('wait="7"', 7),
        ("wait=301", 300),
        ("wait=0", 0),
        ("wait=2, wait=3", 2),
        ('foo="a, wait=2", wait=3', 3),
        ('foo="\\", wait=2", wait=3', 3),
    ],
)
def test_a_wait_is_read(header: str, seconds: float) -> None:
    """The first one, at most 300 s."""
    assert preferred_wait(header) == seconds


@pytest.mark.parametrize(
    "header",
    [
        'foo="open, wait=4',
        'foo="\\',
        "",
        "wait",
        "wait=",
        "wait=-1",
        "wait=1.5",
        "wait=x",
        "await=3",
        "wait=99999999999",
        "wait=٣",
    ],
)
def test_what_is_no_wait_is_as_though_it_were_not_there(header: str) -> None:
    """RFC 7240 wants it so."""
    assert preferred_wait(header) is None


@given(st.text(max_size=200))
def test_anything_can_be_read(header: str) -> None:
    """No header makes either fail."""
    names_tag(header, TAG)
    wait = preferred_wait(header)
    assert wait is None or 0 <= wait <= 300
