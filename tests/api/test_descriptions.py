import pytest

from sidecar.api.asks import Ask
from sidecar.api.descriptions import describe, visible
from sidecar.api.lookups import Target
from sidecar.api.permits import UNKNOWN
from sidecar.core.errors import NotFound, Unreachable
from sidecar.core.secret import Plaintext, Revision, Secret, Version
from tests.api.served import in_memory
from tests.engine.fakes import ssm

pytestmark = pytest.mark.looptime
REF = ssm("/x")


async def test_nothing_held_is_described_by_its_reason() -> None:
    """Times and version are null."""
    async with in_memory() as services:
        entry = services.engine.resolver.open(REF)
        services.engine.store.settle(REF, NotFound("ssm:/x: none"))
        described = describe(services, Target(entry, None, None))
    assert described == {
        "name": "ssm:/x",
        "ref": "ssm:/x",
        "kind": "on-demand",
        "required": False,
        "state": "absent",
        "version": None,
        "etag": None,
        "labels": [],
        "region": None,
        "modified_at": None,
        "fetched_at": None,
        "confirmed_at": None,
        "expires_at": None,
        "next_check_at": None,
        "reason": "not_found",
        "detail": "ssm:/x: none",
        "mend": NotFound.mend,
    }


async def test_a_held_value_shows_its_times_and_trouble() -> None:
    """Never itself."""
    async with in_memory() as services:
        entry = services.engine.resolver.open(REF)
        services.engine.store.settle(REF, Secret(Revision(REF, Version("1"), "eu-west-1"), Plaintext(b"canary")))
        services.engine.store.settle(REF, Unreachable("ssm:/x: no network"))
        described = describe(services, Target(entry, "field", None))
    assert (described["name"], described["state"], described["reason"]) == ("ssm:/x#field", "fresh", "unreachable")
    assert described["fetched_at"] == "2026-02-02T02:40:00.000Z"
    assert described["expires_at"] == "2026-02-02T02:55:00.000Z"
    assert "canary" not in str(described)


async def test_a_long_list_lets_others_have_their_turn() -> None:
    """The loop runs in between."""
    async with in_memory() as services:
        for number in range(250):
            services.engine.resolver.open(ssm(f"/{number}"))
        pulls = visible(services, Ask(UNKNOWN, {}))
        turns = 0
        for _ in range(250):
            pull = anext(pulls).__await__()
            try:
                while True:
                    next(pull)
                    turns += 1
            except StopIteration:
                pass
        assert turns == 2
