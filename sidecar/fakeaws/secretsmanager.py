"""Be Secrets Manager where moto is not: stages that move rightly, keys that matter, deletion, other accounts."""

import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from sidecar.fakeaws import kms, stores
from sidecar.fakeaws.kms import KeyTrouble, Trouble
from sidecar.fakeaws.visit import Operation, Visit
from sidecar.fakeaws.wire import AwsError, Json, Params

Secret = stores.FakeSecret | stores.ReplicaSecret
Version = dict[str, object]
CURRENT: Final = "AWSCURRENT"
_DEFAULT_KEY: Final = "alias/aws/secretsmanager"
_MOST_IN_BATCH: Final = 20


def _not_found() -> AwsError:
    return AwsError("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")


def find(visit: Visit, secret_id: str, action: str) -> Secret:
    """Return the secret of a name, ARN or partial ARN, or raise that it is not there or not for the caller."""
    is_arn = secret_id.startswith("arn:")
    owner = secret_id.split(":")[4] if is_arn else visit.account
    store = stores.secret_store(owner, visit.region)
    secret = store.secrets.get(secret_id)
    arn = secret.arn if secret is not None else _arn_without_suffix(visit, secret_id)
    visit.demand(f"secretsmanager:{action}", arn)
    if secret is None:
        raise _not_found()
    if owner != visit.account:
        _check_shared(visit, secret, action)
    return secret


def _arn_without_suffix(visit: Visit, secret_id: str) -> str:
    if secret_id.startswith("arn:"):
        return secret_id
    return f"arn:aws:secretsmanager:{visit.region}:{visit.account}:secret:{secret_id}"


def _check_shared(visit: Visit, secret: Secret, action: str) -> None:
    """Refuse another account's secret unless it carries a resource policy (which is not evaluated)."""
    if _source(secret).policy is None:
        message = (
            f"User: {visit.caller.arn} is not authorized to perform: secretsmanager:{action} on resource: {secret.arn} "
            f"because no resource-based policy allows the secretsmanager:{action} action"
        )
        raise AwsError("AccessDeniedException", message)


def _source(secret: Secret) -> stores.FakeSecret:
    return secret.source if isinstance(secret, stores.ReplicaSecret) else secret


def _check_not_deleted(secret: Secret) -> None:
    if _source(secret).deleted_date is not None:
        message = "You can't perform this operation on the secret because it was marked for deletion."  # AWS's words
        raise AwsError("InvalidRequestException", message)


def _pick(secret: Secret, version_id: str | None, stage: str | None) -> Version:
    """Return the version of an id or stage; AWSCURRENT without either."""
    if version_id is not None:
        version = secret.versions.get(version_id)
        if version is None:
            raise _no_value(f"VersionId: {version_id}")
        if stage is not None and stage not in version["version_stages"]:
            message = "You provided a VersionStage that is not associated to the provided VersionId."
            raise AwsError("InvalidRequestException", message)
        return version
    wanted = stage or CURRENT
    for version in secret.versions.values():
        if wanted in version["version_stages"]:
            return version
    raise _no_value(f"staging label: {wanted}")


def _no_value(told: str) -> AwsError:
    message = f"Secrets Manager can't find the specified secret value for {told}"
    return AwsError("ResourceNotFoundException", message)


def key_of(visit: Visit, secret: Secret) -> stores.Key:
    """Return the KMS key that a secret is kept under."""
    account = _source(secret).account_id
    named = None if isinstance(secret, stores.ReplicaSecret) else secret.kms_key_id
    key = kms.find_key(account, visit.region, named or _DEFAULT_KEY)
    if key is None:
        raise AwsError("DecryptionFailure", "Secrets Manager can't find the KMS key of this secret.")
    return key


def _open(visit: Visit, secret: Secret) -> None:
    """Use the secret's key as Secrets Manager does to decrypt."""
    key = key_of(visit, secret)
    if kms.is_managed(key) and key.account_id != visit.account:
        raise AwsError("AccessDeniedException", "Access to KMS is not allowed")
    try:
        kms.use_key(visit, key, "kms:Decrypt")
    except KeyTrouble as trouble:
        raise _in_secrets_words(trouble) from None


