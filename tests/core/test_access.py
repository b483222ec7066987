"""Rules decide by user, group and name; a declared value is guarded however it is asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.access import Access, Caller, Declared, Globs, Rule, build_access
from sidecar.core.config.models import AccessRule
from sidecar.core.errors import ConfigError
from sidecar.core.refs import Tree
from sidecar.core.spellings import parse_any

APP = Caller(uid=1000, gid=1000, groups=frozenset({2000}), pid=7)
NOBODY = Caller(uid=65534, gid=65534)
NOTHING = Declared({}, {})


class System:
    """Knows one user and one group."""

    def uid(self, user: str) -> int | None:
        """Look a user up."""
        return {"app": 1000}.get(user)

    def gid(self, group: str) -> int | None:
        """Look a group up."""
        return {"ops": 2000}.get(group)


def access(*rules: AccessRule) -> Access:
    """Build rules on that system."""
    return build_access(rules, System())


def declared(**refs: str) -> Declared:
    """Declare secrets by reference, and one tree."""
    return Declared({name: parse_any(ref) for name, ref in refs.items()}, {"app": Tree("/prod/app")})


def test_without_rules_everybody_is_admin() -> None:
    """Whoever the socket's mode let in."""
    free = access()
    assert free.may_read(NOBODY, "db")
    assert free.may_resolve(NOBODY, parse_any("sm:prod/db"), declared(db="sm:prod/db"))
    assert free.is_admin(NOBODY)


def test_who_no_rule_names_may_nothing() -> None:
    """One rule suffices to shut everybody else out."""
    some = access(AccessRule(uid=1000, allow=("*",), admin=True))
    assert not some.may_read(NOBODY, "db")
    assert not some.may_resolve(NOBODY, parse_any("sm:x"), NOTHING)
    assert not some.is_admin(NOBODY)


@pytest.mark.parametrize(
    ("rule", "concerned"),
    [
        (AccessRule(uid=1000, allow=("*",)), True),
        (AccessRule(uid="app", allow=("*",)), True),
        (AccessRule(uid=1001, allow=("*",)), False),
        (AccessRule(group=1000, allow=("*",)), True),
        (AccessRule(group="ops", allow=("*",)), True),
        (AccessRule(group=3000, allow=("*",)), False),
        (AccessRule(uid=1000, group=2000, allow=("*",)), True),
        (AccessRule(uid=1000, group=3000, allow=("*",)), False),
        (AccessRule(uid=1001, group=2000, allow=("*",)), False),
        (AccessRule(uid=0, allow=("*",)), False),
        (AccessRule(allow=("*",)), True),
    ],
)
def test_a_rule_speaks_of_user_and_group(rule: AccessRule, *, concerned: bool) -> None:
    """By number or name, main group or supplementary, both where both are given, everybody where neither is."""
    assert access(rule).may_read(APP, "db") is concerned


def test_a_later_rule_may_allow_what_an_earlier_one_does_not_mention() -> None:
    """The first rule that matches caller *and name* decides."""
    both = access(AccessRule(uid=1000, allow=("db-*",)), AccessRule(group=2000, allow=("app/*",)))
    assert [both.may_read(APP, name) for name in ("db-x", "app/x/y", "other")] == [True, True, False]


def test_admin_is_who_some_rule_makes_one() -> None:
    """Being admin is about no name, so the names of the rule do not matter."""
    both = access(AccessRule(uid=1000, allow=("*",)), AccessRule(group="ops", allow=("none",), admin=True))
    assert both.is_admin(APP)
    assert not access(AccessRule(uid=1000, allow=("*",))).is_admin(APP)


@pytest.mark.parametrize(
    ("glob", "name", "matches"),
    [
        ("db-*", "db-password", True),
        ("db-*", "DB-password", False),
        ("app/*", "app/a/b", True),
        ("app/*", "app", False),
        ("*", "any/thing", True),
        ("a?c", "a/c", True),
        ("[ab]x", "bx", True),
        ("db", "db-password", False),
        ("d.b", "dxb", False),
        ("db", "db\n", False),
    ],
)
def test_globs(glob: str, name: str, *, matches: bool) -> None:
    """The whole text, case and all; `*` and `?` cross slashes."""
    assert Globs([glob]).match(name) is matches
    assert not Globs([]).match(name)


