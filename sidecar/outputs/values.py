"""Open what the engine holds for those who write it into a file, and note what they looked at.

One of the few places that open plaintexts. Must not wait: what is not held is said to be missing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from sidecar.core.errors import BadField, Failure, SecretError
from sidecar.core.fields import cut
from sidecar.core.freshness import Fresh, Stale
from sidecar.core.refs import Ref
from sidecar.core.secret import Secret
from sidecar.engine.engine import Engine
from sidecar.engine.store import Entry
from sidecar.outputs.failures import NotYet, Unrendered

Versions = Mapping[str, str]
"""By declared name, what tells one version of it from all others; a name that is not held is left out."""

_TAG_BYTES: Final = 16


@dataclass(slots=True)
class Used:
    """What was looked at, found or not."""

    names: set[str] = field(default_factory=set)
    trees: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Values:
    """All declared values, as they stand now."""

    engine: Engine

    @property
    def generation(self) -> int:
        """How often anything has changed."""
        return self.engine.store.generation

    async def changed_since(self, generation: int) -> None:
        """Wait until anything has changed since then. Cancelling it is harmless."""
        await self.engine.store.changed_since(generation)

    def versions(self, used: Used) -> dict[str, str]:
        """Say which versions a look at the same things would find."""
        names = used.names.union(*(self.members(tree) for tree in used.trees))
        found = ((name, self._secret(name)) for name in sorted(names))
        return {name: _tag(ref, secret) for name, (ref, secret) in found if ref and isinstance(secret, Secret)}

    def members(self, tree: str) -> list[str]:
        """Name what a tree holds, and declared secrets that stand in for something of it."""
        return [declared.name for declared in self.engine.catalogue if declared.name.startswith(f"{tree}/")]

    def walked(self, tree: str) -> bool:
        """Tell whether all that a tree holds is known."""
        return any(entry.walked for entry in self.engine.trees.entries.values() if entry.prefix == tree)

    def open(self, name: str) -> bytes:
        """Give the bytes of a declared secret, or of its field where the name is name#field.

        Raises NotYet and Unrendered.
        """
        bare, _, field_name = name.partition("#")
        ref, secret = self._secret(bare)
        if ref is None and self.engine.trees.unwalked_above(bare):
            raise NotYet(f"{bare}: the tree that it may be in was not read yet")
        if ref is None:
            raise Unrendered(f"{bare}: nothing of this name is declared")
        if not isinstance(secret, Secret):
            raise _missing(bare, secret)
        return _cut(name, secret.plaintext.reveal(), (ref.field, field_name or None))

    def _secret(self, name: str) -> tuple[Ref | None, Secret | Failure | None]:
        declared = self.engine.catalogue.get(name)
        if declared is None:
            return None, None
        entry = self.engine.store.get(declared.ref.whole)
        return declared.ref, self._held(entry) if entry else None

    def _held(self, entry: Entry) -> Secret | Failure | None:
        lookup = entry.look(self.engine.store.clock.trust())
        return lookup.secret if isinstance(lookup, Fresh | Stale) else lookup.failure


@dataclass(slots=True)
class Reading:
    """One look at the values, which remembers what it saw."""

    values: Values
    used: Used = field(default_factory=Used)

    def secret(self, name: str) -> bytes:
        """Give the bytes behind a name, or name#field; raises NotYet and Unrendered."""
        self.used.names.add(name.partition("#")[0])
        return self.values.open(name)

    def tree(self, tree: str) -> dict[str, bytes]:
        """Give all of a tree, by what follows its name, in order; raises NotYet and Unrendered."""
        self.used.trees.add(tree)
        if tree not in self.values.engine.trees.entries:
            raise Unrendered(f"{tree}: no tree of this name is declared")
        if not self.values.walked(tree):
            raise NotYet(f"{tree}/: it was not read yet")
        return {name.removeprefix(f"{tree}/"): self.values.open(name) for name in sorted(self.values.members(tree))}


def differing(one: Versions, other: Versions) -> tuple[str, ...]:
    """Name what is of another version, or only in one of them."""
    return tuple(name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name))


def _missing(name: str, failure: Failure | None) -> NotYet | Unrendered:
    if isinstance(failure, SecretError):
        return Unrendered(f"{name}: {failure.label}", mend=failure.mend)
    return NotYet(f"{name}: it is not held yet")


def _cut(name: str, content: bytes, fields: Iterable[str | None]) -> bytes:
    """Take a field out, and of that another where both the declaration and the name speak of one."""
    try:
        for each in fields:
            content = content if each is None else cut(content, each)
    except BadField as error:
        raise Unrendered(f"{name.partition('#')[0]}: {error}", mend=error.mend) from None
    return content


def _tag(ref: Ref, secret: Secret) -> str:
    # Of the reference too: a name may come to stand for another value of the same version number. Never of the value.
    return blake2b(f"{ref} {secret.revision.version}".encode(), digest_size=_TAG_BYTES).hexdigest()
