import asyncio

import pytest

from sidecar.core.access import Globs, Rule
from sidecar.core.outlook import Lengthened, Outlook, Stretch
from sidecar.engine.leasing import Leasing
from sidecar.fleet.memory import MemoryLeases
from tests.api.served import API, DB, served
from tests.engine.fakes import ssm


class TestHealthz:
    """GET /healthz."""

    async def test_is_200_while_the_poller_moves(self) -> None:
        """Also when AWS knows nothing of what is declared."""
        async with served({"gone": ssm("/gone")}, polling=True) as one:
            answer = await one.get("/healthz")
        assert (answer.status, answer.json) == (200, {"healthy": True})

    async def test_is_503_when_it_does_not(self) -> None:
        """Nobody has ever polled here."""
        async with served() as one:
            answer = await one.get("/healthz")
        assert (answer.status, answer.json) == (503, {"healthy": False, "reason": "stalled"})


class TestReadyz:
    """GET /readyz."""

    async def test_names_what_is_missing_and_the_class_of_the_reason(self) -> None:
        """And becomes ready once all is held."""
        async with served({"db": DB, "gone": ssm("/gone")}) as one:
            before = await one.get("/readyz")
            await one.hold()
            await one.hold(ssm("/gone"))
            missing = await one.get("/readyz")
            one.change(ssm("/gone"), b"", "1")
            ready = await one.get("/readyz")
        assert (before.status, missing.status, ready.status) == (503, 503, 200)
        assert {each["reason"] for each in before.json["unready"]} == {"pending"}
        assert missing.json == {"ready": False, "stopping": False, "unready": [{"name": "gone", "reason": "not_found"}]}
        assert b"ssm:" not in missing.body

    async def test_is_not_ready_any_more_once_the_daemon_stops(self) -> None:
        """To whoever still has a connection."""
        async with served() as one:
            await one.hold()
            await one.hold(API)
            one.patience.end()
            answer = await one.get("/readyz")
        assert (answer.status, answer.json["stopping"]) == (503, True)


class TestMetrics:
    """GET /metrics."""

    @pytest.mark.parametrize(
        ("accept", "content_type"),
        [
            ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
            (
                "application/openmetrics-text; version=1.0.0, text/plain",
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            ),
            (
                "application/openmetrics-text; version=nonsense",
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            ),
            ("text/plain; version=nonsense", "text/plain; version=0.0.4; charset=utf-8"),
        ],
    )
    async def test_speaks_both_formats(self, accept: str, content_type: str) -> None:
        """Whatever the Accept header says, it gets series."""
        async with served() as one:
            answer = await one.get("/metrics", Accept=accept)
        assert (answer.status, answer.headers["content-type"]) == (200, content_type)
        assert b"sidecar_http_requests_total" in answer.body
        assert answer.body.endswith(b"# EOF\n") == ("openmetrics" in content_type)


class TestStatus:
    """GET /v1/status."""

    async def test_says_how_everything_stands(self) -> None:
        """Daemon, quotas, secrets; no values."""
        async with served() as one:
            await one.hold()
            answer = await one.get("/v1/status")
        status = answer.json
        assert (status["healthy"], status["ready"]) == (False, False)
        assert status["started_at"].endswith("Z")
        assert [quota["quota"] for quota in status["quotas"]] == ["ssm.get"]
        assert [(each["name"], each["state"]) for each in status["secrets"]] == [("db", "fresh"), ("api", "pending")]
        assert b"canary" not in answer.body
        assert (status["start_estimate_seconds"], status["budget"]) == (0.0, None)
        assert status["polling"] == {"behind_seconds": 0.0, "waits_for": []}
        assert {usage["service"] for usage in status["usage"]} >= {"kms", "secretsmanager", "ssm"}

    async def test_says_what_was_foreseen(self) -> None:
        """How long a start takes to everybody, what the budget does to admins."""
        stretch = Stretch(5.0, 10.0, 2.0, 4.9, (Lengthened(300.0, 600.0),))
        async with served() as one:
            one.services.outlook = Outlook(249.53, stretch)
            status = (await one.get("/v1/status")).json
            one.permit(Rule(None, None, Globs(["api"])))
            others = (await one.get("/v1/status")).json
        assert status["budget"] == {
            "dollars_per_month": 5.0,
            "configured_dollars_per_month": 10.0,
            "planned_dollars_per_month": 4.9,
            "stretch": 2.0,
            "kept": True,
            "intervals": [{"configured": 300.0, "now": 600.0}],
        }
        assert status["start_estimate_seconds"] == others["start_estimate_seconds"] == 249.5
        assert "budget" not in others

    async def test_says_how_it_stands_with_its_fleet(self) -> None:
        """To admins, where there is a fleet: connected or alone, since when, with how many."""
        async with served() as one:
            assert "fleet" not in (await one.get("/v1/status")).json
            now = asyncio.get_running_loop().time
            leasing = Leasing(MemoryLeases(now), "daemon", lambda: 0.5)
            one.services.guard.leasing = leasing
            fresh = (await one.get("/v1/status")).json["fleet"]
            leasing.found_at = now()
            connected = (await one.get("/v1/status")).json["fleet"]
            one.permit(Rule(None, None, Globs(["api"])))
            assert "fleet" not in (await one.get("/v1/status")).json
        assert fresh == {"connected": False, "since": None, "members": 0, "reason": None}
        assert (connected["connected"], connected["since"][-1]) == (True, "Z")

    async def test_shows_others_their_own_part(self) -> None:
        """Without an admin rule: no quotas, no other names, not among the missing either."""
        async with served() as one:
            one.permit(Rule(None, None, Globs(["api"])))
            status = (await one.get("/v1/status")).json
        assert not {"quotas", "usage"} & status.keys()
        assert [each["name"] for each in status["secrets"]] == ["api"]
        assert status["unready"] == [{"name": "api", "reason": "pending"}]
        assert status["ready"] is False
