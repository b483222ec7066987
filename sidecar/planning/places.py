"""Say where values, keys and roles are, with what no configuration knows: account, region, partition. Pure.

What nobody said is a token, `${account}`: CloudFormation and Terraform know it by a name of their own, JSON does not.
No other text of a policy can look like one, since `literal` and `plain` escape what comes from a configuration.
"""

from dataclasses import dataclass, replace
from typing import Final

from sidecar.core.arns import Arn, partition_of
from sidecar.core.config.models import Config, IdentitySpec

ACCOUNT: Final = "${account}"
REGION: Final = "${region}"
PARTITION: Final = "${partition}"
TOKENS: Final = (ACCOUNT, REGION, PARTITION)


class Unsaid(Exception):
    """A policy needs what nobody has said: the option that says it, and what for."""

    def __init__(self, option: str, what: str) -> None:
        """Take the option, and the rest of the sentence."""
        super().__init__(f"{option}: {what}")


@dataclass(frozen=True, slots=True)
class World:
    """What no configuration knows, as far as somebody said it."""

    account: str = ACCOUNT  # of the credentials with which the daemon starts
    region: str = REGION  # where an identity does not name its own
    partition: str = ""  # the region's, unless given
    keys: tuple[str, ...] = ()  # customer managed KMS keys under which values lie: ids, aliases, ARNs of both


@dataclass(frozen=True, slots=True)
class Place:
    """One account in one region."""

    partition: str
    account: str
    region: str

    def arn(self, service: str, resource: str) -> str:
        """Spell the ARN of what is here."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def via(self, service: str) -> str:
        """Name a service of this region as KMS does when it is asked on somebody's behalf."""
        return f"{service}.{self.region}.amazonaws.com"

    @property
    def where(self) -> str:
        """Name the region for people."""
        return "the region where it is deployed" if self.region == REGION else self.region

    @property
    def root(self) -> str:
        """Name the whole account, as policies do: whoever IAM allows there."""
        return f"arn:{self.partition}:iam::{self.account}:root"


def place_of(spec: IdentitySpec, world: World) -> Place:
    """Say where an identity is at home."""
    region = spec.region or world.region
    partition = world.partition or (PARTITION if region == REGION else partition_of(region))
    if spec.role_arn:
        partition, account = (spec.role_arn.split(":")[part] for part in (1, 4))  # arn:partition:iam::account:role/name
        return Place(partition, account, region)
    return Place(partition, world.account, region)


def base_of(name: str, config: Config, world: World) -> Place:
    """Say where the credentials are at home with which an identity begins, before it assumes its role."""
    return place_of(replace_role(config.identities[name]), world)


def replace_role(spec: IdentitySpec) -> IdentitySpec:
    """Give the identity without its role."""
    return spec.model_copy(update={"role_arn": None, "external_id": None})


def place_of_arn(arn: Arn, home: Place) -> Place:
    """Say where that is which an ARN names; what AWS publishes itself has no account, and is asked for at home."""
    return replace(home, partition=arn.partition, account=arn.account or home.account, region=arn.region)


def is_same(one: str, other: str) -> bool:
    """Decide whether two accounts, or two regions, may be one: nobody knows of what was not said."""
    return one == other or bool({one, other} & set(TOKENS))


def literal(text: str) -> str:
    """Spell text so that a policy's pattern means exactly it: no wildcard, no variable."""
    return plain(text).replace("*", "${*}").replace("?", "${?}")


def plain(text: str) -> str:
    """Spell text so that a policy's string means exactly it, where there are no wildcards: no variable."""
    return text.replace("${", "${$}{")


def members_of(name: str, config: Config) -> tuple[str, ...]:
    """Name the identities that are one and the same towards AWS, but for the region."""
    wanted = _login(config.identities[name])
    return tuple(each for each, spec in config.identities.items() if _login(spec) == wanted)


def _login(spec: IdentitySpec) -> tuple[str | None, ...]:
    return spec.profile, spec.role_arn
