"""Open and seal messages: the port Envelopes.

Await the data key from KMS, keep it for as long as the configuration allows, and leave the rest to `sdk`, in a thread
where it takes long. Concurrent messages that miss the same data key ask for it once.
"""

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeVar
from weakref import WeakValueDictionary

from sidecar.core.ciphertexts import check_context, check_holds
from sidecar.core.config.models import DataKeyCache
from sidecar.core.errors import BadKeyId, KeyNotAllowed, SecretError, Undecryptable
from sidecar.core.ports import Clock, DataKey, Gate, KeyService, Opened, Sealed
from sidecar.core.refs import Context
from sidecar.core.secret import Plaintext
from sidecar.envelope.cache import OpeningId, OpeningKeys, SealingId, SealingKeys, is_off
from sidecar.telemetry import DataKeyResult, DataKeyUse, Metrics

if TYPE_CHECKING:
    from sidecar.envelope.sdk import Needs, Wrapped

T = TypeVar("T")
Cached = SealingId | OpeningId

IN_LOOP: Final = 64 * 1024
"""Bytes that the SDK works on without holding the loop for more than a millisecond or two; more goes to a thread."""


class Messages:
    """Encryption SDK messages under data keys that are used for a while."""

    def __init__(self, limits: DataKeyCache, clock: Clock, metrics: Metrics) -> None:
        """Take how long a data key serves, the clock of trust, and where to count.

        `limits` may be replaced; `prune` is to be called then, and now and then anyway.
        """
        self.limits = limits
        self._clock = clock
        self._metrics = metrics
        self._sealing, self._opening = SealingKeys(), OpeningKeys()
        self._asking: WeakValueDictionary[Cached, asyncio.Lock] = WeakValueDictionary()
        self._is_loaded = False
        metrics.expect_data_keys()

    async def open(
        self, message: bytes, keys: KeyService, gate: Gate, *, context: Context = (), about: str = ""
    ) -> Opened:
        """Do what `Envelopes.open` promises."""
        await self._load()
        from sidecar.envelope import sdk  # noqa: PLC0415 -- only where there is a message

        about = about or "kms: a message"
        needs = await _work(len(message), lambda: sdk.needs_of(message, about))
        check_holds(needs.context, context, about)
        wrapped, data_key = await self._unwrap(needs, keys, gate, about)
        opened = await _work(len(message), lambda: sdk.open_message(message, wrapped, data_key.reveal(), about))
        return Opened(wrapped.key, Plaintext(opened), needs.context)

    async def seal(  # noqa: PLR0913 -- the port's
        self,
        plaintext: Plaintext,
        key_id: str,
        keys: KeyService,
        gate: Gate,
        *,
        context: Context = (),
        about: str = "",
    ) -> Sealed:
        """Do what `Envelopes.seal` promises."""
        await self._load()
        from sidecar.envelope import sdk  # noqa: PLC0415 -- only where there is a message

        about = about or "kms: a message"
        check_context(context, about)
        if not await keys.admits(key_id, gate):
            raise KeyNotAllowed(f"{about}: its KMS key is not allowed")
        value = plaintext.reveal()
        asked = SealingId(keys.identity, key_id, context, sdk.ALGORITHM.name)
        data_key = await self._data_key(asked, len(value), keys, gate, about)
        message = await _work(len(value), lambda: sdk.seal_message(value, data_key, context))
        return Sealed(data_key.key, message)

    def prune(self) -> None:
        """Forget the data keys that may not serve any more: they would lie in memory until others took their place."""
        now = self._clock.trust()
        self._sealing.prune(self.limits, now)
        self._opening.prune(self.limits, now)

    async def _load(self) -> None:
        """Import the SDK in a thread: it takes some tenths of a second."""
        if not self._is_loaded:
            await asyncio.to_thread(_import_sdk)
            self._is_loaded = True

    async def _data_key(self, asked: SealingId, size: int, keys: KeyService, gate: Gate, about: str) -> DataKey:
        if is_off(self.limits):
            self._metrics.data_key_used(DataKeyUse.ENCRYPT, DataKeyResult.OFF)
            return await keys.generate_data_key(asked.key_id, gate, context=asked.context, about=about)
        async with self._turn(asked, gate):
            held = self._sealing.take(asked, size, self.limits, self._clock.trust())
            if held is not None:
                self._metrics.data_key_used(DataKeyUse.ENCRYPT, DataKeyResult.HIT)
                return held
            made = await keys.generate_data_key(asked.key_id, gate, context=asked.context, about=about)
            self._sealing.put(asked, made, size, self._clock.trust())
        self._metrics.data_key_used(DataKeyUse.ENCRYPT, DataKeyResult.MISS)
        return made

    async def _unwrap(self, needs: "Needs", keys: KeyService, gate: Gate, about: str) -> "tuple[Wrapped, Plaintext]":
        """Have the first data key decrypted that is of an allowed key and opens; raises what the last one said."""
        failure: SecretError = KeyNotAllowed(f"{about}: none of its data keys is of a KMS key that is allowed")
        for wrapped in needs.data_keys:
            if not await _admits(keys, wrapped.key, gate):
                continue
            try:
                return wrapped, await self._opened(wrapped, needs.context, keys, gate, about)
            except SecretError as error:
                failure = error
        raise failure

    async def _opened(
        self, wrapped: "Wrapped", context: Context, keys: KeyService, gate: Gate, about: str
    ) -> Plaintext:
        asked = OpeningId(keys.identity, wrapped.key, wrapped.blob, context)
        if is_off(self.limits):
            self._metrics.data_key_used(DataKeyUse.DECRYPT, DataKeyResult.OFF)
            return await self._decrypt(asked, keys, gate, about)
        async with self._turn(asked, gate):
            held = self._opening.get(asked, self.limits.max_age, self._clock.trust())
            if held is not None:
                self._metrics.data_key_used(DataKeyUse.DECRYPT, DataKeyResult.HIT)
                return held
            data_key = await self._decrypt(asked, keys, gate, about)
            self._opening.put(asked, data_key, self._clock.trust())
        self._metrics.data_key_used(DataKeyUse.DECRYPT, DataKeyResult.MISS)
        return data_key

    async def _decrypt(self, asked: OpeningId, keys: KeyService, gate: Gate, about: str) -> Plaintext:
        opened = await keys.decrypt(asked.blob, gate, context=asked.context, key_id=asked.key, about=about)
        if opened.key != asked.key:
            raise Undecryptable(f"{about}: KMS opened a data key with another key than the message names")
        return opened.plaintext

    @asynccontextmanager
    async def _turn(self, asked: Cached, gate: Gate) -> AsyncIterator[None]:
        """Let those who want the same data key go one after the other, none waiting longer than it may.

        The lock goes with the last of them. Raises TimedOut where somebody else's request takes too long.
        """
        lock = self._asking.get(asked)
        if lock is None:
            lock = self._asking[asked] = asyncio.Lock()
        await gate.bide(lock.acquire())
        try:
            yield
        finally:
            lock.release()


def _import_sdk() -> None:
    importlib.import_module("sidecar.envelope.sdk")


async def _admits(keys: KeyService, key: str, gate: Gate) -> bool:
    try:
        return key.startswith("arn:") and await keys.admits(key, gate)
    except BadKeyId:  # whatever a message may say
        return False


async def _work(size: int, work: Callable[[], T]) -> T:
    """Do what takes long in a thread."""
    return work() if size <= IN_LOOP else await asyncio.to_thread(work)
