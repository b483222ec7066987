"""Judge requests by policies as IAM and KMS do: identity, resource and key policies, conditions, other accounts.

The rules are AWS's: docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html (and
…_condition_operators.html, …_multi-key-or-value-conditions.html, …_variables.html), and for keys
docs.aws.amazon.com/kms/latest/developerguide/policy-evaluation.html. Not here: boundaries, organisations' policies,
session policies, grants, since nothing of ours prints them.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Document = Mapping[str, Any]  # a policy as IAM's JSON has it
Statement = Mapping[str, Any]


class Effect(Enum):
    """What policies say of a request; silence is no allowance."""

    DENY = "deny"
    ALLOW = "allow"
    DELEGATE = "delegate"  # allowed to the account, so that its IAM decides
    SILENT = "silent"


@dataclass(frozen=True)
class Request:
    """Who wants to do what to which resource, and all that conditions may ask of it."""

    principal: str  # ARN of a role or user
    action: str  # "kms:Decrypt"
    resource: str  # ARN; "*" where an action has none
    context: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)

    def of(self, key: str) -> tuple[str, ...] | None:
        """Give the values of a context key, whose case does not count; None where it is not there."""
        for name, value in self.context.items():
            if name.lower() == key.lower():
                return value if isinstance(value, tuple) else (value,)
        return None


@dataclass(frozen=True)
class Policies:
    """All policies that there are."""

    of_identities: Mapping[str, Sequence[Document]] = field(default_factory=dict)  # by principal
    of_resources: Mapping[str, Document] = field(default_factory=dict)  # by ARN: secrets, roles (who trust), keys

    def allow(self, request: Request) -> bool:
        """Decide."""
        own = judge(self.of_identities.get(request.principal, ()), request)
        there = self.of_resources.get(request.resource)
        others = Effect.SILENT if there is None else judge([there], request, is_of_resource=True)
        if Effect.DENY in {own, others}:
            return False
        if request.action.startswith("kms:") and request.resource != "*":
            return _is_of_key(own, others, request)
        if request.action == "sts:AssumeRole":
            return _is_trusted(own, others, request)
        if _is_own(request):
            return Effect.ALLOW in {own, others}  # a statement that names the role itself is enough
        return own is Effect.ALLOW and others in {Effect.ALLOW, Effect.DELEGATE}


def _is_of_key(own: Effect, others: Effect, request: Request) -> bool:
    """Nobody uses a key whose own policy does not say so, be it by leaving it to IAM."""
    if others is Effect.ALLOW and _is_own(request):
        return True
    return own is Effect.ALLOW and others in {Effect.ALLOW, Effect.DELEGATE}


def _is_trusted(own: Effect, others: Effect, request: Request) -> bool:
    """Nobody takes a role that does not trust him; within the account its word is enough."""
    return _is_of_key(own, others, request)


def _is_own(request: Request) -> bool:
    owner = request.resource.split(":")[4] if request.resource.startswith("arn:") else ""
    return owner in {"", request.principal.split(":")[4]}


def judge(documents: Iterable[Document], request: Request, *, is_of_resource: bool = False) -> Effect:
    """Say what policies of one kind say together: one denial outweighs every allowance."""
    said = {_effect(statement, request, is_of_resource=is_of_resource) for each in documents for statement in _of(each)}
    return next((each for each in (Effect.DENY, Effect.ALLOW, Effect.DELEGATE) if each in said), Effect.SILENT)


def _of(document: Document) -> list[Statement]:
    statements = document["Statement"]
    return list(statements) if isinstance(statements, list) else [statements]


def _effect(statement: Statement, request: Request, *, is_of_resource: bool) -> Effect:
    named = _principal(statement, request) if is_of_resource else Effect.ALLOW
    applies = named is not Effect.SILENT and _action(statement, request) and _resource(statement, request)
    if not applies or not _conditions(statement, request):
        return Effect.SILENT
    return Effect.DENY if statement["Effect"] == "Deny" else named


def _principal(statement: Statement, request: Request) -> Effect:
    """Tell whether a statement names the caller, or only his account, or neither."""
    principal = statement["Principal"]
    named = _listed(principal if isinstance(principal, str) else principal.get("AWS", ()))
    account = request.principal.split(":")[4]
    if "*" in named or request.principal in named:
        return Effect.ALLOW
    partition = request.principal.split(":")[1]
    is_account = account in named or f"arn:{partition}:iam::{account}:root" in named
    return Effect.DELEGATE if is_account else Effect.SILENT


def _action(statement: Statement, request: Request) -> bool:
    if "NotAction" in statement:
        return not any(_like(each.lower(), request.action.lower(), request) for each in _listed(statement["NotAction"]))
    return any(_like(each.lower(), request.action.lower(), request) for each in _listed(statement["Action"]))


def _resource(statement: Statement, request: Request) -> bool:
    if "NotResource" in statement:
        return not any(_like(each, request.resource, request) for each in _listed(statement["NotResource"]))
    if "Resource" not in statement:  # a trust policy: the role itself
        return True
    return any(_like(each, request.resource, request) for each in _listed(statement["Resource"]))


# --- conditions ----------------------------------------------------------------------------------------------------


def _conditions(statement: Statement, request: Request) -> bool:
    """All operators and keys must hold; of the values of one key, any will do."""
    return all(
        _holds(operator, key, _listed(values), request)
        for operator, tests in statement.get("Condition", {}).items()
        for key, values in tests.items()
    )


def _holds(operator: str, key: str, wanted: Sequence[str], request: Request) -> bool:
    found = request.of(key)
    if operator == "Null":
        return (found is None) == (wanted == ["true"])
    quantifier, _, plain = operator.rpartition(":")
    plain, _, lenient = plain.partition("IfExists")
    is_lenient = operator.endswith("IfExists")
    assert not lenient
    if found is None:
        return is_lenient or quantifier == "ForAllValues" or (plain in _NEGATED and not quantifier)
    negated, test = plain in _NEGATED, _TESTS[_NEGATED.get(plain, plain)]

    def fits(value: str) -> bool:
        return any(test(want, value, request) for want in wanted) != negated

    if quantifier == "ForAllValues":
        return all(map(fits, found))
    if quantifier == "ForAnyValue":
        return any(map(fits, found))
    assert len(found) == 1, f"{key} has several values: it needs ForAllValues or ForAnyValue"
    return fits(found[0])


def _equal(want: str, value: str, request: Request) -> bool:
    return re.fullmatch(_regex(want, request, wildcards=False), value) is not None


def _equal_whatever_case(want: str, value: str, request: Request) -> bool:
    return _equal(want.lower(), value.lower(), request)


def _like(want: str, value: str, request: Request) -> bool:
    return re.fullmatch(_regex(want, request, wildcards=True), value, re.DOTALL) is not None


def _arn_like(want: str, value: str, request: Request) -> bool:
    """Compare part by part: a wildcard does not cross the first five colons."""
    ours, theirs = want.split(":", 5), value.split(":", 5)
    return len(ours) == len(theirs) and all(_like(*pair, request) for pair in zip(ours, theirs, strict=True))


_TESTS: Mapping[str, Callable[[str, str, Request], bool]] = {
    "StringEquals": _equal,
    "StringEqualsIgnoreCase": _equal_whatever_case,
    "StringLike": _like,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "Bool": _equal_whatever_case,
}
_NEGATED = {"StringNotEquals": "StringEquals", "StringNotLike": "StringLike", "ArnNotLike": "ArnLike"}

_PART = re.compile(r"\$\{([^}]*)\}|([*?])|([^*?$]+|\$)", re.DOTALL)


def _regex(pattern: str, request: Request, *, wildcards: bool) -> str:
    """Write a pattern of IAM's as ours: variables, and what would be wildcards or variables but is meant literally."""
    return "".join(_part(found, request, wildcards=wildcards) for found in _PART.finditer(pattern))


def _part(found: re.Match[str], request: Request, *, wildcards: bool) -> str:
    variable, wildcard, text = found.groups()
    if variable in {"*", "?", "$"}:
        return re.escape(variable)
    if variable is not None:
        known = request.of(variable)
        return re.escape(known[0]) if known else r"(?!)"  # what is not known makes nothing match
    if wildcard:
        return {"*": ".*", "?": "."}[wildcard] if wildcards else re.escape(wildcard)
    return re.escape(text or "")


def _listed(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