@pytest.mark.parametrize(
    ("ref", "allowed"),
    [
        ("sm:free/x", True),  # nothing declared: the glob over references decides
        ("sm:other/x", False),
        ("sm:prod/db#user", True),  # declared as `user`, which the caller may read
        ("sm:prod/db#password", False),  # declared as `password`, which it may not
        ("sm:prod/db", False),  # holds both
        ("sm:prod/db#host", False),  # a field that nobody declared, of a value that the caller may see in part only
        ("sm:prod/db?stage=AWSPREVIOUS#password", False),
        ("sm:prod/db?via=billing#password", False),
        ("arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/db", False),
        ("arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/db-AbCdEf", False),
        ("ssm:/aws/reference/secretsmanager/prod/db", False),
        ("ssm:/prod/app/public", True),  # app/public of the tree
        ("ssm:/prod/app/private", False),
        ("ssm:/prod/app/private?version=1", False),
        ("ssm:/prod/app/public?version=1", False),  # no name for it, and no glob that matches it
        ("arn:aws:ssm:eu-west-1:111122223333:parameter/prod/app/private", False),
        ("ssm:/prod/application", False),
        ("ssm:key", False),
        ("arn:aws:ssm:eu-west-1:111122223333:parameter/key", False),
    ],
)
def test_a_reference_of_a_declared_secret_needs_the_right_to_it(ref: str, *, allowed: bool) -> None:
    """Whatever field, version, spelling or identity: globs over references open no side door."""
    rule = AccessRule(uid=1000, allow=("user", "app/public", "sm:free/*", "sm:prod/*", "sm:arn:*", "ssm:arn:*"))
    known = declared(user="sm:prod/db#user", password="sm:prod/db#password", key="ssm:/key")
    assert access(rule).may_resolve(APP, parse_any(ref), known) is allowed


def test_one_of_several_names_of_one_value_suffices() -> None:
    """Who may read it by one name learns nothing new by its reference."""
    known = declared(mine="sm:prod/db", theirs="sm:prod/db")
    assert access(AccessRule(allow=("mine",))).may_resolve(APP, parse_any("sm:prod/db"), known)
    assert not access(AccessRule(allow=("sm:*",))).may_resolve(APP, parse_any("sm:prod/db"), known)


def test_all_names_and_the_reference_itself_open_what_is_not_declared_as_such() -> None:
    """Another version of a declared value: the right to the name alone says nothing of it."""
    known, previous = declared(db="sm:prod/db"), parse_any("sm:prod/db?stage=AWSPREVIOUS")
    assert access(AccessRule(allow=("db", "sm:prod/*"))).may_resolve(APP, previous, known)
    assert not access(AccessRule(allow=("db",))).may_resolve(APP, previous, known)


def test_a_name_that_looks_like_an_arn_s_end_is_guarded_both_ways() -> None:
    """A partial ARN of `db-AbCdEf` reads like a full one of `db`."""
    known = declared(db="sm:db-AbCdEf")
    partial = parse_any("arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf")
    assert not access(AccessRule(allow=("sm:*",))).may_resolve(APP, partial, known)


def test_a_key_that_is_lent_needs_the_right_to_it() -> None:
    """Who asks on demand for an object under a declared secret uses that secret."""
    known, ref = declared(key="sm:key", cert="s3://bucket/cert?sse_c=key"), parse_any("s3://bucket/other?sse_c=key")
    assert not access(AccessRule(allow=("s3:*",))).may_resolve(APP, ref, known)
    assert access(AccessRule(allow=("s3:*", "key"))).may_resolve(APP, ref, known)
    assert access(AccessRule(allow=("cert",))).may_resolve(APP, parse_any("s3://bucket/cert?sse_c=key"), known)


def test_names_that_the_system_does_not_know_are_all_told() -> None:
    """A rule for nobody must not be silently one for nobody."""
    with pytest.raises(ConfigError) as caught:
        access(AccessRule(uid="apps", allow=("*",)), AccessRule(group="opz", allow=("*",)))
    assert [str(problem) for problem in caught.value.problems] == [
        "access.0.uid: want one that this system knows, or a number, got apps",
        "access.1.group: want one that this system knows, or a number, got opz",
    ]


_callers = st.builds(Caller, st.integers(0, 3), st.integers(0, 3), st.frozensets(st.integers(0, 3)))
_numbers = st.none() | st.integers(0, 3)
_rules = st.builds(
    Rule, _numbers, _numbers, st.lists(st.sampled_from(["*", "a*", "b", "sm:*"]), max_size=2).map(Globs), st.booleans()
)


@given(st.lists(_rules, min_size=1), _rules, _callers, st.sampled_from(["a", "ab", "b", "c"]))
def test_one_more_rule_takes_nothing_away(rules: list[Rule], more: Rule, caller: Caller, name: str) -> None:
    """No rule denies, so their order and number only ever add; and what is granted, some one rule grants."""
    before, after = Access(rules), Access([more, *rules])
    assert after.may_read(caller, name) >= before.may_read(caller, name)
    assert after.is_admin(caller) >= before.is_admin(caller)
    assert before.may_read(caller, name) == any(Access([rule]).may_read(caller, name) for rule in rules)
    assert before.may_read(caller, name) == Access(rules[::-1]).may_read(caller, name)
