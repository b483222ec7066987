"""Take a configuration in, at the start and on a reload: what is still wanted is not fetched again.

Must not ask AWS: it plans, the refresher sends off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from sidecar.core.config.models import SecretSpec, TreeSpec
from sidecar.core.freshness import strictest
from sidecar.core.names import Name
from sidecar.core.ports import Decrypt, Route
from sidecar.core.refs import Ref, SourceKind
from sidecar.engine.catalogue import Catalogue, Declared
from sidecar.engine.checks import Checks
from sidecar.engine.policies import Policies
from sidecar.engine.store import Entry, Kind, Store
from sidecar.engine.trees import TreeEntry, Trees


@dataclass(slots=True)
class Declarations:
    """The values that the configuration asks to be kept."""

    store: Store
    catalogue: Catalogue
    checks: Checks
    trees: Trees
    policies: Policies

    def apply(self, secrets: Mapping[str, SecretSpec], trees: Mapping[str, TreeSpec]) -> None:
        """Keep exactly these, and what callers ask for on demand."""
        released = self._apply_secrets(secrets)
        self._apply_trees(trees)
        self._drop([entry for entry in released if entry.kind is Kind.ON_DEMAND])  # no tree has them either
        for entry in self.store:
            if entry.kind is Kind.ON_DEMAND:
                entry.policy = self.policies.of(None, None, pinned=entry.ref.pinned)
                if entry.held:
                    self.checks.plan_within(entry, entry.policy.refresh)

    def drop_identity(self, identity: str) -> None:
        """Forget every value read with an identity that has become another: an old one's word counts no more."""
        for prefix, tree in list(self.trees.entries.items()):
            if tree.route.identity == identity:
                self.trees.remove(prefix)
        self._drop([entry for entry in self.store if entry.route.identity == identity])
        self.checks.drop_lanes(identity)

    def drop_sealed(self) -> None:
        """Forget what was opened with keys that the configuration may allow no longer."""
        self._drop([entry for entry in self.store if entry.route.source in {SourceKind.KMS, SourceKind.S3}])

    def _apply_secrets(self, secrets: Mapping[str, SecretSpec]) -> list[Entry]:
        """Keep what is declared; give what no longer is."""
        for declared in list(self.catalogue):
            if declared.tree is None and declared.name not in secrets:
                self.catalogue.remove(declared.name)
        by_value: dict[Ref, list[SecretSpec]] = {}
        moved: list[Name] = []
        for name, spec in sorted(
            secrets.items(), key=lambda item: not item[1].required
        ):  # required ones are fetched first
            ref = self.store.canonical(spec.ref.whole)
            # One ref for the configuration, the catalogue and the store where they say the same: there may be 10,000.
            named = spec.ref if ref == spec.ref.whole else replace(ref, field=spec.ref.field)
            before = self.catalogue.get(name)
            if (before is None or before.ref != named) and (entry := self.store.get(ref)) and entry.held:
                moved.append(Name(name))
            self.catalogue.add(Declared(Name(name), named, spec.required))
            by_value.setdefault(ref, []).append(spec)
        released = [entry for entry in self.store if entry.kind is Kind.DECLARED and entry.ref not in by_value]
        for entry in released:
            self.store.release(entry)
        for ref, specs in by_value.items():
            self._keep(ref, specs)
        if moved:  # nothing will be fetched for these: whoever watches the names must hear of it here
            self.catalogue.moved.update(dict.fromkeys(moved, self.store.announce()))
        return released

    def _keep(self, ref: Ref, specs: Sequence[SecretSpec]) -> None:
        policy = strictest(self.policies.of(s.refresh, s.ttl, pinned=ref.pinned) for s in specs)
        route = _route(ref.source, ref.identity, specs[0].decrypt)
        before = self.store.get(ref)
        if before and before.route != route:
            self.checks.forget(before)  # it was planned among those of the old route
        entry = self.store.adopt(ref, route, policy, Kind.DECLARED)
        self.checks.plan_within(entry, policy.refresh if entry.held else 0.0)

    def _apply_trees(self, trees: Mapping[str, TreeSpec]) -> None:
        for prefix, tree in list(self.trees.entries.items()):
            spec = trees.get(prefix)
            if spec is None or (spec.tree, spec.decrypt) != (tree.root, tree.route.decrypt):
                self.trees.remove(prefix)
        for name, spec in trees.items():
            route = _route(SourceKind.SSM, spec.tree.identity, spec.decrypt)
            self.trees.keep(TreeEntry(Name(name), spec.tree, route, self.policies.of(spec.refresh, None, pinned=False)))

    def _drop(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self.checks.drop(entry)


@lru_cache(maxsize=64)
def _route(source: SourceKind, identity: str, decrypt: Decrypt) -> Route:
    """Give the route: one object for all the values that go it."""
    return Route(source, identity, decrypt)
