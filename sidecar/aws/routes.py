"""Give each route its source: the front door of this room.

Builds nothing before it is asked for: a configuration with one identity costs one session.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Self

from sidecar.aws.failover import Failover, Replica
from sidecar.aws.identities import Identity, region_of
from sidecar.aws.sessions import Sessions, counting
from sidecar.aws.sm import SecretsManager
from sidecar.aws.ssm import ParameterStore
from sidecar.core.config.models import S3, IdentitySpec
from sidecar.core.errors import BadRef, ConfigError
from sidecar.core.keys import KeyPattern
from sidecar.core.ports import Decrypt, Envelopes, Gate, KeyService, Lend, Lent, Route, Source, TreeSource
from sidecar.core.quotas import Scope
from sidecar.core.refs import Ref, SourceKind, localise
from sidecar.telemetry import Metrics


def _nobody() -> Envelopes:
    raise LookupError("nobody was introduced who opens Encryption SDK messages")


async def _lend_nothing(_name: str) -> Lent:
    raise LookupError("nobody was introduced who lends secrets")


class Aws:
    """AWS as all configured identities see it; an async context manager that closes its connections."""

    def __init__(  # noqa: PLR0913 -- all that the room needs of the world
        self,
        identities: Mapping[str, IdentitySpec],
        failover: Mapping[SourceKind, tuple[str, ...]],
        metrics: Metrics,
        on_account: Callable[[str, str], None] = lambda _name, _account: None,
        *,
        allow_keys: Sequence[KeyPattern] | None = None,
        envelopes: Callable[[], Envelopes] = _nobody,
        max_object: int = S3().max_object,
        lend: Lend = _lend_nothing,
    ) -> None:
        """Take who there is to be, in which order they stand in for each other, and where to count.

        `on_account` is told the name of an identity and its account, once that is known. `allow_keys` are the keys of
        KMS that may be used (None: those of each identity's own account), `envelopes` gives who opens and seals
        Encryption SDK messages, and is called only where there is one. `max_object` is how many bytes one of S3's
        objects may have, `lend` gives the secret that holds such a one's key.
        """
        self._lend = lend
        self._max_object = max_object
        self._allow_keys = allow_keys
        self._envelopes = envelopes
        self._keys: dict[str, KeyService] = {}
        self._on_account = on_account
        self._specs = identities
        self._failover = failover
        self._metrics = metrics
        self._sessions = Sessions(counting(metrics))
        self._identities: dict[str, Identity] = {}
        self._sources: dict[Route, Source] = {}
        self._stores: dict[Route, ParameterStore] = {}

    async def __aenter__(self) -> Self:
        await self._sessions.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._sessions.__aexit__(*error)

    def source(self, route: Route) -> Source:
        """Give the source of a route, always the same one; raises ConfigError where its identity has no region."""
        if route not in self._sources:
            first, *others = self._places(route)
            self._sources[route] = (
                Failover(self._plain(first), [self._replica(other) for other in others])
                if others
                else self._plain(first)
            )
        return self._sources[route]

    def trees(self, route: Route) -> TreeSource:
        """Give the source of a route's trees, always the same one; raises ConfigError like `source`."""
        return self._parameter_store(route)

    def keys(self, identity: str) -> KeyService:
        """Give KMS as an identity sees it, always the same one; raises ConfigError where it has no region."""
        if identity not in self._keys:
            from sidecar.aws.keys import Keys  # noqa: PLC0415 -- only where KMS is asked

            self._keys[identity] = Keys(self.identity(identity), self._allow_keys, self._metrics)
        return self._keys[identity]

    def region(self, identity: str) -> str:
        """Give the region of an identity; raises ConfigError that says what to set where there is none."""
        return self.identity(identity).region

    async def account(self, identity: str, gate: Gate) -> str:
        """Give the account of an identity, asked of STS where nothing else has told it; raises Failure."""
        return await self.identity(identity).account(gate)

    async def limits(self, identity: str, gate: Gate) -> tuple[Scope, Mapping[str, float]]:
        """Give the request rates that an identity's account has in its region, as AWS tells them; raises Failure."""
        from sidecar.aws.service_quotas import read_limits  # noqa: PLC0415 -- only where it is configured

        asked = self.identity(identity)
        found = await read_limits(asked, gate)
        return asked.scope(asked.region), found

    def check_regions(self, identities: Iterable[str]) -> None:
        """Raise ConfigError for the first of these identities of which no region is known."""
        for identity in identities:
            self.region(identity)

    async def localise(self, ref: Ref, gate: Gate) -> Ref:
        """Spell a reference canonically: an ARN of the identity's own account and region becomes the name.

        Raises BadRef where its identity is not configured; where the account cannot be learnt, the ARN stays.
        """
        if ref.identity not in self._specs:
            raise BadRef("its ?via= names no configured identity", mend="Add it to `identities`, or leave ?via= out.")
        identity = self._of(ref)
        if ref.arn is None:
            return ref
        return localise(ref, await identity.account_if_told(gate), identity.region)

    def _of(self, ref: Ref) -> Identity:
        try:
            return self.identity(ref.identity)
        except ConfigError as error:
            problem = error.problems[0]
            raise BadRef("its identity has no region", mend=f"{problem.key}: {problem.what}") from error

    async def close(self) -> None:
        """Close all connections."""
        await self._sessions.__aexit__()

    def known_account(self, identity: str) -> str | None:
        """Give the account of an identity as far as it is known, without asking."""
        return self.identity(identity).known_account

    def identity(self, name: str) -> Identity:
        """Give an identity, always the same one; raises ConfigError where it has no region."""
        if name not in self._identities:
            spec = self._specs[name]
            self._identities[name] = Identity(name, spec, region_of(name, spec), self._sessions, self._on_account)
        return self._identities[name]

    def _places(self, route: Route) -> list[Route]:
        """Name the routes to ask in turn: those of the failover list that the route's identity begins."""
        order = self._failover.get(route.source, ())
        names = order if order and order[0] == route.identity else (route.identity,)
        return [Route(route.source, name, route.decrypt) for name in names]

    def _replica(self, route: Route) -> Replica:
        return Replica(route.identity, self.region(route.identity), self._plain(route))

    def _plain(self, route: Route) -> Source:
        if route.source is SourceKind.SSM:
            return self._parameter_store(route)
        if route.source is SourceKind.KMS:
            from sidecar.aws.ciphertexts import Ciphertexts  # noqa: PLC0415 -- only where there is one

            return Ciphertexts(self.keys(route.identity), self._envelopes)
        if route.source is SourceKind.S3:
            from sidecar.aws.s3 import Objects, Way  # noqa: PLC0415 -- likewise

            way = Way(lambda: self.keys(route.identity), self._envelopes, self._lend)
            return Objects(self.identity(route.identity), way, self._metrics, most=self._max_object)
        return SecretsManager(self.identity(route.identity), self._metrics)

    def _parameter_store(self, route: Route) -> ParameterStore:
        if route not in self._stores:
            identity = self.identity(route.identity)
            opener = None
            if route.decrypt is Decrypt.LOCAL:
                from sidecar.aws.keys import OwnKeys  # noqa: PLC0415 -- only where it is configured
                from sidecar.aws.local import Opener  # noqa: PLC0415 -- likewise

                opener = Opener(OwnKeys(identity, None, self._metrics), self._envelopes)
            self._stores[route] = ParameterStore(identity, opener, self._metrics)
        return self._stores[route]
