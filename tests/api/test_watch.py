import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from sidecar.api.asks import Ask
from sidecar.api.permits import UNKNOWN
from sidecar.api.services import Services
from sidecar.api.watch import SILENCE, Watch, seen_by
from sidecar.core.access import Globs, Rule
from sidecar.core.config.models import TreeSpec
from sidecar.core.errors import NotFound
from sidecar.core.names import Name
from sidecar.core.ports import Priority
from sidecar.core.refs import Tree
from sidecar.core.secret import Plaintext, Revision, Secret, Version
from sidecar.engine.catalogue import Declared
from tests.api.served import API, BOOT, DB, Served, in_memory, served
from tests.engine.fakes import ssm


async def walk(one: Served) -> None:
    """Walk the tree anew."""
    tree = one.lab.engine.trees.entries[Name("app")]
    async with asyncio.TaskGroup() as tasks:
        await one.lab.engine.trees.start(tree.prefix, one.lab.guard.gate(Priority.BACKGROUND), tasks).landed


async def event(reader: asyncio.StreamReader) -> Mapping[str, Any]:
    """Read one event, comments left out."""
    block = (await reader.readuntil(b"\n\n")).decode()
    fields = dict(line.split(": ", 1) for line in block.strip().split("\n") if not line.startswith(":"))
    return {"id": fields.get("id"), **json.loads(fields.get("data", "{}"))}


class TestSeen:
    """Last-Event-ID."""

    @pytest.mark.parametrize(
        ("last", "seen"),
        [
            (None, 7),
            (f"{BOOT}-3", 3),
            (f"{BOOT}-7", 7),
            (f"{BOOT}-8", 0),
            ("other-3", 0),
            ("3", 0),
            ("", 0),
            (f"{BOOT}-x", 0),
            (f"{BOOT}-²", 0),
            (f"{BOOT}-{'9' * 5000}", 0),
        ],
    )
    def test_a_strange_id_has_seen_nothing(self, last: str | None, seen: int) -> None:
        """One of another life, of the future or of nobody."""
        assert seen_by(last, BOOT, 7) == seen


class TestWatch:
    """GET /v1/watch over a socket."""

    async def test_tells_of_each_new_version(self) -> None:
        """Of the names that were asked for, without their values."""
        async with served() as one:
            await one.hold()
            async with one.open("/v1/watch?name=db") as reader:
                assert (await event(reader))["id"] == f"{BOOT}-1"
                one.change(API, b"canary", "2")
                one.change(DB, b"canary-2", "2")
                told = await event(reader)
        assert (told["name"], told["version"], told["state"], told["id"]) == ("db", "2", "fresh", f"{BOOT}-3")
        assert "value" not in told

    async def test_values_come_with_it_where_they_are_wanted(self) -> None:
        """values=1."""
        async with served() as one, one.open("/v1/watch?values=1") as reader:
            await event(reader)
            one.change(DB, b"canary-2", "2")
            assert (await event(reader))["value"] == "canary-2"

    async def test_goes_on_where_it_broke_off(self) -> None:
        """By Last-Event-ID, across names; of many changes of one name only the last."""
        async with served() as one:
            await one.hold()
            await one.hold(API)
            one.change(DB, b"2", "2")
            one.change(API, b"2", "2")
            one.change(DB, b"3", "3")
            async with one.open("/v1/watch", Last_Event_ID=f"{BOOT}-2") as reader:
                await event(reader)
                told = [await event(reader), await event(reader)]
        assert [(each["name"], each["version"], each["id"]) for each in told] == [
            ("api", "2", f"{BOOT}-4"),
            ("db", "3", f"{BOOT}-5"),
        ]

    async def test_a_strange_position_gets_every_current_version(self) -> None:
        """After a restart; not of what is not held."""
        async with served({"db": DB, "api": API, "x": ssm("/x")}) as one:
            await one.hold()
            await one.hold(API)
            one.lab.engine.store.settle(API, NotFound(f"{API}: gone"))
            async with one.open("/v1/watch", Last_Event_ID="other-99") as reader:
                await event(reader)
                told = await event(reader)
                one.change(ssm("/x"), b"", "1")
                assert (await event(reader))["name"] == "x"
        assert told["name"] == "db"

    async def test_tells_of_a_deletion(self) -> None:
        """As a change to absent."""
        async with served() as one:
            await one.hold()
            async with one.open("/v1/watch?name=db&values=1") as reader:
                await event(reader)
                one.lab.engine.store.settle(DB, NotFound(f"{DB}: gone"))
                told = await event(reader)
        assert (told["state"], told["version"], told["reason"]) == ("absent", None, "not_found")

    async def test_two_names_of_one_value_share_a_position(self) -> None:
        """It stands behind the last of them, so that none is lost in between."""
        async with served({"a": DB, "b": DB}) as one, one.open("/v1/watch") as reader:
            await event(reader)
            one.change(DB, b"2", "2")
            told = [await event(reader), await event(reader)]
        assert [(each["name"], each["id"]) for each in told] == [("a", None), ("b", f"{BOOT}-1")]

    async def test_a_slow_reader_skips_to_the_newest_and_blocks_nobody(self) -> None:
        """While one does not read, others are answered, and it finds the last version, not all of them."""
        big = 400_000
        async with served() as one, one.open("/v1/watch?name=db&values=1") as slow:
            await event(slow)
            for version in range(1, 60):
                one.change(DB, str(version).encode() * big, str(version))
                assert (await one.get("/v1/values/db")).headers["etag"]
            slow._limit = 2**26  # type: ignore[attr-defined]  # noqa: SLF001 -- one event is larger than a line may be
            versions = [(await event(slow))["version"]]
            while versions[-1] != "59":
                versions.append((await event(slow))["version"])
        assert len(versions) < 30

    async def test_an_unknown_name_is_404(self) -> None:
        """And a bad one 400."""
        async with served() as one:
            assert (await one.get("/v1/watch?name=nope")).status == 404
            assert (await one.get("/v1/watch?name=..")).status == 400
            assert (await one.get("/v1/watch?values=yes")).status == 400

    async def test_head_does_not_stream(self) -> None:
        """Headers alone."""
        async with served() as one:
            answer = await one.ask("HEAD", "/v1/watch")
        assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")

    async def test_shows_only_what_the_caller_may_see(self) -> None:
        """Rules count for each event, those of a reload too."""
        async with served() as one:
            one.permit(Rule(None, None, Globs(["db"])))
            assert (await one.get("/v1/watch?name=api")).status == 403
            async with one.open("/v1/watch") as reader:
                await event(reader)
                one.change(API, b"2", "2")
                one.change(DB, b"2", "2")
                assert (await event(reader))["name"] == "db"
                one.permit(Rule(None, None, Globs(["api"])))
                one.change(DB, b"3", "3")
                one.change(API, b"3", "3")
                assert (await event(reader))["name"] == "api"

    async def test_tells_of_a_name_that_comes_to_stand_for_what_is_held(self) -> None:
        """A reload fetches nothing for it; it is another value of that name all the same, of all and by name."""
        async with served() as one:
            await one.hold()
            await one.hold(API)
            for path in ("/v1/watch", "/v1/watch?name=db"):
                one.lab.declare({"db": DB, "api": API})
                async with one.open(path) as reader:
                    await event(reader)
                    one.lab.declare({"db": API, "api": API})
                    told = await event(reader)
                    one.change(API, b"3", told["version"] + "3")
                    again = {(await event(reader))["name"] for _ in ({"db"} if "=" in path else {"db", "api"})}
                assert (told["name"], told["ref"]) == ("db", str(API))
                assert "db" in again

    async def test_tells_of_a_parameter_that_left_its_tree(self) -> None:
        """As of any deletion, though its name is known no more; and when it comes back."""
        leaf = ssm("/app/leaf")
        async with served() as one:
            source = one.lab.source
            source.put(leaf, b"v1")
            source.put(ssm("/app/other"), b"v1")
            one.lab.declare(trees={"app": TreeSpec(Tree("/app"))})
            assert (await one.get("/v1/values/app/leaf")).status == 200
            for path in ("/v1/watch?values=1", "/v1/watch?name=app/leaf"):
                async with one.open(path) as reader:
                    await event(reader)
                    source.values.pop(leaf)
                    await walk(one)
                    told = await event(reader)
                    assert (told["name"], told["state"], told["reason"]) == ("app/leaf", "absent", "not_found")
                    assert (await one.get("/v1/values/app/leaf")).status == 404
                    source.put(leaf, b"v2", version="2")
                    await walk(one)
                    assert (await event(reader))["state"] == "fresh"

    async def test_ends_at_once_when_the_daemon_stops(self) -> None:
        """A clean end, not a reset."""
        async with served() as one, one.open("/v1/watch") as reader:
            await event(reader)
            await one.interface.drain()
            assert await reader.read() == b""


