"""Ask KMS for a command: by the daemon, under its limiter and its allowed keys, or alone, straight.

Must not hold what is encrypted longer than a question takes.
"""

import asyncio
import base64
import binascii
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

from sidecar.cli.configured import read_config
from sidecar.cli.sockets import find_socket
from sidecar.cli.sources import is_there
from sidecar.client import Client, ClientError, NoDaemon, Refused, Unfit
from sidecar.core.config.types import LogLevel
from sidecar.core.errors import BadKeyId, KeyNotAllowed, SecretError, SidecarError, Undecryptable
from sidecar.core.keys import SYMMETRIC, check_key_id
from sidecar.core.ports import DataKey, Gate, KeyService, Opened, Priority, PublicKey
from sidecar.core.refs import Context
from sidecar.core.secret import Plaintext

T = TypeVar("T")

ABOUT: Final = "standard input"
"""What messages say it is about."""


class Kms(Protocol):
    """What the commands need of KMS. Raises SecretError, Transient and BadKeyId, or ClientError, and nothing else."""

    def encrypt(self, key_id: str, plaintext: Plaintext, context: Context) -> bytes:
        """Encrypt up to 4 KiB under a symmetric key."""
        ...

    def decrypt(self, blob: bytes, context: Context, key_id: str | None, algorithm: str = SYMMETRIC) -> Opened:
        """Decrypt what KMS encrypted."""
        ...

    def data_key(self, key_id: str, context: Context) -> DataKey:
        """Make a data key."""
        ...

    def public_key(self, key_id: str) -> PublicKey:
        """Give the public key of a pair."""
        ...


class DaemonKms:
    """KMS by a running daemon."""

    def __init__(self, client: Client, wait: float) -> None:
        """Take whom to ask, and the seconds that it may wait for AWS."""
        self._client = client
        self._wait = wait

    def encrypt(self, key_id: str, plaintext: Plaintext, context: Context) -> bytes:
        """Do what `Kms.encrypt` promises."""
        told = self._ask("encrypt", KeyId=key_id, Plaintext=plaintext.reveal(), EncryptionContext=dict(context))
        return _blob(told, "CiphertextBlob")

    def decrypt(self, blob: bytes, context: Context, key_id: str | None, algorithm: str = SYMMETRIC) -> Opened:
        """Do what `Kms.decrypt` promises."""
        named = {} if key_id is None else {"KeyId": key_id}
        given = {"EncryptionContext": dict(context)} if context else {}
        told = self._ask("decrypt", CiphertextBlob=blob, EncryptionAlgorithm=algorithm, **named, **given)
        return Opened(str(told.get("KeyId")), Plaintext(_blob(told, "Plaintext")), context)

    def data_key(self, key_id: str, context: Context) -> DataKey:
        """Do what `Kms.data_key` promises."""
        told = self._ask("generate-data-key", KeyId=key_id, EncryptionContext=dict(context), KeySpec="AES_256")
        return DataKey(str(told.get("KeyId")), Plaintext(_blob(told, "Plaintext")), _blob(told, "CiphertextBlob"))

    def public_key(self, key_id: str) -> PublicKey:
        """Do what `Kms.public_key` promises."""
        told = _or_alone(lambda: self._client.public_key(key_id, wait=self._wait))
        algorithms = told.get("EncryptionAlgorithms")
        return PublicKey(
            key=str(told.get("KeyId")),
            der=_blob(told, "PublicKey"),
            spec=str(told.get("KeySpec")),
            usage=str(told.get("KeyUsage")),
            algorithms=tuple(map(str, algorithms)) if isinstance(algorithms, list) else (),
        )

    def _ask(self, operation: str, **members: object) -> Mapping[str, object]:
        return _or_alone(lambda: self._client.kms(operation, wait=self._wait, **members))


def _or_alone(ask: Callable[[], Mapping[str, object]]) -> Mapping[str, object]:
    """Ask; where no daemon answers, say what else can be done."""
    try:
        return ask()
    except NoDaemon as error:
        raise NoDaemon(str(error), mend=f"{error.mend} Or add --alone, to ask KMS straight.") from None


