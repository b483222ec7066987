"""Answer what KMS does with asymmetric keys beside encryption: Sign, Verify, GetPublicKey."""

from typing import Final

from sidecar.fakeaws import stores
from sidecar.fakeaws.kms import as_base64, demand_algorithm, demand_usage, dry_run, own_key, use_by_caller
from sidecar.fakeaws.pairs import CURVES, RSA_SIZES, digest
from sidecar.fakeaws.visit import Operation, Visit
from sidecar.fakeaws.wire import AwsError, Json, Params

_MOST: Final = 4096  # bytes of a message that is signed whole


def _signer(visit: Visit, params: Params) -> tuple[stores.Key, str, bytes]:
    """Return the key that a request names, the algorithm, and the digest that is to be signed."""
    key = use_by_caller(visit, params.needed("KeyId"), f"kms:{visit.operation}")
    algorithm, message = params.needed("SigningAlgorithm"), params.blob("Message")
    demand_usage(visit, key, "SIGN_VERIFY")
    demand_algorithm(key, algorithm, key.signing_algorithms)
    if len(message) > _MOST:
        raise AwsError("ValidationException", f"1 validation error detected: 'message' has more than {_MOST} bytes")
    return key, algorithm, digest(message, params.text("MessageType") or "RAW", algorithm)


def sign(visit: Visit, params: Params) -> Json:
    """Answer Sign."""
    key, algorithm, digested = _signer(visit, params)
    dry_run(params)
    signature = stores.pair_of(key).signature(digested, algorithm)
    return {"KeyId": key.arn, "Signature": as_base64(signature), "SigningAlgorithm": algorithm}


def verify(visit: Visit, params: Params) -> Json:
    """Answer Verify: a signature that does not fit is an error."""
    key, algorithm, digested = _signer(visit, params)
    if not stores.pair_of(key).has_signed(digested, params.blob("Signature"), algorithm):
        raise AwsError("KMSInvalidSignatureException", "")
    dry_run(params)
    return {"KeyId": key.arn, "SignatureValid": True, "SigningAlgorithm": algorithm}


def get_public_key(visit: Visit, params: Params) -> Json:
    """Answer GetPublicKey; it works in every state but for a key that goes or has not come."""
    key = own_key(visit, params.needed("KeyId"), "kms:GetPublicKey")
    visit.demand("kms:GetPublicKey", key.arn)
    if key.key_spec not in {*RSA_SIZES, *CURVES}:
        message = f"{key.arn} is a symmetric key: it has no public key."
        raise AwsError("UnsupportedOperationException", message)
    if key.key_state not in {"Enabled", "Disabled"}:
        raise AwsError("KMSInvalidStateException", f"{key.arn} is pending deletion or import.")
    algorithms = {"EncryptionAlgorithms": key.encryption_algorithms, "SigningAlgorithms": key.signing_algorithms}
    return {
        "KeyId": key.arn,
        "PublicKey": as_base64(stores.pair_of(key).der),
        "CustomerMasterKeySpec": key.key_spec,
        "KeySpec": key.key_spec,
        "KeyUsage": key.key_usage,
        **{name: known for name, known in algorithms.items() if known},
    }


CHARGED: Final = ("Sign", "Verify")
"""Charged where the key is used; GetPublicKey has a quota of its own."""

OPERATIONS: Final[dict[str, Operation]] = {"GetPublicKey": get_public_key, "Sign": sign, "Verify": verify}
