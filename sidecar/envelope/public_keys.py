"""Verify signatures and encrypt with public keys that KMS has given once, without asking it again.

A key pair's public half never changes, so what is told of a key's ARN is kept; an alias may name another key by
tomorrow, and is asked for anew after some minutes. What this cannot work with (None), KMS must be asked to do.
Only imported once a public key is used. Must not ask KMS itself: the KeyService does.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from weakref import WeakValueDictionary

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from sidecar.core.errors import BadKeyId, BadSize, KeyWrongUsage
from sidecar.core.keys import OAEP
from sidecar.core.ports import Gate, KeyService, PublicKey
from sidecar.core.secret import Plaintext

MOST: Final = 256
"""Public keys kept: far more than an app uses, a bound on what callers can name."""

ALIAS_AGE: Final = 300.0
"""Seconds for which it is remembered which key an alias names; as `aws.keys` has it."""

_HASHES: Final[Mapping[str, type[hashes.SHA1 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512]]] = {
    "SHA_1": hashes.SHA1,
    "SHA_256": hashes.SHA256,
    "SHA_384": hashes.SHA384,
    "SHA_512": hashes.SHA512,
}

Verify = Callable[[bytes, bytes], None]
"""Compare signature and message; raises InvalidSignature."""


@dataclass(slots=True)
class LoadedKey:
    """A public key that is ready for use."""

    told: PublicKey
    public: object
    _verifiers: dict[tuple[str, bool], tuple[int, Verify] | None] = field(default_factory=dict)

    @classmethod
    def of(cls, told: PublicKey) -> "LoadedKey":
        """Take KMS's answer; a curve that `cryptography` does not know is KMS's own business."""
        try:
            return cls(told, load_der_public_key(told.der))
        except Exception:  # noqa: BLE001 -- whatever it finds wrong with the key: then KMS must be asked
            return cls(told, None)

    def check_algorithm(self, algorithm: str, about: str) -> None:
        """Raise KeyWrongUsage for an algorithm that the key has not, as KMS would."""
        if algorithm not in self.told.algorithms:
            raise KeyWrongUsage(f"{about}: the KMS key does not have this algorithm")

    def verify(self, message: bytes, signature: bytes, algorithm: str, *, is_digest: bool, about: str) -> bool | None:
        """Tell whether the signature is the key's; None where only KMS can say. Raises KeyWrongUsage, BadSize."""
        self.check_algorithm(algorithm, about)
        asked = (algorithm, is_digest)
        if asked not in self._verifiers:
            self._verifiers[asked] = self._verifier(algorithm, is_digest=is_digest)
        found = self._verifiers[asked]
        if found is None:
            return None
        size, verify = found
        if is_digest and len(message) != size:
            raise BadSize(
                f"{about}: the digest is not as long as the algorithm's", mend="Send the message, or its own digest."
            )
        try:
            verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def encrypt(self, plaintext: Plaintext, algorithm: str, about: str) -> bytes | None:
        """Encrypt by RSA-OAEP; None where only KMS can. Raises KeyWrongUsage, BadSize."""
        self.check_algorithm(algorithm, about)
        kind = _hash_of(algorithm)
        if not isinstance(self.public, rsa.RSAPublicKey) or not algorithm.startswith("RSAES_OAEP_") or kind is None:
            return None
        digest = kind()
        value = plaintext.reveal()
        most = self.public.key_size // 8 - 2 * digest.digest_size - 2  # RFC 8017, 7.1.1
        if len(value) > most:
            raise BadSize(f"{about}: this key and algorithm encrypt at most {most} bytes")
        return self.public.encrypt(value, padding.OAEP(padding.MGF1(digest), digest, None))

    def _verifier(self, algorithm: str, *, is_digest: bool) -> tuple[int, Verify] | None:
        public = self.public
        if isinstance(public, ed25519.Ed25519PublicKey):
            return (0, public.verify) if algorithm == "ED25519_SHA_512" and not is_digest else None
        kind = _hash_of(algorithm)
        if kind is None:
            return None
        digest = kind()
        hashing = Prehashed(digest) if is_digest else digest
        if isinstance(public, ec.EllipticCurvePublicKey) and algorithm.startswith("ECDSA_"):
            return digest.digest_size, partial(public.verify, signature_algorithm=ec.ECDSA(hashing))
        if isinstance(public, rsa.RSAPublicKey) and algorithm.startswith("RSASSA_"):
            padded = _signature_padding(algorithm, digest)
            return digest.digest_size, lambda signature, message: public.verify(signature, message, padded, hashing)
        return None


def read_public_key(content: bytes, about: str) -> LoadedKey:
    """Read a downloaded RSA public key, PEM or DER; raises BadKeyId for what is none."""
    load = load_pem_public_key if content.lstrip().startswith(b"-----BEGIN") else load_der_public_key
    try:
        public = load(content)
    except Exception:  # noqa: BLE001 -- whatever it finds wrong, the content is not to be quoted
        raise BadKeyId(f"{about}: this is no public key", mend=_DOWNLOAD) from None
    if not isinstance(public, rsa.RSAPublicKey):
        raise BadKeyId(f"{about}: only RSA keys encrypt, and this is none", mend="Take the public key of an RSA pair.")
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    told = PublicKey(about, der, f"RSA_{public.key_size}", "ENCRYPT_DECRYPT", OAEP)
    return LoadedKey(told, public)


_DOWNLOAD: Final = (
    "Take the file as it was downloaded, PEM or DER: aws kms get-public-key --query PublicKey --output text "
    "--key-id … | base64 -d."
)


def _hash_of(algorithm: str) -> type[hashes.SHA1 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512] | None:
    return _HASHES.get("_".join(algorithm.split("_")[-2:]))


def _signature_padding(algorithm: str, digest: hashes.HashAlgorithm) -> padding.PSS | padding.PKCS1v15:
    if algorithm.startswith("RSASSA_PSS_"):  # KMS's salt is as long as the digest
        return padding.PSS(padding.MGF1(digest), digest.digest_size)
    return padding.PKCS1v15()


class PublicKeys:
    """The public keys of one way to KMS, each fetched once."""

    def __init__(self) -> None:
        """Begin without any."""
        self._held: OrderedDict[tuple[str, str], tuple[float, LoadedKey]] = OrderedDict()
        self._asking: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def get(self, key_id: str, keys: KeyService, gate: Gate) -> LoadedKey:
        """Give a key that may be used, fetched when it is not held; raises what `KeyService.public_key` raises.

        Whoever waits for the same key waits for one request, no longer than it may. Cancelling leaves the next to ask.
        """
        asked = (keys.identity, key_id)
        if (held := self._get(asked)) is not None:
            return held
        lock = self._asking.setdefault(asked, asyncio.Lock())
        await gate.bide(lock.acquire())
        try:
            return self._get(asked) or self._keep(asked, LoadedKey.of(await keys.public_key(key_id, gate)))
        finally:
            lock.release()

    def _keep(self, asked: tuple[str, str], loaded: LoadedKey) -> LoadedKey:
        until = asyncio.get_running_loop().time() + ALIAS_AGE if "alias/" in asked[1] else float("inf")
        self._held[asked] = (until, loaded)
        if len(self._held) > MOST:
            self._held.popitem(last=False)
        return loaded

    def _get(self, asked: tuple[str, str]) -> LoadedKey | None:
        until, loaded = self._held.get(asked, (float("-inf"), None))
        if loaded is None or until <= asyncio.get_running_loop().time():
            return None
        self._held.move_to_end(asked)
        return loaded
