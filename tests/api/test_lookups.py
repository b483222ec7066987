import asyncio
from dataclasses import replace

import pytest

from sidecar.api.answers import Answer
from sidecar.api.asks import Ask
from sidecar.api.lookups import cache_status
from sidecar.api.permits import UNKNOWN
from sidecar.api.values import serve_value
from sidecar.core.access import Globs, Rule
from sidecar.core.errors import BadRef
from sidecar.core.freshness import Fresh, Stale
from sidecar.core.names import Name
from sidecar.core.refs import Ref
from sidecar.core.secret import Plaintext, Revision, Secret, Version
from sidecar.engine.catalogue import Declared
from sidecar.engine.resolver import Found
from tests.api.served import API, DB, HeldSource, in_memory, served
from tests.engine.fakes import ssm

SECRET = Secret(Revision(DB, Version("1"), "eu-west-1"), Plaintext(b"x"))


@pytest.mark.looptime
async def test_a_hit_never_waits() -> None:
    """From the request to the answer the loop does not get a turn."""
    async with in_memory() as services:
        services.engine.catalogue.add(Declared(Name("db"), replace(DB, field=None)))
        services.engine.resolver.open(DB)
        services.engine.store.settle(DB, SECRET)
        hit = serve_value(services, Ask(UNKNOWN, {}, "db"))
        with pytest.raises(StopIteration) as done:
            hit.send(None)
    answer = done.value.value
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body) == (200, b"x")


@pytest.mark.parametrize(
    ("lookup", "waited", "collapsed", "status"),
    [
        (Fresh(SECRET, 60.5, 239.5), False, False, "sidecar; hit; ttl=239"),
        (Stale(SECRET, 712.0, -412.0, None), False, False, "sidecar; hit; ttl=-412; detail=stale"),
        (Fresh(SECRET, 0.0, 300.0), True, False, "sidecar; fwd=miss"),
        (Fresh(SECRET, 0.0, 300.0), True, True, "sidecar; fwd=miss; collapsed"),
    ],
)
def test_the_cache_status_has_the_words_of_rfc_9211(
    lookup: Fresh | Stale, status: str, *, waited: bool, collapsed: bool
) -> None:
    """Hit, stale hit, miss, collapsed miss."""
    entry = None
    assert cache_status(Found(entry, lookup, waited, collapsed), lookup) == status  # type: ignore[arg-type]


async def test_the_right_is_asked_again_when_aws_names_the_value_otherwise() -> None:
    """A caller does not get around a rule by another name of a declared secret."""
    alias = ssm("/alias")
    async with served() as one:
        secret = one.source.values[API]
        one.source.values[alias] = secret  # AWS answers with the canonical reference of `api`
        one.permit(Rule(None, None, Globs(["db", "ssm:/alias"])))
        denied = await one.get("/v1/resolve?ref=ssm:/alias")
        one.permit(Rule(None, None, Globs(["api", "ssm:/alias"])))
        given = await one.get("/v1/resolve?ref=ssm:/alias")
    assert (denied.status, given.status) == (403, 200)
    assert given.json["ref"] == "ssm:/prod/api"


async def test_identities_are_not_told_to_those_who_may_not_use_them() -> None:
    """One that is not configured is a slip of those who may read, and a refusal like any other to the rest."""

    async def localise(ref: Ref, _deadline: float) -> Ref:
        if ref.identity == "unknown":
            raise BadRef("its ?via= names no configured identity")
        return ref

    async with served() as one:
        one.services.localise = localise
        one.permit(Rule(None, None, Globs(["ssm:/open/*"])))
        slip = await one.get("/v1/resolve?ref=ssm:/open/x%3Fvia=unknown")
        known, unknown = [
            await one.get(f"/v1/resolve?ref=ssm:/closed%3Fvia={identity}") for identity in ("known", "unknown")
        ]
    assert (slip.status, known.status) == (400, 403)
    assert (known.status, known.body) == (unknown.status, unknown.body)


async def test_a_stop_ends_waiting_for_aws_within_the_grace() -> None:
    """What is not held by then is told as that."""
    source = HeldSource()
    async with served(source=source) as one, asyncio.TaskGroup() as tasks:
        calls = [
            tasks.create_task(one.get(target))
            for target in ("/v1/values/db", "/v1/values?name=db", "/v1/resolve?ref=ssm:/x")
        ]
        refresh = tasks.create_task(one.post("/v1/refresh", {"names": ["db"]}))
        await one.waiting(4)
        one.patience.hurry()
        answers = [await call for call in calls]
        assert (await refresh).json["secrets"][0]["state"] == "pending"
        source.let.set()
    assert [answer.status for answer in answers] == [504, 504, 504]
