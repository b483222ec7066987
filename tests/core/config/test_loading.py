"""The whole way from texts to a Config, or to every problem at once."""

import re
from collections.abc import Mapping
from contextlib import suppress

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.core.config.loading import load
from sidecar.core.config.models import AccessRule, Config, IdentitySpec, InFile, SecretSpec, TreeSpec, Unix
from sidecar.core.config.outline import variables
from sidecar.core.config.types import LogFormat, LogLevel, PerSecret
from sidecar.core.config.units import Address
from sidecar.core.errors import ConfigError
from sidecar.core.ports import Decrypt
from sidecar.core.refs import Ref, SourceKind, Tree

GOOD = """
secrets:
  db-password: sm:prod/db#password
  api-key: {ref: "ssm:/prod/api-key", refresh: 30s, ttl: 2m, required: false, decrypt: local}
trees:
  app: ssm:/prod/app/
  slow: {ref: ssm:/prod/slow, refresh: 10m, decrypt: local}
on_demand: {allow: [], max_entries: 5, idle: 2h}
cache: {refresh: 2s, min_refresh: 1s, ttl: 1h, stale_if_error: 0s, revoke_after: 1m, negative_ttl: 250ms,
        revalidate: 1d, keep_previous: 0s}
listen:
  unix: {path: app.sock, mode: 0600, group: app}
  ops: "[::1]:0"
access:
  - {uid: 1000, allow: ["db-*", "app/*"]}
  - {gid: 2000, allow: ["*"], admin: yes}
identities:
  default: {region: eu-west-1, endpoint_url: "http://127.0.0.1:4566", profile: dev}
  billing: {role_arn: "arn:aws:iam::222222222222:role/path/reader", external_id: "x:1", region: us-gov-west-1}
  dr: {use_fips: true, use_dualstack: on}
failover: {sm: [default, dr]}
quotas: {share: 5%, limits: {ssm.get: 40, kms.symmetric: 1e4, sts.AssumeRole: 2}, discover: true, budget: $5/month}
metrics: {per_secret: on}
log: {level: debug, format: console, audit: true}
"""


