"""Keep a fleet's ledgers in a DynamoDB table, for those who run no Redis.

A ledger is one item, read, worked out here and written on the condition that nobody wrote meanwhile; who was outrun
begins again after a moment. A large fleet is dealt among several ledgers, each with its part of the share. There are
no clocks in the table (`aws.ledgers` says why none are needed), but for the hour after which DynamoDB may throw an
item away. Requests pass no guard: they use no quota that is leased, and `engine.leasing` bounds how long they take.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from sidecar.aws.answers import Answer
from sidecar.aws.errors import Outrun
from sidecar.aws.identities import Identity, Question, region_of
from sidecar.aws.ledgers import Observer, Record, without
from sidecar.aws.sessions import CountRequest, Sessions
from sidecar.core.config.models import IdentitySpec
from sidecar.core.errors import AccessDenied, Failure, NotFound, SecretError, StoreLost, Transient
from sidecar.core.leases import RESTING, Bid, Lease, Pool
from sidecar.core.pacing import backoff
from sidecar.core.ports import Call

T = TypeVar("T")

LASTING: Final = 20.0
"""Seconds that a lease lasts here, as each renewal is paid for: four times as long as in Redis, for a quarter of the
price. docs/decisions/011-dynamodb-leases.md works it out."""

TRIES: Final = 10
"""How often a bid begins again because others wrote meanwhile; at a dozen daemons that bid at the same moment each
has one turn of ten milliseconds or so."""

PAUSE: Final = 0.02
"""Seconds: what a daemon that was outrun waits for at first, about one read and write."""

LONGEST_PAUSE: Final = 0.2
"""Seconds: and at most."""

KEPT: Final = 24 * 3600.0
"""Seconds after the last bid at which DynamoDB may throw a ledger away. Far beyond anything that is remembered in it,
so that a wall clock that is wrong by hours does no harm."""

HIGHEST_SHARDS: Final = 256


class _Straight:
    """A Gate that keeps nobody waiting, and counts: the store's requests are not the app's."""

    def __init__(self, count: CountRequest) -> None:
        self._count = count

    async def send(self, call: Call, attempt: Callable[[], Awaitable[T]]) -> T:
        """Do it."""
        loop = asyncio.get_running_loop()
        sent_at = loop.time()
        failure: Failure | None = Transient("broken off")  # what is cancelled under way may have been sent
        try:
            answer = await attempt()
        except (SecretError, Transient) as error:
            failure = None if isinstance(error, Outrun) else error  # it was asked whether others wrote, and told
            raise
        else:
            failure = None
            return answer
        finally:
            self._count(call.service, call.operation, failure, loop.time() - sent_at)

    async def bide(self, turn: Awaitable[T]) -> T:
        """Wait: nobody else asks for the same."""
        return await turn

    def once(self) -> "_Straight":
        """Stay: it never tries again."""
        return self


@dataclass(frozen=True, slots=True)
class Table:
    """Where a fleet's items are."""

    name: str
    fleet: str
    shards: int = 1  # ledgers among which the members of each pool are dealt

    def key(self, pool: Pool, member: str) -> str:
        """Name the ledger of a pool to which a member belongs."""
        shard = zlib.crc32(member.encode()) % self.shards
        return f"{self.fleet}/{pool.scope.account}/{pool.scope.region}/{pool.quota}/{shard}"


