"""Write the policy of a KMS key: who may use it for what a configuration reads. Pure.

`default` leaves it to IAM, as AWS's own default does: whom IAM allows, the key allows. `custom` names each reader with
the service through which it reads and the context, and IAM alone gives nobody more. A reader of another account must be
named in either: that account's IAM and this key have to agree.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from sidecar.core import arns
from sidecar.core.config.models import Config
from sidecar.planning.gathering import camel
from sidecar.planning.grants import build_needs
from sidecar.planning.keyrings import OneKey, is_near, replace_home, spelt_in_full
from sidecar.planning.places import TOKENS, Place, Unsaid, World, is_same, place_of
from sidecar.planning.statements import Condition, Grant

ITSELF: Final = ("*",)
"""The resource of a key policy: the key."""

ADMINISTER: Final = (
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",  # not grants, by which the key is used
    "kms:Delete*",
    "kms:Describe*",
    "kms:Disable*",
    "kms:Enable*",
    "kms:Get*",
    "kms:List*",
    "kms:Put*",
    "kms:Revoke*",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:Update*",
)
"""All but the use of the key."""

WRITE: Final = ("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*")
ENCRYPT: Final = ("kms:Encrypt", "kms:GenerateDataKey")
_VIA: Final = "kms:ViaService"


class KeyPolicyKind(StrEnum):
    """Whose word counts."""

    DEFAULT = "default"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class KeyWish:
    """The key policy that somebody wants."""

    kind: KeyPolicyKind
    readers: tuple[str, ...]  # identities
    key: str | None = None  # id, alias or ARN; None: one that is to be made
    role: str = ""  # ARN of the role with which the daemon starts
    writer: str = ""  # ARN of whoever writes values


def key_policy(config: Config, wish: KeyWish, world: World) -> list[Grant]:
    """Write the policy; raises Unsaid."""
    place = _place_of_key(wish.key, place_of(config.identities[wish.readers[0]], world))
    key = wish.key and spelt_in_full(wish.key, place)
    named: list[Grant] = []
    for name in wish.readers:
        home = place_of(config.identities[name], world)
        if wish.kind is KeyPolicyKind.CUSTOM or not is_same(home.account, place.account):
            principal = principal_of(config, name, wish.role, home, must_be_role=wish.kind is KeyPolicyKind.CUSTOM)
            used = [replace(grant, principal=principal) for grant in _uses(config, name, world, key, place)]
            named += [_as(name, grant) for grant in used] if len(wish.readers) > 1 else used
    if wish.kind is KeyPolicyKind.DEFAULT:
        return [Grant("AccountDecides", ("kms:*",), ITSELF, principal=place.root), *named]
    administers = Grant("AccountAdministers", ADMINISTER, ITSELF, principal=place.root)
    return [administers, *named, *(_of_writer(named, wish.writer, place) if wish.writer else ())]


def principal_of(config: Config, name: str, role: str, home: Place, *, must_be_role: bool) -> str:
    """Name who an identity is: its own role, the daemon's, or else its whole account; raises Unsaid."""
    if own := config.identities[name].role_arn:
        return own
    if role:
        return role
    if must_be_role or home.account in TOKENS:
        raise Unsaid("--role", "the policy names the role with which the daemon starts: give its ARN")
    return home.root


def doubts(config: Config, wish: KeyWish, world: World) -> list[str]:
    """Name the entries of `kms.allow_keys` of which nobody knows here whether they mean the key."""
    place = _place_of_key(wish.key, place_of(config.identities[wish.readers[0]], world))
    key = wish.key and spelt_in_full(wish.key, place)
    if not key:
        return []
    is_alias = ":alias/" in key
    others = [each for each in config.kms.allow_keys or () if not each.is_wildcard and each.is_alias != is_alias]
    return [each.text for each in others if is_near(replace_home(each, place), key)]


def _place_of_key(key: str | None, home: Place) -> Place:
    if key is None or not key.startswith(arns.PREFIX):
        return home
    _, partition, _, region, account, _ = key.split(":", 5)
    return Place(partition, account, region)


def _uses(config: Config, name: str, world: World, key: str | None, place: Place) -> list[Grant]:
    """Give what an identity does with the key: to values of the key's own account, else to those of all others."""
    for is_central in (False, True):
        ring = OneKey(key, place, config.kms.allow_keys, is_central=is_central)
        if used := [grant for grant in build_needs(config, name, world, ring).grants if _is_use(grant)]:
            return used
    return []


def _is_use(grant: Grant) -> bool:
    """Tell whether a grant is for a key; random bytes need none."""
    return all(action.startswith("kms:") and action != "kms:GenerateRandom" for action in grant.actions)


def _as(name: str, grant: Grant) -> Grant:
    return replace(grant, sid=f"{grant.sid}As{camel(name)}")


def _of_writer(named: Sequence[Grant], writer: str, place: Place) -> Iterator[Grant]:
    """Let values be written by the ways on which they are read."""
    services = {value for grant in named for each in grant.conditions if each.key == _VIA for value in each.values}
    direct = [grant for grant in named if not any(each.key == _VIA for each in grant.conditions)]
    if any("Locally" in grant.sid for grant in direct):
        services.add(place.via("ssm"))
    if services:
        via = Condition("StringEquals", _VIA, tuple(sorted(services)))
        yield Grant("WriterWrites", WRITE, ITSELF, (via,), writer)
    if any(grant.sid.startswith("Open") for grant in direct):
        yield Grant("WriterEncrypts", ENCRYPT, ITSELF, (), writer)
