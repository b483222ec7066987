"""A world for the engine: values in memory, a clock that follows the loop, dice that show what a test says."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from sidecar.core.errors import Failure, NotFound, SecretError, Transient
from sidecar.core.ports import Call, Gate, Route
from sidecar.core.quotas import Charge, Scope
from sidecar.core.refs import Ref, SourceKind, Tree
from sidecar.core.secret import Plaintext, Revision, Secret, Version

SCOPE = Scope("111111111111", "eu-west-1")


@dataclass
class FakeClock:
    """Trust time is the loop's time and what was slept through; wall time starts in 2026."""

    slept: float = 0.0

    def trust(self) -> float:
        """Give loop time plus suspended time."""
        return asyncio.get_running_loop().time() + self.slept

    def wall(self) -> float:
        """Give seconds since the epoch."""
        return 1_770_000_000.0 + self.trust()

    def suspend(self, seconds: float) -> None:
        """Let the machine sleep: loop time stands still, trust time does not."""
        self.slept += seconds


@dataclass
class FakeSource:
    """A source (and tree source) over a dictionary, which records what it was asked."""

    batch: int = 10
    latency: float = 0.0
    values: dict[Ref, Secret] = field(default_factory=dict)
    failures: dict[Ref, Failure] = field(default_factory=dict)
    outage: Failure | None = None
    no_paths: Failure | None = None  # what GetParametersByPath alone is answered with
    probes: list[list[Ref]] = field(default_factory=list)
    fetches: list[list[Ref]] = field(default_factory=list)
    plain: set[Ref] = field(default_factory=set)  # a probe of these brings the value itself
    opened: int = 0  # plaintexts given by fetches: what KMS decrypted
    requests: list[tuple[str, int]] = field(default_factory=list)  # operation, refs: one for each attempt

    def put(
        self,
        ref: Ref,
        value: bytes,
        version: str = "1",
        *,
        named: Ref | None = None,
        rotates_at: float | None = None,
    ) -> None:
        """Make a value current, which AWS names as it is asked or `named`."""
        revision = Revision(named or ref, Version(version), "eu-west-1", rotates_at=rotates_at)
        self.values[ref] = Secret(revision, Plaintext(value))

    async def probe(self, refs: Sequence[Ref], gate: Gate) -> Mapping[Ref, Revision | Secret | Failure]:
        """Answer with versions, and with the values of `plain` refs."""
        self.probes.append(list(refs))
        answers = await self._ask("GetParameters", refs, gate)
        return {
            ref: answer.revision if isinstance(answer, Secret) and ref not in self.plain else answer
            for ref, answer in answers.items()
        }

    async def fetch(self, refs: Sequence[Ref], gate: Gate) -> Mapping[Ref, Secret | Failure]:
        """Answer with values."""
        self.fetches.append(list(refs))
        answers = await self._ask("GetParameters", refs, gate)
        self.opened += sum(isinstance(answer, Secret) for answer in answers.values())
        return answers

    async def probe_tree(self, tree: Tree, gate: Gate) -> AsyncIterator[Mapping[Ref, Revision | Secret]]:
        """Walk in pages of `batch`, without plaintexts."""
        async for page in self._walk(tree, gate, decrypted=False):
            yield {ref: secret if ref in self.plain else secret.revision for ref, secret in page.items()}

    async def fetch_tree(self, tree: Tree, gate: Gate) -> AsyncIterator[Mapping[Ref, Secret]]:
        """Walk in pages of `batch`."""
        async for page in self._walk(tree, gate, decrypted=True):
            self.fetches.append(list(page))
            self.opened += len(page)
            yield page

    async def _walk(self, tree: Tree, gate: Gate, *, decrypted: bool) -> AsyncIterator[Mapping[Ref, Secret]]:
        below = [ref for ref in self.values if tree.rest_of(ref.id) is not None]
        for start in range(0, max(1, len(below)), self.batch):
            page = [ref for ref in below[start : start + self.batch] if ref in self.values]
            await self._send("GetParametersByPath", page, gate)
            refused = [self.failures[ref] for ref in page if ref in self.failures]
            if refused and decrypted:
                raise refused[0]
            yield {ref: self.values[ref] for ref in page if ref in self.values}

    async def _ask(self, operation: str, refs: Sequence[Ref], gate: Gate) -> dict[Ref, Secret | Failure]:
        try:
            await self._send(operation, refs, gate)
        except (SecretError, Transient) as failure:
            return dict.fromkeys(refs, failure)
        return {ref: self._answer(ref) for ref in refs}

    async def _send(self, operation: str, refs: Sequence[Ref], gate: Gate) -> None:
        async def attempt() -> None:
            self.requests.append((operation, len(refs)))
            await asyncio.sleep(self.latency)
            failure = self.outage or (self.no_paths if operation == "GetParametersByPath" else None)
            if failure is not None:
                raise failure

        await gate.send(Call("ssm", operation, SCOPE, (Charge("ssm.get"),)), attempt)

    def _answer(self, ref: Ref) -> Secret | Failure:
        if ref in self.failures:
            return self.failures[ref]
        return self.values.get(ref) or NotFound(f"{ref}: AWS knows no such parameter")


def ssm(name: str) -> Ref:
    """Make the ref of a parameter."""
    return Ref(SourceKind.SSM, name)


@dataclass
class Sources:
    """One fake source for each route."""

    by_route: dict[Route, FakeSource] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)  # identities that are configured no longer

    def __call__(self, route: Route) -> FakeSource:
        """Give the route's source; raises KeyError where its identity is gone."""
        if route.identity in self.gone:
            raise KeyError(route.identity)
        return self.by_route.setdefault(route, FakeSource())