def _in_secrets_words(trouble: KeyTrouble) -> AwsError:
    match trouble.trouble:
        case Trouble.DENIED:
            return AwsError("AccessDeniedException", "Access to KMS is not allowed")
        case Trouble.THROTTLED:
            told = f"{trouble.error.message} (Service: AWSKMS; Status Code: 400; Error Code: ThrottlingException)"
            return AwsError("ThrottlingException", told)
        case _:
            message = f"Secrets Manager can't decrypt the protected secret text: {trouble.error.message}"
            return AwsError("DecryptionFailure", message)


def _value(visit: Visit, secret: Secret, version_id: str | None, stage: str | None) -> Json:
    _check_not_deleted(secret)
    version = _pick(secret, version_id, stage)
    held = {"secret_string": "SecretString", "secret_binary": "SecretBinary"}
    value = {shown: version[kept] for kept, shown in held.items() if version.get(kept) is not None}
    if not value:
        raise _no_value(f"staging label: {stage or CURRENT}")
    _open(visit, secret)
    return {
        "ARN": secret.arn,
        "Name": secret.name,
        "VersionId": version["version_id"],
        "VersionStages": version["version_stages"],
        "CreatedDate": version["createdate"],
        **value,
    }


def value_by_reference(visit: Visit, secret_id: str, selector: str) -> Json:
    """Answer for Parameter Store, which asks for a secret with the caller's rights; a selector is a stage or an id."""
    secret = find(visit, secret_id, "GetSecretValue")
    is_id = selector in secret.versions
    answer = _value(visit, secret, selector if is_id else None, selector or None if not is_id else None)
    if "SecretString" not in answer:
        raise AwsError("ValidationException", "Parameter Store can't return a binary secret.")
    return answer


def get_secret_value(visit: Visit, params: Params) -> Json:
    """Answer GetSecretValue."""
    secret = find(visit, params.needed("SecretId"), "GetSecretValue")
    return _value(visit, secret, params.text("VersionId"), params.text("VersionStage"))


def batch_get_secret_value(visit: Visit, params: Params) -> Json:
    """Answer BatchGetSecretValue for a list of ids: what cannot be had is told beside the rest."""
    visit.demand("secretsmanager:BatchGetSecretValue", "*")
    asked = params.texts("SecretIdList")
    if len(asked) > _MOST_IN_BATCH:
        raise AwsError("InvalidParameterException", "Secret ID list must have at most 20 items.")
    if not asked:
        raise AwsError("InvalidParameterException", "The fake answers SecretIdList only, not Filters.")
    values: list[Json] = []
    errors: list[Json] = []
    for secret_id in asked:
        try:
            values.append(_value(visit, find(visit, secret_id, "GetSecretValue"), None, None))
        except AwsError as error:
            if error.code == "ThrottlingException":
                raise
            errors.append({"SecretId": secret_id, "ErrorCode": error.code, "Message": error.message})
    visit.dice.shuffle(values)
    return {"SecretValues": values, "Errors": errors}


def describe_secret(visit: Visit, params: Params) -> Json:
    """Answer DescribeSecret; versions without a stage are not shown."""
    secret = find(visit, params.needed("SecretId"), "DescribeSecret")
    told = {name: value for name, value in secret.to_dict().items() if value is not None}
    told.pop("SecretVersionsToStages", None)
    stages = {name: version["version_stages"] for name, version in secret.versions.items() if version["version_stages"]}
    return {**told, "VersionIdsToStages": stages}


def rotate_secret(visit: Visit, params: Params) -> Json:
    """Answer RotateSecret: where AWS would run a Lambda, the fake itself makes the next value."""
    secret = _own(find(visit, params.needed("SecretId"), "RotateSecret"))
    _check_not_deleted(secret)
    now = datetime.now(UTC)
    _schedule(secret, params, now)
    version_id = params.text("ClientRequestToken") or secrets.token_hex(16)
    if params.raw.get("RotateImmediately") is not False:
        _put(secret, version_id, next_value(_pick(secret, None, None)))
        secret.last_rotation_date = int(now.timestamp())
    return {"ARN": secret.arn, "Name": secret.name, "VersionId": version_id}


def _own(secret: Secret) -> stores.FakeSecret:
    if isinstance(secret, stores.ReplicaSecret):
        message = "Operation not permitted on a replica secret. Call must be made in primary secret's region."
        raise AwsError("InvalidRequestException", message)
    return secret


