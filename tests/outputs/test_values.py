import asyncio

import pytest

from sidecar.core.errors import AccessDenied
from sidecar.core.refs import Ref, SourceKind
from sidecar.outputs.failures import NotYet, Unrendered
from sidecar.outputs.values import Used, Values, differing
from tests.engine.world import Laboratory, laboratory
from tests.outputs.world import API, DB, LEAF, declare, reading

pytestmark = pytest.mark.looptime


def plant(lab: Laboratory) -> None:
    """Make a value and a tree."""
    lab.source.put(DB, b'{"user": "app", "in": {"x": 1}}')
    lab.source.put(LEAF, b"leaf")


async def test_a_value_its_fields_and_a_tree() -> None:
    """A name, a field of it, a field of a declared field; a tree's members by what follows its name."""
    async with laboratory() as lab:
        plant(lab)
        declare(lab, db=DB, inner=Ref(SourceKind.SSM, "/db", field="in"), **{"app/more": API})
        lab.source.put(API, b"more")
        await asyncio.sleep(1)
        look = reading(lab)
        assert look.secret("db#user") == b"app"
        assert look.secret("inner#x") == b"1"
        assert look.tree("app") == {"leaf": b"leaf", "more": b"more"}
        assert (look.used.names, look.used.trees) == ({"db", "inner"}, {"app"})


async def test_what_is_not_held_is_waited_for() -> None:
    """Until AWS has said something, and a tree was walked."""
    async with laboratory(polling=False) as lab:
        declare(lab, db=DB)
        for ask in (lambda: reading(lab).secret("db"), lambda: reading(lab).tree("app")):
            with pytest.raises(NotYet):
                ask()
        with pytest.raises(NotYet):
            reading(lab).secret("app/leaf")


async def test_what_will_not_be_is_said() -> None:
    """Absent, refused, undeclared, or without the field; the message names it and quotes nothing."""
    async with laboratory() as lab:
        plant(lab)
        lab.source.failures[API] = AccessDenied("ssm:/api: canary", mend="Grant it.")
        declare(lab, db=DB, api=API, gone=Ref(SourceKind.SSM, "/gone"))
        await asyncio.sleep(1)
        told = {}
        for name in ("gone", "api", "db#nothing", "nobody", "app/nothing"):
            with pytest.raises(Unrendered) as failed:
                reading(lab).secret(name)
            told[name] = str(failed.value)
        with pytest.raises(Unrendered, match="no tree"):
            reading(lab).tree("other")
        assert told["gone"] == "gone: not_found"
        assert told["api"] == "api: access_denied"
        assert "no such field" in told["db#nothing"]
        assert "canary" not in repr(told)


async def test_a_version_is_one_of_a_reference() -> None:
    """It differs when the value is another, and when the name stands for another reference; unheld ones have none."""
    async with laboratory() as lab:
        plant(lab)
        declare(lab, db=DB)
        await asyncio.sleep(1)
        values, used = Values(lab.engine), Used({"db", "nobody"}, {"app"})
        first = values.versions(used)
        assert first.keys() == {"db", "app/leaf"}
        lab.source.put(DB, b"2", version="2")
        await asyncio.sleep(2)
        second = values.versions(used)
        assert differing(first, second) == ("db",)
        lab.source.put(API, b"3", version="2")
        declare(lab, db=API)
        await asyncio.sleep(1)
        assert differing(second, values.versions(used)) == ("db",)
        assert differing({"a": "1"}, {"b": "1"}) == ("a", "b")
