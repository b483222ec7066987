"""Say under which KMS keys values and ciphertexts lie: what was said of them, and what `kms.allow_keys` holds. Pure.

An alias is no resource of IAM's: a statement names all keys of its place, and wants the key to have the alias.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from sidecar.core import arns
from sidecar.core.keys import ANY, KeyPattern
from sidecar.planning.places import Place, Unsaid, is_same
from sidecar.planning.statements import Condition

ALIASES: Final = "kms:ResourceAliases"
_ALIAS: Final = "alias/"
_MULTI_REGION: Final = "mrk-"
_ALL: Final = "key/*"


@dataclass(frozen=True, slots=True)
class Keys:
    """Some keys, as one statement names them."""

    resources: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()

    @property
    def hint(self) -> str:
        """Tell statements apart that differ in this only."""
        return "ByAlias" if self.conditions else ""


class KeyRing(Protocol):
    """Which keys a purpose needs; each may take several statements, or none."""

    def of_values(self, place: Place, home: Place) -> Sequence[Keys]:
        """Give the keys under which values in a place lie, for whoever is at home elsewhere or there."""
        ...

    def of_local(self, place: Place, home: Place) -> Sequence[Keys]:
        """Give the keys of values that the daemon decrypts itself; raises Unsaid."""
        ...

    def of_ciphertexts(self, home: Place, *, what: str) -> Sequence[Keys]:
        """Give the keys that open ciphertexts which name none; raises Unsaid."""
        ...

    def of_message(self, keys: Sequence[str], home: Place) -> Sequence[Keys]:
        """Give those of a message's keys, by their ARNs, that may open it."""
        ...

    def of_app(self, home: Place, *, what: str) -> Sequence[Keys]:
        """Give the keys that the app may use; raises Unsaid."""
        ...

    def aliases(self, home: Place) -> Sequence[Keys]:
        """Give the aliases of which it must be asked what keys they name."""
        ...


@dataclass(frozen=True, slots=True)
class Known:
    """The keys that somebody said values lie under, and those that a configuration allows."""

    said: tuple[str, ...]
    allowed: tuple[KeyPattern, ...] | None

    def of_values(self, place: Place, home: Place) -> Sequence[Keys]:
        """Do what `KeyRing.of_values` promises: the keys of the value's own account, else those of a third one."""
        near = [each for each in self._said(place, home) if is_same(each.split(":")[3], place.region)]
        own = [each for each in near if is_same(each.split(":")[4], place.account)]
        return _grouped(own or [each for each in near if not is_same(each.split(":")[4], home.account)])

    def of_local(self, place: Place, home: Place) -> Sequence[Keys]:
        """Do what `KeyRing.of_local` promises: under AWS managed keys nobody but the service decrypts."""
        if found := self.of_values(place, home):
            return found
        raise Unsaid("--key", f"`decrypt: local` needs a customer managed key in {place.where}: name it")

    def of_ciphertexts(self, home: Place, *, what: str) -> Sequence[Keys]:
        """Do what `KeyRing.of_ciphertexts` promises: KMS is asked in the region of the one key, else at home."""
        found = [_within(each, home) for each in self._permitted(home, what=what)]
        if len(found) > 1:
            found = [each for each in found if is_same(each.split(":")[3], home.region)]
        return _grouped(found)

    def of_message(self, keys: Sequence[str], home: Place) -> Sequence[Keys]:
        """Do what `KeyRing.of_message` promises; of an alias only AWS knows whether it is one of them."""
        if self.allowed is None:
            return _grouped([key for key in keys if is_same(key.split(":")[4], home.account)])
        own = [replace_home(each, home) for each in self.allowed]
        return _grouped([key for key in keys if any(_may_be(each, key) or _is_beside(each, key) for each in own)])

    def of_app(self, home: Place, *, what: str) -> Sequence[Keys]:
        """Do what `KeyRing.of_app` promises: all that are allowed, wherever they are."""
        return _grouped(self._permitted(home, what=what))

    def aliases(self, home: Place) -> Sequence[Keys]:
        """Do what `KeyRing.aliases` promises."""
        return _grouped([replace_home(each, home).text for each in self.allowed or () if each.is_alias])

    def _permitted(self, home: Place, *, what: str) -> list[str]:
        if self.allowed is not None:
            return [replace_home(each, home).text for each in self.allowed]
        if not self.said:
            raise Unsaid("--key", f"{what} may be under any key of the account: name the keys, or set kms.allow_keys")
        return [each for each in self._said(home, home) if is_same(each.split(":")[3], home.region)]

    def _said(self, place: Place, home: Place) -> Iterator[str]:
        """Spell what was said in full: an id is of home's region, an alias or a multi-region key of every region."""
        for each in self.said:
            if each.startswith((_ALIAS, _MULTI_REGION)):
                yield spelt_in_full(each, replace(home, region=place.region))
            else:
                yield spelt_in_full(each, home)


