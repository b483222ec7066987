"""Start applications that ask AWS by themselves, as most do: with botocore's retry modes, or a limiter of their own.

An application fetches its secrets one after the other, and when a fetch ends in an error, it asks again after about a
second. botocore's code is driven as its client and endpoint drive it (`client.py`, `_register_retries`; `endpoint.py`,
`_send_request`), on the simulation's clock and dice.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Final

from botocore.awsrequest import AWSResponse
from botocore.exceptions import CapacityNotAvailableError
from botocore.model import OperationModel
from botocore.retries import adaptive, bucket, quota, standard, throttling
from botocore.session import get_session

from bench.stampede.stampede import Launch, Stampede
from sidecar.core.pacing import Bucket, backoff, burst_of
from sidecar.core.quotas import Limits
from sidecar.engine.guard import BACKGROUND_ATTEMPTS

ASK_AGAIN: Final = 1.0
"""Seconds, ±50 %, after which an application that got an error tries the same again."""

ANSWERS: Final = {True: (200, {}), False: (400, {"Error": {"Code": "ThrottlingException"}})}
"""HTTP status and parsed body of what AWS says."""


@lru_cache(maxsize=1)
def _operation() -> OperationModel:
    operation: OperationModel = get_session().get_service_model("secretsmanager").operation_model("GetSecretValue")
    return operation


class Clock(bucket.Clock):
    """The clock that botocore reads."""

    def current_time(self) -> float:
        """Give the loop's time, from some day in 2026."""
        return 1_770_000_000.3 + asyncio.get_running_loop().time()


class Tokens(bucket.TokenBucket):
    """botocore's bucket, except that who must wait awaits, and does not block the thread."""

    is_wanted = False

    def acquire(self, amount: int = 1, block: bool = True) -> bool:  # noqa: ARG002, FBT001, FBT002 -- botocore's signature
        """Take note that a token is wanted."""
        self.is_wanted = True
        return True

    async def grant(self) -> None:
        """Wait for the token, if one is wanted."""
        while self.is_wanted:
            try:
                super().acquire(block=False)  # type: ignore[no-untyped-call]  # botocore ships no types
            except CapacityNotAvailableError:
                await asyncio.sleep((1 - self.available_capacity) / self.max_rate + 1e-6)
            else:
                self.is_wanted = False


class StandardClient:
    """A client in mode `standard`: three attempts, backoff with full jitter up to 20 s, a quota of retries."""

    def __init__(self, stampede: Stampede) -> None:
        self.stampede = stampede
        self.operation = _operation()
        self.retry_quota = standard.RetryQuotaChecker(quota.RetryQuota())
        self.handler = standard.RetryHandler(
            retry_policy=standard.RetryPolicy(
                retry_checker=standard.StandardRetryConditions(),
                retry_backoff=standard.ExponentialBackoff(random=stampede.dice),
            ),
            retry_event_adapter=standard.RetryEventAdapter(),
            retry_quota=self.retry_quota,
        )

    async def get(self) -> bool:
        """Fetch one secret, with retries; false is the exception that the application sees."""
        context: dict[str, object] = {}
        attempts = 1
        while True:
            await self.before_send()
            is_let = await self.stampede.cloud.ask()
            status, parsed = ANSWERS[is_let]
            response = AWSResponse("", status, {}, None)
            pause = self.needs_retry(
                attempts=attempts,
                response=(response, {**parsed}),
                caught_exception=None,
                operation=self.operation,
                request_dict={"context": context},
            )
            if pause is None:
                self.retry_quota.release_retry_quota(context, response)
                return is_let
            await asyncio.sleep(pause)
            attempts += 1

    async def before_send(self) -> None:
        """Be told that an attempt is about to be made."""

    def needs_retry(self, **told: object) -> float | None:
        """Give the seconds before the next attempt, None if there shall be none."""
        pause: float | None = self.handler.needs_retry(**told)
        return pause


class AdaptiveClient(StandardClient):
    """A client in mode `adaptive`: the same, and a rate that is steered (CUBIC) from the first throttling on."""

    def __init__(self, stampede: Stampede) -> None:
        super().__init__(stampede)
        clock = Clock()  # type: ignore[no-untyped-call]  # botocore ships no types
        self.tokens = Tokens(max_rate=1, clock=clock)  # type: ignore[no-untyped-call]  # likewise
        self.limiter = adaptive.ClientRateLimiter(
            rate_adjustor=throttling.CubicCalculator(starting_max_rate=0, start_time=clock.current_time()),
            rate_clocker=adaptive.RateClocker(clock),
            token_bucket=self.tokens,
            throttling_detector=standard.ThrottlingErrorDetector(retry_event_adapter=standard.RetryEventAdapter()),
            clock=clock,
        )

    async def before_send(self) -> None:
        """Wait for a token, once there has been a throttling."""
        self.limiter.on_sending_request(request=None)
        await self.tokens.grant()

    def needs_retry(self, **told: object) -> float | None:
        """Ask both handlers, the service's own first, as botocore's emitter does."""
        pause = super().needs_retry(**told)
        self.limiter.on_receiving_response(**told)
        return pause


class FixedClient:
    """A limiter as libraries offer it: our bucket at a tenth of the quota, whatever AWS says, and our backoff."""

    def __init__(self, stampede: Stampede) -> None:
        self.stampede = stampede
        rate = Limits().share * stampede.scenario.quota
        self.bucket = Bucket(rate, burst_of(rate))

    async def get(self) -> bool:
        """Fetch one secret, in as many attempts as our guard makes; false is an error."""
        for failed in range(BACKGROUND_ATTEMPTS):
            await self._admit()
            if await self.stampede.cloud.ask():
                return True
            await asyncio.sleep(backoff(failed, dice=self.stampede.dice))
        return False

    async def _admit(self) -> None:
        now = asyncio.get_running_loop().time()
        at = self.bucket.earliest(now, 1)
        self.bucket.take(at, 1)
        await asyncio.sleep(at - now)


def sdk_standard(stampede: Stampede) -> Launch:
    """Start applications with botocore's mode `standard`."""
    return lambda: _start(stampede, StandardClient(stampede).get)


def sdk_adaptive(stampede: Stampede) -> Launch:
    """Start applications with botocore's mode `adaptive`."""
    return lambda: _start(stampede, AdaptiveClient(stampede).get)


def fixed_share(stampede: Stampede) -> Launch:
    """Start applications that keep to a tenth of the quota each."""
    return lambda: _start(stampede, FixedClient(stampede).get)


def _start(stampede: Stampede, get: Callable[[], Awaitable[bool]]) -> None:
    stampede.tasks.create_task(_fetch_all(stampede, get))


async def _fetch_all(stampede: Stampede, get: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(stampede.scenario.secrets):
        while not await get():
            stampede.gave_up()
            await asyncio.sleep(ASK_AGAIN * (0.5 + stampede.dice()))
        stampede.gained()
