"""Decide how far a held secret may be trusted, and whether AWS must be asked.

Pure: takes `now` in trust time (seconds that go on during suspend), returns a decision.
Must not await, draw or log; `sidecar.engine` does.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

from sidecar.core.errors import Failure, NotFound, SecretError, Transient
from sidecar.core.secret import Secret


@dataclass(frozen=True, slots=True)
class Policy:
    """How long one value is trusted; all in seconds. Many values share one policy."""

    refresh: float
    ttl: float
    stale_if_error: float
    revoke_after: float
    negative_ttl: float
    min_refresh: float
    revalidate: float
    keep_previous: float


def strictest(policies: Iterable[Policy]) -> Policy:
    """Give the policy of a value that is declared several times: it is checked as often as the keenest wants."""
    return min(policies, key=lambda policy: (policy.refresh, policy.ttl))


@dataclass(frozen=True, slots=True)
class Held:
    """A secret in memory, with the trust times of its last fetch and its last confirmation."""

    secret: Secret
    fetched_at: float
    confirmed_at: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """What stands between us and a confirmed value.

    `since` is when this kind of failure began (trust time), `at` when AWS was last asked in vain.
    """

    failure: Failure
    since: float
    at: float


@dataclass(frozen=True, slots=True)
class Fresh:
    """Confirmed within `ttl`."""

    secret: Secret
    age: float
    remaining: float


@dataclass(frozen=True, slots=True)
class Stale:
    """Older than `ttl`, or AWS has begun to refuse it; served all the same, visibly. `remaining` is 0 or less."""

    secret: Secret
    age: float
    remaining: float
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class Refused:
    """AWS says no, for longer than a held value may outlive that."""

    failure: SecretError


@dataclass(frozen=True, slots=True)
class Absent:
    """AWS says that there is no such thing."""

    failure: NotFound


@dataclass(frozen=True, slots=True)
class Pending:
    """Nothing (any longer) held and nothing definitive known; `failure` is why it takes so long."""

    failure: Transient | None


Lookup = Fresh | Stale | Refused | Absent | Pending


class State(IntEnum):
    """A lookup as a number: the value of `sidecar_secret_state`."""

    FRESH = 0
    STALE = 1
    REFUSED = 2
    ABSENT = 3
    PENDING = 4


SERVED = (State.FRESH, State.STALE)
"""The states in which a reader gets a value."""


_STATES: dict[type[Lookup], State] = {
    Fresh: State.FRESH,
    Stale: State.STALE,
    Refused: State.REFUSED,
    Absent: State.ABSENT,
    Pending: State.PENDING,
}


def state_of(lookup: Lookup) -> State:
    """Name the state that a lookup shows."""
    return _STATES[type(lookup)]


def freshness(held: Held | None, trouble: Trouble | None, policy: Policy, now: float) -> Lookup:
    """Decide what a reader gets: trust only shrinks with age, and a definitive answer outranks what is held."""
    failure = trouble.failure if trouble else None
    if isinstance(failure, NotFound):
        return Absent(failure)
    if held is None:
        return Refused(failure) if isinstance(failure, SecretError) else Pending(failure)
    age = max(0.0, now - held.confirmed_at)
    remaining = policy.ttl - age
    outlived = remaining < -policy.stale_if_error
    if trouble and isinstance(failure, SecretError):
        revoked = now - trouble.since > policy.revoke_after
        return Refused(failure) if outlived or revoked else Stale(held.secret, age, min(remaining, 0.0), failure)
    if outlived:
        return Pending(failure if isinstance(failure, Transient) else None)
    return Fresh(held.secret, age, remaining) if remaining >= 0 else Stale(held.secret, age, remaining, failure)


def state_at(held: Held | None, trouble: Trouble | None, policy: Policy, now: float) -> State:
    """Name the state that `freshness` would show; quick where nothing is wrong, for walks over all that is held."""
    if held is None or trouble is not None:
        return state_of(freshness(held, trouble, policy, now))
    remaining = policy.ttl - max(0.0, now - held.confirmed_at)
    if remaining >= 0:
        return State.FRESH
    return State.PENDING if remaining < -policy.stale_if_error else State.STALE


def after(trouble: Trouble | None, failure: Failure, now: float) -> Trouble:
    """Take in one more failure: AWS's last definitive word stands until AWS says otherwise."""
    if trouble is None:
        return Trouble(failure, since=now, at=now)
    was_definitive = isinstance(trouble.failure, SecretError)
    if isinstance(failure, Transient):
        return replace(trouble, failure=trouble.failure if was_definitive else failure, at=now)
    return Trouble(failure, since=trouble.since if was_definitive else now, at=now)


def wants_plaintext(held: Held | None, policy: Policy, now: float) -> bool:
    """Decide whether a check must fetch at once: nothing is held, or even an unchanged value is due again."""
    return held is None or now - held.fetched_at >= policy.revalidate


def worth_asking(lookup: Lookup, trouble: Trouble | None, policy: Policy, now: float) -> bool:
    """Decide whether a caller who found this should wait for AWS: never for a hit, nor for a recent no."""
    if isinstance(lookup, Fresh | Stale):
        return False
    if isinstance(lookup, Pending) or trouble is None:
        return True
    return now - trouble.at >= policy.negative_ttl
