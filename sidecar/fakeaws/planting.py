"""Put what the seed file says into the stores, at the start and after each edit."""

import asyncio
import base64
import random
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from sidecar.fakeaws import kms, s3, ssm, stores
from sidecar.fakeaws.seed import (
    BadSeed,
    Change,
    Item,
    KeyItem,
    ObjectItem,
    ParameterItem,
    Place,
    SecretItem,
    Seed,
    changes,
    parse_seed,
)
from sidecar.fakeaws.sts import Role, Tokens
from sidecar.fakeaws.visit import Visit
from sidecar.fakeaws.weather import Caller, Weather
from sidecar.fakeaws.wire import AwsError, Params

LOOK_EVERY: Final = 0.25  # seconds; an edit shows within one
_FAIR_WEATHER: Final = Weather()


@dataclass(slots=True)
class Garden:
    """What was planted so far; only differences are planted again."""

    tokens: Tokens
    planted: Seed = field(default_factory=Seed)

    def plant(self, seed: Seed) -> int:
        """Make the stores say what the seed says; returns how many items changed.

        Raises BadSeed, after all others were planted, for the items that AWS would not take.
        """
        self.tokens.default_account = seed.account
        self.tokens.roles |= {arn: Role(arn, external_id) for arn, external_id in seed.roles.items()}
        todo = list(changes(self.planted, seed))
        failed = {change.place: (change.before, problem) for change in todo if (problem := _apply(change))}
        kept = {place: before for place, (before, _) in failed.items() if before is not None}
        planted = {place: item for place, item in seed.items.items() if place not in failed}
        self.planted = replace(seed, items=planted | kept)  # what failed is tried again with the next edit
        if failed:
            raise BadSeed([problem for _, problem in failed.values()])
        return len(todo)


def _apply(change: Change) -> str | None:
    """Make one change; returns what AWS has against it, if anything."""
    try:
        stores.check_region(change.place.region)
        if change.item is None:
            _remove(change.place)
        else:
            _put(change.place, change.before, change.item)
    except AwsError as error:
        told = error
    except (stores.ServiceException, stores.JsonRESTError) as error:
        told = stores.as_aws_error(error)
    else:
        return None
    return f"{change.place.kind.value}.{change.place.name}: {told.code}: {told.message}"


def gardener(account: str, region: str) -> Visit:
    """Return a visit by the account's owner, whom no weather touches."""
    caller = Caller(account, "", f"arn:aws:iam::{account}:root")
    return Visit(caller, "", "", region, _FAIR_WEATHER, lambda: 0.0, random.Random(0))  # noqa: S311 -- order, not secrecy


def _put(place: Place, before: Item | None, item: Item) -> None:
    match item:
        case KeyItem():
            _put_key(place, item)
        case ParameterItem():
            if isinstance(before, ParameterItem) and before.type != item.type:
                _remove(place)  # a parameter's type cannot change
            _put_parameter(place, item)
        case SecretItem():
            _put_secret(place, before if isinstance(before, SecretItem) else None, item)
        case ObjectItem():
            _put_object(place, item)


def _put_key(place: Place, item: KeyItem) -> None:
    store = stores.kms_store(place.account, place.region)
    if not store.alias_exists(place.name):
        store.create_alias(store.create_key(None, item.usage, item.spec, "", None).id, place.name)
    key = store.keys[store.any_id_to_key_id(place.name)]
    if (key.key_spec, key.key_usage) != (item.spec, item.usage):  # neither can change: it becomes another key
        key = store.create_key(None, item.usage, item.spec, "", None)
        store.update_alias(key.id, place.name)
    kms.set_state(key, item.state)
    kms.beside(key).shut_out = item.shut_out


