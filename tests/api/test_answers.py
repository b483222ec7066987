from sidecar.api.answers import json_answer, timestamp


def test_times_are_utc() -> None:
    """RFC 3339, to the millisecond; nothing stays nothing."""
    assert timestamp(1_770_000_000.125) == "2026-02-02T02:40:00.125Z"
    assert timestamp(None) is None


def test_json_is_utf8_and_not_to_be_kept() -> None:
    """Without needless escapes."""
    answer = json_answer({"ä": 1})
    assert (answer.body, answer.content_type) == ('{"ä": 1}'.encode(), "application/json")
    assert answer.headers == {"Cache-Control": "no-store"}
