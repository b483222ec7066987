"""Be KMS where moto is not: key states, contexts, keys that only a service may use, and its quota.

`seal` and `unseal` are what Parameter Store and Secrets Manager do on a caller's behalf.
"""

import base64
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final
from weakref import WeakKeyDictionary

from sidecar.fakeaws import stores
from sidecar.fakeaws.pairs import CURVES, RSA_SIZES, Pair
from sidecar.fakeaws.visit import Operation, Visit
from sidecar.fakeaws.wire import AwsError, Json, Params

SYMMETRIC: Final = "kms.symmetric"
_QUOTAS: Final = {"RSA": "kms.rsa", "ECC": "kms.ecc"}
_DRY_RUN_STATUS: Final = 412
_SYMMETRIC_SPEC: Final = "SYMMETRIC_DEFAULT"
_KEY_ID_LENGTH: Final = 36  # moto's ciphertext begins with the key's id


@dataclass(slots=True)
class Beside:
    """What is to be known of a key beyond what moto keeps."""

    shut_out: tuple[str, ...] = ()  # globs over callers whom the key policy does not admit
    before: list[bytes] = field(default_factory=list)  # material that rotations have replaced
    imported: bytes | None = None  # the only material that may ever be imported
    expires_at: datetime | None = None  # when the imported material goes


_beside: WeakKeyDictionary[stores.Key, Beside] = WeakKeyDictionary()


def beside(key: stores.Key) -> Beside:
    """Return what is kept of a key beside moto."""
    return _beside.setdefault(key, Beside())


class Trouble(StrEnum):
    """Why a key does not do what is asked."""

    MISSING = "missing"
    DISABLED = "disabled"
    BAD_STATE = "bad-state"  # pending deletion or import
    DENIED = "denied"
    THROTTLED = "throttled"


class KeyTrouble(Exception):
    """A key that cannot be used; each service says it in its own words."""

    def __init__(self, trouble: Trouble, error: AwsError) -> None:
        """Take the kind of trouble, and what KMS itself would answer."""
        super().__init__(trouble.value)
        self.trouble = trouble
        self.error = error


def find_key(account: str, region: str, key_id: str) -> stores.Key | None:
    """Return the key of an id, alias or ARN of either; an ARN may name another account."""
    owner = key_id.split(":")[4] if key_id.startswith("arn:") else account
    store = stores.kms_store(owner, region)
    plain = store.get_alias_name(store.get_key_id(key_id))
    found = store.get_key_id_from_alias(plain) if plain.startswith("alias/") else plain
    return None if found is None else store.keys.get(found)


def needed_key(visit: Visit, key_id: str) -> stores.Key:
    """Return the key, or raise that there is none."""
    if key_id.startswith("arn:") and key_id.split(":")[3] != visit.region:
        told = AwsError("NotFoundException", f"Invalid arn {key_id.split(':')[3]}")
        raise KeyTrouble(Trouble.MISSING, told)
    key = find_key(visit.account, visit.region, key_id)
    if key is None:
        kind = "Alias" if "alias/" in key_id else "Key"
        where = key_id if key_id.startswith("arn:") else f"arn:aws:kms:{visit.region}:{visit.account}:{key_id}"
        message = f"{kind} {where} is not found." if kind == "Alias" else f"Key '{where}' does not exist"
        raise KeyTrouble(Trouble.MISSING, AwsError("NotFoundException", message))
    return key


def check_state(key: stores.Key) -> None:
    """Raise when the key is disabled, pending deletion or pending import."""
    expires_at = beside(key).expires_at
    if expires_at is not None and expires_at <= datetime.now(UTC):
        drop_material(key)
    if key.key_state == "Enabled":
        return
    if key.key_state == "Disabled":
        raise KeyTrouble(Trouble.DISABLED, AwsError("DisabledException", f"{key.arn} is disabled."))
    told = {"PendingDeletion": "pending deletion", "PendingImport": "pending import"}.get(key.key_state, "unavailable")
    raise KeyTrouble(Trouble.BAD_STATE, AwsError("KMSInvalidStateException", f"{key.arn} is {told}."))


def drop_material(key: stores.Key) -> None:
    """Leave a key without its imported material."""
    beside(key).expires_at = None
    set_state(key, "PendingImport")


