"""Names and what they stand for: who wins, and how names follow a value."""

from dataclasses import replace

from sidecar.core.names import Name
from sidecar.core.refs import Ref
from sidecar.engine.catalogue import Catalogue, Declared
from tests.engine.fakes import ssm

DB, API = ssm("/db"), ssm("/api")


def declared(name: str, ref: Ref, tree: str | None = None) -> Declared:
    """Give a name a meaning."""
    return Declared(Name(name), ref, tree=tree)


def catalogue(*entries: Declared) -> Catalogue:
    """Fill a catalogue."""
    made = Catalogue()
    for each in entries:
        assert made.add(each)
    return made


def test_fields_of_one_value_are_names_of_it() -> None:
    """A change of the value concerns both, and nothing else."""
    found = catalogue(declared("user", replace(DB, field="user")), declared("whole", DB), declared("api", API))
    assert found.names_of(replace(DB, field="x")) == {"user", "whole"}
    assert (len(found), {each.name for each in found}) == (3, {"user", "whole", "api"})


def test_a_declared_secret_wins_over_a_tree() -> None:
    """Whichever came first; and of two trees the one that had the name."""
    found = catalogue(declared("a", DB))
    assert not found.add(declared("a", API, tree="t"))
    assert found.get("a") == declared("a", DB)
    found = catalogue(declared("a", DB, tree="t"))
    assert not found.add(declared("a", API, tree="other"))
    assert found.add(declared("a", API))
    assert found.get("a") == declared("a", API)
    assert found.names_of(DB) == frozenset()


def test_names_follow_a_value_that_aws_spells_otherwise() -> None:
    """Each keeps its field, and when it came to stand for the value."""
    found = catalogue(declared("user", replace(DB, field="user")), declared("whole", DB))
    found.moved[Name("whole")] = 3
    found.rename(DB, API)
    assert found.moved == {"whole": 3}
    assert found.names_of(DB) == frozenset()
    assert found.get("user") == declared("user", replace(API, field="user"))
    assert found.names_of(API) == {"user", "whole"}


def test_a_name_is_forgotten() -> None:
    """One that is not there is fine; the value's other names stay."""
    found = catalogue(declared("a", DB), declared("b", DB))
    found.remove(Name("a"))
    found.remove(Name("a"))
    assert found.get("a") is None
    assert found.names_of(DB) == {"b"}
    found.remove(Name("b"))
    assert len(found) == 0