def _blob(told: Mapping[str, object], member: str) -> bytes:
    given = told.get(member)
    with suppress(binascii.Error):  # raised outside, since that error may hold the answer
        if isinstance(given, str):
            return base64.b64decode(given, validate=True)
    raise ClientError("the answer is not the daemon's", mend="Look at what listens at this socket.")


class OwnKms:
    """KMS straight, as a daemon of this configuration would ask it, for a command that works alone."""

    def __init__(self, option: Path | None, wait: float) -> None:
        """Take where the configuration is, if that is said, and the seconds that a question may take."""
        self._option = option
        self._wait = wait

    def encrypt(self, key_id: str, plaintext: Plaintext, context: Context) -> bytes:
        """Do what `Kms.encrypt` promises."""

        async def ask(keys: KeyService, gate: Gate) -> bytes:
            return (await keys.encrypt(key_id, plaintext, gate, context=context, about=ABOUT)).blob

        return self._ask(ask)

    def decrypt(self, blob: bytes, context: Context, key_id: str | None, algorithm: str = SYMMETRIC) -> Opened:
        """Do what `Kms.decrypt` promises."""
        return self._ask(
            lambda keys, gate: keys.decrypt(
                blob, gate, context=context, key_id=key_id, algorithm=algorithm, about=ABOUT
            )
        )

    def data_key(self, key_id: str, context: Context) -> DataKey:
        """Do what `Kms.data_key` promises."""
        return self._ask(lambda keys, gate: keys.generate_data_key(key_id, gate, context=context, about=ABOUT))

    def public_key(self, key_id: str) -> PublicKey:
        """Do what `Kms.public_key` promises."""
        return self._ask(lambda keys, gate: keys.public_key(key_id, gate, about=key_id))

    def _ask(self, question: Callable[[KeyService, Gate], Awaitable[T]]) -> T:
        outcome = asyncio.run(self._answer(question))
        if isinstance(outcome, SidecarError):
            raise outcome
        return outcome

    async def _answer(self, question: Callable[[KeyService, Gate], Awaitable[T]]) -> T | SidecarError:
        """Put a household together for one question; what is no answer is one too, and no end to others' work."""
        from sidecar.cli.alone import household  # noqa: PLC0415 -- all of it, only for those who work alone
        from sidecar.telemetry.logs import set_up_logs  # noqa: PLC0415 -- likewise

        config = read_config(self._option, os.environ)
        set_up_logs(LogLevel.ERROR, config.log.format, sys.stderr)  # what goes wrong is told in one line, at the end
        async with household(config) as house:
            deadline = asyncio.get_running_loop().time() + self._wait
            try:
                return await question(house.keys(), house.guard.gate(Priority.CALLER, deadline))
            except SidecarError as error:
                return error


@dataclass(frozen=True, slots=True)
class Way:
    """How a command was told to reach KMS."""

    alone: bool
    socket: Path | None
    config: Path | None
    wait: float


def find_kms(way: Way, environ: Mapping[str, str]) -> Kms:
    """Give the daemon's KMS where there is a daemon, or one is named; else KMS itself. Nothing is asked yet."""
    if not way.alone:
        path = find_socket(way.socket, environ)
        if way.socket or environ.get("SIDECAR_SOCKET") or is_there(path):
            return DaemonKms(Client(path), way.wait)
    return OwnKms(way.config, way.wait)


def unwrap(data_keys: Sequence[tuple[str, bytes]], context: Context, kms: Kms) -> tuple[int, Plaintext]:
    """Have the first of a message's data keys (ARN, ciphertext) decrypted that may be and opens; give its number too.

    Raises what the last of them met.
    """
    failure: Exception = KeyNotAllowed(f"{ABOUT}: none of its data keys is of a KMS key that is allowed")
    for number, (key, blob) in enumerate(data_keys):
        if not _names_key(key):
            continue
        try:
            opened = kms.decrypt(blob, context, key)
        except (SecretError, Refused, Unfit) as error:
            failure = error
            continue
        if opened.key != key:
            raise Undecryptable(f"{ABOUT}: KMS opened a data key with another key than the message names")
        return number, opened.plaintext
    raise failure


def _names_key(text: str) -> bool:
    try:
        return text.startswith("arn:") and bool(check_key_id(text))
    except BadKeyId:  # whatever a message may say
        return False