def problems(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """Load and give every problem as its line."""
    with pytest.raises(ConfigError) as caught:
        load(file=("sidecar.yaml", text), environ=environ or {})
    return [str(problem) for problem in caught.value.problems]


def test_reads_everything() -> None:
    """Each key of the file arrives as what it means."""
    config = load(file=("sidecar.yaml", GOOD), environ={})
    assert config.secrets == {
        "db-password": SecretSpec(Ref(SourceKind.SM, "prod/db", field="password")),
        "api-key": SecretSpec(
            Ref(SourceKind.SSM, "/prod/api-key"), refresh=30.0, ttl=120.0, required=False, decrypt=Decrypt.LOCAL
        ),
    }
    assert config.trees == {
        "app": TreeSpec(Tree("/prod/app")),
        "slow": TreeSpec(Tree("/prod/slow"), refresh=600.0, decrypt=Decrypt.LOCAL),
    }
    assert config.on_demand.model_dump() == {"allow": (), "max_entries": 5, "max_bytes": "64MiB", "idle": "2h"}
    assert (config.cache.refresh, config.cache.ttl, config.cache.negative_ttl) == (2.0, 3600.0, 0.25)
    assert config.listen.unix == Unix(path="app.sock", mode=0o600, group="app")
    assert config.listen.ops == Address("::1", 0)
    assert config.access == (
        AccessRule(uid=1000, allow=("db-*", "app/*")),
        AccessRule(group=2000, allow=("*",), admin=True),
    )
    assert config.identities["billing"] == IdentitySpec(
        role_arn="arn:aws:iam::222222222222:role/path/reader", external_id="x:1", region="us-gov-west-1"
    )
    assert config.identities["dr"] == IdentitySpec(use_fips=True, use_dualstack=True)
    assert config.failover == {SourceKind.SM: ("default", "dr")}
    assert config.quotas.share == 0.05
    assert (config.quotas.discover, config.quotas.budget) == (True, 5.0)
    assert config.quotas.limits == {"ssm.get": 40, "kms.symmetric": 10000, "sts.AssumeRole": 2}
    assert config.metrics.per_secret is PerSecret.ON
    assert (config.log.level, config.log.format, config.log.audit) == (LogLevel.DEBUG, LogFormat.CONSOLE, True)


def test_nothing_at_all_is_a_configuration() -> None:
    """Without a file and variables, the defaults hold."""
    assert load(file=None, environ={}) == Config()


def test_a_key_without_value_says_nothing() -> None:
    """A section of which everything is commented out is as though it were not there."""
    names = "secrets trees on_demand cache listen access identities failover quotas fleet metrics log"
    text = "\n".join(f"{name}:" for name in names.split())
    assert load(file=("f", text), environ={}) == Config()


@pytest.mark.parametrize(
    ("store", "shown", "meant"),
    [
        ("redis://redis:6379/1", "redis://redis:6379/1", "redis://redis:6379/1"),
        ("valkeys://app:hunter2@redis", "rediss://redis", "rediss://app:hunter2@redis"),
        ("valkey://[::1]:6379", "redis://[::1]:6379", "redis://[::1]:6379"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("dynamodb://Fleet_1", "dynamodb://Fleet_1", "Fleet_1"),
        ("dynamodb://fleet?shards=40", "dynamodb://fleet?shards=40", "fleet"),
    ],
)
def test_a_fleet(store: str, shown: str, meant: str) -> None:
    """A store by any of its spellings; what is printed of it shows neither user nor password."""
    text = f"fleet: {{store: '{store}', name: prod, password: {{file: /run/password}}}}"
    fleet = load(file=("f", text), environ={}).fleet
    assert fleet is not None
    assert (str(fleet.store), fleet.store.url, fleet.name, fleet.share) == (shown, meant, "prod", 0.8)
    assert fleet.password == InFile(file="/run/password")
    assert "hunter2" not in repr(fleet) + fleet.model_dump_json()


@pytest.mark.parametrize(
    "fleet",
    [
        "{store: 'redis://', name: a}",
        "{store: 'redis://x:0', name: a}",
        "{store: 'redis://x:port', name: a}",
        "{store: 'unix:///', name: a}",
        "{store: 'redis://x#1', name: a}",
        "{store: 'dynamodb://x', name: a}",
        "{store: 'dynamodb://key:hunter2@table', name: a}",
        "{store: 'dynamodb://table?shards=0', name: a}",
        "{store: 'dynamodb://table?shards=200', name: a}",
        "{store: 'http://x', name: a}",
        "{store: 'redis://x', name: 'a/b'}",
        "{store: 'redis://x', name: a, share: 0}",
        "{store: 'redis://x', name: a, password: {file: relative}}",
        "{store: 'redis://x', name: a, password: hunter2}",
    ],
)
def test_what_is_no_fleet(fleet: str) -> None:
    """It is refused, and a password that stands in the wrong place is not repeated."""
    assert "hunter2" not in str(problems(f"fleet: {fleet}"))
    assert problems(f"fleet: {fleet}")


def test_nothing_turns_the_ops_listener_off() -> None:
    """In YAML and in a variable."""
    assert load(file=("f", "listen: {ops: null}"), environ={}).listen.ops is None
    assert load(file=None, environ={"SIDECAR_LISTEN__OPS": ""}).listen.ops is None


def test_the_default_identity_always_exists() -> None:
    """Whoever declares others does not lose it."""
    config = load(file=("f", "identities: {dr: {region: us-west-2}}"), environ={})
    assert config.identities == {"default": IdentitySpec(), "dr": IdentitySpec(region="us-west-2")}


def test_variables_are_read_as_their_key_reads() -> None:
    """A duration, a switch, an address, a mode, a percentage, of any depth; they win over the file."""
    config = load(
        file=("sidecar.yaml", GOOD),
        environ={
            "SIDECAR_CACHE__TTL": "10m",
            "SIDECAR_LISTEN__OPS": "0.0.0.0:9102",
            "SIDECAR_LISTEN__UNIX__MODE": "0666",
            "SIDECAR_LOG__AUDIT": "false",
            "SIDECAR_QUOTAS__SHARE": "1%",
            "SIDECAR_IDENTITIES__DEFAULT__REGION": "eu-north-1",
            "SIDECAR_SECRETS": "db-password=ssm:/db",
            "SIDECAR_CONFIG_YAML": "secrets: {new: 'sm:new'}",
        },
    )
    assert config.cache.ttl == 600
    assert config.listen.ops == Address("0.0.0.0", 9102)
    assert config.listen.unix == Unix(path="app.sock", mode=0o666, group="app")
    assert (config.log.audit, config.quotas.share) == (False, 0.01)
    assert config.identities["default"].region == "eu-north-1"
    assert config.identities["default"].profile == "dev"
    assert config.secrets["db-password"].ref == Ref(SourceKind.SSM, "/db")
    assert list(config.secrets) == ["db-password", "api-key", "new"]


def test_defaults_of_a_command_give_way_to_everything() -> None:
    """They are a text like the file's, and the weakest."""
    defaults = ("dev", "cache: {refresh: 2s, ttl: 10s}")
    config = load(file=("f", "cache: {ttl: 20s}"), environ={}, defaults=defaults)
    assert (config.cache.refresh, config.cache.ttl) == (2, 20)


def test_all_problems_come_at_once_in_the_order_of_reading() -> None:
    """Each with its place, line, key, what is wrong and what would be right."""
    text = """\
secrets:
  db: {refresh: soon, reff: sm:x}
  "a b": sm:x
  old: sm:x
  old: ssm:/y
  list: [sm:x]
  none:
  via: sm:x?via=nobody
  bad: hunter2
trees: {app: prod/app}
fleet: {store: "redis://:hunter2@x?hunter2", share: 101%}
cache: {ttll: 1m, refresh: 0s}
listen: {unix: /run/x.sock}
access: [{uid: 1}, text, {allow: "*"}]
quotas: {share: 0, limits: [ssm.get]}
identities: {default: {endpoint_url: "http://user:hunter2@x", external_id: "hunter2 !"}}
"""
    environ = {"SIDECAR_CACHE__REFRESSH": "hunter2", "SIDECAR_LOG__LEVEL": "loud", "SIDECAR_SECRETS": "hunter2"}
    assert problems(text, environ) == [
        "sidecar.yaml line 2, secrets.db.ref: want this key, it has no default",
        "sidecar.yaml line 2, secrets.db.refresh: want a duration such as 250ms, 30s, 5m, 1h or 7d, got soon",
        "sidecar.yaml line 2, secrets.db.reff: there is no such key; did you mean ref?",
        (
            "sidecar.yaml line 3, secrets.a b: this is no name of a secret. Use letters, digits, '.', '_', '-' and"
            " single '/' between segments, 512 bytes at most, no segment '.' or '..'."
        ),
        "sidecar.yaml line 5, secrets.old: want it once, got it on line 4 too",
        "sidecar.yaml line 6, secrets.list: want a reference, or a mapping with ref, got a list",
        "sidecar.yaml line 7, secrets.none: want a reference, or a mapping with ref, got nothing",
        "sidecar.yaml line 8, secrets.via: want an identity that stands under identities, got nobody",
        (
            "sidecar.yaml line 9, secrets.bad: the reference begins with no scheme that is known. Write it as"
            " ssm:/path/name, sm:name, s3://bucket/key, an ARN of any of these, or kms: and base64."
        ),
        "sidecar.yaml line 10, trees.app: a tree is a path of Parameter Store. Write it as ssm:/path/.",
        (
            "sidecar.yaml line 11, fleet.store: want redis://host:port/db, rediss:// for TLS, valkey:// or valkeys://,"
            " unix:///path, or dynamodb://table"
        ),
        "sidecar.yaml line 11, fleet.name: want this key, it has no default",
        "sidecar.yaml line 11, fleet.share: want more than 0% and at most 100%, got 101%",
        "sidecar.yaml line 12, cache.refresh: want at least 1s, got 0s",
        "sidecar.yaml line 12, cache.ttll: there is no such key; did you mean ttl?",
        "sidecar.yaml line 13, listen.unix: want a mapping, got text",
        "sidecar.yaml line 14, access.0.allow: want this key, it has no default",
        "sidecar.yaml line 14, access.1: want a mapping, got text",
        "sidecar.yaml line 14, access.2.allow: want a list, got text",
        "sidecar.yaml line 15, quotas.share: want more than 0% and at most 100%, got 0",
        "sidecar.yaml line 15, quotas.limits: want a mapping, got a list",
        (
            "sidecar.yaml line 16, identities.default.endpoint_url: want http://host or https://host, with a port where"
            " needed and without user or password"
        ),
        "sidecar.yaml line 16, identities.default.external_id: want 2 to 1224 letters, digits and _+=,.@:/-",
        "$SIDECAR_SECRETS, want name=ref between semicolons, got something else as entry 1",
        "$SIDECAR_CACHE__REFRESSH, no key has this variable; did you mean SIDECAR_CACHE__REFRESH?",
        "$SIDECAR_LOG__LEVEL, log.level: want one of debug, info, warning, error, got loud",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("secrets: {a: {ref: {}}}", "secrets.a.ref: want a reference such as sm:prod/db#password, got a mapping"),
        ("secrets: {a: {ref: }}", "secrets.a.ref: want a reference such as sm:prod/db#password, got nothing"),
        (
            "secrets: {a: 'kms:A b'}",
            "secrets.a: the ciphertext holds a space. Within a URL write '+' as %2B, or use URL-safe base64.",
        ),
        ("secrets: text", "secrets: want a mapping, got text"),
        (
            "files: [{path: /run/x, template: x, on_change: nothing}]",
            "files.0.on_change: want none, or whom to tell: {signal: …}, {exec: …} or {http: …}, got nothing",
        ),
        ("secrets: {a: {ref: 'sm:x', required: }}", "secrets.a.required: want true or false, got nothing"),
        ("failover: {s4: [a, b]}", "failover.s4: want one of ssm, sm, kms, s3, got s4"),
        (
            "failover: {sm: ['a b', default]}",
            "failover.sm.0: want letters, digits, '.', '_' and '-', 64 at most, got a b",
        ),
        ("identities: {'a b': {}}", "identities.a b: want letters, digits, '.', '_' and '-', 64 at most, got a b"),
        ("'[key]': 1", "[key]: there is no such key; there are " + ", ".join(Config.model_fields)),
        ("identities: {a: {region: here}}", "identities.a.region: want a region such as eu-west-1, got here"),
        (
            "identities: {a: {role_arn: reader}}",
            "identities.a.role_arn: want the ARN of a role, arn:aws:iam::123456789012:role/name, got reader",
        ),
        (
            "identities: {a: {endpoint_url: 'http://[x'}}",
            (
                "identities.a.endpoint_url: want http://host or https://host, with a port where needed and without"
                " user or password"
            ),
        ),
        (
            "quotas: {limits: {ssm.gett: 1}}",
            (
                "quotas.limits.ssm.gett: want one of kms.ecc, kms.rsa, kms.symmetric, sm.batch, sm.describe, sm.get,"
                " sm.list, ssm.get, ssm.path, or service.Operation, got ssm.gett"
            ),
        ),
        ("on_demand: {allow: ['']}", 'on_demand.allow.0: want a glob such as "db-*", got nothing'),
        ("listen: {ops: []}", "listen.ops: want host:port such as 127.0.0.1:9102, got a list"),
        ("access: [{uid: 1, group: a, gid: 2, allow: [x]}]", "access.0.gid: there is no such key; did you mean uid?"),
    ],
)
def test_says_what_would_be_right(text: str, problem: str) -> None:
    """One problem each, in words that need no manual."""
    assert problems(text) == [f"sidecar.yaml line 1, {problem}"]


def test_other_problems_are_told_beside_broken_yaml() -> None:
    """A file that ends in the middle does not hide a wrong variable."""
    assert problems("secrets: [", {"SIDECAR_CACHE__TTL": "soon"}) == [
        "sidecar.yaml line 2, want valid YAML: did not find expected node content",
        "$SIDECAR_CACHE__TTL, cache.ttl: want a duration such as 250ms, 30s, 5m, 1h or 7d, got soon",
    ]


def test_a_value_that_was_reported_is_not_missed_as_well() -> None:
    """An alias is one problem, not also a missing key."""
    assert problems("secrets: {a: {ref: *x, refresh: soon}}") == [
        "sidecar.yaml line 1, secrets.a.ref: want the value written out, got an alias",
        "sidecar.yaml line 1, secrets.a.refresh: want a duration such as 250ms, 30s, 5m, 1h or 7d, got soon",
    ]


def test_the_error_keeps_no_values() -> None:
    """Neither its text nor what it was raised from holds what stood in the file."""
    with pytest.raises(ConfigError) as caught:
        load(file=("f", "cache: {x: hunter2}"), environ={"SIDECAR_A__B": "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None


def test_ten_thousand_secrets_are_read() -> None:
    """Many are as good as few, and however many problems there are, all are told."""
    lines = [f"  name-{number}: {{ref: 'ssm:/prod/p{number}', refresh: 30s}}\n" for number in range(10_000)]
    text = "secrets:\n" + "".join(lines)
    assert len(load(file=("f", text), environ={}).secrets) == 10_000
    assert len(problems(text.replace("30s", "30", 2000))) == 2000


_words = st.sampled_from(
    re.findall(
        r"\S+",
        "secrets trees on_demand cache listen unix ops access identities default failover sm quotas limits ssm.get "
        "refresh ttl ref sm:x ssm:/x/ 5m 1h 10% 0660 localhost:1 uid group gid allow * true null",
    )
)
_values = st.recursive(
    _words | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words | st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def _load_or_refuse(file: tuple[str, str] | None, environ: Mapping[str, str]) -> None:
    with suppress(ConfigError):
        assert "default" in load(file=file, environ=environ).identities


@given(_values)
@settings(deadline=None)
def test_any_yaml_is_read_or_refused(value: object) -> None:
    """Nothing but ConfigError is raised, whatever stands where."""
    _load_or_refuse(("f", yaml.safe_dump(value)), {})


@given(
    st.dictionaries(
        st.sampled_from([*variables(), "SIDECAR_SECRETS", "SIDECAR_CONFIG_YAML", "SIDECAR_X__Y", "SIDECAR_PORT"]),
        _words | st.text(),
        max_size=6,
    )
)
@settings(deadline=None)
def test_any_environment_is_read_or_refused(environ: dict[str, str]) -> None:
    """Nothing but ConfigError is raised, whatever a variable holds."""
    _load_or_refuse(None, environ)
