"""Reading the seed file."""

import base64

import pytest
import yaml

from sidecar.fakeaws.seed import (
    BadSeed,
    KeyItem,
    Kind,
    ObjectItem,
    ParameterItem,
    Place,
    SecretItem,
    changes,
    daemon_section,
    example,
    parse_seed,
)

CUSTOMERS = base64.b64encode(b"k" * 32).decode()
HERE = ("123456789012", "us-east-1")


def _only(text: str) -> object:
    (item,) = parse_seed(text).items.values()
    return item


@pytest.mark.parametrize(
    ("written", "item"),
    [
        ("parameters: {/a: text}", ParameterItem("text")),
        ("parameters: {/a: 12}", ParameterItem("12")),
        ("parameters: {/a: true}", ParameterItem("true")),
        ("parameters: {/a: [one, 2]}", ParameterItem("one,2", "StringList")),
        (
            "parameters: {/a: {value: x, type: SecureString, key: alias/k, labels: [green]}}",
            ParameterItem("x", "SecureString", "alias/k", ("green",)),
        ),
        ("parameters: {/a: {value: {b: 1}}}", ParameterItem('{"b": 1}')),
        ("secrets: {a: text}", SecretItem("text")),
        ("secrets: {a: {username: app, port: 1}}", SecretItem('{"username": "app", "port": 1}')),
        (
            "secrets: {a: {value: text, key: alias/k, replicas: [us-west-2], shared: true}}",
            SecretItem("text", "alias/k", ("us-west-2",), shared=True),
        ),
        ("secrets: {a: {value: {value: x}}}", SecretItem('{"value": "x"}')),
        ("secrets: {a: {value: x, other: y}}", SecretItem('{"value": "x", "other": "y"}')),
        ("secrets: {a: !!binary AP8=}", SecretItem(b"\x00\xff")),
        ("objects: {b/k: text}", ObjectItem(b"text")),
        ("objects: {b/k/l: !!binary AP8=}", ObjectItem(b"\x00\xff")),
        ("objects: {b/k: {user: app}}", ObjectItem(b'{"user": "app"}')),
        ("objects: {b/k: {value: x, key: alias/k}}", ObjectItem(b"x", "alias/k")),
        (f"objects: {{b/k: {{value: x, sse_c: {CUSTOMERS}}}}}", ObjectItem(b"x", None, b"k" * 32)),
        ("objects: {b/k: {value: x, envelope: alias/k}}", ObjectItem(b"x", None, None, "alias/k")),
        ("keys: {alias/k: disabled}", KeyItem("Disabled")),
        ("keys: {alias/k: }", KeyItem("Enabled")),
        ("keys: {alias/k: {state: pending-deletion}}", KeyItem("PendingDeletion")),
    ],
)
def test_items_are_short_to_write(written: str, item: object) -> None:
    """The usual case is one word, the rest is spelt out."""
    assert _only(written) == item


def test_other_accounts_and_regions() -> None:
    """The default place is written once; others have their own section."""
    seed = parse_seed("""
        account: "111111111111"
        region: eu-west-1
        secrets: {a: x}
        accounts: {"222222222222": {us-west-2: {secrets: {a: y}}}}
        roles: {"arn:aws:iam::222222222222:role/r": {external_id: z}, "arn:aws:iam::222222222222:role/s": }
    """)
    assert {(place.account, place.region): item for place, item in seed.items.items()} == {
        ("111111111111", "eu-west-1"): SecretItem("x"),
        ("222222222222", "us-west-2"): SecretItem("y"),
    }
    assert dict(seed.roles) == {"arn:aws:iam::222222222222:role/r": "z", "arn:aws:iam::222222222222:role/s": None}


