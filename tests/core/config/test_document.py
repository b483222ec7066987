"""YAML is read as text with lines, and no document does harm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.config.document import Fault, Path, dotted, plain, read_document


def faults_of(text: str) -> list[tuple[Path, int, str]]:
    """Give a document's faults as plain tuples."""
    return [(fault.path, fault.line, fault.what) for fault in read_document(text).faults]


def test_scalars_stay_as_they_are_written() -> None:
    """None of YAML 1.1's guesses: no octal, no boolean, no minutes, no date."""
    assert read_document(
        "mode: 0660\non: off\ntime: 1:30\nday: 2026-11-25\nquoted: '~'\ntyped: !!str null\n"
    ).values == {
        "mode": "0660",
        "on": "off",
        "time": "1:30",
        "day": "2026-11-25",
        "quoted": "~",
        "typed": "null",
    }


@pytest.mark.parametrize("text", ["null", "~", "", "Null", "NULL"])
def test_nothing_is_none(text: str) -> None:
    """YAML's plain words for nothing are None."""
    assert read_document(f"a: {text}").values == {"a": None}
    assert plain(text) is None


def test_every_key_and_item_has_its_line() -> None:
    """Lines count from 1, and a key's is where the key stands, not its value."""
    document = read_document("a:\n  b:\n    1\nc: [x,\n  {d: y}]\n")
    assert document.values == {"a": {"b": "1"}, "c": ["x", {"d": "y"}]}
    assert document.lines == {("a",): 1, ("a", "b"): 2, ("c",): 4, ("c", 0): 4, ("c", 1): 5, ("c", 1, "d"): 5}


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n", "~", "\ufeff"])
def test_an_empty_document_is_empty(text: str) -> None:
    """A file of comments is a fine configuration."""
    document = read_document(text)
    assert (document.values, document.faults) == ({}, [])


def test_json_is_yaml() -> None:
    """What a template prints as JSON is read all the same."""
    assert read_document('{"a": {"b": [1, true, null]}}').values == {"a": {"b": ["1", "true", None]}}


@pytest.mark.parametrize(
    ("text", "path", "line", "what"),
    [
        ("a: 1\nb: 2\na: 3", ("a",), 3, "want it once, got it on line 1 too"),
        ("x:\n  a: 1\n  a: {b: *c}", ("x", "a"), 3, "want it once, got it on line 2 too"),
        ("a: &x 1\nb: *x", ("b",), 2, "want the value written out, got an alias"),
        ("b: [1, *x]", ("b", 1), 1, "want the value written out, got an alias"),
        ("a: !!binary aGk=", ("a",), 1, "want a value without a tag"),
        ("a: !run rm", ("a",), 1, "want a value without a tag"),
        ("? [1, {a: *b}]\n: 2", (), 1, "want a key that is text"),
        ("x: {~: 1}", ("x",), 1, "want a key that is text"),
        ("- a", (), 1, "want a mapping of keys at the top"),
        ("hello", (), 1, "want a mapping of keys at the top"),
        ("a: 1\n---\nb: 2", (), 3, "want one document, got another"),
        ("a: b: c", (), 1, "want valid YAML: mapping values are not allowed in this context"),
        ("a: 1\nb: [1,\nc: 2\n", (), 4, "want valid YAML: did not find expected ',' or ']'"),
        ("a: 1\nb: \x00", (), 2, "want printable text, got a control character"),
        ("a: 1\nb: " + "[" * 20 + "]" * 20, (), 2, "want at most 16 levels of nesting"),
    ],
)
def test_says_what_cannot_be_used(text: str, path: Path, line: int, what: str) -> None:
    """Each fault has its path and line, and no word of the value."""
    assert faults_of(text) == [(path, line, what)]


def test_all_that_can_be_used_is() -> None:
    """A fault costs only the value that it is about."""
    document = read_document("a: 1\nb: *x\nc: [1, !no 2, 3]\na: 4\nd: 5\n")
    assert document.values == {"a": "1", "c": ["1", "3"], "d": "5"}
    assert [fault.path for fault in document.faults] == [("b",), ("c", 1), ("a",)]


def test_a_bomb_of_aliases_stays_small() -> None:
    """A text that would become a billion values is refused alias by alias."""
    text = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
    )
    document = read_document(text)
    assert len(document.faults) == 40
    assert document.values["c"] == []


@pytest.mark.parametrize("text", ["a: " + "[" * 200_000, "- " * 200_000 + "x", "{a: " * 200_000])
def test_no_depth_does_harm(text: str) -> None:
    """However deep a text is nested, reading it costs no stack."""
    assert len(faults_of(text)) == 1


def test_a_word_from_the_text_is_not_repeated() -> None:
    """What the YAML library would quote may be a value in the wrong place."""
    (fault,) = faults_of("%YAML 1.1\n%YAML hunter2\n---\na: 1")
    assert "hunter2" not in fault[2]


def test_bytes_that_are_no_text_are_read_as_such() -> None:
    """An environment may hold what is no UTF-8; that is a wrong value, not a crash."""
    assert read_document("a: \udcff").values == {"a": "\ufffd"}


@given(st.text() | st.text(alphabet="ab:{}[]-&*!?|>'\"#%@,~ \n\t", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing is raised, whatever the text."""
    document = read_document(text)
    assert all(isinstance(fault, Fault) for fault in document.faults)


def test_paths_are_shown_in_short() -> None:
    """A key from the text is cut and made printable before people see it."""
    assert dotted(("access", 0, "uid")) == "access.0.uid"
    assert dotted(("a\nb", "x" * 100)) == "'a\\nb'." + "x" * 80 + "…"
