"""Keep a fleet's ledgers in Redis or Valkey: the only importer of the redis library.

A bid is one script of `fleet.scripts`, so it is atomic and costs one round trip; time is the server's. Must not retry
or bound how long a bid takes: `engine.leasing` does. Nothing of the address, the password or what the library says is
told: an address is where passwords are put.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from redis import exceptions as library
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider

from sidecar.core.errors import StoreLost
from sidecar.core.leases import LASTING, Bid, Lease, Pool
from sidecar.fleet.scripts import LEAVE, RENEW

CONNECT_TIMEOUT: Final = 1.0
"""Seconds: a store is near, or it is of no use."""

FAILURES: Final[Mapping[type[Exception], str]] = {
    library.AuthenticationError: "it refuses the password",
    library.AuthorizationError: "its access rules do not allow it",
    library.NoPermissionError: "its access rules do not allow it",
    library.ReadOnlyError: "it is a read-only replica",
    library.BusyLoadingError: "it is still loading",
    library.OutOfMemoryError: "it has no memory left",
    library.MovedError: "it is one node of a cluster: name an address that serves all of its keys",
    library.TimeoutError: "no answer in time",
    library.ConnectionError: "no connection",
    library.ResponseError: "it refuses",
    OSError: "no connection",
    ValueError: "its answer cannot be understood",
    Exception: "it fails",  # the library lets out whatever an odd server or a closed transport makes it stumble over
}
"""What a failure means, the narrower classes first: none of them may end the daemon."""


class RedisLeases:
    """A LeaseStore in one Redis database."""

    def __init__(
        self,
        url: str,
        fleet: str,
        lasting: float = LASTING,
        *,
        password_file: Path | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Take where the store is, the fleet's name in it, and how long its leases last; connects when first asked.

        A password file is read anew for each connection. `clock` (seconds) replaces the server's.
        """
        self.lasting = lasting
        self._fleet = fleet
        self._clock = clock
        credentials = {"credential_provider": _PasswordFile(password_file)} if password_file else {}
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=1,  # a thousand daemons must not be five thousand connections
            timeout=None,
            socket_connect_timeout=CONNECT_TIMEOUT,
            protocol=2,  # spoken by every server and proxy; nothing of the third is needed
            retry=Retry(NoBackoff(), 1),
            decode_responses=True,
            **credentials,
        )
        self._redis = Redis(connection_pool=pool)
        self._renew = self._redis.register_script(RENEW)
        self._leave = self._redis.register_script(LEAVE)

    async def renew(self, pool: Pool, member: str, bid: Bid) -> Lease:
        """Lease a part of the pool anew; raises StoreLost."""
        now = "" if self._clock is None else repr(self._clock())
        told = (bid.need, bid.share, bid.safe, bid.holds, bid.seen, bid.answered, bid.throttled, int(bid.is_alone))
        try:
            answer = await self._renew(keys=self._keys(pool), args=[member, *told, self.lasting, now])
            rate, part, members, agreed, share, turn = map(float, answer)
        except Exception as error:
            raise _lost(error) from error
        return Lease(rate, part, self.lasting, int(members), agreed, share, int(turn))

    async def leave(self, pool: Pool, member: str) -> None:
        """Give back what the member holds; raises StoreLost."""
        try:
            await self._leave(keys=self._keys(pool), args=[member])
        except Exception as error:
            raise _lost(error) from error

    async def close(self) -> None:
        """Close the connection."""
        with suppress(Exception):  # it may be closed already, or half open
            await self._redis.aclose(close_connection_pool=True)

    def _keys(self, pool: Pool) -> list[str]:
        """Name the keys of a pool; the braces keep them on one node of a cluster."""
        name = f"sidecar:{{{self._fleet}/{pool.scope.account}/{pool.scope.region}/{pool.quota}}}"
        return [f"{name}:ledger", f"{name}:members"]


class _PasswordFile(CredentialProvider):
    """Reads the password anew for each connection: it may have been rotated."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get_credentials(self) -> tuple[str]:
        return (self._path.read_text("utf-8").strip(),)


_UNKNOWN_CALLER: Final = "unauthenticated"
"""In what Redis answers, without a code, when somebody without a password sends as many words as a script needs."""

_CODE: Final = re.compile(r"[A-Z]{2,20}\b")


def _lost(error: Exception) -> StoreLost:
    cause = error.__cause__ if isinstance(error.__cause__, library.AuthenticationError) else error
    if _UNKNOWN_CALLER in str(cause):
        cause = library.AuthenticationError()
    what = next(text for kind, text in FAILURES.items() if isinstance(cause, kind))
    code = _CODE.match(str(error)) if isinstance(error, library.ResponseError) else None
    return StoreLost(f"{what} ({code.group()})" if code else what)