class DynamoLeases:
    """A LeaseStore in one DynamoDB table."""

    def __init__(  # noqa: PLR0913 -- two clocks and the dice are arguments, for tests to own
        self,
        spec: IdentitySpec,
        table: Table,
        *,
        wall: Callable[[], float],
        dice: Callable[[], float],
        count: CountRequest,
        lasting: float = LASTING,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Take who asks and where; connects when first asked. Raises ConfigError where the identity has no region.

        `wall` is for throwing old items away, `clock` replaces the loop's (both in seconds); `count` is told of each
        request, those for credentials included.
        """
        self.lasting = lasting
        self._table = table
        self._wall = wall
        self._dice = dice
        self._clock = clock
        self._sessions = Sessions(count)
        self._gate = _Straight(count)
        self._identity = Identity("default", spec, region_of("default", spec), self._sessions)
        self._observers: dict[str, Observer] = {}
        self._is_agreed = False

    async def renew(self, pool: Pool, member: str, bid: Bid) -> Lease:
        """Lease a part of the pool anew; raises StoreLost."""
        shards = self._table.shards
        part = replace(bid, share=bid.share / shards)

        def follow(observer: Observer, record: Record) -> tuple[Record, Lease]:
            return observer.renew(record, member, part, self._now())

        lease = await self._reporting(self._change(self._table.key(pool, member), follow))
        return replace(lease, members=lease.members * shards, agreed=lease.agreed * shards, share=lease.share * shards)

    async def leave(self, pool: Pool, member: str) -> None:
        """Give back what the member holds; raises StoreLost."""
        key = self._table.key(pool, member)
        await self._reporting(self._change(key, lambda _observer, record: (without(record, member), None)))

    async def close(self) -> None:
        """Close the connections."""
        await self._sessions.__aexit__()

    async def _change(self, key: str, follow: Callable[[Observer, Record], tuple[Record, T]]) -> T:
        """Put the record that follows in the place of the one that is there; raises Failure or StoreLost."""
        observer = self._observers.setdefault(key, Observer(self.lasting))
        await self._agree()
        for attempt in range(TRIES):
            before = await self._read(key)
            observer.look(before, self._now())
            after, outcome = follow(observer, before)
            if after is before:
                return outcome
            try:
                await self._write(key, before, after)
            except Outrun:
                await asyncio.sleep(backoff(attempt, base=PAUSE, cap=LONGEST_PAUSE, dice=self._dice))
            else:
                observer.look(after, self._now())
                return outcome
        raise StoreLost("too many daemons write at once: one ledger is too few for this fleet (?shards=)")

    async def _agree(self) -> None:
        """See once that all of the fleet are dealt alike: else the ledgers' parts would not add up to one share."""
        if self._is_agreed:
            return
        item = {"ledger": {"S": self._table.fleet}, "shards": {"N": str(self._table.shards)}}
        expected = {":shards": {"N": str(self._table.shards)}}
        try:
            await self._put(item, "attribute_not_exists(ledger) OR shards = :shards", expected)
        except Outrun as error:
            raise StoreLost("other daemons of this fleet name another number of ?shards=: name a new fleet") from error
        self._is_agreed = True

    async def _read(self, key: str) -> Record:
        parameters = {"TableName": self._table.name, "Key": {"ledger": {"S": key}}, "ConsistentRead": True}
        return await self._ask("GetItem", parameters, _record_of)

    async def _write(self, key: str, before: Record, after: Record) -> None:
        item = {
            "ledger": {"S": key},
            "turn": {"N": str(after.turn)},
            "book": {"B": after.pack()},
            "expires": {"N": str(int(self._wall() + KEPT + RESTING * self.lasting))},
        }
        if before.turn:
            await self._put(item, "turn = :turn", {":turn": {"N": str(before.turn)}})
        else:
            await self._put(item, "attribute_not_exists(ledger)", {})

    async def _put(self, item: Mapping[str, object], condition: str, values: Mapping[str, object]) -> None:
        parameters: dict[str, object] = {"TableName": self._table.name, "Item": item, "ConditionExpression": condition}
        if values:
            parameters["ExpressionAttributeValues"] = values
        await self._ask("PutItem", parameters, lambda _answer: None)

    async def _ask(self, operation: str, parameters: Mapping[str, object], read: Callable[[Answer], T]) -> T:
        about = f"table {self._table.name}"
        counted = {**parameters, "ReturnConsumedCapacity": "TOTAL"}

        def read_counted(answer: Answer) -> T:
            answer.needs_one_of("ConsumedCapacity")  # a proxy's page must not pass for an empty table
            return read(answer)

        question = Question("dynamodb", operation, self._identity.region, counted, about, read_counted)
        return await self._identity.ask(question, self._gate)

    async def _reporting(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except (SecretError, Transient) as failure:
            raise StoreLost(self._reason(failure)) from failure
        except ValueError as error:
            raise StoreLost(f"table {self._table.name}: a ledger that this version cannot read") from error

    def _reason(self, failure: Failure) -> str:
        """Say in one line what is wrong; the failure's own text is one."""
        if isinstance(failure, NotFound):
            return f"table {self._table.name}: there is none in {self._identity.region} (deploy/cloudformation)"
        if isinstance(failure, AccessDenied):
            return f"{failure}: it needs dynamodb:GetItem and dynamodb:PutItem"
        return str(failure)

    def _now(self) -> float:
        return self._clock() if self._clock else asyncio.get_running_loop().time()


def _record_of(answer: Answer) -> Record:
    item = answer.nested("Item")
    if not item.fields:
        return Record()
    return Record.unpack(int(item.nested("turn").text("N")), item.nested("book").blob("B"))
