"""Count what a configuration declares, by all that decides how it is asked for: once, however often it is planned."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sidecar.core.config.models import Config, IdentitySpec, SecretSpec
from sidecar.core.ports import Route
from sidecar.core.quotas import Scope
from sidecar.core.refs import DEFAULT_IDENTITY, Ref, SourceKind

RegionOf = Callable[[str], str]
"""The region of an identity, by its name; "" where it is not known."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How often, and trusted for how long, somebody wants a value to be checked; None is the `cache` section's."""

    refresh: float | None
    ttl: float | None


@dataclass(frozen=True, slots=True)
class Sort:
    """Values (or trees) that are asked for alike."""

    route: Route
    scope: Scope
    wishes: frozenset[Wish]  # of all who declare the value; the keenest counts
    pinned: bool = False
    together: bool = True  # whether a fetch can ask for several at once
    on_behalf: bool = True  # whether AWS may have to ask KMS for it


@dataclass(frozen=True, slots=True)
class Census:
    """How many there are of each sort."""

    values: Counter[Sort]
    trees: Counter[Sort]


def census(config: Config, region_of: RegionOf) -> Census:
    """Count: a value that has several names is one, as it is for the daemon."""
    declared: dict[Ref, list[SecretSpec]] = {}
    for spec in sorted(config.secrets.values(), key=lambda spec: not spec.required):  # as the daemon declares them
        declared.setdefault(spec.ref.whole, []).append(spec)
    values = Counter(_sort(ref, specs, config, region_of) for ref, specs in declared.items())
    return Census(values, Counter(_trees(config, region_of)))


def _sort(ref: Ref, specs: list[SecretSpec], config: Config, region_of: RegionOf) -> Sort:
    arn = ref.arn
    return Sort(
        route=Route(ref.source, ref.identity, specs[0].decrypt),
        scope=Scope(account_of(config.identities, ref.identity), arn.region if arn else region_of(ref.identity)),
        wishes=frozenset(Wish(spec.refresh, spec.ttl) for spec in specs),
        pinned=ref.pinned,
        on_behalf=not ref.sse_c,
        together=ref.source is SourceKind.SSM or (ref.selector is None and arn is None),
    )


def _trees(config: Config, region_of: RegionOf) -> Iterator[Sort]:
    for spec in config.trees.values():
        identity = spec.tree.identity
        yield Sort(
            route=Route(SourceKind.SSM, identity, spec.decrypt),
            scope=Scope(account_of(config.identities, identity), region_of(identity)),
            wishes=frozenset({Wish(spec.refresh, None)}),
        )


def account_of(identities: dict[str, IdentitySpec], name: str) -> str:
    """Name whose quotas an identity uses, as far as the configuration tells: those without a role share one account."""
    spec = identities[name]
    if spec.role_arn:
        return spec.role_arn.split(":")[4]  # arn:partition:iam::account:role/name
    return f"profile {spec.profile}" if spec.profile else DEFAULT_IDENTITY
