"""Keys that must agree do, or the one to mend is named."""

from dataclasses import dataclass, field

import pytest

from sidecar.core.config.loading import load
from sidecar.core.config.models import AccessRule
from sidecar.core.config.rules import strangers
from sidecar.core.errors import ConfigError


def problems(text: str, accounts: "Known | None" = None) -> list[tuple[str, str]]:
    """Load a text and give the keys of its problems, with what is wrong."""
    try:
        load(file=("f", text), environ={}, accounts=accounts)
    except ConfigError as error:
        return [(problem.key, problem.what) for problem in error.problems]
    return []


@dataclass
class Known:
    """A system with these users and groups."""

    users: dict[str, int] = field(default_factory=lambda: {"app": 1000})
    groups: dict[str, int] = field(default_factory=lambda: {"ops": 2000})

    def uid(self, user: str) -> int | None:
        """Look a user up."""
        return self.users.get(user)

    def gid(self, group: str) -> int | None:
        """Look a group up."""
        return self.groups.get(group)


@pytest.mark.parametrize(
    ("text", "key", "what"),
    [
        ("s3: {max_object: 0}", "s3.max_object", "want more than 0"),
        (
            "secrets: {kye: sm:k, a: 's3://bucket/k?sse_c=key'}",
            "secrets.a",
            "its sse_c: want a name that stands under secrets or trees, got key; did you mean kye?",
        ),
        (
            "secrets: {key: 's3://bucket/k', a: 's3://bucket/k?sse_c=key'}",
            "secrets.a",
            "its sse_c: want a secret that is no object itself",
        ),
        (
            "secrets: {key: sm:k, a: 's3://bucket/k?sse_c=key'}\nidentities: {default: {endpoint_url: 'http://fake'}}",
            "secrets.a",
            "want an endpoint_url with https:// for its identity: the key of an SSE-C object goes over TLS only",
        ),
        ("cache: {refresh: 1s, min_refresh: 2s}", "cache.min_refresh", "want at most cache.refresh, 1s, got 2s"),
        ("cache: {refresh: 1m, ttl: 59s}", "cache.ttl", "want at least cache.refresh, 1m, got 59s"),
        ("secrets: {a: {ref: 'sm:x', ttl: 1m}}", "secrets.a.ttl", "want at least cache.refresh, 5m, got 1m"),
        (
            "secrets: {a: {ref: 'sm:x', refresh: 1h, ttl: 1m}}",
            "secrets.a.ttl",
            "want at least its refresh, 1h, got 1m",
        ),
        (
            "{secrets: {a: {ref: 'sm:x', refresh: 1h}}, cache: {ttl: 30m}}",
            "secrets.a.refresh",
            "want at most cache.ttl, 30m, got 1h",
        ),
        (
            "{trees: {a: {ref: 'ssm:/a/', refresh: 1h}}, cache: {ttl: 30m}}",
            "trees.a.refresh",
            "want at most cache.ttl, 30m, got 1h",
        ),
        (
            "secrets: {a: {ref: 'sm:x', decrypt: local}}",
            "secrets.a.decrypt",
            "want aws: only parameters (ssm:) can be decrypted here",
        ),
        (
            "{secrets: {a: 'sm:x?via=biling'}, identities: {billing: {}}}",
            "secrets.a",
            "want an identity that stands under identities, got biling; did you mean billing?",
        ),
        ("trees: {a: 'ssm:/x/?via=dr'}", "trees.a", "want an identity that stands under identities, got dr"),
        (
            "failover: {sm: [default, dr]}",
            "failover.sm.1",
            "want an identity that stands under identities, got dr",
        ),
        ("failover: {sm: [default, default]}", "failover.sm.1", "want each identity once, got default again"),
        (
            "failover: {sm: [default]}",
            "failover.sm",
            "want at least two identities, in the order in which they are tried",
        ),
        (
            "{failover: {ssm: [default, dr]}, identities: {dr: {}}}",
            "failover.ssm",
            "want sm: only Secrets Manager has replicas in other regions",
        ),
        ("identities: {a: {external_id: abc}}", "identities.a.external_id", "want a role_arn beside it"),
        (
            "identities: {a: {endpoint_url: 'http://x', use_fips: true}}",
            "identities.a.use_fips",
            "want false: endpoint_url already says where AWS is",
        ),
        (
            "identities: {a: {endpoint_url: 'http://x', use_dualstack: true}}",
            "identities.a.use_dualstack",
            "want false: endpoint_url already says where AWS is",
        ),
        ("access: [{allow: []}]", "access.0.allow", 'want at least one glob, "*" for all'),
    ],
)
def test_keys_that_do_not_agree(text: str, key: str, what: str) -> None:
    """One breach, one problem, at the key to mend."""
    assert problems(text) == [(key, what)]