@dataclass(frozen=True, slots=True)
class OneKey:
    """One key, seen from its own policy, where every resource is the key itself."""

    name: str | None  # the ARN of the key or of an alias of it; None: a key that is to be made
    place: Place
    allowed: tuple[KeyPattern, ...] | None
    is_central: bool = False  # whether values of other accounts lie under it

    def of_values(self, place: Place, home: Place) -> Sequence[Keys]:  # noqa: ARG002 -- the protocol's
        """Do what `KeyRing.of_values` promises: services use keys of their own region only."""
        is_near = self.is_central or is_same(place.account, self.place.account)
        return _ITSELF if is_near and is_same(place.region, self.place.region) else ()

    def of_local(self, place: Place, home: Place) -> Sequence[Keys]:
        """Do what `KeyRing.of_local` promises."""
        return self.of_values(place, home)

    def of_ciphertexts(self, home: Place, *, what: str) -> Sequence[Keys]:  # noqa: ARG002 -- likewise
        """Do what `KeyRing.of_ciphertexts` promises."""
        return _ITSELF if self._is_allowed(home) else ()

    def of_message(self, keys: Sequence[str], home: Place) -> Sequence[Keys]:
        """Do what `KeyRing.of_message` promises; whose alias it is, only AWS knows."""
        is_one = self.name in keys or self.name is None or _is_alias(self.name)
        return _ITSELF if is_one and self._is_allowed(home) else ()

    def of_app(self, home: Place, *, what: str) -> Sequence[Keys]:  # noqa: ARG002 -- likewise
        """Do what `KeyRing.of_app` promises."""
        return _ITSELF if self._is_allowed(home) else ()

    def aliases(self, home: Place) -> Sequence[Keys]:
        """Do what `KeyRing.aliases` promises."""
        return _ITSELF if any(each.is_alias for each in self.meant(home)) else ()

    def meant(self, home: Place) -> list[KeyPattern]:
        """Give the entries of `kms.allow_keys` that mean this key, as far as text can tell."""
        own = [replace_home(each, home) for each in self.allowed or ()]
        return [each for each in own if _may_be(each, self.name or self.place.arn("kms", _ALL))]

    def _is_allowed(self, home: Place) -> bool:
        if self.allowed is None:
            return is_same(self.place.account, home.account) or self.name is not None
        return bool(self.meant(home))


_ITSELF: Final = (Keys((ANY,)),)


def replace_home(pattern: KeyPattern, home: Place) -> KeyPattern:
    """Spell an entry of `kms.allow_keys` in full: an alias without ARN is of one's own account and region."""
    return KeyPattern(home.arn("kms", pattern.text)) if pattern.text.startswith(_ALIAS) else pattern


def _may_be(pattern: KeyPattern, name: str) -> bool:
    """Tell whether a pattern means a key or alias, by name; of one that is to be made nobody knows its name."""
    _, _, _, region, account, mine = pattern.text.split(":", 5)
    _, _, _, its_region, its_account, its = name.split(":", 5)
    is_near = is_same(account, its_account) and (region == ANY or is_same(region, its_region))
    return is_near and (mine in {ANY, _ALL, its} or its == _ALL)


def _is_beside(alias: KeyPattern, key: str) -> bool:
    """Tell whether it is an alias where a key is, and so may name it."""
    return alias.is_alias and is_near(alias, key)


def is_near(pattern: KeyPattern, name: str) -> bool:
    """Tell whether a pattern is of the account and region of a key or alias."""
    mine, its = pattern.text.split(":"), name.split(":")
    return is_same(mine[3], its[3]) and is_same(mine[4], its[4])


def spelt_in_full(key_id: str, place: Place) -> str:
    """Give the ARN of what names a key: an id or alias is of this place."""
    return key_id if key_id.startswith(arns.PREFIX) else place.arn("kms", _resource(key_id))


def _is_alias(name: str) -> bool:
    return name.rpartition(":")[2].startswith(_ALIAS)


def _resource(key_id: str) -> str:
    return key_id if key_id.startswith(_ALIAS) else f"key/{key_id}"


def _within(key: str, home: Place) -> str:
    """Narrow a pattern of every region down to the one in which KMS is asked."""
    parts = key.split(":", 5)
    return ":".join([*parts[:3], home.region if parts[3] == ANY else parts[3], *parts[4:]])


def _grouped(found: Sequence[str]) -> list[Keys]:
    """Make statements' keys of ARNs: those of keys together, those of each alias's place and name together."""
    plain: set[str] = set()
    named: set[str] = set()
    aliases: set[str] = set()
    for each in found:
        head, resource = each.rsplit(":", 1)
        if resource.startswith(_ALIAS):
            named.add(f"{head}:{_ALL}")
            aliases.add(resource)
        else:
            plain.add(f"{head}:{_ALL}" if resource == ANY else each)
    keys = [Keys(tuple(sorted(plain)))] if plain else []
    if aliases:
        has_one = Condition("ForAnyValue:StringEquals", ALIASES, tuple(sorted(aliases)))
        keys.append(Keys(tuple(sorted(named)), (has_one,)))
    return keys
