"""`sidecar policy`: what must be granted for a configuration, and what others must allow."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from sidecar.cli.configured import read_config
from sidecar.cli.options import config_option
from sidecar.core.config.models import Config, IdentitySpec
from sidecar.core.errors import BadKeyId
from sidecar.core.keys import check_key_id
from sidecar.core.refs import DEFAULT_IDENTITY
from sidecar.planning.counterparts import secret_policy, trust
from sidecar.planning.grants import build_needs
from sidecar.planning.key_policies import KeyPolicyKind, KeyWish, doubts, key_policy
from sidecar.planning.keyrings import Known, OneKey
from sidecar.planning.places import ACCOUNT, REGION, Unsaid, World, place_of
from sidecar.planning.rendering import Format, IdentityPolicy, KeyPolicy, Policy, SecretPolicy, TrustPolicy, render
from sidecar.planning.statements import (
    MOST_ATTACHED,
    MOST_MANAGED,
    MOST_OF_KEY,
    MOST_OF_SECRET,
    document,
    parted,
    size_of,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for on the command line."""

    config: Config
    world: World
    identities: tuple[str, ...]
    role: str
    writer: str
    tell: Callable[[str], None]

    @property
    def identity(self) -> str:
        """Give the one identity that is meant."""
        if len(self.identities) > 1:
            raise click.UsageError("only a key policy is for several identities: give --identity once")
        return self.identities[0]


