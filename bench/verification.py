"""How fast signatures are verified here, with a public key that KMS gave once, and what a request costs beside it.

A round trip to KMS of 5 ms allows 200 verifications a second, one after the other. Beside each rate stands that of the
library alone, in the same run: what it takes is the least that there is.
"""

import base64
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.figures import Figure
from bench.running import Daemon, World, declared, until, world
from sidecar.core.ports import PublicKey
from sidecar.envelope.public_keys import LoadedKey

BY_KMS: Final = 200  # a second, at 5 ms each
GOAL: Final = 100  # times that
JUDGED: Final = ("RSA_2048", "ECC_NIST_P256")
"""The kinds of keys that everybody uses. Of the others the library itself does less: they are told beside it."""

LEAST: Final = 0.95  # of what the library does alone
MESSAGE: Final = b"m" * 256
SECONDS: Final = 0.05
RUNS: Final = 9
REQUESTS: Final = 20_000
_RATE: Final = re.compile(r"finished in [^,]+, ([0-9.]+) req/s")


@dataclass(frozen=True, slots=True)
class Rates:
    """Verifications a second under one kind of key."""

    spec: str
    ours: float
    library: float

    @property
    def times(self) -> float:
        """How many round trips to KMS that is."""
        return self.ours / BY_KMS


def measure() -> list[Figure]:
    """Verify with each kind of key, then over the socket."""
    rates = [*map(_of_rsa, (2048, 3072, 4096)), *map(_of_curve, _CURVES)]
    figures = [
        Figure(
            f"local verification, {each.spec}, against a round trip of 5 ms",
            f">= {GOAL} times" if each.spec in JUDGED else "",
            f"{each.times:.0f} times ({each.ours:,.0f}/s)",
            each.times >= GOAL if each.spec in JUDGED else None,
        )
        for each in rates
    ]
    least = min(rates, key=lambda each: each.ours / each.library)
    part = least.ours / least.library
    what = f"… against the library alone, the least: {least.spec}"
    return [*figures, Figure(what, f">= {LEAST:.0%}", f"{part:.0%}", part >= LEAST), *_over_the_socket()]


_CURVES: Final[tuple[tuple[str, ec.EllipticCurve, hashes.HashAlgorithm], ...]] = (
    ("ECC_NIST_P256", ec.SECP256R1(), hashes.SHA256()),
    ("ECC_NIST_P384", ec.SECP384R1(), hashes.SHA384()),
    ("ECC_NIST_P521", ec.SECP521R1(), hashes.SHA512()),
    ("ECC_SECG_P256K1", ec.SECP256K1(), hashes.SHA256()),
)


def _of_rsa(bits: int) -> Rates:
    private, digest = rsa.generate_private_key(65537, bits), hashes.SHA256()
    padded, public = padding.PSS(padding.MGF1(digest), digest.digest_size), private.public_key()
    signature = private.sign(MESSAGE, padded, digest)
    library = partial(public.verify, signature, MESSAGE, padded, digest)
    return _compare(f"RSA_{bits}", _loaded(public, "RSASSA_PSS_SHA_256"), signature, library)


def _of_curve(kind: tuple[str, ec.EllipticCurve, hashes.HashAlgorithm]) -> Rates:
    spec, curve, digest = kind
    private, signing = ec.generate_private_key(curve), ec.ECDSA(digest)
    signature, public = private.sign(MESSAGE, signing), private.public_key()
    loaded = _loaded(public, f"ECDSA_SHA_{digest.digest_size * 8}")
    return _compare(spec, loaded, signature, partial(public.verify, signature, MESSAGE, signing))


def _loaded(public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, algorithm: str) -> LoadedKey:
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return LoadedKey.of(PublicKey("arn", der, "", "SIGN_VERIFY", (algorithm,)))


def _compare(spec: str, loaded: LoadedKey, signature: bytes, library: Callable[[], object]) -> Rates:
    """Let both verify in turns, so that a slower moment of the machine is everybody's."""
    (algorithm,) = loaded.told.algorithms
    ours = partial(loaded.verify, MESSAGE, signature, algorithm, is_digest=False, about="bench")
    assert ours() is True, "a signature that is not verified means nothing"
    runs = [(_rate(ours), _rate(library)) for _ in range(RUNS)]
    return Rates(spec, max(run[0] for run in runs), max(run[1] for run in runs))


def _rate(verify: Callable[[], object]) -> float:
    """Give verifications for each second of processor time: what the machine gives to others does not count."""
    times, began = 0, time.process_time()
    while (took := time.process_time() - began) < SECONDS:
        for _ in range(20):
            verify()
        times += 20
    return times / took


def _over_the_socket() -> list[Figure]:
    what = "verify over the socket, ECC_NIST_P256, requests/s"
    if shutil.which("h2load") is None:
        return [Figure(what, "", "not measured: h2load is missing (nghttp2-client)")]
    with world(1) as here, here.daemon(here.configure(declared(1))) as daemon:
        until(daemon.ready, within=20)
        body = _body(here, daemon)
        assert daemon.post("/v1/kms/verify", body)[1]["SignatureValid"] is True
        before = here.fake.counts()
        rate = _load(daemon, here.folder / "body", body)
        asked = sum(here.fake.counts().values()) - sum(before.values())
    return [Figure(what, "", f"{rate:,.0f}"), Figure("… requests to KMS meanwhile", "0", str(asked), asked == 0)]


def _body(here: World, daemon: Daemon) -> dict[str, str]:
    key, message = here.create_pair("ECC_NIST_P256"), base64.b64encode(MESSAGE).decode()
    asked = {"KeyId": key, "Message": message, "SigningAlgorithm": "ECDSA_SHA_256"}
    return {**asked, "Signature": str(daemon.post("/v1/kms/sign", asked)[1]["Signature"])}


def _load(daemon: Daemon, file: Path, body: dict[str, str]) -> float:
    file.write_bytes(daemon.encoded(body))
    command = ["h2load", "--h1", "-B", f"unix:{daemon.socket}", "-c16", f"-n{REQUESTS}", "-d", str(file)]
    said = subprocess.run([*command, "http://x/v1/kms/verify"], capture_output=True, text=True, check=True).stdout
    rate = _RATE.search(said)
    assert rate is not None
    assert f"{REQUESTS} succeeded" in said, "each request has an answer, else the rate means nothing"
    return float(rate[1])
