"""What the accounts really have is asked for once a day, and nothing depends on it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from sidecar.core.errors import AccessDenied, Failure, Unreachable
from sidecar.core.ports import Gate
from sidecar.core.quotas import Limits, Scope
from sidecar.engine.discovery import DAY, Discovery
from tests.aws.gates import OpenGate
from tests.engine.fakes import SCOPE, ssm
from tests.engine.world import laboratory

pytestmark = pytest.mark.looptime

HERE = Scope("111111111111", "eu-west-1")
THERE = Scope("222222222222", "eu-west-1")
Rates = Mapping[str, float]


@dataclass
class Account:
    """Two accounts' Service Quotas, told by identity; a failure is raised."""

    tells: dict[str, tuple[Scope, Rates] | Failure] = field(default_factory=dict)
    asked: list[tuple[float, str]] = field(default_factory=list)

    async def ask(self, identity: str, _gate: Gate) -> tuple[Scope, Rates]:
        """Answer, and note when."""
        self.asked.append((asyncio.get_running_loop().time(), identity))
        answer = self.tells[identity]
        if isinstance(answer, Failure):
            raise answer
        return answer


@asynccontextmanager
async def discovering(account: Account) -> AsyncIterator[list[dict[Scope, Rates]]]:
    """Run it, with dice that show the middle; give what it found, each time."""
    found: list[dict[Scope, Rates]] = []
    discovery = Discovery(
        account.ask, list(account.tells), OpenGate, lambda: 0.5, lambda rates: found.append(dict(rates))
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(discovery.run())
        yield found
        running.cancel()


async def test_each_identity_is_asked_for_once_a_day() -> None:
    """Not all daemons in the same instant; what is found is handed on when it is new."""
    account = Account({"default": (HERE, {"ssm.get": 100.0}), "billing": (THERE, {"sm.get": 5.0})})
    async with discovering(account) as found:
        await asyncio.sleep(DAY)
        account.tells["default"] = (HERE, {"ssm.get": 200.0})
        await asyncio.sleep(DAY)
    assert account.asked == [
        (30, "default"),
        (30, "billing"),
        (30 + DAY, "default"),
        (30 + DAY, "billing"),
    ]
    assert [{scope: each[scope] for scope in (HERE, THERE) if scope in each} for each in found] == [
        {HERE: {"ssm.get": 100.0}},
        {HERE: {"ssm.get": 100.0}, THERE: {"sm.get": 5.0}},
        {HERE: {"ssm.get": 200.0}, THERE: {"sm.get": 5.0}},
    ]
    assert found[-1][Scope("billing", "eu-west-1")] == {"sm.get": 5.0}


async def test_a_missing_permission_is_said_once() -> None:
    """And asked for again each day: somebody may grant it."""
    account = Account({"default": AccessDenied("quotas of kms: AWS does not allow it")})
    with capture_logs() as logs:
        async with discovering(account) as found:
            await asyncio.sleep(3 * DAY)
    assert [(line["event"], line["why"]) for line in logs] == [("quotas_unknown", "access_denied")]
    assert "servicequotas:ListServiceQuotas" in logs[0]["mend"]
    assert len(account.asked) == 3
    assert found == []


async def test_an_outage_is_followed_by_another_question() -> None:
    """Within ten minutes; once AWS has answered, its next silence is said again."""
    account = Account({"default": Unreachable("down")})
    with capture_logs() as logs:
        async with discovering(account) as found:
            await asyncio.sleep(200)
            account.tells["default"] = (HERE, {"ssm.get": 100.0})
            await asyncio.sleep(200)
            assert found == [{scope: {"ssm.get": 100.0} for scope in (HERE, Scope("default", "eu-west-1"))}]
            account.tells["default"] = Unreachable("down")
            await asyncio.sleep(DAY)
    assert [line["event"] for line in logs] == ["quotas_unknown", "quotas_discovered", "quotas_unknown"]
    assert [at for at, _ in account.asked][:2] == [30, 330]


async def test_the_guard_goes_by_what_was_found() -> None:
    """Each account by its own; one that nothing is known of by the default."""
    async with laboratory() as lab:
        lab.source.put(ssm("/p"), b"x")
        lab.declare({"p": ssm("/p")})
        await asyncio.sleep(1)
        limits = []
        for discovered in ({SCOPE: {"ssm.get": 7.0}}, {THERE: {"ssm.get": 9.0}}):
            lab.guard.adopt(Limits(share=1.0, discovered=discovered))
            limits += [reading.limit for reading in lab.guard.readings()]
        assert limits == [7.0, 40.0]