def use_key(visit: Visit, key: stores.Key, action: str) -> None:
    """Charge one use of a key, and raise when the caller may not, or the key cannot."""
    _charge(visit, key, action)
    if visit.weather.denies(visit.caller, action, key.arn, key.id, *key.aliases):
        raise KeyTrouble(Trouble.DENIED, _denied(visit, action, key.arn, "identity"))
    if any(visit.caller.is_like(glob) for glob in beside(key).shut_out):
        raise KeyTrouble(Trouble.DENIED, _denied(visit, action, key.arn, "resource"))
    check_state(key)


def _charge(visit: Visit, key: stores.Key, action: str) -> None:
    quota = _QUOTAS.get(key.key_spec.partition("_")[0], SYMMETRIC)
    # The first use decides for all that a request needs, else a batch of ten could never pass a quota of five.
    begun, visit.uses_key = visit.uses_key, True
    if not visit.weather.admits(visit.account, visit.region, quota, visit.now(), debt=begun):
        told = "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."
        raise KeyTrouble(Trouble.THROTTLED, AwsError("ThrottlingException", told))
    visit.kms_charges += action == "kms:Decrypt"


def _denied(visit: Visit, action: str, resource: str, policy: str) -> AwsError:
    return AwsError(
        "AccessDeniedException",
        f"User: {visit.caller.arn} is not authorized to perform: {action} on resource: {resource} "
        f"because no {policy}-based policy allows the {action} action",
    )


def _hidden(visit: Visit, action: str) -> AwsError:
    return AwsError(
        "AccessDeniedException",
        f"User: {visit.caller.arn} is not authorized to perform: {action} on this resource because the resource "
        "does not exist in this Region, no resource-based policies allow access, "
        "or a resource-based policy explicitly denies access",
    )


def is_managed(key: stores.Key) -> bool:
    """Tell whether it is AWS's own key of a service: only that service may use it (kms:ViaService)."""
    return any(alias.startswith("alias/aws/") for alias in key.aliases)


def seal(visit: Visit, key: stores.Key, plaintext: bytes, context: dict[str, str]) -> bytes:
    """Encrypt under a key, charged to the caller."""
    use_key(visit, key, "kms:Encrypt")
    return stores.kms_store(key.account_id, key.region).encrypt(key.id, plaintext, context)[0]


def unseal(visit: Visit, ciphertext: bytes, context: dict[str, str]) -> tuple[bytes, stores.Key]:
    """Decrypt, charged to the caller; raises InvalidCiphertextException when it does not open."""
    key = _key_of(visit, ciphertext)
    use_key(visit, key, "kms:Decrypt")
    return _open_with_any(key, ciphertext, context), key


def _open_with_any(key: stores.Key, ciphertext: bytes, context: dict[str, str]) -> bytes:
    """Decrypt with the key's material, or with what it was before a rotation."""
    store, now = stores.kms_store(key.account_id, key.region), key.key_material
    try:
        for material in reversed(beside(key).before):
            try:
                return store.decrypt(ciphertext, context)[0]
            except stores.JsonRESTError:
                key.key_material = material
        return store.decrypt(ciphertext, context)[0]
    finally:
        key.key_material = now


def seal_message(visit: Visit, key: stores.Key, plaintext: bytes, context: dict[str, str]) -> bytes:
    """Encrypt more than KMS takes: an Encryption SDK message, its data key charged to the caller."""
    from sidecar.fakeaws import messages  # noqa: PLC0415 -- the SDK is large, and few parameters are advanced

    return messages.seal_message(plaintext, key.arn, context, lambda data, more: seal(visit, key, data, dict(more)))


def unseal_message(visit: Visit, message: bytes, context: dict[str, str]) -> tuple[bytes, stores.Key]:
    """Decrypt what `seal_message` made."""
    from sidecar.fakeaws import messages  # noqa: PLC0415 -- as above

    used: list[stores.Key] = []

    def unwrap(blob: bytes, _: Mapping[str, str]) -> bytes:
        data_key, key = unseal(visit, blob, context)
        used.append(key)
        return data_key

    return messages.unseal_message(message, unwrap), used[0]


def _key_of(visit: Visit, ciphertext: bytes) -> stores.Key:
    key_id = ciphertext[:_KEY_ID_LENGTH].decode("ascii", errors="replace")
    for account in (visit.account, *stores.accounts_with_keys()):
        key = stores.kms_store(account, visit.region).keys.get(key_id)
        if key is not None:
            return key
    raise AwsError("InvalidCiphertextException", "")


