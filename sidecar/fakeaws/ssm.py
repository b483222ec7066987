"""Be Parameter Store where moto is not: sealed SecureStrings, selectors, pages, Secrets Manager by reference."""

import base64
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from sidecar.fakeaws import kms, stores
from sidecar.fakeaws import secretsmanager as sm
from sidecar.fakeaws.kms import KeyTrouble, Trouble
from sidecar.fakeaws.visit import Operation, Visit
from sidecar.fakeaws.wire import AwsError, Json, Params

REFERENCE: Final = "/aws/reference/secretsmanager/"
_MOST_NAMES: Final = 10
_STANDARD_BYTES, _ADVANCED_BYTES = 4096, 8192


def parameter_arn(account: str, region: str, name: str) -> str:
    """Return the ARN of a parameter."""
    return f"arn:aws:ssm:{region}:{account}:parameter/{name.removeprefix('/')}"


def _split(visit: Visit, asked: str) -> tuple[str, str, str]:
    """Take what was asked apart: account, name, selector ("" without one)."""
    if not asked.startswith("arn:"):
        name, _, selector = asked.partition(":")
        return visit.account, name, selector
    parts = asked.split(":", 6)
    account, path = parts[4], parts[5].removeprefix("parameter")
    if parts[3] != visit.region:
        raise _not_found(asked)
    return account, path, parts[6] if len(parts) > 6 else ""  # noqa: PLR2004 -- the part behind the name


def _not_found(asked: str) -> AwsError:
    return AwsError("ParameterNotFound", f"Parameter {asked} not found.")


def _versions(account: str, region: str, name: str) -> list[stores.Parameter]:
    known = stores.parameter_store(account, region)._parameters  # noqa: SLF001 -- moto has no other way to all versions
    return known[name] if name in known else []  # noqa: SIM401 -- only these two take both spellings of a name


def find(visit: Visit, asked: str) -> tuple[stores.Parameter, str]:
    """Return the version of a parameter that was asked for, and its selector."""
    account, name, selector = _split(visit, asked)
    versions = _versions(account, visit.region, name)
    if not versions:
        raise _not_found(asked)
    chosen = [version for version in versions if _is_chosen(version, selector)] if selector else versions
    if not chosen:
        message = f"Systems Manager could not find version {selector} of {name}. Verify the version and try again."
        raise AwsError("ParameterVersionNotFound", message)
    return chosen[-1], selector


def _is_chosen(version: stores.Parameter, selector: str) -> bool:
    return str(version.version) == selector if selector.isdigit() else selector in version.labels


def _shown(visit: Visit, version: stores.Parameter, selector: str, *, decrypted: bool) -> Json:
    secure = version.parameter_type == "SecureString"
    shown: dict[str, object] = {
        "Name": version.name,
        "Type": version.parameter_type,
        "Value": open_value(visit, version) if secure and decrypted else version.value,
        "Version": version.version,
        "LastModifiedDate": round(_utc(version.last_modified_date).timestamp(), 3),
        "ARN": parameter_arn(version.account_id, visit.region, version.name),
        "DataType": version.data_type,
    }
    return {**shown, "Selector": f":{selector}"} if selector else shown


def _utc(naive: datetime) -> datetime:
    return naive.replace(tzinfo=UTC)


def _context(visit: Visit, version: stores.Parameter) -> dict[str, str]:
    return {"PARAMETER_ARN": parameter_arn(version.account_id, visit.region, version.name)}


def open_value(visit: Visit, version: stores.Parameter) -> str:
    """Decrypt a SecureString as Parameter Store does: by KMS, charged to the caller."""
    sealed = base64.b64decode(version.value)
    unseal = kms.unseal_message if version.tier == "Advanced" else kms.unseal
    try:
        return unseal(visit, sealed, _context(visit, version))[0].decode()
    except KeyTrouble as trouble:
        raise _in_ssm_words(trouble) from None


def _in_ssm_words(trouble: KeyTrouble) -> AwsError:
    cause = trouble.error
    told = f"{cause.message} (Service: AWSKMS; Status Code: {cause.status}; Error Code: {cause.code})"
    code = {Trouble.THROTTLED: "ThrottlingException", Trouble.DENIED: "AccessDeniedException"}
    return AwsError(code.get(trouble.trouble, "InvalidKeyId"), told)


