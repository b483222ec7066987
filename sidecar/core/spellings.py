"""Read a reference however it is spelt: ours, or as ECS, CodeBuild, CloudFormation and vals write theirs.

Every spelling is taken apart here and put together by `refs.compose`, so what means the same becomes the same ref.
A foreign spelling is read as its own tool reads it and takes no `?via=` or `#field`; those belong to ours.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.core import arns
from sidecar.core.errors import BadRef
from sidecar.core.refs import (
    DEFAULT_IDENTITY,
    REFERENCE_PATH,
    Pick,
    Ref,
    SourceKind,
    compose,
    object_id,
    parse,
    percent_decoded,
    refuse_noise,
    split_query,
)

Pairs = Sequence[tuple[str, str]]


def parse_any(text: str, *, identity: str = DEFAULT_IDENTITY) -> Ref:
    """Read a reference in any spelling; raises BadRef. `identity` is meant where the text names none."""
    refuse_noise(text)
    for prefix, read in _SPELLINGS.items():
        if text.startswith(prefix):
            return read(text, identity)
    return parse(text, identity=identity)


# --- colons: ECS, CodeBuild, CloudFormation ------------------------------------------------------------------------


def _ecs(text: str, identity: str) -> Ref:
    """Read a bare ARN: a secret's with `:json-key:version-stage:version-id` behind, a parameter's with `:version`."""
    ident, tail = _split(text)
    is_object = text.split(":", 3)[2:3] == ["s3"]  # whose key may hold colons
    if not tail or is_object or "?" in ident or "#" in ident:  # or they stand in a query or a field of our own spelling
        return parse(text, identity=identity)
    read = _secret if ":secretsmanager:" in ident else _parameter
    return read(ident, tail, identity)


def _codebuild_secret(text: str, identity: str) -> Ref:
    """Read `secrets-manager:secret-id:json-key:version-stage:version-id`."""
    return _secret(*_split(text.removeprefix("secrets-manager:")), identity)


def _codebuild_parameter(text: str, identity: str) -> Ref:
    """Read `parameter-store:name`, with the `:version` or `:label` that Parameter Store itself takes."""
    return _parameter(*_split(text.removeprefix("parameter-store:")), identity)


def _cloudformation(text: str, identity: str) -> Ref:
    """Read `{{resolve:secretsmanager:secret-id:SecretString:…}}`, `{{resolve:ssm:name:version}}` and ssm-secure."""
    match = _DYNAMIC.fullmatch(text)
    if match is None:
        raise BadRef("this is no dynamic reference", mend="Write {{resolve:secretsmanager:…}} or {{resolve:ssm:…}}.")
    service, (ident, tail) = match[1], _split(match[2])
    if service != "secretsmanager":
        return _parameter(ident, tail, identity)
    if tail and tail[0] not in {"", "SecretString"}:
        raise BadRef("the dynamic reference asks for something that is not SecretString")
    return _secret(ident, tail[1:], identity)


def _split(text: str) -> tuple[str, list[str]]:
    """Part a name or an ARN from what follows it after colons."""
    parts = text.split(":")
    count = 1
    if parts[0] == "arn":
        count = 7 if "secretsmanager" in parts[2:3] else 6
    return ":".join(parts[:count]), parts[count:]


def _secret(ident: str, tail: Sequence[str], identity: str) -> Ref:
    """Read what all of AWS's tools mean by a secret id, json-key, version-stage, version-id; empty is not meant."""
    if len(tail) > _TAIL:
        raise BadRef("more than secret-id:json-key:version-stage:version-id")
    key, stage, version_id = [*tail, "", "", ""][:_TAIL]
    pairs = [(pick, value) for pick, value in ((Pick.STAGE, stage), (Pick.VERSION_ID, version_id)) if value]
    return compose(SourceKind.SM, ident, pairs, field=_field([key] if key else []), identity=identity)


def _parameter(ident: str, tail: Sequence[str], identity: str) -> Ref:
    if len(tail) > 1:
        raise BadRef("more than name:version")
    pairs = [(_pick(ident, value), value) for value in tail]
    return compose(SourceKind.SSM, ident, pairs, field=None, identity=identity)


def _pick(ident: str, value: str) -> Pick:
    """Tell what a parameter's `:value` picks, as Parameter Store does."""
    if REFERENCE_PATH in ident:
        return Pick.VERSION_ID if len(value) >= _SHORTEST_VERSION_ID else Pick.STAGE
    return Pick.VERSION if value[:1] in _DIGITS else Pick.LABEL


