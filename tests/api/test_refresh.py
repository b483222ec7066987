import asyncio

import pytest

from sidecar.api.problems import BadRequest
from sidecar.api.refresh import Wish, parse_wish
from sidecar.core.access import Globs, Rule
from sidecar.core.config.models import Cache
from sidecar.core.errors import BadName, Unreachable
from tests.api.served import API, DB, HeldSource, served

QUICK = Cache(min_refresh=1)


class TestWish:
    """The body of a refresh."""

    def test_none_means_all(self) -> None:
        """An empty body, an empty object, an empty list."""
        assert parse_wish(b"") == parse_wish(b"{}") == parse_wish(b'{"names": []}') == Wish([], None)

    def test_names_count_once(self) -> None:
        """In the order in which they came."""
        assert parse_wish(b'{"names": ["b", "a", "b"]}').names == ["b", "a"]

    @pytest.mark.parametrize(
        "body",
        [
            b"[]",
            b"nonsense",
            b"\xff",
            b"[" * 100_000,
            b'{"name": "a"}',
            b'{"names": "a"}',
            b'{"names": [1]}',
            b'{"names": ["a"], "rejected": 1}',
            b'{"names": ["a"], "rejected": "x"}',
            b'{"names": ["a", "b"], "rejected": "\\"x\\""}',
            b'{"rejected": "\\"x\\""}',
        ],
    )
    def test_anything_else_is_refused(self, body: bytes) -> None:
        """As a bad request."""
        with pytest.raises(BadRequest):
            parse_wish(body)

    def test_a_bad_name_is_refused(self) -> None:
        """Before anything is looked up."""
        with pytest.raises(BadName):
            parse_wish(b'{"names": ["../x"]}')


class TestRefresh:
    """POST /v1/refresh."""

    async def test_a_change_is_found_at_once(self) -> None:
        """What changed is said for each name."""
        async with served(cache=QUICK) as one:
            await one.hold()
            await one.hold(API)
            one.source.put(DB, b"canary-2", "2")
            one.lab.clock.suspend(2)
            answer = await one.post("/v1/refresh", {"names": ["db", "api"]})
            value = await one.get("/v1/values/db")
        assert answer.status == 200
        assert {each["name"]: (each["changed"], each["version"]) for each in answer.json["secrets"]} == {
            "db": (True, "2"),
            "api": (False, "1"),
        }
        assert b"canary" not in answer.body
        assert (value.body, answer.json["secrets"][0]["etag"]) == (b"canary-2", value.headers["etag"])

    async def test_a_burst_costs_one_check(self) -> None:
        """Within min_refresh the answer is 200 and unchanged."""
        async with served(cache=QUICK) as one:
            await one.hold()
            one.lab.clock.suspend(2)
            etag = (await one.get("/v1/values/db")).headers["etag"]
            answers = [await one.post("/v1/refresh", {"names": ["db"], "rejected": etag}) for _ in range(5)]
            assert len(one.source.probes) == 1
        assert [answer.json["secrets"][0]["changed"] for answer in answers] == [False] * 5

    async def test_whoever_is_behind_gets_the_newer_one_without_a_check(self) -> None:
        """The version that it rejects is not the one that is held."""
        async with served(cache=QUICK) as one:
            await one.hold()
            one.lab.clock.suspend(2)
            answer = await one.post("/v1/refresh", {"names": ["db"], "rejected": '"old"'})
            assert one.source.probes == []
        assert answer.json["secrets"][0]["changed"] is True

    async def test_the_rejected_version_is_replaced(self) -> None:
        """A check that brings another than the rejected one says changed."""
        async with served(cache=QUICK) as one:
            await one.hold()
            etag = (await one.get("/v1/values/db")).headers["etag"]
            one.source.put(DB, b"canary-2", "2")
            one.lab.clock.suspend(2)
            answer = await one.post("/v1/refresh", {"names": ["db"], "rejected": f"W/{etag}"})
        assert answer.json["secrets"][0]["changed"] is True

    async def test_what_fails_is_told_beside_what_is_held(self) -> None:
        """200, with the class of the reason and the mend."""
        async with served(cache=QUICK) as one:
            await one.hold()
            one.lab.clock.suspend(2)
            one.source.failures[DB] = Unreachable(f"{DB}: no network")
            answer = await one.post("/v1/refresh", {"names": ["db"]})
        told = answer.json["secrets"][0]
        assert (answer.status, told["changed"], told["state"], told["reason"]) == (200, False, "fresh", "unreachable")

    async def test_all_needs_an_admin(self) -> None:
        """Without rules everybody is; with rules, whoever a rule says so of."""
        async with served(cache=QUICK) as one:
            await one.hold()
            one.lab.clock.suspend(2)
            one.source.put(DB, b"canary-2", "2")
            answer = await one.post("/v1/refresh", {})
            one.permit(Rule(None, None, Globs(["*"])))
            denied = await one.post("/v1/refresh", {})
        assert {each["name"]: each["changed"] for each in answer.json["secrets"]} == {"db": True, "api": True}
        assert denied.status == 403

    async def test_an_unknown_name_is_404(self) -> None:
        """And nothing is checked."""
        async with served() as one:
            assert (await one.post("/v1/refresh", {"names": ["db", "nope"]})).status == 404
            assert one.source.fetches == []

    async def test_a_stop_ends_it_in_time(self) -> None:
        """How it stands is told even then."""
        source = HeldSource()
        async with served(source=source) as one, asyncio.TaskGroup() as tasks:
            call = tasks.create_task(one.ask("POST", "/v1/refresh", content=b'{"names": ["db"]}', Prefer="wait=0"))
            answer = await call
            source.let.set()
        assert answer.json["secrets"][0]["state"] == "pending"