def _by_reference(visit: Visit, asked: str, *, decrypted: bool) -> Json:
    """Answer for a secret that is asked for by way of Parameter Store."""
    if not decrypted:
        message = "WithDecryption flag must be True for retrieving a Secret Manager secret."
        raise AwsError("ValidationException", message)
    secret_id, _, selector = asked.removeprefix(REFERENCE).partition(":")
    try:
        answer = sm.value_by_reference(visit, secret_id, selector)
    except AwsError as error:
        raise _in_reference_words(error, asked) from None
    created = datetime.fromtimestamp(float(str(answer["CreatedDate"])), UTC)
    return {
        "Name": asked.partition(":")[0],
        "Type": "SecureString",
        "Value": answer["SecretString"],
        "Version": 0,
        "SourceResult": json.dumps({**answer, "CreatedDate": int(created.timestamp() * 1000)}),
        "LastModifiedDate": created.timestamp(),
        "ARN": answer["ARN"],
        "DataType": "text",
        **({"Selector": f":{selector}"} if selector else {}),
    }


def _in_reference_words(error: AwsError, asked: str) -> AwsError:
    if error.code != "ResourceNotFoundException":
        return error
    message = f"An error occurred (ParameterNotFound) when referencing Secrets Manager: Secret {asked} not found."
    return AwsError("ParameterNotFound", message)


def _answer_for(visit: Visit, asked: str, *, decrypted: bool) -> Json:
    if asked.startswith(REFERENCE):
        return _by_reference(visit, asked, decrypted=decrypted)
    version, selector = find(visit, asked)
    return _shown(visit, version, selector, decrypted=decrypted)


def _arn_asked(visit: Visit, asked: str) -> str:
    account, name, _ = _split(visit, asked)
    return parameter_arn(account, visit.region, name)


def get_parameter(visit: Visit, params: Params) -> Json:
    """Answer GetParameter."""
    asked = params.needed("Name")
    visit.demand("ssm:GetParameter", _arn_asked(visit, asked))
    return {"Parameter": _answer_for(visit, asked, decrypted=params.flag("WithDecryption"))}


def get_parameters(visit: Visit, params: Params) -> Json:
    """Answer GetParameters: at most ten names, in no order."""
    asked = params.texts("Names")
    if not 1 <= len(asked) <= _MOST_NAMES:
        message = f"1 validation error detected: Value '[{', '.join(asked)}]' at 'names' failed to satisfy constraint: "
        raise AwsError("ValidationException", f"{message}Member must have length less than or equal to 10")
    visit.demand("ssm:GetParameters", *(_arn_asked(visit, name) for name in asked))
    found: list[Json] = []
    invalid: list[str] = []
    for name in dict.fromkeys(asked):
        try:
            found.append(_answer_for(visit, name, decrypted=params.flag("WithDecryption")))
        except AwsError as error:
            if error.code not in {"ParameterNotFound", "ParameterVersionNotFound"}:
                raise
            invalid.append(name)
    visit.dice.shuffle(found)
    return {"Parameters": found, "InvalidParameters": invalid}


def get_parameters_by_path(visit: Visit, params: Params) -> Json:
    """Answer GetParametersByPath; pages may be empty and still go on, as AWS warns."""
    path = params.needed("Path")
    visit.demand("ssm:GetParametersByPath", parameter_arn(visit.account, visit.region, path.rstrip("/")))
    size = params.number("MaxResults", _MOST_NAMES, most=_MOST_NAMES)
    empty, after = _read_token(visit, params)
    if empty:
        return {"Parameters": [], "NextToken": _token(empty - 1, after)}
    names = (name for name in _names_below(visit, path, recursive=params.flag("Recursive")) if name > after)
    found = list(islice(_filtered(visit, names, params), size + 1))
    page = found[:size]
    answer = [_shown(visit, version, "", decrypted=params.flag("WithDecryption")) for version in page]
    visit.dice.shuffle(answer)
    if len(found) <= size:
        return {"Parameters": answer}
    return {"Parameters": answer, "NextToken": _token(_empty_pages(visit), page[-1].name)}


def _empty_pages(visit: Visit) -> int:
    pages = visit.weather.empty_pages
    return pages.get(visit.account, pages.get("*", 0))


def _token(empty: int, after: str) -> str:
    return base64.urlsafe_b64encode(f"{empty}:{after}".encode()).decode()


def _read_token(visit: Visit, params: Params) -> tuple[int, str]:
    """Return how many empty pages come first, and the name after which the page begins."""
    token = params.text("NextToken")
    if token is None:
        return _empty_pages(visit), ""
    try:
        empty, _, after = base64.urlsafe_b64decode(token).decode().partition(":")
        return int(empty), after
    except ValueError:
        raise AwsError("InvalidNextToken", "The specified token is not valid.") from None


def _names_below(visit: Visit, path: str, *, recursive: bool) -> list[str]:
    prefix = f"/{path.strip('/')}/" if path.strip("/") else "/"
    known = stores.parameter_store(visit.account, visit.region)._parameters  # noqa: SLF001 -- as in _versions
    # Names without a slash are at the root.
    below = (name for name in known if name.startswith(prefix) or (prefix == "/" and "/" not in name))
    return sorted(
        name for name in below if known[name] and (recursive or "/" not in name.lstrip("/")[len(prefix) - 1 :])
    )