def _field(keys: Sequence[str]) -> str | None:
    """Spell a way through keys, none of which means anything but itself, as our field."""
    if not keys:
        return None
    if len(keys) == 1 and not keys[0].startswith("/"):
        return keys[0]
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)


# --- vals ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Expression:
    """What stands behind `ref+backend://`."""

    path: str
    options: Mapping[str, str]
    keys: Sequence[str]  # the fragment's


def _vals(text: str, identity: str) -> Ref:
    """Read `ref+awsssm://path?…#/key`, `ref+awssecrets://…` and `ref+s3://…`; a last `+` only marks the end."""
    backend, _, rest = text.partition("+")[2].removesuffix("+").partition("://")
    if backend not in _BACKENDS:
        raise BadRef("a backend of vals that is not read here", mend="Here it may be awsssm, awssecrets or s3.")
    if "+" in rest:
        raise BadRef(
            "vals ends a reference at '+'", mend="Name what has '+' in its name as sm:name or s3://bucket/key."
        )
    known, read = _BACKENDS[backend]
    return read(_expression(rest, known), identity)


def _expression(rest: str, known: frozenset[str]) -> _Expression:
    head, _, fragment = rest.partition("#")
    path, _, query = head.partition("?")
    pairs = split_query(query) if query else []
    options = {key: value for key, value in pairs if not _says_twice(path, key, value)}
    if not options.keys() <= known or len(dict(pairs)) < len(pairs):
        raise BadRef(
            "the reference of vals has a parameter that is not read here, or one twice",
            mend="Declare region, role_arn and profile under `identities` and write ?via=NAME in our own spelling.",
        )
    keys = percent_decoded(fragment).removeprefix("/")
    return _Expression(percent_decoded(path), options, keys.split("/") if keys else [])


def _says_twice(path: str, key: str, value: str) -> bool:
    """Whether the ARN says it already."""
    return key == "region" and path.startswith(arns.PREFIX) and path.split(":")[3:4] == [value]


def _vals_secret(asked: _Expression, identity: str) -> Ref:
    pairs = [(_STAGES_AND_IDS[key], value) for key, value in asked.options.items()]
    return compose(SourceKind.SM, asked.path, pairs, field=_field(asked.keys), identity=identity)


def _vals_parameter(asked: _Expression, identity: str) -> Ref:
    """Follow vals: it puts the first slash, and a fragment is a path below unless `mode=singleparam`."""
    name = asked.path if asked.path.startswith("/") else f"/{asked.path}"
    version = [(key, value) for key, value in asked.options.items() if key == "version"]
    if not asked.keys or asked.options.get("mode") == "singleparam":
        return compose(SourceKind.SSM, name, version, field=_field(asked.keys), identity=identity)
    if version or (len(asked.keys) > 1 and asked.options.get("recursive") != "true"):
        raise BadRef(
            "vals reads the parameters directly below a path here, without version",
            mend="Add mode=singleparam for a key of one value, or recursive=true for a parameter further below.",
        )
    below = "/".join([name.removesuffix("/"), *asked.keys])
    return compose(SourceKind.SSM, below, [], field=None, identity=identity)


def _vals_object(asked: _Expression, identity: str) -> Ref:
    bucket, _, key = asked.path.partition("/")
    return compose(
        SourceKind.S3, object_id(bucket, key), list(asked.options.items()), field=_field(asked.keys), identity=identity
    )


# --- tables --------------------------------------------------------------------------------------------------------

_TAIL: Final = 3  # json-key, version-stage, version-id
_SHORTEST_VERSION_ID: Final = 32
_DIGITS: Final = frozenset("0123456789")
_DYNAMIC: Final = re.compile(r"\{\{resolve:(secretsmanager|ssm|ssm-secure):(.+)\}\}")
_STAGES_AND_IDS: Final[Mapping[str, Pick]] = {"version_stage": Pick.STAGE, "version_id": Pick.VERSION_ID}
_BACKENDS: Final[Mapping[str, tuple[frozenset[str], Callable[[_Expression, str], Ref]]]] = {
    "awsssm": (frozenset({"mode", "recursive", "version"}), _vals_parameter),
    "awssecrets": (frozenset(_STAGES_AND_IDS), _vals_secret),
    "s3": (frozenset({"version_id"}), _vals_object),
}
_SPELLINGS: Final[Mapping[str, Callable[[str, str], Ref]]] = {
    "arn:": _ecs,
    "secrets-manager:": _codebuild_secret,
    "parameter-store:": _codebuild_parameter,
    "{{": _cloudformation,
    "ref+": _vals,
    "secretref+": _vals,
}
