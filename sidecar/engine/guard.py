"""Send AWS requests: the one place where they are admitted, timed out, retried and counted.

Must not know what is asked for, nor read an answer: sources do. Who goes when is engine.admission's to say,
how long to pause is core.pacing's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from sidecar.core.errors import (
    AccessDenied,
    NotFound,
    Overloaded,
    SidecarError,
    Throttled,
    TimedOut,
    Transient,
    Unreachable,
)
from sidecar.core.pacing import BACKOFF_CAP, backoff
from sidecar.core.ports import Call, Gate, Priority
from sidecar.core.quotas import Limits, QuotaReading, Scope
from sidecar.engine.admission import Lessor, Queue, Quota, Ticket, Turnstile
from sidecar.engine.circuits import Circuit
from sidecar.telemetry import Metrics, Outcome

T = TypeVar("T")

CALL_TIMEOUT: Final = 10.0
"""Seconds that one attempt may take: AWS answers these in well under one, a lost packet costs three."""

BACKGROUND_ATTEMPTS: Final = 4
"""Attempts where no caller waits; after these the check is planned again, with a backoff of its own."""


MOST_PROBES: Final = 10
"""Failures after which a request that probes an endpoint gives way to another: every check ends."""


RetryRule = Callable[[int, float, float], bool]
"""Whether to try again, given how many attempts failed, the loop time and the pause."""

_OUTCOMES: Final[Mapping[type[SidecarError], Outcome]] = {
    Throttled: Outcome.THROTTLED,
    AccessDenied: Outcome.DENIED,
    NotFound: Outcome.NOT_FOUND,
    TimedOut: Outcome.TIMEOUT,
}


class GuardGate:
    """One check's way to AWS, with its priority and deadline (loop time); both can change while it waits."""

    __slots__ = ("_bides", "_guard", "_held_back", "_waits", "_wanted_until", "deadline", "priority")

    def __init__(self, guard: "Guard", priority: Priority, deadline: float | None) -> None:
        """Take for whom the check is made, and when it is of no use any more (None: it always is)."""
        self._guard = guard
        self.priority = priority
        self.deadline = deadline
        self._wanted_until = deadline if priority is Priority.CALLER else None
        self._waits: dict[Ticket, asyncio.Timeout] = {}
        self._bides: set[asyncio.Timeout] = set()
        self._held_back: set[Circuit] = set()

    async def send(self, call: Call, attempt: Callable[[], Awaitable[T]]) -> T:
        """Run `attempt` once the quotas admit it, again after a Transient, and give what it gives.

        Raises what `attempt` raises, or TimedOut, or Overloaded when the deadline cannot be met. Cancelling it
        cancels the attempt, and gives the quota back that was granted but not used.
        """
        return await self._guard.send(call, attempt, self, self.may_retry)

    async def bide(self, turn: Awaitable[T]) -> T:
        """Do what `Gate.bide` promises; a caller who joins meanwhile puts the end off."""
        began = asyncio.get_running_loop().time()
        timeout = asyncio.timeout_at(self.deadline)
        self._bides.add(timeout)
        try:
            async with timeout:
                return await turn
        except TimeoutError:
            waited = asyncio.get_running_loop().time() - began
            raise TimedOut(f"somebody else's request for the same did not end within {waited:.1f} s") from None
        finally:
            self._bides.discard(timeout)

    def once(self) -> Gate:
        """Give the same gate without retries: for a source that has another place to ask."""
        return _Once(self._guard, self)

    def promote(self, deadline: float) -> None:
        """Let a caller join who waits until `deadline`: what waits for quota goes on among the callers.

        A deadline is only ever put off, and a check that had none keeps none: it serves more than this caller.
        """
        self._wanted_until = max(self._wanted_until or deadline, deadline)
        if self.deadline is not None and self.deadline < deadline:
            self.deadline = deadline
            for timeout in (*self._waits.values(), *self._bides):
                if not timeout.expired():
                    timeout.reschedule(deadline)
        if self.priority is not Priority.CALLER:
            self.priority = Priority.CALLER
            for ticket in tuple(self._waits):
                ticket.queue.turnstile.promote(ticket)
            for circuit in self._held_back:
                circuit.call_off()

    def may_retry(self, failed: int, now: float, pause: float) -> bool:
        """Decide whether to try again after a pause: a few times, and for a caller as long as it waits."""
        if self._wanted_until is not None and now + pause < self._wanted_until:
            return True
        in_time = self.deadline is None or now + pause < self.deadline
        return in_time and failed < BACKGROUND_ATTEMPTS and pause <= BACKOFF_CAP

    async def wait(self, ticket: Ticket) -> None:
        """Wait for the ticket; raises TimeoutError at the deadline."""
        async with asyncio.timeout_at(self.deadline) as timeout:
            self._waits[ticket] = timeout
            try:
                await ticket.granted
            finally:
                del self._waits[ticket]

    async def stand_by(self, circuit: Circuit) -> None:
        """Wait to probe an endpoint that does not answer."""
        self._held_back.add(circuit)
        try:
            await circuit.stand_by(self.deadline)
        finally:
            self._held_back.discard(circuit)


