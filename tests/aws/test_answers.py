from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from sidecar.aws.answers import Answer
from sidecar.core.errors import Unintelligible

WHEN = datetime(2026, 11, 1, tzinfo=UTC)
FULL = Answer(
    {
        "text": "a",
        "number": 3,
        "blob": b"b",
        "moment": WHEN,
        "items": [{"x": "y"}, 1],
        "texts": ["t", 1],
        "map": {"k": "v"},
    },
    "ssm:/a",
)


def test_reads_what_is_there() -> None:
    """Each kind of field comes as what it is; strangers in a list are passed over."""
    assert (FULL.text("text"), FULL.optional_text("text"), FULL.number("number")) == ("a", "a", 3)
    assert (FULL.blob("blob"), FULL.moment("moment")) == (b"b", WHEN.timestamp())
    assert FULL.optional_moment("moment") == WHEN.timestamp()
    assert [item.text("x") for item in FULL.items("items")] == ["y"]
    assert FULL.texts("texts") == ("t",)
    assert FULL.nested("map").text("k") == "v"
    assert FULL.has("text")


def test_what_may_be_missing_may_be() -> None:
    """Optional fields are None, lists and maps empty."""
    empty = Answer({}, "ssm:/a")
    assert (empty.optional_text("text"), empty.optional_moment("moment")) == (None, None)
    assert (empty.items("items"), empty.texts("texts"), empty.nested("map").fields) == ([], (), {})
    assert not empty.has("text")


@pytest.mark.parametrize(
    "read",
    [
        lambda answer: answer.text("text"),
        lambda answer: answer.optional_text("text"),
        lambda answer: answer.number("number"),
        lambda answer: answer.blob("blob"),
        lambda answer: answer.moment("moment"),
        lambda answer: answer.items("items"),
        lambda answer: answer.texts("texts"),
        lambda answer: answer.nested("map"),
        lambda answer: answer.needs_one_of("one", "other"),
    ],
)
def test_a_field_of_another_kind_is_no_answer(read: Callable[[Answer], object]) -> None:
    """A field that is there but is something else is Unintelligible, and the message names the ref."""
    odd = Answer(dict.fromkeys(FULL.fields, 1.5), "ssm:/a")
    with pytest.raises(Unintelligible, match=r"^ssm:/a: the answer came without"):
        read(odd)
