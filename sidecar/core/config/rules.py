"""Check what no key can tell alone: keys that must agree, and names that must exist.

A breach names the keys that it rests on: where one of those could not be read, it would only confuse.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from sidecar.core.config.document import Path
from sidecar.core.config.layers import suggestion
from sidecar.core.config.models import AccessRule, Cache, Config, FileSpec, IdentitySpec, OnChange, SecretSpec, TreeSpec
from sidecar.core.config.units import duration_text
from sidecar.core.endpoints import is_private
from sidecar.core.ports import Decrypt
from sidecar.core.refs import Ref, SourceKind


class Accounts(Protocol):
    """What the system knows of its users and groups; `pwd` and `grp` do, in the running program."""

    def uid(self, user: str) -> int | None:
        """Give the number of a user, None when there is no such one."""
        ...

    def gid(self, group: str) -> int | None:
        """Give the number of a group, None when there is no such one."""
        ...


@dataclass(frozen=True, slots=True)
class Breach:
    """Keys that do not agree: the one to mend, what is wrong, and the others that it was measured by."""

    path: Path
    what: str
    rests_on: tuple[Path, ...] = ()


def breaches(config: Config, accounts: Accounts | None) -> Iterator[Breach]:
    """Find all; names of users and groups are looked at only where `accounts` knows them."""
    yield from _cache(config.cache)
    for name, secret in config.secrets.items():
        yield from _secret(("secrets", name), secret, config)
    for name, tree in config.trees.items():
        yield from _tree(("trees", name), tree, config)
    for name, identity in config.identities.items():
        yield from _identity(("identities", name), identity)
    yield from _failover(config)
    if config.s3.max_object == 0:
        yield Breach(("s3", "max_object"), "want more than 0")
    yield from _access(config)
    yield from _files(config)
    if accounts is not None:
        yield from _stranger(("listen", "unix", "group"), config.listen.unix.group, accounts.gid)
        yield from strangers(config.access, accounts)
        for index, file in enumerate(config.files):
            yield from _stranger(("files", index, "owner"), file.owner, accounts.uid)
            yield from _stranger(("files", index, "group"), file.group, accounts.gid)


_TTL: Path = ("cache", "ttl")
_REFRESH: Path = ("cache", "refresh")


def _cache(cache: Cache) -> Iterator[Breach]:
    if cache.min_refresh > cache.refresh:
        what = f"want at most cache.refresh, {duration_text(cache.refresh)}, got {duration_text(cache.min_refresh)}"
        yield Breach(("cache", "min_refresh"), what, (_REFRESH,))
    if cache.ttl is not None and cache.ttl < cache.refresh:
        what = f"want at least cache.refresh, {duration_text(cache.refresh)}, got {duration_text(cache.ttl)}"
        yield Breach(_TTL, what, (_REFRESH,))


def _secret(path: Path, secret: SecretSpec, config: Config) -> Iterator[Breach]:
    yield from _nobody((*path, "ref"), secret.ref.identity, config)
    if secret.ref.sse_c:
        yield from _customer_key((*path, "ref"), secret.ref, config)
    if secret.decrypt is Decrypt.LOCAL and secret.ref.source is not SourceKind.SSM:
        yield Breach((*path, "decrypt"), "want aws: only parameters (ssm:) can be decrypted here", ((*path, "ref"),))
    if secret.ttl is not None:
        yield from _outlives(path, secret.ttl, secret.refresh, config.cache)
    elif secret.refresh is not None:
        yield from _checked_in_time(path, secret.refresh, config.cache)


def _customer_key(path: Path, ref: Ref, config: Config) -> Iterator[Breach]:
    """Want a secret that can hold the key, and a way on which it may travel."""
    if what := undeclared(ref.sse_c, config.secrets, config.trees):
        yield Breach(path, f"its sse_c: {what}", (("secrets",), ("trees",)))
    holder = config.secrets.get(ref.sse_c)
    if holder is not None and holder.ref.source is SourceKind.S3:
        yield Breach(path, "its sse_c: want a secret that is no object itself", (("secrets", ref.sse_c),))
    identity = config.identities.get(ref.identity)
    if identity and identity.endpoint_url and not is_private(identity.endpoint_url):
        what = "want an endpoint_url with https:// for its identity: the key of an SSE-C object goes over TLS only"
        yield Breach(path, what, (("identities", ref.identity, "endpoint_url"),))


def _tree(path: Path, tree: TreeSpec, config: Config) -> Iterator[Breach]:
    yield from _nobody((*path, "ref"), tree.tree.identity, config)
    if tree.refresh is not None:
        yield from _checked_in_time(path, tree.refresh, config.cache)


def _outlives(path: Path, ttl: float, refresh: float | None, cache: Cache) -> Iterator[Breach]:
    least = cache.refresh if refresh is None else refresh
    if ttl < least:
        whose = "cache.refresh" if refresh is None else "its refresh"
        what = f"want at least {whose}, {duration_text(least)}, got {duration_text(ttl)}"
        yield Breach((*path, "ttl"), what, ((*path, "refresh"), _REFRESH))


def _checked_in_time(path: Path, refresh: float, cache: Cache) -> Iterator[Breach]:
    if cache.ttl is not None and refresh > cache.ttl:
        what = f"want at most cache.ttl, {duration_text(cache.ttl)}, got {duration_text(refresh)}"
        yield Breach((*path, "refresh"), what, (_TTL, (*path, "ttl")))


def _identity(path: Path, identity: IdentitySpec) -> Iterator[Breach]:
    if identity.external_id is not None and identity.role_arn is None:
        yield Breach((*path, "external_id"), "want a role_arn beside it", ((*path, "role_arn"),))
    if identity.endpoint_url is not None:
        for key, on in (("use_fips", identity.use_fips), ("use_dualstack", identity.use_dualstack)):
            if on:
                yield Breach(
                    (*path, key), "want false: endpoint_url already says where AWS is", ((*path, "endpoint_url"),)
                )


def _failover(config: Config) -> Iterator[Breach]:
    for source, identities in config.failover.items():
        path: Path = ("failover", source.value)
        if source is not SourceKind.SM:
            yield Breach(path, "want sm: only Secrets Manager has replicas in other regions")
        if len(identities) < 2:  # noqa: PLR2004  # one is no failover
            yield Breach(path, "want at least two identities, in the order in which they are tried")
        for index, identity in enumerate(identities):
            yield from _replica((*path, index), identity, identities[:index], config)


def _replica(path: Path, identity: str, before: tuple[str, ...], config: Config) -> Iterator[Breach]:
    yield from _nobody(path, identity, config)
    if identity in before:
        yield Breach(path, f"want each identity once, got {identity} again")


def _nobody(path: Path, identity: str, config: Config) -> Iterator[Breach]:
    if identity not in config.identities:
        hint = suggestion(identity, list(config.identities))
        what = f"want an identity that stands under identities, got {identity}{hint}"
        yield Breach(path, what, (("identities", identity),))


def _access(config: Config) -> Iterator[Breach]:
    for index, rule in enumerate(config.access):
        if not rule.allow:
            yield Breach(("access", index, "allow"), 'want at least one glob, "*" for all')


def _files(config: Config) -> Iterator[Breach]:
    paths: set[str] = set()
    for index, file in enumerate(config.files):
        where: Path = ("files", index)
        if file.path in paths:
            yield Breach((*where, "path"), f"want each path once, got {file.path} again")
        paths.add(file.path)
        yield from _file(where, file, config)


_CONTENTS: Final = ("secret", "tree", "template", "template_file")


def _file(where: Path, file: FileSpec, config: Config) -> Iterator[Breach]:
    given = [file.secret, file.tree, file.template, file.template_file]
    if sum(each is not None for each in given) != 1:
        yield Breach(where, f"want exactly one of {', '.join(_CONTENTS)}", tuple((*where, key) for key in _CONTENTS))
    if not file.mode & _OWNER_READS:
        yield Breach((*where, "mode"), "want a mode that lets the owner read, such as 0400")
    if file.secret is not None and (what := undeclared(file.secret, config.secrets, config.trees)):
        yield Breach((*where, "secret"), what, (("secrets",), ("trees",)))
    if file.tree is not None and file.tree not in config.trees:
        what = f"want a tree that stands under trees, got {file.tree}{suggestion(file.tree, list(config.trees))}"
        yield Breach((*where, "tree"), what, (("trees",),))
    if file.on_change is not None:
        yield from _on_change((*where, "on_change"), file.on_change, config)


_OWNER_READS: Final = 0o400


def undeclared(name: str, secrets: Collection[str], trees: Collection[str]) -> str:
    """Say what is wrong with a name (or name#field) that nothing declares; nothing where something does."""
    name = name.partition("#")[0]
    if name in secrets or any(name.startswith(f"{tree}/") for tree in trees):
        return ""
    return f"want a name that stands under secrets or trees, got {name}{suggestion(name, list(secrets))}"


def _on_change(where: Path, on_change: OnChange, config: Config) -> Iterator[Breach]:
    if sum((on_change.signal is not None, bool(on_change.exec), on_change.http is not None)) != 1:
        yield Breach(where, "want none, or exactly one of signal, exec, http")
    if (on_change.signal is None) != (on_change.pid_file is None):
        yield Breach(where, "want signal and pid_file together")
    if on_change.http and (what := undeclared(on_change.http.secret, config.secrets, config.trees)):
        yield Breach((*where, "http", "secret"), what, (("secrets",), ("trees",)))


def strangers(rules: Sequence[AccessRule], accounts: Accounts) -> Iterator[Breach]:
    """Find the users and groups of access rules that the system does not know."""
    for index, rule in enumerate(rules):
        yield from _stranger(("access", index, "uid"), rule.uid, accounts.uid)
        yield from _stranger(("access", index, "group"), rule.group, accounts.gid)


def _stranger(path: Path, account: int | str | None, look_up: Callable[[str], int | None]) -> Iterator[Breach]:
    # Not told apart by words: whether it should be a user or a group, the key says.
    if isinstance(account, str) and look_up(account) is None:
        yield Breach(path, f"want one that this system knows, or a number, got {account}")
