"""Turn what callers may ask for without a declaration into what IAM can grant, or say why it cannot. Pure.

A glob is over canonical references: `*` crosses slashes and everything else there. What it names of a query counts
where it is written out, `?via=` above all: who may be asked for as another identity is not guessed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from sidecar.core import arns
from sidecar.core.refs import DEFAULT_IDENTITY, SourceKind
from sidecar.planning.places import literal

WIDE: Final = "it names nothing that could be granted: declare what is read, or narrow the glob"
_SETS: Final = "IAM has no sets of characters: write a glob for each"
_NO_SOURCE: Final = "IAM wants to know what it is: begin the glob with ssm:, sm:, s3:// or kms:"
_OBJECT: Final = "IAM wants to know the bucket: write it as s3://bucket/…"
_QUERY: Final = re.compile(r"\?(?=(?:version|label|stage|version_id|context|sse_c|via)=)")
_WILDCARDS: Final = re.compile(r"([*?])")
_NOTHING_NAMED: Final = re.compile(r"[/*?]*")
_AUTHORITY: Final = "//"
_VIA: Final = "via="


@dataclass(frozen=True, slots=True)
class Offer:
    """What one glob offers."""

    source: SourceKind
    pattern: str  # of the id, spelt as IAM's patterns are; "" for ciphertext
    identity: str = DEFAULT_IDENTITY
    is_arn: bool = False
    versioned: bool = False  # it names versions of objects


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A glob that IAM cannot be told."""

    glob: str
    why: str


def offers(globs: tuple[str, ...]) -> Iterator[Offer | LeftOut]:
    """Read each glob."""
    for glob in globs:
        read = _read(glob)
        yield LeftOut(glob, read) if isinstance(read, str) else read


def _read(glob: str) -> Offer | str:
    """Give what a glob offers, or why it cannot be told."""
    source, colon, rest = glob.partition(":")
    if not source.strip("*") and not rest:
        return WIDE
    if not colon or source not in set(SourceKind):
        return _NO_SOURCE
    if "[" in glob:
        return _SETS
    ident, *queries = _QUERY.split(rest.partition("#")[0], maxsplit=1)
    pairs = queries[0].split("&") if queries else []
    identity = next((pair.removeprefix(_VIA) for pair in pairs if pair.startswith(_VIA)), DEFAULT_IDENTITY)
    if _WILDCARDS.search(identity):
        return WIDE
    versioned = any(pair.startswith("version_id=") for pair in pairs)
    return _offer(SourceKind(source), ident, identity, versioned=versioned)


def _offer(source: SourceKind, ident: str, identity: str, *, versioned: bool) -> Offer | str:
    if source is SourceKind.KMS:
        return Offer(source, "", identity)
    if _NOTHING_NAMED.fullmatch(ident):
        return WIDE
    if source is SourceKind.S3:
        return _object(ident, identity, versioned=versioned)
    is_arn = ident.startswith(arns.PREFIX)
    if is_arn and not _names_something(ident):
        return WIDE
    return Offer(source, _pattern(ident), identity, is_arn=is_arn)


def _names_something(arn: str) -> bool:
    """Tell whether a glob over ARNs says whose it is, and something of the name."""
    *head, resource = arn.split(":", 5)
    name = resource.removeprefix("parameter").removeprefix("secret:")
    return len(head) == _HEAD and not _WILDCARDS.search(":".join(head)) and not _NOTHING_NAMED.fullmatch(name)


_HEAD: Final = 5  # arn, partition, service, region, account


def _object(ident: str, identity: str, *, versioned: bool) -> Offer | str:
    bucket, slash, key = ident.removeprefix(_AUTHORITY).partition("/")
    if not ident.startswith(_AUTHORITY) or not _WILDCARDS.sub("", bucket) or not (slash or bucket.endswith("*")):
        return _OBJECT
    return Offer(SourceKind.S3, f"{_pattern(bucket)}/{_pattern(key) if slash else '*'}", identity, versioned=versioned)


def _pattern(glob: str) -> str:
    """Keep the wildcards, and take all between them literally."""
    return "".join(part if part in {"*", "?"} else literal(unquote(part)) for part in _WILDCARDS.split(glob) if part)
