"""Hold what somebody is granted, and lay it out as IAM's documents, what is too large in parts. Pure.

Limits: docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html, …/kms/latest/developerguide/limits.html,
…/secretsmanager/latest/userguide/reference_limits.html.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

VERSION: Final = "2012-10-17"
"""Of IAM's language; an older one knows no variables."""

MOST_MANAGED: Final = 6144
"""Characters of a managed policy, spaces not counted."""

MOST_ATTACHED: Final = 10
"""Managed policies that a role has, unless its account's quota was raised."""

MOST_OF_KEY: Final = 32_768
"""Bytes of a key policy."""

MOST_OF_SECRET: Final = 20_480
"""Characters of a secret's resource policy."""

_LONGEST: Final = {"${account}": 12, "${region}": 14, "${partition}": 10}
"""Characters of the longest that a token may stand for: ap-southeast-1, aws-us-gov."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One test of a statement: any of the values will do."""

    operator: str  # "StringEquals"
    key: str  # "kms:ViaService"
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grant:
    """One statement that allows something, for one purpose."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()
    principal: str = ""  # ARN; none in an identity's own policy

    def record(self) -> dict[str, object]:
        """Write it as IAM's JSON has it."""
        conditions: dict[str, dict[str, object]] = {}
        for each in self.conditions:
            conditions.setdefault(each.operator, {})[each.key] = _one_or_all(each.values)
        return {
            "Sid": self.sid,
            "Effect": "Allow",
            **({"Principal": {"AWS": self.principal}} if self.principal else {}),
            "Action": _one_or_all(self.actions),
            **({"Resource": _one_or_all(self.resources)} if self.resources else {}),
            **({"Condition": conditions} if conditions else {}),
        }

    def halves(self) -> tuple["Grant", "Grant"] | None:
        """Part it into two that grant the same together; None where it cannot be."""
        if len(self.resources) > 1:
            first, second = _halved(self.resources)
            return replace(self, resources=first), replace(self, resources=second)
        longest = max(self.conditions, key=lambda each: len(each.values), default=None)
        if longest is None or len(longest.values) < 2 or longest.operator.startswith("ForAll"):  # noqa: PLR2004 -- halves
            return None
        first, second = _halved(longest.values)
        return self._with(longest, first), self._with(longest, second)

    def _with(self, condition: Condition, values: tuple[str, ...]) -> "Grant":
        changed = (replace(each, values=values) if each is condition else each for each in self.conditions)
        return replace(self, conditions=tuple(changed))


Document = Mapping[str, object]
"""A policy as IAM's JSON has it."""


def document(grants: Iterable[Grant]) -> Document:
    """Write grants as one policy."""
    return {"Version": VERSION, "Statement": [grant.record() for grant in grants]}


def size_of(written: Document) -> int:
    """Count the characters that IAM counts, with the longest that tokens may stand for."""
    text = json.dumps(written, separators=(",", ":"), ensure_ascii=False)
    for token, longest in _LONGEST.items():
        text = text.replace(token, "x" * longest)
    return len(text)


def parted(grants: Sequence[Grant], most: int = MOST_MANAGED) -> list[list[Grant]]:
    """Deal grants out to as few policies as they fit into, in their order; a grant that fits into none is halved."""
    parts: list[list[Grant]] = []
    for grant in _small(grants, most):
        if not parts or size_of(document([*parts[-1], grant])) > most:
            parts.append([])
        parts[-1].append(grant)
    return parts


def _small(grants: Sequence[Grant], most: int) -> Iterable[Grant]:
    for grant in grants:
        pieces = _pieces(grant, most)
        yield grant if len(pieces) == 1 else pieces[0]
        yield from (replace(piece, sid=f"{grant.sid}{number}") for number, piece in enumerate(pieces[1:], start=2))


def _pieces(grant: Grant, most: int) -> list[Grant]:
    halves = grant.halves() if size_of(document([grant])) > most - _ROOM else None
    return [grant] if halves is None else [piece for half in halves for piece in _pieces(half, most)]


_ROOM: Final = 4
"""Characters for the number of a piece."""


def _halved(values: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    middle = len(values) // 2
    return values[:middle], values[middle:]


def _one_or_all(values: tuple[str, ...]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)