def test_all_problems_at_once() -> None:
    """Each thing that is wrong is told, with what would be right."""
    with pytest.raises(BadSeed) as caught:
        parse_seed("""
            secret: {}
            parameters: {/a: {value: x, typ: y}, /b: {type: String}, /c: {value: x, type: Secure}, /d: }
            secrets: [a]
            keys: {alias/k: broken}
            objects:
              {b: x, b/: x, b/1: {value: x, sse: y}, b/2: {value: x, sse_c: a2V5}, b/3: {value: x, key: a, sse_c: b}}
        """)
    assert caught.value.problems == (
        "secret: there is no such section",
        "keys.alias/k: want one of enabled, disabled, pending-deletion, pending-import, unavailable; got broken",
        "parameters./a: want one of value, type, key, labels; got typ",
        "parameters./b: want a value",
        "parameters./c: want one of String, StringList, SecureString; got Secure",
        "parameters./d: want a value, got nothing",
        "secrets: want a mapping from names to values",
        "objects.b: want a bucket and a key, such as dev-config/app/cert.pem",
        "objects.b/: want a bucket and a key, such as dev-config/app/cert.pem",
        "objects.b/1: want one of value, key, sse_c, envelope; got sse",
        "objects.b/2: sse_c: want 32 bytes in base64",
        "objects.b/3: want at most one of key, sse_c, envelope",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("keys: {app: enabled}", "want an alias"),
        ("a: [", "line 1"),
        ("- a", "want a mapping"),
        ("a: \x00", "no YAML"),
        *((f"a: {value}", "put text in quotes") for value in ("2024-02-30", "!!int x", "!!timestamp x", "[" * 3000)),
    ],
)
def test_what_is_no_seed(text: str, problem: str) -> None:
    """Broken YAML is told with its line."""
    with pytest.raises(BadSeed, match=problem):
        parse_seed(text)


def test_nothing_is_a_seed() -> None:
    """An empty file is an empty AWS."""
    assert not parse_seed("").items


def test_changes_are_what_differs() -> None:
    """Keys come first, what is gone comes last, what is the same does not come."""
    before = parse_seed("{secrets: {same: x, changed: x, gone: x}, keys: {alias/old: enabled}}")
    after = parse_seed("{secrets: {same: x, changed: y, new: x}, keys: {alias/new: enabled}}")
    found = [(change.place.name, change.before is None, change.item is None) for change in changes(before, after)]
    assert found == [
        ("alias/new", True, False),
        ("changed", False, False),
        ("new", True, False),
        ("gone", False, True),
        ("alias/old", False, True),
    ]


def test_values_are_not_shown() -> None:
    """An item hides its value."""
    text = "{secrets: {a: made-up}, parameters: {/a: made-up}, objects: {b/a: made-up}}"
    assert "made-up" not in repr(parse_seed(text))


def test_example_can_be_planted_and_read_by_a_daemon() -> None:
    """The built-in example holds one of each kind, and what the daemon is told of them."""
    seed = parse_seed(example())
    assert {place.kind for place in seed.items} == set(Kind)
    assert {item.type for item in seed.items.values() if isinstance(item, ParameterItem)} == {
        "String",
        "StringList",
        "SecureString",
    }
    assert Place(seed.account, seed.region, Kind.SECRET, "dev/db") in seed.items
    section = daemon_section(example())
    assert section is not None
    assert yaml.safe_load(section)["trees"] == {"app": "ssm:/dev/app/"}


@pytest.mark.parametrize(
    ("text", "section"),
    [
        ("secrets: {}", None),
        ("", None),
        ("a: 1\nsidecar:\n  # why\n  log: {level: debug}\n  cache:\n    ttl: 1m\nb: 2", "\n\n\n  log: {level: debug}"),
        ("sidecar: {log: {level: debug}}\nb: 2", "         {log: {level: debug}}"),
    ],
)
def test_daemon_section_keeps_its_lines(text: str, section: str | None) -> None:
    """What is wrong in it is reported on the line where it stands in the seed file."""
    found = daemon_section(text)
    assert (found and found.startswith(section or "?")) if section else found is None
    assert yaml.safe_load(found or "{}") == (yaml.safe_load(text) or {}).get("sidecar", {})
