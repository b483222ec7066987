"""Gather what is needed into few statements: one for each purpose, or for each set of keys and conditions. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from sidecar.planning.keyrings import Keys
from sidecar.planning.places import Place, is_same
from sidecar.planning.purposes import DECRYPT, Purpose
from sidecar.planning.statements import Condition, Grant

_PURPOSES: Final = tuple(Purpose)


@dataclass(frozen=True, slots=True)
class Use:
    """A use of keys: what must be the same for two uses to share a statement."""

    purpose: Purpose
    keys: Keys
    actions: tuple[str, ...] = DECRYPT
    conditions: tuple[Condition, ...] = ()
    context: str = ""  # the context key of which all values that come are collected
    hint: str = ""  # tells statements of one purpose apart


@dataclass(slots=True)
class Gathering:
    """What was found so far, for whoever is at home here."""

    home: Place
    reads: dict[tuple[Purpose, tuple[str, ...]], set[str]] = field(default_factory=dict)
    uses: dict[Use, set[str]] = field(default_factory=dict)
    rest: list[tuple[Purpose, Grant]] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)  # in the order in which they came, each once
    foreign: dict[str, None] = field(default_factory=dict)  # ARNs of other accounts' secrets, likewise

    def read(self, purpose: Purpose, actions: tuple[str, ...], *resources: str) -> None:
        """Let actions be done to resources."""
        self.reads.setdefault((purpose, actions), set()).update(resources)

    def use(self, use: Use, values: Iterable[str] = ()) -> None:
        """Let keys be used, for values of the context."""
        self.uses.setdefault(use, set()).update(values)

    def add(self, purpose: Purpose, grant: Grant) -> None:
        """Take a statement as it is."""
        self.rest.append((purpose, grant))

    def note(self, text: str) -> None:
        """Keep what is to be said, once."""
        self.notes.setdefault(text)

    def hint(self, place: Place) -> str:
        """Name a place in a Sid, unless it is home."""
        region = "" if is_same(place.region, self.home.region) else f"In{camel(place.region)}"
        return region + ("" if is_same(place.account, self.home.account) else f"Of{place.account}")

    def grants(self) -> tuple[Grant, ...]:
        """Lay out what was found, in the order of purposes, each under a name of its own."""
        found = [(purpose, _read(purpose, actions, values)) for (purpose, actions), values in self.reads.items()]
        found += [(use.purpose, _use(use, values)) for use, values in self.uses.items()]
        found += self.rest
        found.sort(key=lambda each: (_PURPOSES.index(each[0]), each[1].sid, each[1].resources, str(each[1].conditions)))
        return tuple(_named([grant for _, grant in found]))


def camel(text: str) -> str:
    """Spell a name as a part of a Sid, which has letters and digits only."""
    words = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in text).split()
    return "".join(word[0].upper() + word[1:] for word in words)


def _read(purpose: Purpose, actions: tuple[str, ...], resources: set[str]) -> Grant:
    return Grant(purpose.value, actions, tuple(sorted(resources)))


def _use(use: Use, values: set[str]) -> Grant:
    conditions = use.conditions
    if use.context:
        operator = "StringLike" if any({"*", "?"} & set(value) for value in values) else "StringEquals"
        conditions = (*conditions, Condition(operator, use.context, tuple(sorted(values))))
    return Grant(
        f"{use.purpose}{use.hint}{use.keys.hint}", use.actions, use.keys.resources, (*conditions, *use.keys.conditions)
    )


def _named(grants: Iterable[Grant]) -> Iterable[Grant]:
    seen = Counter[str]()
    for grant in grants:
        seen[grant.sid] += 1
        yield grant if seen[grant.sid] == 1 else replace(grant, sid=f"{grant.sid}{seen[grant.sid]}")
