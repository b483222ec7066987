import asyncio
import math

import pytest

from sidecar.core.config.models import Cache, TreeSpec
from sidecar.core.errors import AccessDenied, BadCustomerKey, NotFound, Transient, Unreachable
from sidecar.core.ports import Route
from sidecar.core.refs import Ref, SourceKind, parse, parse_tree
from tests.engine.world import SSM, Laboratory, laboratory, spec

S3 = Route(SourceKind.S3, "default")
KEY, OBJECT = parse("ssm:/key"), parse("s3://bucket/object?sse_c=key")
SOON = Cache(refresh=60.0)

pytestmark = pytest.mark.looptime


async def lend(lab: Laboratory, name: str = "key", undeclared: Ref | None = None) -> bytes:
    """Borrow a secret."""
    return (await lab.engine.lend(name, undeclared)).secret.plaintext.reveal()


async def test_what_is_held_is_lent_at_once() -> None:
    """Without a request."""
    async with laboratory() as lab:
        lab.source.put(KEY, b"k")
        lab.declare({"key": KEY})
        await asyncio.sleep(1)
        asked = len(lab.source.requests)
        assert await lend(lab) == b"k"
        assert len(lab.source.requests) == asked


async def test_the_field_travels_along() -> None:
    """Of a declaration that names one."""
    async with laboratory() as lab:
        lab.source.put(KEY, b'{"a": "k"}')
        lab.declare({"key": parse("ssm:/key#a")})
        assert (await lab.engine.lend("key", None)).field == "a"


async def test_who_borrows_first_waits_for_the_first_fetch() -> None:
    """One that is under way is joined."""
    async with laboratory() as lab:
        lab.source.latency = 0.5
        lab.source.put(KEY, b"k")
        lab.declare({"key": KEY})
        await asyncio.sleep(0.1)
        assert await lend(lab) == b"k"
        assert math.isclose(asyncio.get_running_loop().time(), 0.5, abs_tol=0.1)
        assert len(lab.source.fetches) == 1


async def test_a_name_of_a_tree_waits_for_its_walk() -> None:
    """Until then nobody knows what it holds."""
    async with laboratory(polling=False) as lab:
        lab.source.put(parse("ssm:/app/key"), b"k")
        lab.declare(trees={"app": TreeSpec(parse_tree("ssm:/app/"))})
        assert await lend(lab, "app/key") == b"k"


async def test_what_a_command_alone_configures_needs_no_declaration() -> None:
    """It is opened on demand."""
    async with laboratory(polling=False) as lab:
        lab.source.put(KEY, b"k")
        assert await lend(lab, "key", KEY) == b"k"


@pytest.mark.parametrize(
    ("failure", "kind", "told"),
    [
        (NotFound("x"), BadCustomerKey, "cannot be read (not_found)"),
        (AccessDenied("x", mend="Let me."), BadCustomerKey, "cannot be read (access_denied)"),
        (Unreachable("x"), Transient, "is not held yet (unreachable)"),
    ],
)
async def test_why_there_is_nothing_to_lend(failure: Exception, kind: type[Exception], told: str) -> None:
    """For as long as AWS says so, or only for now; the borrower's message names the secret."""
    async with laboratory() as lab:
        assert isinstance(failure, NotFound | AccessDenied | Unreachable)
        lab.source.failures[KEY] = failure
        lab.declare({"key": KEY})
        with pytest.raises(kind, match="the secret key") as caught:
            await lend(lab)
        assert told in str(caught.value)


async def test_what_is_not_declared_is_not_lent() -> None:
    """Nor is an object: it may be waiting in the very check that asks."""
    async with laboratory() as lab:
        lab.declare({"object": parse("s3://bucket/key")})
        with pytest.raises(BadCustomerKey, match="no secret nothing is declared"):
            await lend(lab, "nothing")
        with pytest.raises(BadCustomerKey, match="is an object itself"):
            await lend(lab, "object")


async def test_a_change_has_the_borrowers_checked_at_once() -> None:
    """Those that name it, no others; and only when it is another."""
    async with laboratory() as lab:
        other = parse("s3://bucket/object?sse_c=other")
        lab.source.put(KEY, b"old")
        lab.source.put(parse("ssm:/other"), b"x")
        for ref in (OBJECT, other):
            lab.sources(S3).put(ref, b"value")
        lab.declare({"key": spec(KEY, refresh=2.0), "other": parse("ssm:/other"), "a": OBJECT, "b": other}, cache=SOON)
        await asyncio.sleep(50)
        await lend(lab)
        lab.sources(S3).probes.clear()
        await asyncio.sleep(5)
        assert lab.sources(S3).probes == []
        lab.source.put(KEY, b"new", "2")
        await asyncio.sleep(5)
        assert lab.sources(S3).probes == [[OBJECT]]
        assert SSM in lab.engine.checks.lanes