class TestLevels:
    """What a watch remembers."""

    @pytest.mark.looptime
    async def test_what_changes_while_it_is_told_of_comes_once(self) -> None:
        """With its newest version, in its new place."""
        async with in_memory() as services:
            for name in ("a", "b"):
                services.engine.catalogue.add(Declared(Name(name), ssm(f"/{name}")))
                services.engine.resolver.open(ssm(f"/{name}"))
                settle(services, name, "1")
            events = Watch(services, Ask(UNKNOWN, {}), frozenset(), 0, with_values=False).events()
            await anext(events)
            first = await anext(events)
            settle(services, "b", "2")
            second = await anext(events)
            await events.aclose()
        assert (b'"a"' in first, b'"b"' in second, f"id: {BOOT}-3".encode() in second) == (True, True, True)

    @pytest.mark.looptime
    async def test_a_field_that_is_missing_is_told_as_that(self) -> None:
        """The change comes all the same."""
        async with in_memory() as services:
            services.engine.catalogue.add(Declared(Name("a"), replace(ssm("/a"), field="x")))
            services.engine.resolver.open(ssm("/a"))
            settle(services, "a", "1")
            events = Watch(services, Ask(UNKNOWN, {}), frozenset({"a", "gone"}), 0, with_values=True).events()
            await anext(events)
            told = await anext(events)
            await events.aclose()
        assert b'"reason": "bad_field"' in told


def settle(services: Services, name: str, version: str) -> None:
    """Have a value of this version held."""
    ref = ssm(f"/{name}")
    services.engine.store.settle(ref, Secret(Revision(ref, Version(version), "eu-west-1"), Plaintext(b"{}")))


class TestSilence:
    """What is sent when nothing happens."""

    @pytest.mark.looptime
    async def test_a_comment_comes_each_fifteen_seconds(self, looptime: float) -> None:
        """By which both sides know that the connection lives."""
        async with in_memory() as services:
            events = Watch(services, Ask(UNKNOWN, {}), frozenset(), 0, with_values=False).events()
            assert await anext(events) == f": watching\nid: {BOOT}-0\n\n".encode()
            assert [await anext(events), await anext(events)] == [b": alive\n\n"] * 2
            await events.aclose()
        assert looptime == 2 * SILENCE
