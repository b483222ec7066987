from dataclasses import replace

import pytest

from sidecar.api.permits import UNKNOWN, Permits
from sidecar.core.access import Access, Caller, Declared, Globs, Rule
from sidecar.core.errors import CallerDenied
from sidecar.core.names import Name
from tests.engine.fakes import ssm

APP = Caller(1000, 1000)
DB = ssm("/prod/db")


def permits(*rules: Rule, on_demand: tuple[str, ...] = ("*",)) -> Permits:
    """Make permits over one declared secret, `db`."""
    return Permits(Access(rules), Declared({"db": DB}, {}), Globs(on_demand))


def test_every_refusal_says_the_same() -> None:
    """Whatever the name, be it there or not."""
    denied = permits(Rule(7, None, Globs(["*"])))
    said = set()
    for name in ("db", "nothing"):
        with pytest.raises(CallerDenied) as caught:
            denied.check_name(APP, Name(name))
        said.add((str(caught.value), caught.value.mend))
    assert len(said) == 1


def test_a_declared_reference_needs_no_on_demand() -> None:
    """Nor does a field of it; another one does."""
    declared_only = permits(on_demand=())
    assert declared_only.may_resolve(APP, DB)
    assert declared_only.may_resolve(APP, replace(DB, field="user"))
    assert not declared_only.may_resolve(APP, ssm("/other"))


def test_a_glob_for_a_value_covers_its_fields() -> None:
    """Who may have all of it may have part of it."""
    assert permits(on_demand=("ssm:/other",)).may_resolve(APP, replace(ssm("/other"), field="x"))


def test_an_unknown_caller_fits_no_rule_for_somebody() -> None:
    """Only one for anybody."""
    with pytest.raises(CallerDenied):
        permits(Rule(1000, None, Globs(["*"]))).check_name(UNKNOWN, Name("db"))
    permits(Rule(None, None, Globs(["*"]))).check_name(UNKNOWN, Name("db"))


def test_admins_are_named_by_rules() -> None:
    """Without rules everybody is."""
    permits().check_admin(APP)
    with pytest.raises(CallerDenied):
        permits(Rule(1000, None, Globs(["*"]))).check_admin(APP)
