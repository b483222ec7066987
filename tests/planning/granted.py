"""Ask for policies as the command does."""

from typing import Any

from sidecar.planning.grants import Needs, build_needs
from sidecar.planning.keyrings import Known
from sidecar.planning.places import World
from sidecar.planning.statements import Grant
from tests.planning.configured import configured

OWN = "111111111111"
OTHER = "222222222222"
REGION = "eu-west-1"
WORLD = World(OWN, REGION)
KEY = f"arn:aws:kms:{REGION}:{OWN}:key/one"
CLOSED = "on_demand: {allow: []}\n"

Json = Any  # policies are read as they are written


def world(*keys: str, account: str = OWN, region: str = REGION) -> World:
    """Say where it all is."""
    return World(account, region, keys=keys)


def needs(text: str, identity: str = "default", where: World = WORLD) -> Needs:
    """Work out what a configuration needs; nothing is offered on demand unless it says so."""
    config = configured(text if "on_demand" in text else CLOSED + text)
    return build_needs(config, identity, where, Known(where.keys, config.kms.allow_keys))


def grants(text: str, identity: str = "default", where: World = WORLD) -> dict[str, Grant]:
    """Give the statements by their names."""
    return {grant.sid: grant for grant in needs(text, identity, where).grants}


def conditions(grant: Grant) -> Json:
    """Give the conditions of a statement as they are written."""
    return grant.record().get("Condition", {})
