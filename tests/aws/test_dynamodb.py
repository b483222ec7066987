import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cfnlint import decode

from sidecar.aws.dynamodb import DynamoLeases, Table
from sidecar.aws.sessions import CountRequest
from sidecar.core.config.models import IdentitySpec
from sidecar.core.errors import Failure, NotFound, StoreLost
from sidecar.core.leases import Bid, Lease
from sidecar.core.ports import LeaseStore
from tests.aws_fixtures import AwsAccount
from tests.fleet.conformance import ELSEWHERE, LASTING, POOL, SAFE, SHARE, Hands, LeaseStoreConformance

TEMPLATE = Path(__file__).parents[2] / "deploy" / "cloudformation" / "fleet-table.yaml"
TABLE = "sidecar-fleet"
TABLE_OF_PROD = Table(TABLE, "prod")
WALL = 1_800_000_000.0
BID = Bid(need=1_000, share=SHARE, safe=SAFE)


def create_table(account: AwsAccount) -> None:
    """Make the table as the template describes it."""
    template, problems = decode.decode(str(TEMPLATE))
    assert template is not None
    assert not problems
    asked = template["Resources"]["Table"]["Properties"]
    wanted = {name: asked[name] for name in ("BillingMode", "AttributeDefinitions", "KeySchema")}
    account.client("dynamodb").create_table(TableName=TABLE, **wanted)
    ttl = asked["TimeToLiveSpecification"]
    account.client("dynamodb").update_time_to_live(TableName=TABLE, TimeToLiveSpecification=dict(ttl))


def ignore(_service: str, _operation: str, _failure: Failure | None, _seconds: float) -> None:
    """Count nothing."""


def open_store(
    account: AwsAccount,
    clock: Hands,
    table: Table = TABLE_OF_PROD,
    *,
    seed: int = 0,
    count: CountRequest = ignore,
) -> DynamoLeases:
    """Connect a daemon."""
    spec = IdentitySpec(region=account.region, endpoint_url=account.url)
    dice = random.Random(seed).random
    return DynamoLeases(spec, table, wall=lambda: WALL, dice=dice, count=count, lasting=LASTING, clock=clock)


class TestDynamoLeases(LeaseStoreConformance):
    """The store in DynamoDB keeps the port's promises, each daemon with a connection and an observation of its own."""

    @pytest.fixture(autouse=True)
    def _table(self, aws: AwsAccount) -> None:
        self.account = aws
        create_table(aws)

    async def client(self, clock: Hands, exits: AsyncExitStack) -> LeaseStore:
        """Connect anew."""
        store = open_store(self.account, clock)
        exits.push_async_callback(store.close)
        return store

    async def flush(self) -> None:
        """Lose the table, and have an empty one."""
        self.account.client("dynamodb").delete_table(TableName=TABLE)
        create_table(self.account)


@pytest.fixture
def clock() -> Hands:
    """Give the clock of all daemons."""
    return Hands()


@pytest.fixture
async def stores(aws: AwsAccount, clock: Hands) -> AsyncIterator[list[DynamoLeases]]:
    """Give six daemons' stores, and the table."""
    create_table(aws)
    opened = [open_store(aws, clock, seed=seed) for seed in range(6)]
    yield opened
    for store in opened:
        await store.close()


@pytest.fixture
def store(stores: list[DynamoLeases]) -> DynamoLeases:
    """Give the store of one daemon."""
    return stores[0]


async def bid_all(stores: list[DynamoLeases], bids: list[Bid]) -> list[Lease]:
    """Let all daemons bid at the same moment."""
    async with asyncio.TaskGroup() as tasks:
        asked = [
            tasks.create_task(store.renew(POOL, f"d{index}", bid))
            for index, (store, bid) in enumerate(zip(stores, bids, strict=True))
        ]
    return [task.result() for task in asked]


def ledgers(account: AwsAccount) -> dict[str, dict[str, Any]]:
    """Read the table."""
    items = account.client("dynamodb").scan(TableName=TABLE)["Items"]
    return {item["ledger"]["S"]: item for item in items}


