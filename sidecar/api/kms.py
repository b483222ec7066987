"""Give local programs KMS under the daemon's limiter and its allowed keys: bodies and answers are KMS's own JSON.

One of the few places that open plaintexts. Must not decide which keys may be used, nor cache anything.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sidecar.api.answers import Answer, json_answer
from sidecar.api.asks import Ask
from sidecar.api.kms_shapes import SHAPES, Wish
from sidecar.api.problems import BodyTooLarge, WaitEnded
from sidecar.api.services import Kms, Services
from sidecar.core.ciphertexts import is_message
from sidecar.core.errors import BadContext, BadKeyId, BadSize, ConfigError, TimedOut
from sidecar.core.keys import MOST_DIRECT, SYMMETRIC, check_key_id
from sidecar.core.names import parse_name
from sidecar.core.ports import Gate, KeyService, Opened, Priority, PublicKey

if TYPE_CHECKING:
    from sidecar.envelope.public_keys import LoadedKey  # at run time only once a public key is used

MOST_BODY_BYTES: Final = 2 << 20
MOST_ENVELOPE: Final = 1 << 20
ABOUT: Final = "kms: a request of the app"

_NOT_IN_TIME: Final = f"{ABOUT}: AWS has not answered in time"
_LARGER: Final = 'Add "envelope": true, for an AWS Encryption SDK message of up to 1 MiB; `sidecar encrypt` takes more.'


@dataclass(frozen=True, slots=True)
class Turn:
    """One request's way to KMS."""

    kms: Kms
    keys: KeyService
    gate: Gate

    async def loaded(self, key_id: str) -> "LoadedKey":
        """Give the public key of a pair."""
        return await self.kms.public_key(check_key_id(key_id), self.keys, self.gate)


def _check_caller(services: Services, ask: Ask, operation: str) -> None:
    """Let the caller in, before anything of the request is looked at; raises CallerDenied."""
    name = parse_name(f"kms/{operation}")
    ask.accesses[name] = None
    services.permits.check_name(ask.caller, name)


def _read(services: Services, ask: Ask, operation: str, shape: str) -> Wish:
    """Let the caller in, and read what it asks for; raises CallerDenied, BadRequest."""
    _check_caller(services, ask, operation)
    return SHAPES[shape].read(ask.body)


@asynccontextmanager
async def _turn(services: Services, ask: Ask) -> AsyncIterator[Turn]:
    """Give the way to KMS; raises BadKeyId where it cannot be asked at all, WaitEnded."""
    assert services.kms, "whoever serves these routes has KMS"
    try:
        keys = services.kms.keys()
    except ConfigError as error:
        problem = error.problems[0]
        raise BadKeyId(
            "the daemon knows no region in which to ask KMS", mend=f"{problem.key}: {problem.what}"
        ) from None
    deadline = ask.deadline
    try:
        async with services.patience.busy(deadline):
            yield Turn(services.kms, keys, services.guard.gate(Priority.CALLER, deadline))
    except TimeoutError:
        raise WaitEnded(_NOT_IN_TIME) from None
    except TimedOut:
        if asyncio.get_running_loop().time() < deadline:  # the guard's own patience with one attempt
            raise
        raise WaitEnded(_NOT_IN_TIME) from None


