"""Be the private half of an RSA or ECC key pair: sign, verify and decrypt as KMS does, by real cryptography.

Pure but for chance; a pair is made when it is first used, since RSA takes its time. Knows no key's state or policy.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from sidecar.fakeaws.wire import AwsError

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

RSA_SIZES: Final[Mapping[str, int]] = {"RSA_2048": 2048, "RSA_3072": 3072, "RSA_4096": 4096}
CURVES: Final[Mapping[str, Callable[[], ec.EllipticCurve]]] = {
    "ECC_NIST_P256": ec.SECP256R1,
    "ECC_NIST_P384": ec.SECP384R1,
    "ECC_NIST_P521": ec.SECP521R1,
    "ECC_SECG_P256K1": ec.SECP256K1,
}
_HASHES: Final[Mapping[str, Callable[[], hashes.HashAlgorithm]]] = {
    "SHA_1": hashes.SHA1,
    "SHA_256": hashes.SHA256,
    "SHA_384": hashes.SHA384,
    "SHA_512": hashes.SHA512,
}
_HASH_NAME: Final = 2  # of an algorithm's parts, the last two: SHA and its length


def fits(spec: str, usage: str) -> bool:
    """Tell whether a key of this spec can be made for this usage."""
    if spec in RSA_SIZES:
        return usage in {"ENCRYPT_DECRYPT", "SIGN_VERIFY"}
    return usage == ("SIGN_VERIFY" if spec in CURVES else "ENCRYPT_DECRYPT")


def _hash_of(algorithm: str) -> hashes.HashAlgorithm:
    return _HASHES["_".join(algorithm.split("_")[-_HASH_NAME:])]()


def _oaep(algorithm: str) -> padding.OAEP:
    return padding.OAEP(padding.MGF1(_hash_of(algorithm)), _hash_of(algorithm), None)


def _signature_padding(algorithm: str) -> padding.PSS | padding.PKCS1v15:
    if algorithm.startswith("RSASSA_PSS"):  # KMS takes a salt as long as the digest
        return padding.PSS(padding.MGF1(_hash_of(algorithm)), _hash_of(algorithm).digest_size)
    return padding.PKCS1v15()


def digest(message: bytes, message_type: str, algorithm: str) -> bytes:
    """Return the digest that is signed; a message may come as its digest already."""
    if message_type == "DIGEST":
        if len(message) != _hash_of(algorithm).digest_size:
            raise AwsError("ValidationException", f"Digest is invalid length for algorithm {algorithm}.")
        return message
    hashing = hashes.Hash(_hash_of(algorithm))
    hashing.update(message)
    return hashing.finalize()


@dataclass(eq=False)
class Pair:
    """One pair of keys of a spec as KMS names it."""

    spec: str

    @cached_property
    def private(self) -> PrivateKey:
        """The private key, made now when it was not yet."""
        if self.spec in CURVES:
            return ec.generate_private_key(CURVES[self.spec]())
        return rsa.generate_private_key(public_exponent=65537, key_size=RSA_SIZES[self.spec])

    @property
    def der(self) -> bytes:
        """The public key as GetPublicKey gives it."""
        encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(encoding, form)

    def signature(self, digested: bytes, algorithm: str) -> bytes:
        """Sign a digest."""
        hashed = Prehashed(_hash_of(algorithm))
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(digested, _signature_padding(algorithm), hashed)
        return self.private.sign(digested, ec.ECDSA(hashed))

    def has_signed(self, digested: bytes, signature: bytes, algorithm: str) -> bool:
        """Tell whether the signature is this pair's, of this digest."""
        hashed = Prehashed(_hash_of(algorithm))
        try:
            if isinstance(self.private, rsa.RSAPrivateKey):
                public = self.private.public_key()
                public.verify(signature, digested, _signature_padding(algorithm), hashed)
            else:
                self.private.public_key().verify(signature, digested, ec.ECDSA(hashed))
        except InvalidSignature:
            return False
        return True

    def closed(self, plaintext: bytes, algorithm: str) -> bytes:
        """Encrypt; raises ValidationException for more than the key takes."""
        try:
            return self._rsa.public_key().encrypt(plaintext, _oaep(algorithm))
        except ValueError:
            message = f"Algorithm {algorithm} and key spec {self.spec} cannot encrypt data larger than the key takes."
            raise AwsError("ValidationException", message) from None

    def opened(self, ciphertext: bytes, algorithm: str) -> bytes:
        """Decrypt; raises InvalidCiphertextException for what does not open."""
        try:
            return self._rsa.decrypt(ciphertext, _oaep(algorithm))
        except ValueError:
            raise AwsError("InvalidCiphertextException", "") from None

    @property
    def _rsa(self) -> rsa.RSAPrivateKey:
        assert isinstance(self.private, rsa.RSAPrivateKey), "KMS encrypts under RSA pairs only"
        return self.private