def _filtered(visit: Visit, names: Iterable[str], params: Params) -> Iterator[stores.Parameter]:
    """Yield what passes the filters; lazily, since a page needs ten."""
    filters = [dict(record) for record in params.records("ParameterFilters")]
    store = stores.parameter_store(visit.account, visit.region)
    labels = [str(label) for record in filters if record.get("Key") == "Label" for label in _values(record)]
    others = [record for record in filters if record.get("Key") != "Label"]
    chosen = (_newest(_versions(visit.account, visit.region, name), labels) for name in names)
    for version in chosen:
        if version is not None and (not others or store._match_filters(version, others)):  # noqa: SLF001 -- moto's own
            yield version


def _values(record: Json) -> list[object]:
    values = record.get("Values")
    return values if isinstance(values, list) else []


def _newest(versions: list[stores.Parameter], labels: list[str]) -> stores.Parameter | None:
    """Return the newest version, or the newest that carries one of the labels."""
    carrying = [version for version in versions if not labels or set(labels) & set(version.labels)]
    return carrying[-1] if carrying else None


def get_parameter_history(visit: Visit, params: Params) -> Json:
    """Answer GetParameterHistory, in one page."""
    asked = params.needed("Name")
    visit.demand("ssm:GetParameterHistory", _arn_asked(visit, asked))
    account, name, _ = _split(visit, asked)
    versions = _versions(account, visit.region, name)
    if not versions:
        raise _not_found(asked)
    decrypted = params.flag("WithDecryption")
    shown = ((version, _shown(visit, version, "", decrypted=decrypted)) for version in versions)
    return {"Parameters": [{**answer, "Labels": version.labels, "KeyId": version.keyid} for version, answer in shown]}


def put_parameter(visit: Visit, params: Params) -> Json:
    """Answer PutParameter: moto keeps it, and what it keeps of a SecureString is ciphertext."""
    name = params.needed("Name")
    visit.demand("ssm:PutParameter", _arn_asked(visit, name))
    value, tier = params.text("Value") or "", params.text("Tier")
    _check_size(value, tier or "Standard")
    key_id = params.text("KeyId")
    if key_id is not None:
        _usable_key(visit, key_id)
    store = stores.parameter_store(visit.account, visit.region)
    kept = store.put_parameter(
        name,
        params.text("Description"),  # type: ignore[arg-type]  # moto's own answer passes None as well
        value,
        params.text("Type"),  # type: ignore[arg-type]  # likewise
        params.text("AllowedPattern"),  # type: ignore[arg-type]  # likewise
        key_id,  # type: ignore[arg-type]  # likewise
        params.flag("Overwrite"),
        [{str(key): str(item) for key, item in tag.items()} for tag in params.records("Tags")],
        params.text("DataType") or "text",
        "Standard" if tier in {None, "Intelligent-Tiering"} else tier,
        params.text("Policies"),
    )
    if kept.parameter_type == "SecureString":
        _seal(visit, store, kept, value)
    return {"Version": kept.version, "Tier": kept.tier}


def _check_size(value: str, tier: str) -> None:
    most = _STANDARD_BYTES if tier == "Standard" else _ADVANCED_BYTES
    if len(value.encode()) > most:
        message = f"{tier} tier parameters support a maximum parameter value of {most} characters."
        raise AwsError("ValidationException", message)


def _usable_key(visit: Visit, key_id: str) -> stores.Key:
    try:
        return kms.needed_key(visit, key_id)
    except KeyTrouble as trouble:
        raise _in_ssm_words(trouble) from None


def _seal(visit: Visit, store: stores.SimpleSystemManagerBackend, kept: stores.Parameter, value: str) -> None:
    """Put ciphertext in the place of what moto keeps; a version that cannot be sealed never was."""
    try:
        key = kms.needed_key(visit, kept.keyid or "alias/aws/ssm")
        seal = kms.seal_message if kept.tier == "Advanced" else kms.seal
        sealed = seal(visit, key, value.encode(), _context(visit, kept))
    except KeyTrouble as trouble:
        store._parameters[kept.name].remove(kept)  # noqa: SLF001 -- as in _versions
        raise _in_ssm_words(trouble) from None
    kept.value = base64.b64encode(sealed).decode()


def names_asked(params: Params) -> tuple[str, ...]:
    """Return the names that a request speaks of."""
    one = params.text("Name") or params.text("Path")
    return (one,) if one else params.texts("Names")


OPERATIONS: Final[dict[str, Operation]] = {
    "GetParameter": get_parameter,
    "GetParameterHistory": get_parameter_history,
    "GetParameters": get_parameters,
    "GetParametersByPath": get_parameters_by_path,
    "PutParameter": put_parameter,
}