def own_key(visit: Visit, key_id: str, action: str) -> stores.Key:
    """Return a key that a caller named for a call of his own."""
    try:
        key = needed_key(visit, key_id)
    except KeyTrouble as trouble:
        raise trouble.error from None
    if is_managed(key):
        raise _hidden(visit, action)
    return key


def dry_run(params: Params) -> None:
    """Raise what says that the request would have worked, when only that was asked."""
    if params.flag("DryRun"):
        message = "The request would have succeeded, but the DryRun option is set."
        raise AwsError("DryRunOperationException", message, _DRY_RUN_STATUS)


def demand_usage(visit: Visit, key: stores.Key, usage: str) -> None:
    """Raise when the key is made for something else."""
    if key.key_usage != usage:
        message = f"{key.arn} key usage is {key.key_usage} which is not valid for {visit.operation}."
        raise AwsError("InvalidKeyUsageException", message)


def demand_algorithm(key: stores.Key, algorithm: str, known: list[str] | None) -> None:
    """Raise when the key's kind has no such algorithm."""
    if algorithm not in (known or ()):
        message = f"Algorithm {algorithm} is incompatible with key spec {key.key_spec}."
        raise AwsError("InvalidKeyUsageException", message)


def use_by_caller(visit: Visit, key_id: str, action: str) -> stores.Key:
    """Return a key that a caller uses himself, charged to him."""
    key = own_key(visit, key_id, action)
    try:
        use_key(visit, key, action)
    except KeyTrouble as trouble:
        raise trouble.error from None
    return key


def _seal_by_caller(visit: Visit, key_id: str, plaintext: bytes, context: dict[str, str]) -> tuple[bytes, stores.Key]:
    key = own_key(visit, key_id, "kms:Encrypt")
    demand_usage(visit, key, "ENCRYPT_DECRYPT")
    if key.key_spec != _SYMMETRIC_SPEC:
        message = f"{key.arn} key spec is {key.key_spec} which is not valid for {visit.operation}."
        raise AwsError("InvalidKeyUsageException", message)
    try:
        return seal(visit, key, plaintext, context), key
    except KeyTrouble as trouble:
        raise trouble.error from None


def _unseal_by_caller(visit: Visit, ciphertext: bytes, context: dict[str, str]) -> tuple[bytes, stores.Key]:
    if is_managed(_key_of(visit, ciphertext)):
        raise _hidden(visit, "kms:Decrypt")
    try:
        return unseal(visit, ciphertext, context)
    except KeyTrouble as trouble:
        raise trouble.error from None


def as_base64(data: bytes) -> str:
    """Write bytes as KMS's JSON does."""
    return base64.b64encode(data).decode()


def _algorithm(params: Params) -> str:
    return params.text("EncryptionAlgorithm") or _SYMMETRIC_SPEC


def _use_pair(visit: Visit, params: Params) -> tuple[Pair, str, str]:
    """Return the pair that a request names, its ARN and the algorithm; raises where they do not fit."""
    key, algorithm = use_by_caller(visit, params.needed("KeyId"), f"kms:{visit.operation}"), _algorithm(params)
    demand_usage(visit, key, "ENCRYPT_DECRYPT")
    demand_algorithm(key, algorithm, key.encryption_algorithms)
    if params.context():
        raise AwsError("ValidationException", "Asymmetric KMS keys do not support an encryption context.")
    return stores.pair_of(key), key.arn, algorithm


def _is_pairs(visit: Visit, params: Params) -> bool:
    """Tell whether a request is for an asymmetric key: by its algorithm, or by a key that knows no other."""
    if _algorithm(params) != _SYMMETRIC_SPEC:
        return True
    key = find_key(visit.account, visit.region, params.text("KeyId") or "")
    return key is not None and key.key_spec in {*RSA_SIZES, *CURVES}


def encrypt(visit: Visit, params: Params) -> Json:
    """Answer Encrypt."""
    key_id, plaintext = params.needed("KeyId"), params.blob("Plaintext")
    if _is_pairs(visit, params):
        pair, arn, algorithm = _use_pair(visit, params)
        blob = pair.closed(plaintext, algorithm)
    else:
        blob, key = _seal_by_caller(visit, key_id, plaintext, params.context())
        arn, algorithm = key.arn, _SYMMETRIC_SPEC
    dry_run(params)
    return {"CiphertextBlob": as_base64(blob), "KeyId": arn, "EncryptionAlgorithm": algorithm}


