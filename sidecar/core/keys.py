"""Say which KMS keys may be used: what `kms.allow_keys` holds, and whether a key is among them.

Pure text: which key an alias names only AWS knows, so whoever decides with one must have asked.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.core import arns
from sidecar.core.arns import Arn
from sidecar.core.errors import BadKeyId, BadRef
from sidecar.core.prices import KeyKind

SYMMETRIC: Final = "SYMMETRIC_DEFAULT"
"""The algorithm of symmetric keys, as KMS spells it."""

OAEP: Final = ("RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1")
"""The algorithms by which RSA pairs encrypt, the better one first."""

MOST_DIRECT: Final = 4096
"""Bytes that KMS itself encrypts or signs."""

MOST_CIPHERTEXT: Final = 6144
"""Bytes of the longest ciphertext that KMS makes and takes."""

ANY: Final = "*"
PATTERN: Final = (
    r"^(alias/[A-Za-z0-9/_-]{1,250}|arn:aws(-[a-z]+)*:kms:(\*|[a-z]+(-[a-z]+)+-[0-9]+):[0-9]{12}:"
    r"(\*|key/\*|key/(mrk-)?[A-Za-z0-9-]{1,64}|alias/[A-Za-z0-9/_-]{1,250}))$"
)
_PATTERN: Final = re.compile(PATTERN)
_KEY_ID: Final = re.compile(r"(mrk-)?[A-Za-z0-9-]{1,64}")
_RESOURCE: Final = re.compile(r"key/(mrk-)?[A-Za-z0-9-]{1,64}|alias/[A-Za-z0-9/_-]{1,250}")
_ALIAS: Final = re.compile(r"alias/[A-Za-z0-9/_-]{1,250}")
_QUOTAS: Final = (
    (("SYMMETRIC", "HMAC"), "kms.symmetric"),
    (("RSA",), "kms.rsa"),
    (("ECDSA", "ED25519", "SM2", "ECC"), "kms.ecc"),
)
RSA_2048_BYTES: Final = 256  # of a signature or ciphertext


@dataclass(frozen=True, slots=True)
class Home:
    """Where a key is that is named without saying so: the account and region of who names it."""

    account: str
    region: str
    partition: str = "aws"


@dataclass(frozen=True, slots=True)
class KeyPattern:
    """One entry of `kms.allow_keys`: a key, an alias, or all keys of an account in one region or all."""

    text: str

    def arn(self, home: Home) -> str:
        """Spell it in full."""
        return key_arn(self.text, home) if self.text.startswith("alias/") else self.text

    @property
    def is_wildcard(self) -> bool:
        """Whether it means more than one key: no KMS operation takes it for a KeyId."""
        return ANY in self.text

    @property
    def is_alias(self) -> bool:
        """Whether only AWS knows which key it means."""
        return ":alias/" in self.text or self.text.startswith("alias/")

    def matches(self, arn: str, home: Home) -> bool:
        """Decide whether this full ARN, of a key or an alias, is meant, as far as text can tell."""
        mine, theirs = self.arn(home).split(":", 5), arn.split(":", 5)
        same = (mine[1], mine[2], mine[4]) == (theirs[1], theirs[2], theirs[4])
        return same and mine[3] in {ANY, theirs[3]} and mine[5] in {ANY, "key/*", theirs[5]}


def parse_pattern(text: str) -> KeyPattern | None:
    """Read an entry of `kms.allow_keys`; None when it is none."""
    return KeyPattern(text) if _PATTERN.fullmatch(text) else None


def check_key_id(text: str) -> str:
    """Give what KMS takes as KeyId, unchanged: a key's id or ARN, an alias or its ARN; raises BadKeyId."""
    if text.startswith(arns.PREFIX):
        try:
            arn = Arn.parse(text)
        except BadRef:
            arn = None
        if arn is not None and arn.service == "kms" and arn.account and _RESOURCE.fullmatch(arn.resource):
            return text
    elif _KEY_ID.fullmatch(text) or _ALIAS.fullmatch(text):
        return text
    raise BadKeyId("this names no KMS key")


def key_arn(key_id: str, home: Home) -> str:
    """Spell a KeyId in full: an id or alias without ARN is of one's own account and region."""
    if key_id.startswith(arns.PREFIX):
        return key_id
    resource = key_id if key_id.startswith("alias/") else f"key/{key_id}"
    return f"arn:{home.partition}:kms:{home.region}:{home.account}:{resource}"


def region_of(key_id: str, own: str) -> str:
    """Give the region in which this KeyId is to be used: its ARN's, else one's own."""
    return key_id.split(":")[3] if key_id.startswith(arns.PREFIX) else own


def is_allowed(arn: str, patterns: Sequence[KeyPattern] | None, home: Home) -> bool:
    """Decide whether the key (or alias) with this ARN may be used, as far as text can tell.

    Without patterns every key of one's own account may. That an alias is allowed by the pattern of a whole account
    is right: it names a key of its own account and region.
    """
    if patterns is None:
        return arn.split(":")[4] == home.account
    return any(pattern.matches(arn, home) for pattern in patterns)


def only_key(patterns: Sequence[KeyPattern] | None) -> str | None:
    """Give the one key that is allowed, as KMS takes it; None where several may be."""
    if patterns is None or len(patterns) != 1 or patterns[0].is_wildcard:
        return None
    return patterns[0].text


def kind_of(algorithm: str, size: int) -> KeyKind:
    """Tell what the price of a request depends on: by its algorithm, and for RSA by the bytes that the key gives."""
    quota = quota_of(algorithm)
    if quota == "kms.symmetric":
        return KeyKind.SYMMETRIC
    return KeyKind.RSA_2048 if quota == "kms.rsa" and size == RSA_2048_BYTES else KeyKind.ASYMMETRIC


def quota_of(algorithm: str) -> str | None:
    """Name the quota that a request with this algorithm, or a key of this spec, is charged to.

    None for a kind of key that is not known here: it has some quota that is none of these.
    """
    return next((quota for families, quota in _QUOTAS if algorithm.startswith(families)), None)