async def serve_encrypt(services: Services, ask: Ask) -> Answer:
    """Encrypt: by KMS, in an envelope, or by the public key of an RSA pair."""
    wish = _read(services, ask, "encrypt", "KmsEncrypt")
    key_id, plaintext, algorithm = wish.key_id, wish.plaintext, wish.encryption_algorithm
    check = _check_envelope if wish.is_envelope else _check_direct
    check(wish, len(plaintext.reveal()))
    async with _turn(services, ask) as turn:
        if wish.is_envelope:
            sealed = await turn.kms.envelopes().seal(
                plaintext, check_key_id(key_id), turn.keys, turn.gate, context=wish.context, about=ABOUT
            )
            return _answer({"CiphertextBlob": sealed.blob, "KeyId": sealed.key, "envelope": True})
        if algorithm != SYMMETRIC:
            loaded = await turn.loaded(key_id)
            if (blob := loaded.encrypt(plaintext, algorithm, ABOUT)) is not None:
                return _answer({"CiphertextBlob": blob, "KeyId": loaded.told.key, "EncryptionAlgorithm": algorithm})
        sealed = await turn.keys.encrypt(
            key_id, plaintext, turn.gate, context=wish.context, algorithm=algorithm, about=ABOUT
        )
    return _answer({"CiphertextBlob": sealed.blob, "KeyId": sealed.key, "EncryptionAlgorithm": algorithm})


def _check_direct(wish: Wish, size: int) -> None:
    if size > MOST_DIRECT:
        raise BadSize(f"Plaintext is larger than the {MOST_DIRECT} bytes that KMS encrypts", mend=_LARGER)
    if not size:
        raise BadSize("Plaintext is empty, and KMS encrypts no less than one byte", mend='Add "envelope": true.')
    if wish.encryption_algorithm != SYMMETRIC and wish.context:
        raise BadContext("a key pair takes no encryption context", mend="Leave EncryptionContext out.")


def _check_envelope(wish: Wish, size: int) -> None:
    if size > MOST_ENVELOPE:
        raise BodyTooLarge(f"Plaintext is larger than {MOST_ENVELOPE >> 20} MiB")
    if wish.encryption_algorithm != SYMMETRIC:
        raise BadSize("an envelope's data key is encrypted by a symmetric key only", mend="Leave the algorithm out.")


async def serve_decrypt(services: Services, ask: Ask) -> Answer:
    """Decrypt what KMS has encrypted, or an Encryption SDK message."""
    wish = _read(services, ask, "decrypt", "KmsDecrypt")
    async with _turn(services, ask) as turn:
        opened = await _open(wish, turn)
    told = {"KeyId": opened.key, "Plaintext": opened.plaintext.reveal()}
    return _answer({**told, "EncryptionAlgorithm": wish.encryption_algorithm})


async def _open(wish: Wish, turn: Turn) -> Opened:
    blob, context = wish.blob("CiphertextBlob"), wish.context
    if is_message(blob) and wish.encryption_algorithm == SYMMETRIC:  # RSA's ciphertext may begin with any bytes
        if wish.key_id_or_none is not None:
            raise BadKeyId(
                "an Encryption SDK message names its keys itself",
                mend="Leave KeyId out; `kms.allow_keys` says which keys may open it.",
            )
        return await turn.kms.envelopes().open(blob, turn.keys, turn.gate, context=context, about=ABOUT)
    key_id = wish.key_id_or_none
    return await turn.keys.decrypt(
        blob, turn.gate, context=context, key_id=key_id, algorithm=wish.encryption_algorithm, about=ABOUT
    )


async def serve_data_key(services: Services, ask: Ask) -> Answer:
    """Make a data key, in the clear and encrypted."""
    wish = _read(services, ask, "generate-data-key", "KmsDataKey")
    async with _turn(services, ask) as turn:
        made = await turn.keys.generate_data_key(
            wish.key_id, turn.gate, context=wish.context, size=wish.size, about=ABOUT
        )
    return _answer({"CiphertextBlob": made.blob, "Plaintext": made.plaintext.reveal(), "KeyId": made.key})


async def serve_sealed_data_key(services: Services, ask: Ask) -> Answer:
    """Make a data key that nobody sees yet."""
    wish = _read(services, ask, "generate-data-key-without-plaintext", "KmsDataKey")
    async with _turn(services, ask) as turn:
        sealed = await turn.keys.generate_data_key_without_plaintext(
            wish.key_id, turn.gate, context=wish.context, size=wish.size, about=ABOUT
        )
    return _answer({"CiphertextBlob": sealed.blob, "KeyId": sealed.key})


