"""Ask for a value where it is replicated, one region after the other, while the one before cannot answer.

Only a transient failure moves on: what AWS has answered, it has answered. Every check begins at the first region, so
the first is used again as soon as it answers.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog

from sidecar.core.errors import Failure, Transient
from sidecar.core.ports import Gate, Source
from sidecar.core.refs import Ref
from sidecar.core.secret import Revision, Secret
from sidecar.telemetry import events

A = TypeVar("A", bound=Revision | Secret)
Ask = Callable[[Source, Sequence[Ref], Gate], Awaitable[Mapping[Ref, A | Failure]]]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Replica:
    """One place that holds the same secrets."""

    identity: str
    region: str
    source: Source

    def spell(self, ref: Ref) -> Ref:
        """Spell a ref as it is asked for here: a replica's ARN differs in the region only."""
        arn = ref.arn
        return replace(ref, identity=self.identity, id=str(replace(arn, region=self.region)) if arn else ref.id)


class Failover:
    """Several places as one source: answers carry the ref as the first place has it, and the region that answered."""

    def __init__(self, first: Source, others: Sequence[Replica]) -> None:
        """Take where values are usually read, and where else, in order."""
        self._first = first
        self._others = tuple(others)
        self._helping: str | None = None  # the region that answers instead of the first
        self.batch = min(source.batch for source in (first, *(other.source for other in others)))

    async def probe(self, refs: Sequence[Ref], gate: Gate) -> dict[Ref, Revision | Secret | Failure]:
        """Do what `Source.probe` promises."""
        return await self._ask(refs, gate, lambda source, some, way: source.probe(some, way))

    async def fetch(self, refs: Sequence[Ref], gate: Gate) -> dict[Ref, Secret | Failure]:
        """Do what `Source.fetch` promises."""
        return await self._ask(refs, gate, lambda source, some, way: source.fetch(some, way))

    async def _ask(self, refs: Sequence[Ref], gate: Gate, ask: Ask[A]) -> dict[Ref, A | Failure]:
        answers = dict(await ask(self._first, refs, gate.once()))
        self._helping = self._helping if all(map(_is_open, answers.values())) else None
        for replica in self._others:
            unanswered = {replica.spell(ref): ref for ref, answer in answers.items() if _is_open(answer)}
            if unanswered:
                way = gate if replica is self._others[-1] else gate.once()
                found = await ask(replica.source, tuple(unanswered), way)
                answers |= self._taken(replica, unanswered, found)
        return answers

    def _taken(
        self, replica: Replica, asked: Mapping[Ref, Ref], found: Mapping[Ref, A | Failure]
    ) -> dict[Ref, A | Failure]:
        """Take the values that a replica gave, under their own names.

        Its refusals count for nothing: that the replica lacks a value says nothing of the value itself.
        """
        taken: dict[Ref, A | Failure] = {
            asked[there]: renamed(answer, home(asked[there], answer))
            for there, answer in found.items()
            if isinstance(answer, Secret | Revision)
        }
        if taken and self._helping != replica.region:
            log.warning(events.FAILED_OVER, region=replica.region, identity=replica.identity)
            self._helping = replica.region
        return taken


def _is_open(answer: Revision | Secret | Failure) -> bool:
    return isinstance(answer, Transient)


def home(asked: Ref, answer: Revision | Secret) -> Ref:
    """Spell the ref that a replica answered with as the first place has it."""
    there = answer.ref if isinstance(answer, Revision) else answer.revision.ref
    if asked.arn is None:
        return replace(there, identity=asked.identity) if there.arn is None else asked
    if there.arn is None:
        return asked
    return replace(there, identity=asked.identity, id=str(replace(there.arn, region=asked.arn.region)))


def renamed(answer: A, ref: Ref) -> A:
    """Give the same answer with another ref."""
    if isinstance(answer, Secret):
        return replace(answer, revision=replace(answer.revision, ref=ref))
    return replace(answer, ref=ref)
