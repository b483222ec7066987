"""Be KMS for one identity, under the keys that the configuration allows: the port KeyService.

Must not cache: what an alias names is remembered for some minutes only, since nothing tells when it moves.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, TypeVar

from sidecar.aws import kms
from sidecar.aws.errors import BadSignature
from sidecar.aws.identities import Identity, Question
from sidecar.core.arns import partition_of
from sidecar.core.errors import BadCiphertext, KeyNotAllowed, SecretError
from sidecar.core.keys import (
    MOST_CIPHERTEXT,
    RSA_2048_BYTES,
    SYMMETRIC,
    Home,
    KeyPattern,
    check_key_id,
    is_allowed,
    key_arn,
    kind_of,
    only_key,
    region_of,
)
from sidecar.core.ports import DataKey, Gate, Opened, PublicKey, Sealed, Signature
from sidecar.core.refs import Context
from sidecar.core.secret import Plaintext
from sidecar.telemetry import KmsReason, Metrics

T = TypeVar("T")

ALIAS_AGE: Final = 300.0
"""Seconds for which it is remembered which key an alias names."""

MOST_ALIASES: Final = 256
"""Aliases remembered: far more than anybody allows, a bound on what callers can name."""


class Keys:
    """KMS as one identity sees it."""

    def __init__(self, identity: Identity, allowed: Sequence[KeyPattern] | None, metrics: Metrics) -> None:
        """Take as whom to ask, under which keys (None: those of its own account), and where to count."""
        self._identity = identity
        self._allowed = None if allowed is None else tuple(allowed)
        self._metrics = metrics
        self._named: dict[str, tuple[float, str]] = {}  # alias ARN -> until when, key ARN

    @property
    def identity(self) -> str:
        """Do what `KeyService.identity` promises."""
        return self._identity.name

    @property
    def region(self) -> str:
        """Do what `KeyService.region` promises."""
        return self._identity.region

    async def admits(self, key_id: str, gate: Gate) -> bool:
        """Do what `KeyService.admits` promises."""
        home = await self._home(gate)
        arn = key_arn(check_key_id(key_id), home)
        if is_allowed(arn, self._allowed, home):
            return True
        aliases = [pattern.arn(home) for pattern in self._allowed or () if pattern.is_alias]
        if ":alias/" in arn and self._allowed:
            key = await self._key_of(arn, gate)
            return bool(key) and is_allowed(key, self._allowed, home)
        return arn in [
            await self._key_of(alias, gate) for alias in aliases if region_of(alias, "") == arn.split(":")[3]
        ]

    async def encrypt(  # noqa: PLR0913 -- the port's
        self,
        key_id: str,
        plaintext: Plaintext,
        gate: Gate,
        *,
        context: Context = (),
        algorithm: str = SYMMETRIC,
        about: str = "",
    ) -> Sealed:
        """Do what `KeyService.encrypt` promises."""
        region, about = await self._admit(key_id, gate, about)
        question = kms.encrypt(
            region, about, key_id=key_id, plaintext=plaintext.reveal(), context=context, algorithm=algorithm
        )
        sealed = await self._ask(question, gate)
        self._price(question, algorithm, len(sealed.blob))
        return sealed

    async def decrypt(  # noqa: PLR0913 -- the port's
        self,
        blob: bytes,
        gate: Gate,
        *,
        context: Context = (),
        key_id: str | None = None,
        algorithm: str = SYMMETRIC,
        region: str | None = None,
        about: str = "",
    ) -> Opened:
        """Do what `KeyService.decrypt` promises."""
        only = self._only() if key_id is None else None
        if key_id is not None:
            await self._admit(key_id, gate, about)
        named = key_id or only
        region, about = region_of(named or "", region or self.region), about or "kms: a ciphertext"
        if self._allowed == ():
            raise KeyNotAllowed(f"{about}: no KMS key is allowed")
        if not 1 <= len(blob) <= MOST_CIPHERTEXT:
            raise BadCiphertext(f"{about}: KMS makes no ciphertext of {len(blob)} bytes")
        question = kms.decrypt(region, about, blob=blob, context=context, key_id=named, algorithm=algorithm)
        opened = await self._ask(question, gate)
        self._price(question, algorithm, len(blob))
        if named is None and not await self.admits(opened.key, gate):
            raise KeyNotAllowed(f"{about}: it is of a KMS key that is not allowed")
        return opened

    async def generate_data_key(
        self, key_id: str, gate: Gate, *, context: Context = (), size: int = 32, about: str = ""
    ) -> DataKey:
        """Do what `KeyService.generate_data_key` promises."""
        region, about = await self._admit(key_id, gate, about)
        return await self._ask(kms.generate_data_key(region, about, key_id=key_id, context=context, size=size), gate)

    async def generate_data_key_without_plaintext(
        self, key_id: str, gate: Gate, *, context: Context = (), size: int = 32, about: str = ""
    ) -> Sealed:
        """Do what `KeyService.generate_data_key_without_plaintext` promises."""
        region, about = await self._admit(key_id, gate, about)
        question = kms.generate_data_key_without_plaintext(region, about, key_id=key_id, context=context, size=size)
        return await self._ask(question, gate)

    async def generate_random(self, size: int, gate: Gate, *, about: str = "") -> Plaintext:
        """Do what `KeyService.generate_random` promises."""
        return await self._ask(kms.generate_random(self.region, about or "kms: random bytes", size=size), gate)

    async def sign(  # noqa: PLR0913 -- the port's
        self, key_id: str, message: bytes, algorithm: str, gate: Gate, *, is_digest: bool = False, about: str = ""
    ) -> Signature:
        """Do what `KeyService.sign` promises."""
        region, about = await self._admit(key_id, gate, about)
        question = kms.sign(region, about, key_id=key_id, message=message, algorithm=algorithm, is_digest=is_digest)
        signed = await self._ask(question, gate)
        self._price(question, algorithm, len(signed.signature))
        return signed

    async def verify(  # noqa: PLR0913 -- the port's
        self,
        key_id: str,
        message: bytes,
        signature: bytes,
        algorithm: str,
        gate: Gate,
        *,
        is_digest: bool = False,
        about: str = "",
    ) -> bool:
        """Do what `KeyService.verify` promises."""
        region, about = await self._admit(key_id, gate, about)
        question = kms.verify(
            region,
            about,
            key_id=key_id,
            message=message,
            signature=signature,
            algorithm=algorithm,
            is_digest=is_digest,
        )
        try:
            valid = await self._ask(question, gate)
        except BadSignature:
            valid = False
        self._price(question, algorithm, len(signature))
        return valid

    async def public_key(self, key_id: str, gate: Gate, *, about: str = "") -> PublicKey:
        """Do what `KeyService.public_key` promises."""
        region, about = await self._admit(key_id, gate, about)
        question = kms.public_key(region, about, key_id=key_id)
        found = await self._identity.ask(question, gate)
        self._price(question, found.spec, RSA_2048_BYTES if found.spec == "RSA_2048" else 0)
        return found

    def _only(self) -> str | None:
        return only_key(self._allowed)

    async def _ask(self, question: Question[T], gate: Gate) -> T:
        answer = await self._identity.ask(question, gate)
        self._metrics.kms_charged(KmsReason.DIRECT)
        return answer

    def _price(self, question: Question[T], algorithm: str, size: int) -> None:
        self._metrics.pair_used(question.operation, kind_of(algorithm, size))

    async def _admit(self, key_id: str, gate: Gate, about: str) -> tuple[str, str]:
        """Give the region and the subject of a request under this key; raises KeyNotAllowed."""
        about = about or "kms: a request of the app"
        if not await self.admits(key_id, gate):
            raise KeyNotAllowed(f"{about}: its KMS key is not allowed")
        return region_of(key_id, self.region), about

    async def _home(self, gate: Gate) -> Home:
        arn = self._identity.spec.role_arn or ""
        partition = arn.split(":")[1] if arn else partition_of(self.region)
        return Home(await self._identity.account(gate), self.region, partition)

    async def _key_of(self, alias: str, gate: Gate) -> str:
        """Give the ARN of the key that an alias names, or nothing where there is none to be seen."""
        now = asyncio.get_running_loop().time()
        until, key = self._named.get(alias, (now, ""))
        if until > now:
            return key
        question = kms.describe_key(region_of(alias, self.region), f"kms: the key of {alias}", key_id=alias)
        try:
            key = await self._identity.ask(question, gate)
        except SecretError:
            key = ""
        if len(self._named) >= MOST_ALIASES:
            self._named.clear()
        self._named[alias] = (now + ALIAS_AGE, key)
        return key


class OwnKeys(Keys):
    """KMS without `kms.allow_keys`: for what the configuration itself says to decrypt, a parameter's ciphertext."""

    async def admits(self, key_id: str, gate: Gate) -> bool:  # noqa: ARG002 -- the port's
        """Admit every key: AWS decides."""
        check_key_id(key_id)
        return True
