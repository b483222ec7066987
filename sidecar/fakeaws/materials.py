"""Answer what concerns a key's material: made by KMS, imported, expired, deleted, rotated."""

import secrets
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

from sidecar.fakeaws import stores
from sidecar.fakeaws.kms import KeyTrouble, as_base64, beside, check_state, drop_material, own_key, set_state
from sidecar.fakeaws.pairs import Pair, fits
from sidecar.fakeaws.visit import Operation, Visit
from sidecar.fakeaws.wire import AwsError, Json, Params

_EXTERNAL: Final = "EXTERNAL"
_MATERIAL: Final = 32  # bytes of a symmetric key


@cache
def _wrapping_pair(spec: str) -> Pair:
    """Return the pair under which material comes in: one of each size, as it takes long to make."""
    return Pair(spec)


_TOKENS: Final[dict[str, tuple[stores.Key, Pair]]] = {}
"""Which key an import token was given for, and the pair that its material comes under."""


def create_key(visit: Visit, params: Params) -> Json:
    """Answer CreateKey: one whose material comes from outside waits for it."""
    visit.demand("kms:CreateKey", "*")
    spec = params.text("KeySpec") or params.text("CustomerMasterKeySpec") or "SYMMETRIC_DEFAULT"
    usage, origin = params.text("KeyUsage") or "ENCRYPT_DECRYPT", params.text("Origin") or "AWS_KMS"
    if not spec.startswith("HMAC") and not fits(spec, usage):
        raise AwsError(
            "ValidationException", f"The operation failed because the KeyUsage value of the KMS key is {usage}."
        )
    tags = [dict(tag) for tag in params.records("Tags")]
    store = stores.kms_store(visit.account, visit.region)
    policy, description = params.text("Policy"), params.text("Description") or ""
    key = store.create_key(policy, usage, spec, description, tags, params.flag("MultiRegion"), origin)  # type: ignore[arg-type]  # as moto calls it
    if origin == _EXTERNAL:
        set_state(key, "PendingImport")
    return key.to_dict()


def _external(visit: Visit, params: Params) -> stores.Key:
    key = own_key(visit, params.needed("KeyId"), f"kms:{visit.operation}")
    if key.origin != _EXTERNAL:
        message = f"{key.arn} origin is {key.origin} which is not valid for this operation."
        raise AwsError("UnsupportedOperationException", message)
    return key


def get_parameters_for_import(visit: Visit, params: Params) -> Json:
    """Answer GetParametersForImport."""
    key = _external(visit, params)
    pair, token = _wrapping_pair(params.needed("WrappingKeySpec")), secrets.token_bytes(32)
    _TOKENS[as_base64(token)] = (key, pair)
    return {
        "KeyId": key.arn,
        "ImportToken": as_base64(token),
        "PublicKey": as_base64(pair.der),
        "ParametersValidTo": (datetime.now(UTC) + timedelta(days=1)).timestamp(),
    }


def import_key_material(visit: Visit, params: Params) -> Json:
    """Answer ImportKeyMaterial: the same material may come again, another never."""
    key = _external(visit, params)
    known, pair = _TOKENS.get(params.needed("ImportToken"), (None, None))
    if known is not key or pair is None:
        raise AwsError("InvalidImportTokenException", "The import token is not one of this key.")
    material = _unwrapped(pair, params.blob("EncryptedKeyMaterial"))
    if beside(key).imported not in {None, material}:
        raise AwsError("IncorrectKeyMaterialException", "The key material differs from what was imported before.")
    beside(key).imported = key.key_material = material
    beside(key).expires_at = _expiry(params)
    set_state(key, "Enabled")
    return {"KeyId": key.arn}


def _unwrapped(pair: Pair, wrapped: bytes) -> bytes:
    """Open what came; its padding tells by which of two hashes."""
    for algorithm in ("RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1"):
        try:
            material = pair.opened(wrapped, algorithm)
        except AwsError:
            continue
        if len(material) == _MATERIAL:
            return material
    raise AwsError("InvalidCiphertextException", "")


def _expiry(params: Params) -> datetime | None:
    if params.text("ExpirationModel") == "KEY_MATERIAL_DOES_NOT_EXPIRE":
        return None
    valid_to = params.raw.get("ValidTo")
    if not isinstance(valid_to, int | float):
        raise AwsError(
            "ValidationException", "A ValidTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES."
        )
    return datetime.fromtimestamp(valid_to, UTC)


def delete_imported_key_material(visit: Visit, params: Params) -> Json:
    """Answer DeleteImportedKeyMaterial."""
    key = _external(visit, params)
    drop_material(key)
    return {"KeyId": key.arn}


def rotate_key_on_demand(visit: Visit, params: Params) -> Json:
    """Answer RotateKeyOnDemand: new material from now on; what the old has closed still opens."""
    key = own_key(visit, params.needed("KeyId"), "kms:RotateKeyOnDemand")
    if key.key_spec != "SYMMETRIC_DEFAULT" or key.origin == _EXTERNAL:
        raise AwsError("UnsupportedOperationException", f"{key.arn} cannot be rotated.")
    try:
        check_state(key)
    except KeyTrouble as trouble:
        raise trouble.error from None
    stores.kms_store(key.account_id, key.region).rotate_key_on_demand(key.id)
    beside(key).before.append(key.key_material)
    key.key_material = secrets.token_bytes(_MATERIAL)
    return {"KeyId": key.arn}


OPERATIONS: Final[dict[str, Operation]] = {
    "CreateKey": create_key,
    "DeleteImportedKeyMaterial": delete_imported_key_material,
    "GetParametersForImport": get_parameters_for_import,
    "ImportKeyMaterial": import_key_material,
    "RotateKeyOnDemand": rotate_key_on_demand,
}
