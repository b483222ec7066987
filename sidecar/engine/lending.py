"""Lend the value of a declared secret to a source that needs it to read another: the key of an SSE-C object.

Imported when something is lent first. Must not decide who may ask: a reference that names a secret needs the right to
it, which the interface checks.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sidecar.core.errors import BadCustomerKey, Transient
from sidecar.core.freshness import Fresh, Lookup, Pending, Stale
from sidecar.core.ports import Lent
from sidecar.core.refs import Ref, SourceKind
from sidecar.engine.checks import Checks
from sidecar.engine.resolver import WAIT, Resolver


@dataclass(slots=True)
class Lending:
    """What is lent, and who is told when it changes."""

    resolver: Resolver
    checks: Checks
    lent: set[str] = field(default_factory=set)  # names of declared secrets, so there is an end of them

    async def lend(self, name: str, undeclared: Ref | None) -> Lent:
        """Give a declared secret, waiting for the first fetch; raises BadCustomerKey or Transient.

        `undeclared` is what the configuration calls so, where nothing is declared: for a command that works alone.
        """
        deadline = self.checks.now() + WAIT
        declared = await self.resolver.find(name, deadline)
        ref = declared.ref if declared else undeclared
        if ref is None:
            raise BadCustomerKey(f"no secret {name} is declared, which should hold its key")
        if ref.source is SourceKind.S3:  # whose check may be this very one
            raise BadCustomerKey(f"the secret {name}, which should hold its key, is an object itself")
        self.lent.add(name)
        lookup = await self.resolver.learn(self.resolver.open(ref.whole), deadline)
        if isinstance(lookup, Fresh | Stale):
            return Lent(lookup.secret, ref.field)
        raise _without(name, lookup)

    def changed(self, names: Iterable[str]) -> None:
        """Have checked at once what was read with the old value of these."""
        borrowed = self.lent.intersection(names)
        if borrowed:
            for entry in [entry for entry in self.checks.store if entry.ref.sse_c in borrowed]:
                self.checks.hasten(entry)


def _without(name: str, lookup: Lookup) -> BadCustomerKey | Transient:
    """Say why there is nothing to lend: for as long as AWS says so, or only for now."""
    failure = None if isinstance(lookup, Fresh | Stale) else lookup.failure
    why = f" ({failure.label})" if failure else ""
    mend = failure.mend if failure else None
    if isinstance(lookup, Pending):
        return Transient(f"the secret {name}, which holds its key, is not held yet{why}", mend=mend)
    return BadCustomerKey(f"the secret {name}, which should hold its key, cannot be read{why}", mend=mend)