def _schedule(secret: stores.FakeSecret, params: Params, now: datetime) -> None:
    secret.rotation_requested = True
    rules = params.raw.get("RotationRules")
    days = rules.get("AutomaticallyAfterDays") if isinstance(rules, dict) else None
    if isinstance(days, int):
        secret.auto_rotate_after_days, secret.rotation_enabled = days, True
        secret.next_rotation_date = int((now + timedelta(days=days)).timestamp())


def _put(secret: stores.FakeSecret, version_id: str, value: Version) -> None:
    created = int(datetime.now(UTC).timestamp())
    version = {"createdate": created, "version_id": version_id, "version_stages": [CURRENT], **value}
    secret.remove_version_stages_from_old_versions(["AWSPENDING"])
    secret.reset_default_version(version, version_id)
    secret.last_changed_date = created


def next_value(current: Version) -> Version:
    """Return the value after a rotation: another password where there is one, else another text."""
    fresh = f"rotated-{secrets.token_hex(8)}"
    if current.get("secret_string") is None:
        return {"secret_binary": current.get("secret_binary")}
    try:
        fields = json.loads(str(current["secret_string"]))
    except ValueError:
        return {"secret_string": fresh}
    if not isinstance(fields, dict):
        return {"secret_string": fresh}
    return {"secret_string": json.dumps({**fields, "password": fresh})}


def update_secret_version_stage(visit: Visit, params: Params) -> Json:
    """Answer UpdateSecretVersionStage; moto moves the labels, but still takes the old version for the current one."""
    secret = _own(find(visit, params.needed("SecretId"), "UpdateSecretVersionStage"))
    store = stores.secret_store(secret.account_id, visit.region)
    stage = params.needed("VersionStage")
    leave, move = params.text("RemoveFromVersionId"), params.text("MoveToVersionId")
    store.update_secret_version_stage(secret.name, stage, leave or "", move or "")
    if stage == CURRENT and move:
        secret.default_version_id = move
    return {"ARN": secret.arn, "Name": secret.name}


def set_next_rotation(secret: Secret, at: float | None) -> None:
    """Say when the secret is due to rotate next; None = it does not rotate."""
    source = _source(secret)
    source.next_rotation_date = None if at is None else int(at)
    source.rotation_requested = source.rotation_enabled = at is not None


def names_asked(params: Params) -> tuple[str, ...]:
    """Return the secrets that a request speaks of."""
    one = params.text("SecretId") or params.text("Name")
    return (one,) if one else params.texts("SecretIdList")


def _check_new(visit: Visit, params: Params) -> Params:
    """Check the key that a new secret is to be kept under."""
    visit.demand("secretsmanager:CreateSecret", _arn_without_suffix(visit, params.needed("Name")))
    _encrypt_with(visit, kms.find_key(visit.account, visit.region, params.text("KmsKeyId") or _DEFAULT_KEY))
    return params


def _check_kept(visit: Visit, params: Params) -> Params:
    """Check the key of a secret that gets another value, and name the secret as moto wants it."""
    secret = find(visit, params.needed("SecretId"), visit.operation)
    _encrypt_with(visit, key_of(visit, secret))
    return params.changed(SecretId=secret.name)


def _encrypt_with(visit: Visit, key: stores.Key | None) -> None:
    if key is None:
        raise AwsError("EncryptionFailure", "Secrets Manager can't find the KMS key.")
    try:
        kms.use_key(visit, key, "kms:GenerateDataKey")
    except KeyTrouble as trouble:
        if trouble.trouble in {Trouble.DENIED, Trouble.THROTTLED}:
            raise _in_secrets_words(trouble) from None
        message = f"Secrets Manager can't encrypt the protected secret text: {trouble.error.message}"
        raise AwsError("EncryptionFailure", message) from None


OPERATIONS: Final[dict[str, Operation]] = {
    "BatchGetSecretValue": batch_get_secret_value,
    "DescribeSecret": describe_secret,
    "GetSecretValue": get_secret_value,
    "RotateSecret": rotate_secret,
    "UpdateSecretVersionStage": update_secret_version_stage,
}
GUARDS: Final[dict[str, Callable[[Visit, Params], Params]]] = {
    "CreateSecret": _check_new,
    "PutSecretValue": _check_kept,
    "UpdateSecret": _check_kept,
}
