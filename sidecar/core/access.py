"""Decide who may read what, by the caller's user and groups.

Pure: who the caller is, the socket tells (`sidecar.api`); numbers of users, whoever builds this looks up.
Must say nothing of whether a name exists.
"""

import fnmatch
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sidecar.core.config.document import dotted
from sidecar.core.config.models import AccessRule
from sidecar.core.config.rules import Accounts, strangers
from sidecar.core.errors import ConfigError, Problem
from sidecar.core.refs import Ref, SourceKind, Tree


@dataclass(frozen=True, slots=True)
class Caller:
    """A local process, as the kernel knows it."""

    uid: int
    gid: int
    groups: frozenset[int] = frozenset()  # supplementary ones
    pid: int | None = None  # for the audit log; decides nothing, as another process may have taken it over

    def is_in(self, group: int) -> bool:
        """Tell whether the caller is in a group, as its main one or a supplementary one."""
        return group == self.gid or group in self.groups


class Globs:
    """Patterns as the shell has them, except that `*` and `?` match slashes too; case counts."""

    __slots__ = ("_matches", "patterns")

    def __init__(self, patterns: Iterable[str]) -> None:
        """Take the patterns; none at all match nothing."""
        self.patterns = tuple(patterns)
        self._matches = tuple(re.compile(fnmatch.translate(pattern)).match for pattern in self.patterns)

    def match(self, text: str) -> bool:
        """Tell whether any of the patterns matches the whole text."""
        return any(matches(text) for matches in self._matches)


@dataclass(frozen=True, slots=True)
class Rule:
    """One access rule, in numbers; None stands for anybody."""

    uid: int | None
    gid: int | None
    allow: Globs
    admin: bool = False

    def concerns(self, caller: Caller) -> bool:
        """Tell whether it speaks of this caller; user and group must both fit where both are given."""
        return (self.uid is None or self.uid == caller.uid) and (self.gid is None or caller.is_in(self.gid))


class Declared:
    """What is declared, by reference: whoever asks for it so still needs the right to its name.

    Built anew with each configuration, and only searched where there are rules; so it is indexed when first asked.
    """

    def __init__(self, secrets: Mapping[str, Ref], trees: Mapping[str, Tree]) -> None:
        """Take references and paths by name."""
        self._secrets = secrets
        self._trees = trees

    def named(self, ref: Ref) -> list[str]:
        """Give the names of exactly this: reading any of them reads the same."""
        of_trees = [
            name for name, tree in self._below(ref) if ref == Ref(SourceKind.SSM, ref.id, identity=tree.identity)
        ]
        return [name for name in self._related(ref) if self._secrets[name] == ref] + of_trees

    def kin(self, ref: Ref) -> list[str]:
        """Give the names of all that may hold the same plaintext: other fields, versions, spellings, identities of it.

        Errs on the side of too many: of two accounts' secrets with one name it takes either for the other. And of the
        secret that is lent to read it: who may not read a key shall not use it either.
        """
        lent = [ref.sse_c] if ref.sse_c else []
        return [*lent, *self._related(ref), *(name for name, _ in self._below(ref))]

    def _related(self, ref: Ref) -> list[str]:
        return list(dict.fromkeys(name for key in _keys(ref) for name in self._by_key.get(key, ())))

    def _below(self, ref: Ref) -> Iterator[tuple[str, Tree]]:
        """Give the name that each tree has for a parameter."""
        if ref.source is SourceKind.SSM:
            parameter = ref.arn.parameter if ref.arn else ref.id
            for name, tree in self._trees.items():
                if rest := tree.rest_of(parameter):
                    yield f"{name}/{rest}", tree

    @cached_property
    def _by_key(self) -> Mapping[tuple[SourceKind, str], Sequence[str]]:
        index: dict[tuple[SourceKind, str], list[str]] = defaultdict(list)
        for name, ref in self._secrets.items():
            for key in _keys(ref):
                index[key].append(name)
        return index


def _keys(ref: Ref) -> set[tuple[SourceKind, str]]:
    """Give that by which two references to one value meet, whatever else they say.

    A partial ARN may end like a full one, so a secret's ARN has two; `name` and `/name` share one parameter ARN.
    """
    arn = ref.arn
    if ref.source is SourceKind.SSM:
        return {(ref.source, (arn.parameter if arn else ref.id).lstrip("/"))}
    ids = {arn.secret, arn.resource.removeprefix("secret:")} if arn else {ref.id}
    return {(ref.source, ident) for ident in ids}


class Access:
    """The rules; where there are none, whoever the socket's mode let in may do everything."""

    __slots__ = ("_rules",)

    def __init__(self, rules: Sequence[Rule]) -> None:
        """Take the rules in the order in which they were written."""
        self._rules = tuple(rules)

    def may_read(self, caller: Caller, name: str) -> bool:
        """Decide whether the caller may read what is called so, be it there or not."""
        # No rule denies, so the first that matches caller and name decides by being there.
        return not self._rules or any(rule.concerns(caller) and rule.allow.match(name) for rule in self._rules)

    def may_resolve(self, caller: Caller, ref: Ref, declared: Declared) -> bool:
        """Decide whether the caller may read a reference on demand.

        Give the reference as it is known best: once more, as AWS named it, when that differs from the one asked for.
        """
        if not self._rules:
            return True
        if names := declared.named(ref):
            return any(self.may_read(caller, name) for name in names)
        return all(self.may_read(caller, text) for text in (str(ref), *declared.kin(ref)))

    def is_admin(self, caller: Caller) -> bool:
        """Decide whether the caller may refresh all and see the status of all: a rule for it says so."""
        return not self._rules or any(rule.admin and rule.concerns(caller) for rule in self._rules)


def build_access(rules: Sequence[AccessRule], accounts: Accounts) -> Access:
    """Look up users and groups; raises ConfigError naming those that the system does not know."""
    if problems := [Problem("", dotted(breach.path), breach.what) for breach in strangers(rules, accounts)]:
        raise ConfigError(problems)
    return Access(
        [
            Rule(_number(rule.uid, accounts.uid), _number(rule.group, accounts.gid), Globs(rule.allow), rule.admin)
            for rule in rules
        ]
    )


def _number(account: int | str | None, look_up: Callable[[str], int | None]) -> int | None:
    return look_up(account) if isinstance(account, str) else account