def _put_parameter(place: Place, item: ParameterItem) -> None:
    visit = gardener(place.account, place.region)
    asked = {"Name": place.name, "Value": item.value, "Type": item.type, "KeyId": item.key, "Overwrite": True}
    ssm.put_parameter(visit, Params(asked | ({"Tier": "Advanced"} if len(item.value.encode()) > 4096 else {})))  # noqa: PLR2004 -- the standard tier's end
    if item.labels:
        store = stores.parameter_store(place.account, place.region)
        store.label_parameter_version(place.name, 0, list(item.labels))


def _put_secret(place: Place, before: SecretItem | None, item: SecretItem) -> None:
    store = stores.secret_store(place.account, place.region)
    text = item.value if isinstance(item.value, str) else None
    binary = base64.b64encode(item.value).decode() if isinstance(item.value, bytes) else None
    if place.name not in store.secrets:
        for region in item.replicas:
            stores.check_region(region)
        replicas = [{"Region": region} for region in item.replicas]
        store.create_secret(place.name, text, binary, "", [], item.key, None, replicas, force_overwrite=True)
    elif before is None or before.value != item.value:
        store.put_secret_value(place.name, text, binary, None, ["AWSCURRENT"])  # type: ignore[arg-type]  # as moto calls it
    secret = store.secrets[place.name]
    if isinstance(secret, stores.FakeSecret):
        secret.kms_key_id = item.key
        secret.policy = "{}" if item.shared else None
        secret.deleted_date = None


def _put_object(place: Place, item: ObjectItem) -> None:
    bucket, _, name = place.name.partition("/")
    content = item.value
    if item.envelope is not None:
        key = _needed_key(place, item.envelope)
        content = kms.seal_message(gardener(place.account, place.region), key, content, {})
    how = s3.Planted(None if item.key is None else _needed_key(place, item.key), item.sse_c)
    s3.plant((place.account, place.region, bucket), name, content, how)


def _needed_key(place: Place, key: str) -> stores.Key:
    try:
        return kms.needed_key(gardener(place.account, place.region), key)
    except kms.KeyTrouble as trouble:
        raise trouble.error from None


def _remove(place: Place) -> None:
    match place.kind.value:
        case "keys":
            store = stores.kms_store(place.account, place.region)
            kms.set_state(store.keys[store.any_id_to_key_id(place.name)], "PendingDeletion")
        case "parameters":
            stores.parameter_store(place.account, place.region).delete_parameter(place.name)
        case "objects":
            bucket, _, name = place.name.partition("/")
            stores.object_store(place.account).delete_object(bucket, name)
        case _:
            _remove_secret(place)


def _remove_secret(place: Place) -> None:
    store = stores.secret_store(place.account, place.region)
    secret = store.secrets.get(place.name)
    if isinstance(secret, stores.FakeSecret):
        store.remove_regions_from_replication(place.name, [replica.region for replica in secret.replicas])
        store.delete_secret(place.name, None, force_delete_without_recovery=True)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)


async def tend(path: Path, garden: Garden, tell: Callable[[Iterable[str]], None], *, every: float = LOOK_EVERY) -> None:
    """Plant each edit of the file, for ever; what is wrong with it is told, and changes nothing."""
    known = None  # an edit between the first planting and now counts too
    while True:
        await asyncio.sleep(every)
        now = _stamp(path)
        if now not in {known, (0, 0, 0)}:  # neither unchanged, nor just being replaced by an editor
            tell(f"{path.name}: {line}" for line in _replant(path, garden))
            known = now


def _replant(path: Path, garden: Garden) -> tuple[str, ...]:
    """Plant the file as it is now; returns what there is to tell."""
    try:
        count = garden.plant(parse_seed(path.read_text("utf-8")))
    except BadSeed as error:
        return error.problems
    except (OSError, UnicodeDecodeError):
        return ("it cannot be read",)
    return (f"{count} changed",) if count else ()


def complain(lines: Iterable[str]) -> None:
    """Tell the person who edits the file."""
    for line in lines:
        print(line, file=sys.stderr, flush=True)  # noqa: T201 -- standard error is where a person looks