async def test_writers_at_the_same_moment(stores: list[DynamoLeases], clock: Hands, aws: AwsAccount) -> None:
    """Each of six that bid at once has an answer, no bid is lost, and together they hold the share."""
    leases = await bid_all(stores, [BID] * 6)
    for _ in range(7):
        clock.now += LASTING / 4
        leases = await bid_all(stores, [replace(BID, holds=lease.rate, seen=lease.turn) for lease in leases])
        assert sum(lease.rate for lease in leases) <= SHARE + 1e-6
    assert [lease.rate for lease in leases] == pytest.approx([SHARE / 6] * 6)
    assert sorted(lease.turn for lease in leases) == list(range(7 * 6 + 1, 8 * 6 + 1))
    refused = [request for request in aws.fake.requests("dynamodb", "PutItem") if request.status == 400]
    assert {request.error for request in refused} == {"ConditionalCheckFailedException"}


async def test_each_request_is_counted(clock: Hands, aws: AwsAccount) -> None:
    """As often as it reached DynamoDB; a write that others outran was answered, a table that is not there was not."""
    counted: list[tuple[str, str, Failure | None]] = []

    def count(service: str, operation: str, failure: Failure | None, _seconds: float) -> None:
        counted.append((service, operation, failure))

    opened = [open_store(aws, clock, seed=seed, count=count) for seed in range(4)]
    with pytest.raises(StoreLost):
        await opened[0].renew(POOL, "d0", BID)
    assert [(operation, type(failure)) for _, operation, failure in counted] == [("PutItem", NotFound)]
    create_table(aws)
    await bid_all(opened, [BID] * 4)
    asked = [(each.service, each.operation) for each in aws.fake.requests("dynamodb")]
    asked = [each for each in asked if each[1] in {"GetItem", "PutItem"}]
    assert sorted((service, operation) for service, operation, _ in counted) == sorted(asked)
    assert [failure for _, _, failure in counted[1:]] == [None] * (len(asked) - 1)
    for store in opened:
        await store.close()


async def test_one_item_for_each_pool(store: DynamoLeases, aws: AwsAccount) -> None:
    """Pools are items of their own, and DynamoDB may throw each away a day after anything in it counts."""
    await store.renew(POOL, "d0", BID)
    await store.renew(ELSEWHERE, "d0", BID)
    found = ledgers(aws)
    assert set(found) == {
        "prod",
        "prod/111111111111/eu-west-1/kms.symmetric/0",
        "prod/111111111111/us-east-1/kms.symmetric/0",
    }
    assert "expires" not in found.pop("prod")
    assert {item["expires"]["N"] for item in found.values()} == {str(int(WALL + 86_400 + 24 * LASTING))}


async def test_a_farewell_begins_no_ledger(store: DynamoLeases, aws: AwsAccount) -> None:
    """Whoever leaves a table that was emptied writes nothing: the next to bid must find that all is lost."""
    await store.leave(POOL, "d0")
    assert set(ledgers(aws)) == {"prod"}
    assert (await store.renew(POOL, "d1", BID)).rate == SAFE


async def test_members_are_dealt_among_shards(clock: Hands, aws: AwsAccount) -> None:
    """With four ledgers each has a quarter of the share; an answer speaks of the whole fleet."""
    create_table(aws)
    dealt = [open_store(aws, clock, Table(TABLE, "large", shards=4), seed=seed) for seed in range(6)]
    leases = await bid_all(dealt, [BID] * 6)
    for _ in range(7):
        clock.now += LASTING / 4
        leases = await bid_all(dealt, [replace(BID, holds=lease.rate, seen=lease.turn) for lease in leases])
        assert sum(lease.rate for lease in leases) <= SHARE + 1e-6
    used = [key for key in ledgers(aws) if key.startswith("large/")]
    assert sum(lease.rate for lease in leases) == pytest.approx(len(used) * SHARE / 4)
    assert {(lease.share, lease.agreed) for lease in leases} == {(SHARE, SHARE)}
    assert all(lease.members % 4 == 0 for lease in leases)
    for store in dealt:
        await store.close()


async def test_all_must_be_dealt_alike(store: DynamoLeases, clock: Hands, aws: AwsAccount) -> None:
    """A daemon that names another number of ledgers takes nothing: the parts would be more than the share."""
    await store.renew(POOL, "d0", BID)
    other = open_store(aws, clock, Table(TABLE, "prod", shards=2))
    with pytest.raises(StoreLost, match="other daemons of this fleet name another number"):
        await other.renew(POOL, "d1", BID)
    await other.close()


