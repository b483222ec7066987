import asyncio
from dataclasses import replace
from urllib.parse import quote

import pytest

from sidecar.core.access import Globs, Rule
from sidecar.core.config.models import Cache
from sidecar.core.errors import AccessDenied, NotFound, Throttled, Undecryptable, Unintelligible, Unreachable
from tests.api.served import API, DB, JSON_DB, HeldSource, parse, served
from tests.engine.fakes import ssm


class TestOneValue:
    """GET /v1/values/{name}."""

    async def test_gives_the_bytes_and_says_of_what_and_how(self) -> None:
        """A miss is fetched; the answer is the value and nothing else."""
        async with served() as one:
            answer = await one.get("/v1/values/db")
        assert (answer.status, answer.body) == (200, JSON_DB)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-status"] == "sidecar; fwd=miss"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["age"] == "0"
        assert answer.headers["server"] == "sidecar"

    async def test_a_hit_asks_nobody(self) -> None:
        """The second time it comes from memory, with the same tag."""
        async with served(cache=Cache(ttl=240)) as one:
            first = await one.get("/v1/values/db")
            one.lab.clock.suspend(100)
            second = await one.get("/v1/values/db")
            assert len(one.source.fetches) == 1
        assert first.headers["etag"] == second.headers["etag"]
        assert second.headers["cache-status"] == "sidecar; hit; ttl=139"
        assert second.headers["age"] == "100"

    async def test_a_stale_value_says_so(self) -> None:
        """Past its ttl a value is served, visibly."""
        async with served(cache=Cache(ttl=100)) as one:
            await one.hold()
            one.lab.clock.suspend(512)
            answer = await one.get("/v1/values/db")
        assert answer.status == 200
        assert answer.headers["cache-status"] == "sidecar; hit; ttl=-413; detail=stale"

    async def test_many_callers_of_a_cold_value_cost_one_fetch(self) -> None:
        """Those who joined say collapsed."""
        source = HeldSource()
        async with served(source=source) as one, asyncio.TaskGroup() as tasks:
            calls = [tasks.create_task(one.get("/v1/values/db")) for _ in range(20)]
            await one.waiting(20)
            source.let.set()
            answers = [await call for call in calls]
        assert len(source.fetches) == 1
        assert {answer.body for answer in answers} == {JSON_DB}
        statuses = sorted(answer.headers["cache-status"] for answer in answers)
        assert statuses == ["sidecar; fwd=miss", *["sidecar; fwd=miss; collapsed"] * 19]

    async def test_head_has_everything_but_the_body(self) -> None:
        """HEAD works."""
        async with served() as one:
            got, head = await one.get("/v1/values/db"), await one.ask("HEAD", "/v1/values/db")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["etag"] == got.headers["etag"]
        assert head.headers["content-length"] == str(len(JSON_DB))

    async def test_a_field_is_cut_out(self) -> None:
        """Two fields of one value cost one fetch and have tags of their own."""
        async with served({"user": replace(DB, field="user"), "password": replace(DB, field="password")}) as one:
            user, password = await one.get("/v1/values/user"), await one.get("/v1/values/password")
            assert len(one.source.fetches) == 1
        assert (user.body, password.body) == (b"app", b"canary-1")
        assert user.headers["content-type"] == "text/plain; charset=utf-8"
        assert user.headers["etag"] != password.headers["etag"]

    @pytest.mark.parametrize("spelling", ["app/feature/x", "app%2Ffeature%2fx", "app/feature%2Fx", "%61pp/feature/x"])
    async def test_a_slash_may_be_escaped(self, spelling: str) -> None:
        """All these are the name app/feature/x."""
        async with served({"app/feature/x": API}) as one:
            assert (await one.get(f"/v1/values/{spelling}")).body == b"canary-api"

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "a//b",
            "/a",
            "a/",
            "../etc",
            "a/../b",
            "a%2F..%2Fb",
            ".",
            "%00",
            "a%00b",
            "%ff",
            "a%2",
            "a b",
            "a%20b",
            "x" * 10_240,
        ],
    )
    async def test_a_bad_name_is_400_and_not_repeated(self, name: str) -> None:
        """No name, no look-up, no echo."""
        async with served() as one:
            answer = await one.raw(f"GET /v1/values/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert b" 400 " in answer.partition(b"\r\n")[0]
        assert b"application/problem+json" in answer
        assert b"etc" not in answer
        assert len(answer) < 1000

    async def test_an_unknown_name_is_404(self) -> None:
        """Without rules it may be known that a name does not exist; it is not repeated."""
        async with served() as one:
            answer = await one.get("/v1/values/nothing-here")
        assert answer.status == 404
        assert answer.json["type"] == "urn:sidecar:problem:no-such-name"
        assert b"nothing-here" not in answer.body

    async def test_unknown_and_doubled_parameters_are_400(self) -> None:
        """A slip in a parameter's name must not pass for its absence."""
        async with served() as one:
            for query in ("prevous=1", "previous=2", "previous=1&previous=1", "previous=%ff", "=1"):
                assert (await one.get(f"/v1/values/db?{query}")).status == 400


class TestFailures:
    """What stands between a caller and a value."""

    @pytest.mark.parametrize(
        ("failure", "status"),
        [
            (AccessDenied(f"{DB}: access denied"), 403),
            (NotFound(f"{DB}: not found"), 404),
            (Undecryptable(f"{DB}: does not open"), 502),
            (Unintelligible(f"{DB}: no fields"), 502),
            (Unreachable(f"{DB}: no network"), 503),
        ],
    )
    async def test_a_failure_is_told_with_its_secret_and_mend(self, failure: Exception, status: int) -> None:
        """Status by the table; the name, what happened, what to do."""
        async with served() as one:
            one.source.failures[DB] = failure  # type: ignore[assignment]
            answer = await one.get("/v1/values/db")
        assert answer.status == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json["name"] == "db"
        assert answer.json["detail"] == str(failure)
        assert answer.json["mend"]

    async def test_throttling_says_when_to_come_back(self) -> None:
        """Retry-After in whole seconds."""
        async with served() as one:
            one.source.failures[DB] = Throttled(f"{DB}: slow down", retry_after=6.2)
            answer = await one.get("/v1/values/db")
        assert (answer.status, answer.headers["retry-after"]) == (503, "7")

    async def test_a_wait_that_ends_first_is_504(self) -> None:
        """Nothing held, and AWS has not answered when the caller's wait is over."""
        source = HeldSource()
        async with served(source=source) as one:
            answer = await one.get("/v1/values/db", Prefer="wait=0")
            source.let.set()
        assert answer.status == 504
        assert answer.json["name"] == "db"

    async def test_a_field_that_is_not_there_is_422(self) -> None:
        """The value is held, the field is not in it."""
        async with served({"x": replace(DB, field="nope"), "y": replace(API, field="x")}) as one:
            for name in "xy":
                answer = await one.get(f"/v1/values/{name}")
                assert (answer.status, answer.json["type"]) == (422, "urn:sidecar:problem:bad-field")
                assert b"canary" not in answer.body


class TestConditions:
    """If-None-Match and Prefer."""

    async def test_whoever_has_it_gets_304(self) -> None:
        """Weakly compared, in a list, or by a star; no body."""
        async with served() as one:
            etag = (await one.get("/v1/values/db")).headers["etag"]
            for condition in (etag, f"W/{etag}", f'"other", {etag}', "*"):
                answer = await one.get("/v1/values/db", If_None_Match=condition)
                assert (answer.status, answer.body) == (304, b"")
                assert answer.headers["etag"] == etag
                assert "content-type" not in answer.headers
            assert (await one.get("/v1/values/db", If_None_Match='"other"')).status == 200

    async def test_a_long_poll_ends_with_the_change(self) -> None:
        """The new version comes as soon as it is held."""
        async with served() as one, asyncio.TaskGroup() as tasks:
            await one.hold()
            etag = (await one.get("/v1/values/db")).headers["etag"]
            poll = tasks.create_task(one.get("/v1/values/db", If_None_Match=etag, Prefer="wait=900"))
            await one.waiting()
            one.change(API, b"other", "2")
            one.change(DB, b"canary-2", "2")
            answer = await poll
        assert (answer.status, answer.body) == (200, b"canary-2")
        assert answer.headers["preference-applied"] == "wait=300"

    async def test_conditions_and_preferences_may_come_in_several_lines(self) -> None:
        """A list is a list, however it is spread."""
        async with served() as one:
            etag = (await one.get("/v1/values/db")).headers["etag"]
            lines = f'If-None-Match: "other"\r\nIf-None-Match: {etag}\r\nPrefer: respond-async\r\nPrefer: wait=0\r\n'
            asked = f"GET /v1/values/db HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n"
            answer = parse(await one.raw(asked.encode()))
        assert (answer.status, answer.headers["preference-applied"]) == (304, "wait=0")

    async def test_a_long_poll_of_any_version_waits_on(self) -> None:
        """`*` names every version, so another one is no news."""
        async with served() as one, asyncio.TaskGroup() as tasks:
            await one.hold()
            poll = tasks.create_task(one.get("/v1/values/db", If_None_Match="*", Prefer="wait=300"))
            await one.waiting()
            one.change(DB, b"canary-2", "2")
            one.lab.engine.store.settle(DB, NotFound(f"{DB}: gone"))
            assert (await poll).status == 404

    async def test_a_long_poll_follows_its_name(self) -> None:
        """A reload may give the name another value, or to nobody; what it waited on is not what it asked for."""
        async with served() as one, asyncio.TaskGroup() as tasks:
            await one.hold()
            etag = (await one.get("/v1/values/db")).headers["etag"]
            polls = [
                tasks.create_task(one.get(f"/v1/{kind}/db", If_None_Match=etag, Prefer="wait=300"))
                for kind in ("values", "secrets")
            ]
            await one.waiting(2)
            one.lab.declare({"db": API})
            await one.hold(API)
            value, secret = [await poll for poll in polls]
            other = tasks.create_task(one.get("/v1/values/db", If_None_Match="*", Prefer="wait=300"))
            await one.waiting()
            one.lab.declare({"api": API})
            one.change(API, b"2", "2")
            assert (await other).json["type"] == "urn:sidecar:problem:no-such-name"
        assert (value.body, secret.json["value"], secret.json["ref"]) == (b"canary-api", "canary-api", "ssm:/prod/api")
        assert secret.headers["etag"] == secret.json["etag"] == value.headers["etag"]

    @pytest.mark.parametrize("target", ["/v1/values/db", "/v1/resolve?ref=ssm:/x", "/v1/values?name=db"])
    async def test_a_long_poll_loses_its_right_with_the_rule(self, target: str) -> None:
        """What changes after a reload took the right away is not for this caller any more."""
        async with served() as one, asyncio.TaskGroup() as tasks:
            one.source.put(ssm("/x"), b"canary-x")
            await one.hold()
            etag = (await one.get(target)).headers["etag"]
            poll = tasks.create_task(one.get(target, If_None_Match=etag, Prefer="wait=300"))
            await one.waiting()
            one.permit(Rule(None, None, Globs(["nothing"])), on_demand=())
            one.change(ssm("/x"), b"canary-x2", "2")
            one.change(DB, b"canary-2", "2")
            answer = await poll
        assert answer.status == 403
        assert b"canary" not in answer.body

    async def test_a_long_poll_of_several_ends_with_the_first_change(self) -> None:
        """The new one of what changed, and the rest as it stands; before that 304 only when the wait is over."""
        async with served() as one, asyncio.TaskGroup() as tasks:
            etag = (await one.get("/v1/values?name=db&name=api")).headers["etag"]
            soon = await one.get("/v1/values?name=db&name=api", If_None_Match=etag, Prefer="wait=0")
            poll = tasks.create_task(one.get("/v1/values?name=db&name=api", If_None_Match=etag, Prefer="wait=300"))
            await one.waiting(3)  # two answers before it
            one.change(API, b"canary-2", "2")
            answer = await poll
        assert (soon.status, soon.headers["preference-applied"]) == (304, "wait=0")
        assert (answer.status, answer.json) == (200, {"db": JSON_DB.decode(), "api": "canary-2"})
        assert answer.headers["preference-applied"] == "wait=300"

    async def test_a_long_poll_of_several_ends_with_a_deletion(self) -> None:
        """And names what was deleted."""
        async with served() as one, asyncio.TaskGroup() as tasks:
            etag = (await one.get("/v1/values?name=db&name=api")).headers["etag"]
            poll = tasks.create_task(one.get("/v1/values?name=db&name=api", If_None_Match=etag, Prefer="wait=300"))
            await one.waiting(2)
            one.lab.engine.store.settle(DB, NotFound(f"{DB}: gone"))
            answer = await poll
        assert (answer.status, [each["name"] for each in answer.json["errors"]]) == (404, ["db"])

    async def test_a_long_poll_without_change_ends_with_304(self) -> None:
        """After the wait that was asked for."""
        async with served() as one:
            etag = (await one.get("/v1/values/db")).headers["etag"]
            answer = await one.get("/v1/values/db", If_None_Match=etag, Prefer="wait=0.5, wait=0")
        assert (answer.status, answer.headers["preference-applied"]) == (304, "wait=0")

    async def test_a_long_poll_ends_with_the_deletion(self) -> None:
        """Deleted is a change too."""
        async with served() as one, asyncio.TaskGroup() as tasks:
            await one.hold()
            etag = (await one.get("/v1/values/db")).headers["etag"]
            poll = tasks.create_task(one.get("/v1/values/db", If_None_Match=etag, Prefer="wait=300"))
            await one.waiting()
            one.lab.engine.store.settle(DB, NotFound(f"{DB}: gone"))
            assert (await poll).status == 404


class TestPrevious:
    """GET /v1/values/{name}?previous=1."""

    async def test_the_version_before_is_kept_for_a_while(self) -> None:
        """Both are there after a rotation, and only the new one once its time is over."""
        async with served(cache=Cache(keep_previous=900)) as one:
            assert (await one.get("/v1/values/db?previous=1")).status == 504
            await one.hold()
            assert (await one.get("/v1/values/db?previous=1")).status == 404
            old = await one.get("/v1/values/db")
            one.change(DB, b"canary-2", "2")
            one.lab.clock.suspend(60)
            previous = await one.get("/v1/values/db?previous=1")
            assert (await one.get("/v1/values/db")).body == b"canary-2"
            one.lab.clock.suspend(900)
            assert (await one.get("/v1/values/db?previous=1")).json["type"] == "urn:sidecar:problem:not-kept"
        assert (previous.status, previous.body) == (200, JSON_DB)
        assert previous.headers["etag"] == old.headers["etag"]
        assert previous.headers["age"] == "60"
        assert previous.headers["cache-status"] == "sidecar; hit; ttl=839; detail=previous"

    async def test_a_field_that_the_old_version_lacks_is_422(self) -> None:
        """And one of a value that is refused is not shown at all."""
        async with served({"new": replace(DB, field="new")}, cache=Cache(revoke_after=0)) as one:
            await one.hold()
            one.change(DB, b'{"new": "canary"}', "2")
            assert (await one.get("/v1/values/new?previous=1")).status == 422
            one.lab.engine.store.settle(DB, AccessDenied(f"{DB}: denied"))
            one.lab.clock.suspend(1)
            assert (await one.get("/v1/values/new?previous=1")).status == 403


class TestSeveral:
    """GET /v1/values?name=a&name=b."""

    async def test_all_of_one_moment(self) -> None:
        """Cold ones are asked for together; each name once; binary as base64."""
        async with served({"db": DB, "api": API, "bin": ssm("/bin")}) as one:
            one.source.put(ssm("/bin"), b"\xff\x00")
            answer = await one.get("/v1/values?name=db&name=api&name=bin&name=db")
            assert [len(batch) for batch in one.source.fetches] == [3]
            again = await one.get("/v1/values?name=db&name=api&name=bin", If_None_Match=answer.headers["etag"])
        assert answer.json == {"db": JSON_DB.decode(), "api": "canary-api", "bin": {"base64": "/wA="}}
        assert answer.headers["cache-status"] == "sidecar; fwd=miss"
        assert again.status == 304

    async def test_an_error_names_each_that_failed(self) -> None:
        """And gives none of the values."""
        async with served() as one:
            one.source.failures[API] = Unreachable(f"{API}: no network")
            answer = await one.get("/v1/values?name=db&name=api&name=nope")
        assert answer.status == 404
        assert [(each["name"], each["status"]) for each in answer.json["errors"]] == [("nope", 404), ("api", 503)]
        assert b"canary" not in answer.body

    async def test_no_name_is_400(self) -> None:
        """All at once is not offered."""
        async with served() as one:
            assert (await one.get("/v1/values")).status == 400
            assert (await one.get("/v1/values?name=a/../b&name=db")).status == 400


class TestDescribed:
    """GET /v1/secrets and /v1/secrets/{name}."""

    async def test_a_secret_comes_with_what_is_known(self) -> None:
        """Times in UTC; the value as text."""
        async with served(cache=Cache(ttl=60)) as one:
            one.source.put(DB, JSON_DB, "7")
            secret = one.source.values[DB]
            revision = replace(secret.revision, labels=("green",), modified_at=1_760_000_000.25)
            one.source.values[DB] = replace(secret, revision=revision)
            answer = await one.get("/v1/secrets/db")
        known = answer.json
        assert known["value"] == JSON_DB.decode()
        assert (known["name"], known["ref"], known["version"], known["state"]) == ("db", "ssm:/prod/db", "7", "fresh")
        assert (known["labels"], known["region"]) == (["green"], "eu-west-1")
        assert known["modified_at"] == "2025-10-09T08:53:20.250Z"
        assert known["etag"] == answer.headers["etag"]
        assert known["fetched_at"] == known["confirmed_at"] < known["expires_at"]

    async def test_bytes_that_are_no_text_come_in_base64(self) -> None:
        """value_base64, and no value."""
        async with served() as one:
            one.source.put(DB, b"\xff\x00")
            known = (await one.get("/v1/secrets/db")).json
            value = await one.get("/v1/values/db")
        assert known["value_base64"] == "/wA="
        assert "value" not in known
        assert value.headers["content-type"] == "application/octet-stream"

    async def test_the_list_has_no_values(self) -> None:
        """All names, held or not, and what is held on demand by its reference."""
        async with served() as one:
            await one.hold()
            one.source.put(ssm("/x"), b"canary-x")
            await one.get("/v1/resolve?ref=ssm:/x")
            answer = await one.get("/v1/secrets")
        assert {each["name"]: each["state"] for each in answer.json["secrets"]} == {
            "db": "fresh",
            "api": "pending",
            "ssm:/x": "fresh",
        }
        assert b"canary" not in answer.body

    async def test_a_long_list_lets_others_have_their_turn(self) -> None:
        """A thousand names come complete."""
        async with served({f"s{number}": ssm(f"/s{number}") for number in range(1000)}) as one:
            assert len((await one.get("/v1/secrets")).json["secrets"]) == 1000


class TestResolve:
    """GET /v1/resolve?ref=."""

    async def test_reads_what_nobody_declared(self) -> None:
        """In any spelling, once for all spellings."""
        async with served() as one:
            one.source.put(ssm("/x"), b'{"a": "canary"}')
            answer = await one.get("/v1/resolve?ref=" + quote("ssm:/x#a"))
            again = await one.get("/v1/resolve?ref=" + quote("{{resolve:ssm:/x}}"))
            assert one.source.fetches == [[ssm("/x")]]
        assert (answer.json["name"], answer.json["value"]) == ("ssm:/x#a", "canary")
        assert again.json["value"] == '{"a": "canary"}'

    async def test_a_plus_is_a_plus(self) -> None:
        """Names in Secrets Manager may have one, so it is no space here."""
        async with served() as one:
            answer = await one.get("/v1/resolve?ref=ssm:/a+b")
            assert answer.status == 400  # Parameter Store has none

    @pytest.mark.parametrize("ref", ["", "nonsense", "ssm:", "kms:no-base64!", "ssm:/a%00b", "ssm:/" + "a" * 9000])
    async def test_a_bad_ref_is_400(self, ref: str) -> None:
        """And is not repeated."""
        async with served() as one:
            answer = await one.get(f"/v1/resolve?ref={ref}")
        assert answer.status == 400
        assert b"nonsense" not in answer.body

    async def test_no_ref_is_400(self) -> None:
        """The parameter is needed."""
        async with served() as one:
            assert (await one.get("/v1/resolve")).status == 400

    async def test_what_on_demand_does_not_allow_is_403(self) -> None:
        """Declared ones and their fields may be asked for by reference all the same."""
        async with served() as one:
            one.permit(on_demand=("ssm:/open/*",))
            one.source.put(ssm("/open/x"), b"yes")
            assert (await one.get("/v1/resolve?ref=ssm:/open/x")).status == 200
            assert (await one.get("/v1/resolve?ref=ssm:/closed")).status == 403
            assert (await one.get("/v1/resolve?ref=ssm:/prod/db")).status == 200
            assert (await one.get("/v1/resolve?ref=ssm:/prod/db%23user")).json["value"] == "app"
            assert [ssm("/closed")] not in one.source.fetches

    async def test_it_is_404_when_aws_knows_none(self) -> None:
        """With the reference as the name."""
        async with served() as one:
            answer = await one.get("/v1/resolve?ref=ssm:/nothing")
        assert (answer.status, answer.json["name"]) == (404, "ssm:/nothing")