@pytest.mark.parametrize(
    "text",
    [
        "cache: {refresh: 1s, ttl: 1s}",
        "{secrets: {a: {ref: 'sm:x', refresh: 1h, ttl: 1h}}, cache: {ttl: 30m}}",
        "secrets: {a: {ref: 'ssm:/x', decrypt: local}, b: 'sm:x?via=default'}",
        "{failover: {sm: [default, dr]}, identities: {dr: {}}}",
        "identities: {a: {role_arn: 'arn:aws:iam::111122223333:role/r', external_id: ab}}",
        "access: [{allow: ['*']}]",
        "secrets: {key: sm:k, a: 's3://bucket/k?sse_c=key'}\nidentities: {default: {endpoint_url: 'http://127.0.0.1:1'}}",
        "secrets: {a: 's3://bucket/k?sse_c=app/key'}\ntrees: {app: ssm:/app/}",
    ],
)
def test_keys_that_agree(text: str) -> None:
    """The bounds themselves are fine, and a rule without user and group is for everybody."""
    assert problems(text) == []


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("cache: {refresh: soon, ttl: 1m}", "cache.refresh"),
        ("{secrets: {a: {ref: 'sm:x', ttl: 1m}}, cache: {refresh: soon}}", "cache.refresh"),
        ("{secrets: {a: {ref: 'sm:x', refresh: 1h, ttl: soon}}, cache: {ttl: 30m}}", "secrets.a.ttl"),
        ("{secrets: {a: 'sm:x?via=b'}, identities: {b: text}}", "identities.b"),
        ("{secrets: {a: {ref: no, decrypt: local}}}", "secrets.a.ref"),
        ("identities: {a: {role_arn: no, external_id: abc}}", "identities.a.role_arn"),
    ],
)
def test_what_could_not_be_read_is_not_held_against_others(text: str, key: str) -> None:
    """A slip in one key gives one problem, not also those that its default would cause."""
    assert [problem[0] for problem in problems(text)] == [key]


def test_users_and_groups_must_exist_where_the_system_is_known() -> None:
    """On the machine that runs it; a check elsewhere cannot know."""
    text = (
        "{listen: {unix: {group: nobody}}, "
        "access: [{uid: app, group: ops, allow: [a]}, {uid: apps, allow: [a]}, {gid: opz, allow: [a]}, "
        "{uid: 7, allow: [a]}]}"
    )
    assert problems(text) == []
    what = "want one that this system knows, or a number, got"
    assert problems(text, Known()) == [
        ("listen.unix.group", f"{what} nobody"),
        ("access.1.uid", f"{what} apps"),
        ("access.2.group", f"{what} opz"),
    ]


def test_strangers_are_found_in_rules_alone() -> None:
    """For who builds the rules once more, when the system may have changed."""
    (breach,) = strangers([AccessRule(uid="gone", allow=("*",))], Known())
    assert (breach.path, breach.rests_on) == (("access", 0, "uid"), ())