async def test_only_so_many_tries(store: DynamoLeases, aws: AwsAccount) -> None:
    """Where others write all the time, a bid ends with a reason and does not go on for ever."""

    class Rival(Hands):
        """A clock that lets somebody else write between our look and our write."""

        def __call__(self) -> float:
            item = ledgers(aws)["prod/111111111111/eu-west-1/kms.symmetric/0"]
            item["turn"]["N"] = str(int(item["turn"]["N"]) + 1)
            aws.client("dynamodb").put_item(TableName=TABLE, Item=item)
            return self.now

    await store.renew(POOL, "d0", BID)
    beaten = open_store(aws, Rival())
    with pytest.raises(StoreLost, match="too many daemons write at once"):
        await beaten.renew(POOL, "d1", BID)
    await beaten.close()


async def test_no_table(aws: AwsAccount, clock: Hands) -> None:
    """A table that is not there is named, with where to find what makes it."""
    store = open_store(aws, clock)
    with pytest.raises(StoreLost) as lost:
        await store.renew(POOL, "d0", BID)
    assert str(lost.value) == "table sidecar-fleet: there is none in eu-west-1 (deploy/cloudformation)"
    with pytest.raises(StoreLost, match="there is none"):
        await store.leave(POOL, "d0")
    await store.close()


async def test_denied(store: DynamoLeases, aws: AwsAccount) -> None:
    """A missing permission says which are needed."""
    aws.fake.deny("dynamodb:PutItem")
    with pytest.raises(StoreLost) as lost:
        await store.renew(POOL, "d0", BID)
    assert str(lost.value) == (
        "table sidecar-fleet: AWS refuses (AccessDeniedException from dynamodb PutItem in eu-west-1 as default): "
        "it needs dynamodb:GetItem and dynamodb:PutItem"
    )
    aws.fake.clear()
    assert (await store.renew(POOL, "d0", BID)).rate == SAFE


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("throttle", "AWS gets too many requests (ThrottlingException"),
        ("500", "AWS could not answer (Internal"),
        ("outage", "the connection broke (ConnectionClosedError"),
        ("html-200", "the answer came without ConsumedCapacity"),
        ("bad-credentials", "the credentials are invalid or expired"),
    ],
)
async def test_faults(store: DynamoLeases, aws: AwsAccount, kind: str, reason: str) -> None:
    """Whatever goes wrong is one line, sent once, and over when it is over."""
    await store.renew(POOL, "d0", BID)
    aws.fake.forget_requests()
    aws.fake.fault(kind, service="dynamodb")
    with pytest.raises(StoreLost) as lost:
        await store.renew(POOL, "d0", BID)
    assert str(lost.value).startswith(f"table sidecar-fleet: {reason}")
    assert "\n" not in str(lost.value)
    assert len(aws.fake.requests()) == 1
    aws.fake.clear()
    assert (await store.renew(POOL, "d0", BID)).members == 1


async def test_slow_store_can_be_left(store: DynamoLeases, aws: AwsAccount) -> None:
    """A store that does not answer is given up when its caller says so."""
    await store.renew(POOL, "d0", BID)
    aws.fake.fault("slow", service="dynamodb", seconds=30)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await store.renew(POOL, "d0", BID)
    aws.fake.clear()
    assert (await store.renew(POOL, "d0", BID)).members == 1


async def test_a_ledger_of_another_version(store: DynamoLeases, aws: AwsAccount) -> None:
    """What cannot be read is not overwritten."""
    await store.renew(POOL, "d0", BID)
    (key,) = set(ledgers(aws)) - {"prod"}
    item = ledgers(aws)[key]
    item["book"]["B"] = b"\xff" * 40
    aws.client("dynamodb").put_item(TableName=TABLE, Item=item)
    with pytest.raises(StoreLost, match="a ledger that this version cannot read"):
        await store.renew(POOL, "d0", BID)
    assert ledgers(aws)[key]["book"]["B"] == b"\xff" * 40


async def test_closed(store: DynamoLeases) -> None:
    """After the end there is nobody to ask; to close twice is no error."""
    await store.close()
    await store.close()
    with pytest.raises(StoreLost):
        await store.renew(POOL, "d0", BID)


async def test_the_loops_own_clock(aws: AwsAccount) -> None:
    """Without a clock of the test's, time is the loop's."""
    create_table(aws)
    spec = IdentitySpec(region=aws.region, endpoint_url=aws.url)
    store = DynamoLeases(spec, Table(TABLE, "own"), wall=lambda: WALL, dice=lambda: 0.5, count=ignore)
    lease = await store.renew(POOL, "d0", BID)
    assert (lease.rate, lease.lasts) == (SAFE, 20.0)
    await store.close()