async def serve_random(services: Services, ask: Ask) -> Answer:
    """Draw random bytes."""
    wish = _read(services, ask, "generate-random", "KmsRandom")
    async with _turn(services, ask) as turn:
        drawn = await turn.keys.generate_random(wish.size, turn.gate, about=ABOUT)
    return _answer({"Plaintext": drawn.reveal()})


async def serve_sign(services: Services, ask: Ask) -> Answer:
    """Sign a message or a digest."""
    wish = _read(services, ask, "sign", "KmsSign")
    message, algorithm = _message(wish), wish.signing_algorithm
    async with _turn(services, ask) as turn:
        signed = await turn.keys.sign(wish.key_id, message, algorithm, turn.gate, is_digest=wish.is_digest, about=ABOUT)
    return _answer({"KeyId": signed.key, "Signature": signed.signature, "SigningAlgorithm": algorithm})


async def serve_verify(services: Services, ask: Ask) -> Answer:
    """Tell whether a signature is a key's: by its public key here, or by KMS where that is not enough."""
    wish = _read(services, ask, "verify", "KmsVerify")
    message, algorithm, signature = _message(wish), wish.signing_algorithm, wish.blob("Signature")
    async with _turn(services, ask) as turn:
        loaded = await turn.loaded(wish.key_id)
        is_valid = loaded.verify(message, signature, algorithm, is_digest=wish.is_digest, about=ABOUT)
        if is_valid is None:
            is_valid = await turn.keys.verify(
                wish.key_id, message, signature, algorithm, turn.gate, is_digest=wish.is_digest, about=ABOUT
            )
    return _answer({"KeyId": loaded.told.key, "SignatureValid": is_valid, "SigningAlgorithm": algorithm})


async def serve_public_key(services: Services, ask: Ask) -> Answer:
    """Answer with the public key of a pair, in DER."""
    _check_caller(services, ask, "public-key")
    async with _turn(services, ask) as turn:
        told = (await turn.loaded(ask.query["key_id"][0])).told
    return _answer({"KeyId": told.key, "PublicKey": told.der, "KeySpec": told.spec, **_use_of(told)})


def _use_of(told: PublicKey) -> dict[str, object]:
    kind = "EncryptionAlgorithms" if told.usage == "ENCRYPT_DECRYPT" else "SigningAlgorithms"
    return {"KeyUsage": told.usage, kind: list(told.algorithms)}


def _message(wish: Wish) -> bytes:
    message = wish.blob("Message")
    if not wish.is_digest and not 1 <= len(message) <= MOST_DIRECT:
        raise BadSize(
            f"Message is not of 1 to {MOST_DIRECT} bytes", mend='Send its digest, with "MessageType": "DIGEST".'
        )
    return message


def _answer(members: Mapping[str, object]) -> Answer:
    """Answer with an object whose bytes are base64."""
    return json_answer(
        {
            name: base64.b64encode(value).decode() if isinstance(value, bytes) else value
            for name, value in members.items()
        }
    )


POSTED: Final = (
    ("encrypt", serve_encrypt, "KmsEncrypt", "Encrypt up to 4 KiB; with `envelope` up to 1 MiB."),
    ("decrypt", serve_decrypt, "KmsDecrypt", "Decrypt a ciphertext of KMS, or an AWS Encryption SDK message."),
    ("generate-data-key", serve_data_key, "KmsDataKey", "A data key, in the clear and encrypted."),
    (
        "generate-data-key-without-plaintext",
        serve_sealed_data_key,
        "KmsDataKey",
        "A data key, encrypted only.",
    ),
    ("generate-random", serve_random, "KmsRandom", "Random bytes."),
    ("sign", serve_sign, "KmsSign", "Sign up to 4 KiB, or a digest."),
    ("verify", serve_verify, "KmsVerify", "Whether a signature is the key's, told by its public key."),
)
"""Operation, who serves it, the shape of its body, what it does."""
