"""Turn the `cache` section and a value's own settings into the policy that the value is kept by."""

from dataclasses import dataclass, field

from sidecar.core.config.models import Cache
from sidecar.core.freshness import Policy
from sidecar.core.schedule import interval_of, stretched

TTL_INTERVALS = 3.0
"""A value may miss this many checks before it is called stale, where no ttl is configured."""


@dataclass(slots=True)
class Policies:
    """One policy object for all values with the same settings: 10,000 secrets share a handful."""

    cache: Cache
    stretch: float = 1.0  # what `quotas.budget` lengthens all intervals by
    _made: dict[tuple[float | None, float | None, bool], Policy] = field(default_factory=dict)

    def replace(self, cache: Cache, stretch: float = 1.0) -> None:
        """Make policies of another section from now on."""
        self.cache, self.stretch = cache, stretch
        self._made.clear()

    def of(self, refresh: float | None, ttl: float | None, *, pinned: bool) -> Policy:
        """Give the policy of a value with these settings; None is the section's default."""
        key = (refresh, ttl, pinned)
        if key not in self._made:
            self._made[key] = self._make(*key)
        return self._made[key]

    def _make(self, refresh: float | None, ttl: float | None, pinned: bool) -> Policy:  # noqa: FBT001 -- the key's third
        given = ttl or self.cache.ttl
        wanted = interval_of(refresh or self.cache.refresh, pinned=pinned)
        interval = stretched(wanted, self.stretch, revalidate=self.cache.revalidate, ttl=given)
        trusted = given or TTL_INTERVALS * interval
        return Policy(
            refresh=interval,
            ttl=max(trusted, TTL_INTERVALS * interval) if pinned else trusted,
            stale_if_error=self.cache.stale_if_error,
            revoke_after=self.cache.revoke_after,
            negative_ttl=self.cache.negative_ttl,
            min_refresh=self.cache.min_refresh,
            revalidate=self.cache.revalidate,
            keep_previous=self.cache.keep_previous,
        )
