"""Write what others must allow: the role that is assumed, and another account's secrets. Pure."""

from sidecar.core.config.models import Config
from sidecar.planning.key_policies import ITSELF, principal_of
from sidecar.planning.places import TOKENS, Unsaid, World, base_of, place_of, plain
from sidecar.planning.purposes import SECRETS
from sidecar.planning.statements import Condition, Grant


def trust(config: Config, name: str, role: str, world: World) -> Grant:
    """Say who may assume an identity's role: the daemon's own, or whom IAM allows in its account; raises Unsaid."""
    spec = config.identities[name]
    if spec.role_arn is None:
        raise Unsaid("--trust", f"the identity {name} has no role_arn, so nothing is assumed")
    base = base_of(name, config, world)
    if not role and base.account in TOKENS:
        raise Unsaid("--role", "the trust policy names who assumes the role: give its ARN, or --account")
    told = () if spec.external_id is None else (_wants("sts:ExternalId", spec.external_id),)
    return Grant("SidecarAssumes", ("sts:AssumeRole",), (), told, role or base.root)


def secret_policy(config: Config, name: str, role: str, world: World) -> Grant:
    """Say what the resource policy of a secret in another account must hold, for an identity; raises Unsaid."""
    principal = principal_of(config, name, role, place_of(config.identities[name], world), must_be_role=False)
    return Grant(SECRETS.read.value, SECRETS.actions, ITSELF, principal=principal)


def _wants(key: str, value: str) -> Condition:
    return Condition("StringEquals", key, (plain(value),))