def _matching(pattern: str, want: str) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    def check(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(pattern, value):
            raise click.BadParameter(f"want {want}")
        return value

    return check


def _keys(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(map(check_key_id, values))
    except BadKeyId as error:
        raise click.BadParameter(f"{error}. {error.mend}") from error


_PRINCIPAL = _matching(r"arn:aws(-[a-z]+)*:iam::[0-9]{12}:(role|user)/\S+", "the ARN of a role: arn:aws:iam::…:role/…")


@click.command("policy", epilog="Example: sidecar policy --account 111111111111 --key alias/app > policy.json")
@click.option(
    "--key-policy",
    "key_kind",
    type=click.Choice([kind.value for kind in KeyPolicyKind]),
    is_flag=False,
    flag_value=KeyPolicyKind.DEFAULT.value,
    help="The policy of a KMS key: `default` leaves it to IAM, `custom` names the role.",
)
@click.option("--trust", "trusted", is_flag=True, help="The trust policy of the identity's role.")
@click.option("--resource-policy", "shared", is_flag=True, help="What other accounts' secrets must allow.")
@click.option(
    "--format",
    "form",
    type=click.Choice([form.value for form in Format]),
    default=Format.JSON.value,
    show_default=True,
    help="For IAM itself, CloudFormation or Terraform.",
)
@click.option(
    "--identity",
    "identities",
    metavar="NAME",
    multiple=True,
    default=(DEFAULT_IDENTITY,),
    show_default=True,
    help="Whose policy; a key's may be of several.",
)
@click.option(
    "--account",
    metavar="ID",
    callback=_matching(r"[0-9]{12}", "twelve digits"),
    help="The account of the credentials with which the daemon starts.",
)
@click.option(
    "--region",
    metavar="REGION",
    callback=_matching(r"[a-z]+(-[a-z]+)+-[0-9]+", "a region such as eu-west-1"),
    help="The region, where an identity does not name its own.",
)
@click.option(
    "--partition",
    metavar="NAME",
    callback=_matching(r"aws(-[a-z]+)*", "aws, aws-cn or aws-us-gov"),
    help="The partition; the region's unless given.",
)
@click.option(
    "--key",
    "keys",
    metavar="KEY",
    multiple=True,
    callback=_keys,
    help="A customer managed KMS key under which values lie: its ARN, id or alias.",
)
@click.option(
    "--role",
    metavar="ARN",
    callback=_PRINCIPAL,
    help="The role with which the daemon starts, for the policies of others.",
)
@click.option(
    "--writer", metavar="ARN", callback=_PRINCIPAL, help="The role that writes values, for a custom key policy."
)
@config_option
def command(  # noqa: PLR0913 -- one for each option
    *,
    key_kind: str | None,
    trusted: bool,
    shared: bool,
    form: str,
    identities: tuple[str, ...],
    account: str | None,
    region: str | None,
    partition: str | None,
    keys: tuple[str, ...],
    role: str | None,
    writer: str | None,
    config: Path | None,
) -> None:
    """Print the least that must be granted for a configuration.

    The identity's own policy, unless another is asked for. AWS is not asked. What is left out, and what others must
    allow, is said on standard error.
    """
    if (key_kind is not None) + trusted + shared > 1:
        raise click.UsageError("want at most one of --key-policy, --trust, --resource-policy")
    read = read_config(config, os.environ)
    world = World(_account(account, role), region or REGION, partition or "", keys)
    asked = Asked(read, world, _known(identities, read), role or "", writer or "", _tell)
    try:
        if key_kind is not None:
            policy: Policy = _key_policy(asked, KeyPolicyKind(key_kind))
        elif trusted:
            policy = _trust(asked)
        else:
            policy = _secret_policy(asked) if shared else _identity_policy(asked)
        text = render(policy, Format(form))
    except Unsaid as error:
        raise click.UsageError(str(error)) from error
    click.echo(text, nl=False)


def _tell(note: str) -> None:
    click.echo(f"sidecar: {note}", err=True)


def _account(account: str | None, role: str | None) -> str:
    """Take the account from the role where it was not said."""
    of_role = role.split(":")[4] if role else None
    if account and of_role and account != of_role:
        raise click.UsageError(f"--role is of account {of_role}, and --account says {account}: give one of them")
    return account or of_role or ACCOUNT


def _known(identities: tuple[str, ...], config: Config) -> tuple[str, ...]:
    for name in identities:
        if name not in config.identities:
            raise click.UsageError(f"--identity: there is no {name}; there are {', '.join(config.identities)}")
    return tuple(dict.fromkeys(identities))


def _identity_policy(asked: Asked) -> IdentityPolicy:
    needs = build_needs(asked.config, asked.identity, asked.world, Known(asked.world.keys, asked.config.kms.allow_keys))
    for note in (*needs.notes, *_counterparts(asked, needs.foreign)):
        asked.tell(note)
    if not needs.grants:
        raise click.UsageError(f"nothing is read as {asked.identity}, so nothing needs to be granted")
    parts = [document(part) for part in parted(needs.grants)]
    if len(parts) > 1:
        size = size_of(document(needs.grants))
        asked.tell(f"{size:,} characters, and a managed policy takes {MOST_MANAGED:,}: in {len(parts)}, attach all")
    if len(parts) > MOST_ATTACHED:
        asked.tell(f"a role takes {MOST_ATTACHED} managed policies unless its quota is raised: read more by trees")
    return IdentityPolicy(parts)


def _counterparts(asked: Asked, foreign: tuple[str, ...]) -> Iterator[str]:
    """Say what others must allow."""
    if asked.config.identities[asked.identity].role_arn:
        yield f"the trust policy of {asked.identity}'s role: sidecar policy --identity {asked.identity} --trust"
        yield from _of_base(asked.config.identities, asked.identity)
    else:
        profile = asked.config.identities[asked.identity].profile
        for name, spec in asked.config.identities.items():
            if spec.role_arn and spec.profile == profile:
                yield f"what is read as {name} needs a policy of its own: sidecar policy --identity {name}"
    if foreign:
        yield (
            f"other accounts must let this in: {', '.join(foreign)}; see sidecar policy --resource-policy, "
            "and --key-policy --key ARN of each secret's key, which must be a customer managed one"
        )


def _of_base(identities: Mapping[str, IdentitySpec], name: str) -> Iterator[str]:
    """Say what no policy here grants: to assume the role, where no identity is who begins so."""
    spec = identities[name]
    if not any(each.role_arn is None and each.profile == spec.profile for each in identities.values()):
        yield f"whoever the profile {spec.profile} is needs sts:AssumeRole on {spec.role_arn}"


def _trust(asked: Asked) -> TrustPolicy:
    granted = trust(asked.config, asked.identity, asked.role, asked.world)
    return TrustPolicy(document([granted]), asked.config.identities[asked.identity].role_arn or "")


def _secret_policy(asked: Asked) -> SecretPolicy:
    home = place_of(asked.config.identities[asked.identity], asked.world)
    ring = OneKey(None, home, asked.config.kms.allow_keys)  # which keys is another question
    secrets = build_needs(asked.config, asked.identity, asked.world, ring).foreign
    if not secrets:
        raise click.UsageError(f"no secret of another account is read as {asked.identity}; --account says whose own is")
    written = document([secret_policy(asked.config, asked.identity, asked.role, asked.world)])
    asked.tell(f"for each of: {', '.join(secrets)}")
    if len({secret.split(":")[3] for secret in secrets}) > 1:
        asked.tell("they are in several regions: what is deployed in one reaches only the secrets there")
    _measure(asked, size_of(written), MOST_OF_SECRET, "a secret's resource policy")
    return SecretPolicy(written, secrets)


def _key_policy(asked: Asked, kind: KeyPolicyKind) -> KeyPolicy:
    if len(asked.world.keys) > 1:
        raise click.UsageError("a key policy is of one key: give --key once, or not at all for one that is to be made")
    key = next(iter(asked.world.keys), None)
    wish = KeyWish(kind, asked.identities, key, asked.role, asked.writer)
    grants = key_policy(asked.config, wish, asked.world)
    for entry in doubts(asked.config, wish, asked.world):
        asked.tell(f"kms.allow_keys has {entry}: if that is this key, give it as --key instead, by the same name")
    if key and key.startswith("arn:") and asked.world.account == ACCOUNT:
        asked.tell("taken for a key of the account in which the daemon starts: --account or --role says otherwise")
    if kind is KeyPolicyKind.CUSTOM and not asked.writer:
        asked.tell("nobody is named who may encrypt under the key: give --writer")
    written = document(grants)
    _measure(asked, size_of(written), MOST_OF_KEY, "a key policy")
    return KeyPolicy(written, key)


def _measure(asked: Asked, size: int, most: int, what: str) -> None:
    if size > most:
        asked.tell(f"{size:,} characters, but {what} takes {most:,}: read more by trees, or under several keys")
