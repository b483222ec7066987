"""Know which names the app may ask for, and where each value lives.

Names come from the configuration and from trees. Must not know whether a value is held: the store does.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sidecar.core.names import Name
from sidecar.core.refs import Ref


@dataclass(frozen=True, slots=True)
class Declared:
    """One name, and the value or field that it stands for."""

    name: Name
    ref: Ref
    required: bool = True
    tree: str | None = None  # the tree that brought it, None for a declared secret


@dataclass(slots=True)
class Catalogue:
    """Declared names. A declared secret wins over a tree's parameter of the same name."""

    moved: dict[Name, int] = field(default_factory=dict)
    """The generation (of the store) at which a name came to stand for a value that was held already."""
    _by_name: dict[Name, Declared] = field(default_factory=dict)
    _names: dict[Ref, tuple[Name, ...]] = field(default_factory=dict)  # by whole ref; a set would be four times it

    def get(self, name: str) -> Declared | None:
        """Find what a name stands for."""
        return self._by_name.get(Name(name))

    def names_of(self, ref: Ref) -> frozenset[Name]:
        """Name everything declared that is this value or a field of it."""
        return frozenset(self._names.get(ref.whole, ()))

    def __iter__(self) -> Iterator[Declared]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def add(self, declared: Declared) -> bool:
        """Take a name in; False when something else has it already and a tree wanted it."""
        existing = self._by_name.get(declared.name)
        if existing == declared:
            return True
        if existing and declared.tree is not None and existing.tree != declared.tree:
            return False
        self.remove(declared.name)
        self._by_name[declared.name] = declared
        whole = declared.ref.whole
        self._names[whole] = (*self._names.get(whole, ()), declared.name)
        return True

    def rename(self, before: Ref, after: Ref) -> None:
        """Let names stand for a value by the spelling that AWS gave it."""
        for name in self.names_of(before):
            declared, moved_at = self._by_name[name], self.moved.get(name)
            self.add(replace(declared, ref=replace(after, field=declared.ref.field)))
            if moved_at is not None:
                self.moved[name] = moved_at

    def remove(self, name: Name) -> None:
        """Forget a name; unknown ones are fine."""
        declared = self._by_name.pop(name, None)
        self.moved.pop(name, None)
        if declared is None:
            return
        whole = declared.ref.whole
        if names := tuple(other for other in self._names[whole] if other != name):
            self._names[whole] = names
        else:
            del self._names[whole]
