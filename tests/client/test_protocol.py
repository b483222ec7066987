import pytest

from sidecar.client import Change, Unfit, Value
from sidecar.client.protocol import (
    EventReader,
    Question,
    Reply,
    ask_resolve,
    ask_value,
    has_newer,
    pause_after,
    problem_of,
    target,
    value_of,
)

STREAM = (
    b': watching\nid: b-1\n\nevent: change\ndata: {"name": "a"}\n\n'
    b'event: change\r\ndata: {"name":\ndata: "b"}\nid: b-2\n\n: alive\n\n'
)


@pytest.mark.parametrize("size", [1, 7, len(STREAM)])
def test_positions(size: int) -> None:
    """An event has the position that resumes before anything untold; how the stream is cut does not matter."""
    reader = EventReader()
    pieces = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    assert [change for piece in pieces for change in reader.feed(piece)] == [
        Change("b-1", {}),
        Change("b-1", {"name": "a"}),
        Change("b-2", {"name": "b"}),
    ]


def test_targets() -> None:
    """A name is one segment; a space and a plus stay what they are."""
    assert target("/v1/values", "a/../b c") == "/v1/values/a%2F..%2Fb%20c"
    assert target("/v1/x", names=["a", "b"], values="1", previous=None) == "/v1/x?name=a&name=b&values=1"


def test_a_question_says_how_long_it_waits() -> None:
    """In whole seconds, not fewer than wished for; who asks nothing of AWS has no wait."""
    assert ask_value("a", previous=False, wait=1.2).headers == {"Prefer": "wait=2"}
    assert (Question("/x").headers, Question("/x").timeout) == ({}, 5.0)
    assert (Question("/x").method, Question("/x", body=b"").method) == ("GET", "POST")


def test_ciphertext_is_not_repeated() -> None:
    """What is asked for goes over the socket, and is not in the error that tells of it; other references are."""
    asked = ask_resolve("kms:AQICAHcanary?context=app=web", wait=1)
    assert "canary" in asked.target
    assert str(problem_of(403, b"{}", asked.about)) == "kms:…: the answer is HTTP status 403"
    assert str(problem_of(404, b"{}", ask_resolve("sm:db", 1).about)) == "sm:db: the answer is HTTP status 404"


class TestValue:
    """Bytes that know which version they are."""

    def test_as_it_was_answered(self) -> None:
        """Version, age and doubt are the headers'."""
        headers: dict[str, str] = {
            "ETag": '"t"',
            "Age": "412",
            "Cache-Status": "sidecar; hit; ttl=-412; detail=stale",
        }
        question = ask_value("db", previous=False, wait=0)
        assert value_of(question, Reply(200, headers.get, b"x")) == Value("db", b"x", '"t"', 412.0, stale=True)
        assert value_of(question, Reply(200, {"Age": "?"}.get, b"x")) == Value("db", b"x", "")

    def test_hides_itself(self) -> None:
        """Its bytes are in no repr, which ends in logs."""
        assert "canary" not in repr(Value("db", b"canary", '"t"')) + repr(Reply(200, str, b"canary"))

    def test_text_and_json(self) -> None:
        """Each is read when it is asked for."""
        value = Value("db", '{"user": "ä"}'.encode(), "")
        assert value.text == '{"user": "ä"}'
        assert value.json() == {"user": "ä"}

    def test_what_is_neither(self) -> None:
        """The error names the secret, and holds nothing of the value: neither in its text nor as its context."""
        value = Value("db", b"canary \xff", "")
        with pytest.raises(Unfit, match="db: the value is not UTF-8") as no_text:
            _ = value.text
        with pytest.raises(Unfit, match="db: the value is not JSON") as no_json:
            value.json()
        assert no_text.value.__context__ is no_json.value.__context__ is None


@pytest.mark.parametrize(
    ("checked", "newer"),
    [([{"etag": '"2"'}], True), ([{"etag": '"1"'}], False), ([{"etag": None}], False), ([], False)],
)
def test_is_there_a_newer_version(checked: list[dict[str, object]], *, newer: bool) -> None:
    """One of another tag is; one that is gone is none."""
    assert has_newer(Value("db", b"x", '"1"'), checked) is newer


def test_pauses() -> None:
    """Longer each time, five seconds at most."""
    assert [pause_after(setbacks) for setbacks in (0, 1, 5, 99)] == [0.1, 0.2, 5.0, 5.0]
