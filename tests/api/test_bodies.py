from dataclasses import replace

import pytest

from sidecar.api.bodies import Bodies, content_type, entity_tag, json_value, make_body
from sidecar.core.errors import BadField
from sidecar.core.secret import Plaintext, Revision, Secret, Version
from tests.engine.fakes import ssm

REF = ssm("/x")


def secret(value: bytes, version: str = "1") -> Secret:
    """Make a secret."""
    return Secret(Revision(REF, Version(version), "eu-west-1"), Plaintext(value))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"a": 1}', "application/json"),
        (b" \n[1]", "application/json"),
        (b'{"a": ', "text/plain; charset=utf-8"),
        (b"[" * 100_000, "text/plain; charset=utf-8"),
        (b"[" + b"1" * 5_000 + b"]", "application/json"),
        (b'{"a": NaN}', "text/plain; charset=utf-8"),
        (b"[-Infinity]", "text/plain; charset=utf-8"),
        (b'"text"', "text/plain; charset=utf-8"),
        (b"1", "text/plain; charset=utf-8"),
        (b"", "text/plain; charset=utf-8"),
        ("käse".encode(), "text/plain; charset=utf-8"),
        (b"\xff", "application/octet-stream"),
    ],
)
def test_the_content_type_follows_from_the_bytes(content: bytes, expected: str) -> None:
    """JSON objects and arrays, other text, the rest."""
    assert content_type(content) == expected


def test_a_tag_comes_of_reference_field_and_version() -> None:
    """Each of them changes it; the value does not."""
    tags = {
        entity_tag(REF, Version("1")),
        entity_tag(REF, Version("2")),
        entity_tag(ssm("/y"), Version("1")),
        entity_tag(replace(REF, field="a"), Version("1")),
    }
    assert len(tags) == 4
    assert make_body(REF, secret(b"a")).etag == make_body(REF, secret(b"b")).etag
    assert all(tag.isascii() and tag.strip('"').isalnum() for tag in tags)


def test_a_body_hides_its_content() -> None:
    """As the plaintext did."""
    assert "canary" not in repr(make_body(REF, secret(b"canary")))


def test_a_missing_field_names_the_reference_alone() -> None:
    """Not the value, not the field."""
    with pytest.raises(BadField, match=r"^ssm:/x: the value has no such field$"):
        make_body(replace(REF, field="b"), secret(b'{"a": "canary"}'))


def test_json_has_text_or_base64() -> None:
    """One of the two members."""
    assert json_value(make_body(REF, secret(b"a"))) == {"value": "a"}
    assert json_value(make_body(REF, secret(b"\xff"))) == {"value_base64": "/w=="}


def test_a_body_is_made_once_for_each_version() -> None:
    """And anew for the next."""
    bodies, first, second = Bodies(), secret(b"a"), secret(b"b", "2")
    assert bodies.of(REF, first) is bodies.of(REF, first)
    assert bodies.of(REF, second).content == b"b"