class _Once:
    """A gate whose every request is attempted once; else the gate that it is made of."""

    __slots__ = ("_gate", "_guard")

    def __init__(self, guard: "Guard", gate: GuardGate) -> None:
        self._guard = guard
        self._gate = gate

    async def send(self, call: Call, attempt: Callable[[], Awaitable[T]]) -> T:
        return await self._guard.send(call, attempt, self._gate, _never)

    async def bide(self, turn: Awaitable[T]) -> T:
        return await self._gate.bide(turn)

    def once(self) -> Gate:
        return self


def _nothing() -> None:
    return


def _never(_failed: int, _now: float, _pause: float) -> bool:
    return False


class Guard:
    """Every AWS request of this daemon passes here."""

    def __init__(
        self,
        limits: Limits,
        *,
        dice: Callable[[], float],
        metrics: Metrics,
        call_timeout: float = CALL_TIMEOUT,
        leasing: Lessor | None = None,
    ) -> None:
        """Take what the accounts allow, a die from 0 to 1, where to count, and who leases rates where there is a fleet.

        `on_recovery` is called when an endpoint answers again that did not.
        """
        self.leasing = leasing
        self.on_recovery: Callable[[], None] = _nothing
        self._limits = limits
        self._dice = dice
        self._metrics = metrics
        self._call_timeout = call_timeout
        self._turnstiles: dict[Scope, Turnstile] = {}
        self._circuits: dict[tuple[str, str, str], Circuit] = {}
        self.progressed_at = float("-inf")
        """Loop time of the last admission or outcome."""

    @property
    def waiting(self) -> bool:
        """Whether somebody waits for quota, or to probe: with a time at which it will go on, so that is progress."""
        return any(turnstile.waiting for turnstile in self._turnstiles.values()) or any(
            circuit.stands_by for circuit in self._circuits.values()
        )

    def gate(self, priority: Priority, deadline: float | None = None) -> GuardGate:
        """Give one check's way to AWS; `deadline` is loop time, after which its answer is of no use."""
        return GuardGate(self, priority, deadline)

    def adopt(self, limits: Limits) -> None:
        """Keep other limits from now on, those who wait included."""
        self._limits = limits
        now = asyncio.get_running_loop().time()
        for turnstile in self._turnstiles.values():
            turnstile.adopt(limits.of(turnstile.scope), now)

    def merge(self, stand_in: str, account: str) -> None:
        """Charge to an account what was charged to the name that stood in for it, in every region."""
        now = asyncio.get_running_loop().time()
        for scope in [scope for scope in self._turnstiles if scope.account == stand_in]:
            turnstile = self._turnstiles.pop(scope)
            known = Scope(account, scope.region)
            if kept := self._turnstiles.get(known):
                kept.absorb(turnstile, now)
            else:
                self._turnstiles[known] = turnstile
                turnstile.rename(known, self._limits.of(known), now)
        self._metrics.account_learnt(stand_in, account)

    def readings(self) -> list[QuotaReading]:
        """Say how each quota stands that was used since the start."""
        now = asyncio.get_running_loop().time()
        return [reading for turnstile in self._turnstiles.values() for reading in turnstile.readings(now)]

    async def send(self, call: Call, attempt: Callable[[], Awaitable[T]], gate: GuardGate, may_retry: RetryRule) -> T:
        """Do what `Gate.send` promises; the pause before a retry holds no quota."""
        queue = self._turnstile(call.scope).queue(call.charges)
        circuit = self._circuit(call)
        queue.turnstile.budget(call.service).earn()
        loop, failed = asyncio.get_running_loop(), 0
        while True:
            now = loop.time()
            if circuit.is_open and not circuit.lets(now):
                await self._hold_back(circuit, gate, may_retry)
                continue
            if not self._pass_at_once(queue, gate, now):
                await self._stand_in_line(queue, gate)
                if not circuit.lets(loop.time()):
                    queue.turnstile.give_back(queue)
                    continue
            try:
                return await self._attempt(call, queue, circuit, attempt, gate.deadline)
            except Transient as error:
                failed += 1
                if circuit.is_open and failed < MOST_PROBES:
                    continue
                pause = self._pause(call, queue, error, failed, may_retry)
                if pause is None:
                    raise
            await asyncio.sleep(pause)

    async def _hold_back(self, circuit: Circuit, gate: GuardGate, may_retry: RetryRule) -> None:
        """Tell at once what is known of the endpoint, except one of the background: it stands by to probe."""
        now = asyncio.get_running_loop().time()
        in_time = gate.deadline is None or now < gate.deadline
        if gate.priority is Priority.CALLER or may_retry is _never or circuit.stands_by or not in_time:
            raise circuit.known(now)
        await gate.stand_by(circuit)

    def _circuit(self, call: Call) -> Circuit:
        key = (call.identity or call.scope.account, call.scope.region, call.service)
        circuit = self._circuits.get(key)
        if circuit is None:
            where = f"{call.service} in {call.scope.region}"
            circuit = self._circuits[key] = Circuit(where, self._dice, self._tell_recovery)
        return circuit

    def _tell_recovery(self) -> None:
        self.on_recovery()

    def _turnstile(self, scope: Scope) -> Turnstile:
        turnstile = self._turnstiles.get(scope)
        if turnstile is None:
            turnstile = self._turnstiles[scope] = Turnstile(scope, self._limits.of(scope), self.leasing)
        return turnstile

    def _pass_at_once(self, queue: Queue, gate: GuardGate, now: float) -> bool:
        """Take the usual way: nothing to wait for, so no future and no timer."""
        in_time = gate.deadline is None or now < gate.deadline
        if not in_time or not queue.turnstile.pass_at_once(queue, now):
            return False
        self._metrics.quota_waited(queue.tolls[0][0].name, gate.priority, 0.0)
        return True

    async def _stand_in_line(self, queue: Queue, gate: GuardGate) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        turnstile = queue.turnstile
        opens_at, bottleneck = turnstile.opens(queue, gate.priority, now)
        if gate.deadline is not None and opens_at >= gate.deadline:
            raise self._refusal(queue, gate, now)
        ticket = turnstile.join(queue, gate.priority)
        try:
            await gate.wait(ticket)
        except TimeoutError:  # the rate fell while it waited
            turnstile.withdraw(ticket)
            raise self._refusal(queue, gate, loop.time()) from None
        except asyncio.CancelledError:
            turnstile.withdraw(ticket)
            raise
        self._metrics.quota_waited(bottleneck.name, gate.priority, loop.time() - now)

    def _refusal(self, queue: Queue, gate: GuardGate, now: float) -> Overloaded:
        opens_at, quota = queue.turnstile.opens(queue, gate.priority, now)
        quota.refused += 1
        self._metrics.quota_refused(queue.turnstile.scope, quota.name)
        wait = opens_at - now
        return Overloaded(f"the share of {quota.name} is taken for the next {wait:.1f} s", retry_after=wait)

    async def _attempt(
        self,
        call: Call,
        queue: Queue,
        circuit: Circuit,
        attempt: Callable[[], Awaitable[T]],
        deadline: float | None,
    ) -> T:
        loop = asyncio.get_running_loop()
        self.progressed_at = sent_at = loop.time()
        outcome = Outcome.ERROR  # of what is cancelled under way, and of what raises anything else
        try:
            answer = await self._reach(call, circuit, attempt, sent_at, deadline)
        except SidecarError as error:
            outcome = _outcome(error)
            self._take_note(queue, error, sent_at)
            raise
        else:
            outcome = Outcome.OK
            queue.answered(loop.time(), sent_at)
            return answer
        finally:
            self.progressed_at = loop.time()
            self._metrics.request_finished(call.service, call.operation, outcome, self.progressed_at - sent_at)

    async def _reach(
        self,
        call: Call,
        circuit: Circuit,
        attempt: Callable[[], Awaitable[T]],
        sent_at: float,
        deadline: float | None,
    ) -> T:
        """Make the attempt, no longer than it may take, and tell the endpoint's circuit what it says of that."""
        until = sent_at + self._call_timeout
        is_cut_short = deadline is not None and deadline < until
        circuit.begin()
        try:
            async with asyncio.timeout_at(deadline if is_cut_short else until):
                answer = await attempt()
        except TimeoutError:
            now = asyncio.get_running_loop().time()
            failure = TimedOut(f"{call.operation}: no answer within {now - sent_at:.1f} s")
            if is_cut_short:  # by a caller's deadline: too short to tell
                circuit.abandoned()
            else:
                circuit.silent(failure, now, sent_at)
            raise failure from None
        except Unreachable as error:
            circuit.silent(error, asyncio.get_running_loop().time(), sent_at)
            raise
        except SidecarError:
            circuit.answered()
            raise
        except BaseException:
            circuit.abandoned()
            raise
        circuit.answered()
        return answer

    def _take_note(self, queue: Queue, error: SidecarError, sent_at: float) -> None:
        if isinstance(error, Throttled):
            now = asyncio.get_running_loop().time()
            quota = _blamed(queue, error, now)
            quota.slow_down(now, sent_at, queue.amount(quota))
        elif isinstance(error, AccessDenied | NotFound):
            queue.refund()  # a batch that is not permitted must not hold up the single calls that replace it
        queue.turnstile.turn()

    def _pause(self, call: Call, queue: Queue, error: Transient, failed: int, may_retry: RetryRule) -> float | None:
        """Give the seconds before the next attempt, None if there shall be none."""
        pause = (error.retry_after or 0.0) + backoff(failed - 1, dice=self._dice)
        now = asyncio.get_running_loop().time()
        if not may_retry(failed, now, pause) or not queue.turnstile.budget(call.service).spend():
            return None
        self._metrics.retried(call.scope, _blamed(queue, error, now).name, _outcome(error))
        return pause


def _blamed(queue: Queue, error: Transient, now: float) -> Quota:
    """Give the quota that a failure is about: the one it names, else the one nearest its limit, else the call's own."""
    if not isinstance(error, Throttled):
        return queue.tolls[0][0]
    return queue.turnstile.quota(error.quota) if error.quota else queue.tightest(now)


def _outcome(error: SidecarError) -> Outcome:
    return next((outcome for kind, outcome in _OUTCOMES.items() if isinstance(error, kind)), Outcome.ERROR)