def decrypt(visit: Visit, params: Params) -> Json:
    """Answer Decrypt."""
    blob = params.blob("CiphertextBlob")
    if _is_pairs(visit, params):
        pair, arn, algorithm = _use_pair(visit, params)
        plaintext = pair.opened(blob, algorithm)
    else:
        plaintext, arn = _decrypt_symmetric(visit, params, blob), _key_of(visit, blob).arn
        algorithm = _SYMMETRIC_SPEC
    dry_run(params)
    return {"Plaintext": as_base64(plaintext), "KeyId": arn, "EncryptionAlgorithm": algorithm}


def _decrypt_symmetric(visit: Visit, params: Params, blob: bytes) -> bytes:
    asked = params.text("KeyId")
    if asked is not None and own_key(visit, asked, "kms:Decrypt") is not _key_of(visit, blob):
        message = "The key ID in the request does not identify a CMK that can perform this operation."
        raise AwsError("IncorrectKeyException", message)
    return _unseal_by_caller(visit, blob, params.context())[0]


def re_encrypt(visit: Visit, params: Params) -> Json:
    """Answer ReEncrypt."""
    blob, destination = params.blob("CiphertextBlob"), params.needed("DestinationKeyId")
    plaintext, source = _unseal_by_caller(visit, blob, params.context("SourceEncryptionContext"))
    sealed, key = _seal_by_caller(visit, destination, plaintext, params.context("DestinationEncryptionContext"))
    dry_run(params)
    return {"CiphertextBlob": as_base64(sealed), "KeyId": key.arn, "SourceKeyId": source.arn}


def generate_data_key(visit: Visit, params: Params) -> Json:
    """Answer GenerateDataKey."""
    key_id = params.needed("KeyId")
    sizes = {"AES_128": 16, "AES_256": 32, None: params.number("NumberOfBytes", 32, most=1024)}
    plaintext = secrets.token_bytes(sizes[params.text("KeySpec")])
    blob, key = _seal_by_caller(visit, key_id, plaintext, params.context())
    dry_run(params)
    return {"Plaintext": as_base64(plaintext), "CiphertextBlob": as_base64(blob), "KeyId": key.arn}


def generate_data_key_without_plaintext(visit: Visit, params: Params) -> Json:
    """Answer GenerateDataKeyWithoutPlaintext."""
    answer = generate_data_key(visit, params)
    return {name: value for name, value in answer.items() if name != "Plaintext"}


def generate_random(visit: Visit, params: Params) -> Json:
    """Answer GenerateRandom."""
    visit.charge(SYMMETRIC)
    return {"Plaintext": as_base64(secrets.token_bytes(params.number("NumberOfBytes", 32, most=1024)))}


def set_state(key: stores.Key, state: str) -> None:
    """Bring a key into a state of KMS's own naming: Enabled, Disabled, PendingDeletion, PendingImport, Unavailable."""
    store = stores.kms_store(key.account_id, key.region)
    if state == "PendingDeletion":
        store.schedule_key_deletion(key.id, 30)
    else:
        key.key_state, key.enabled, key.deletion_date = state, state == "Enabled", None


def guard(visit: Visit, params: Params) -> Params:
    """Check the key of an operation that moto answers, and name it by its plain id, as moto wants it."""
    key = use_by_caller(visit, params.needed("KeyId"), f"kms:{visit.operation}")
    dry_run(params)
    return params.changed(KeyId=key.id)


def plain_id(visit: Visit, params: Params) -> Params:
    """Name the key by its plain id: moto's management of keys knows no ARN and no alias."""
    return params.changed(KeyId=own_key(visit, params.needed("KeyId"), f"kms:{visit.operation}").id)


OPERATIONS: Final[dict[str, Operation]] = {
    "Decrypt": decrypt,
    "Encrypt": encrypt,
    "GenerateDataKey": generate_data_key,
    "GenerateDataKeyWithoutPlaintext": generate_data_key_without_plaintext,
    "GenerateRandom": generate_random,
    "ReEncrypt": re_encrypt,
}
GUARDS: Final[dict[str, Callable[[Visit, Params], Params]]] = {
    **dict.fromkeys(("GenerateMac", "VerifyMac"), guard),
    **dict.fromkeys(("DisableKey", "EnableKey", "ScheduleKeyDeletion", "CancelKeyDeletion"), plain_id),
}
