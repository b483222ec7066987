"""Run the real engine, guard and sources for hours of virtual time, over an AWS in memory, and count what is asked."""

import asyncio
import base64
import io
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from prometheus_client import CollectorRegistry

from sidecar.aws.answers import Answer
from sidecar.aws.ciphertexts import Ciphertexts
from sidecar.aws.identities import Identity, Question
from sidecar.aws.keys import OwnKeys
from sidecar.aws.local import Opener
from sidecar.aws.s3 import Objects, Way
from sidecar.aws.sessions import Sessions
from sidecar.aws.sm import SecretsManager
from sidecar.aws.ssm import ParameterStore
from sidecar.core.config.models import Config, IdentitySpec
from sidecar.core.ports import Decrypt, Envelopes, KeyService, Lent, Route, Source
from sidecar.core.quotas import Limits
from sidecar.core.refs import Ref, SourceKind
from sidecar.core.secret import Plaintext, Revision, Secret, Version
from sidecar.engine.engine import Engine, World
from sidecar.engine.guard import Guard
from sidecar.telemetry import Metrics
from tests.engine.fakes import FakeClock

T = TypeVar("T")

REGION = "eu-west-1"
SPREAD = 300.0  # seconds until phases have spread and partial batches have found each other
_MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)
_CIPHERTEXT = base64.b64encode(b"\x05ciphertext").decode()


@dataclass(slots=True)
class MemoryIdentity(Identity):
    """Answers every question itself: each secret exists, each tree holds `tree_size` SecureStrings."""

    tree_size: int = 10
    asked: Counter[str] = field(default_factory=Counter)

    async def _attempt(self, question: Question[T]) -> T:
        self.asked[question.operation] += 1
        answer = self._answer(question.operation, question.parameters)
        if question.take_in:
            answer = await question.take_in(answer)
        return question.read(Answer(answer, question.about))

    def _answer(  # noqa: PLR0911 -- one for each kind of operation
        self, operation: str, parameters: Mapping[str, object]
    ) -> Mapping[str, object]:
        if operation in {"HeadObject", "GetObject"}:
            return {"ETag": '"1"', "LastModified": _MADE_AT, "Body": _Content()}
        match operation, parameters:
            case "GetParameters", {"Names": list(names)}:
                return {"Parameters": [_parameter(name) for name in names], "InvalidParameters": []}
            case "GetParametersByPath", {"Path": path}:
                return self._page(str(path), int(str(parameters.get("NextToken", 0))))
            case "BatchGetSecretValue", {"SecretIdList": list(names)}:
                return {"SecretValues": [_secret(name) for name in names]}
            case "GetSecretValue", {"SecretId": name}:
                return _secret(str(name))
            case "DescribeSecret", {"SecretId": name}:
                return {**_named(str(name)), "VersionIdsToStages": {"1": ["AWSCURRENT", "AWSPREVIOUS"]}}
        return {"Plaintext": b"value", "KeyId": f"arn:aws:kms:{REGION}:111111111111:key/own"}

    def _page(self, path: str, start: int) -> Mapping[str, object]:
        end = min(start + 10, self.tree_size)
        page = {"Parameters": [_parameter(f"{path}/{number}") for number in range(start, end)]}
        return page if end == self.tree_size else {**page, "NextToken": str(end)}


class _Content(io.BytesIO):
    """An object that is on its way."""

    def __init__(self) -> None:
        super().__init__(b"value")

    async def read(self, amt: int | None = None) -> bytes:  # type: ignore[override]  # as the SDK's body does
        return super().read(amt)


def _parameter(name: str) -> dict[str, object]:
    return {
        "Name": name,
        "ARN": f"arn:aws:ssm:{REGION}:111111111111:parameter{name}",
        "Type": "SecureString",
        "Value": _CIPHERTEXT,
        "Version": 1,
        "LastModifiedDate": _MADE_AT,
    }


def _named(name: str) -> dict[str, object]:
    return {"Name": name, "ARN": f"arn:aws:secretsmanager:{REGION}:111111111111:secret:{name}-AbCdEf"}


def _secret(name: str) -> dict[str, object]:
    return {**_named(name), "VersionId": "1", "VersionStages": ["AWSCURRENT"], "SecretString": "value"}


def unknown_envelopes() -> Envelopes:
    """Know nobody who opens messages: there are none here."""
    raise LookupError


def unknown_keys() -> KeyService:
    """Know no keys of KMS's for objects."""
    raise LookupError


async def lend_key(name: str) -> Lent:
    """Lend a customer's key, whatever it is called."""
    ref = Ref(SourceKind.SM, name)
    return Lent(Secret(Revision(ref, Version("1"), REGION), Plaintext(b"k" * 32)), None)


@asynccontextmanager
async def daemon(
    config: Config, *, tree_size: int = 10, stretch: float = 1.0
) -> AsyncIterator[tuple[Engine, Counter[str]]]:
    """Run a daemon of this configuration, and give what it asks for as it goes; the dice are seeded."""
    metrics, clock, dice = Metrics(CollectorRegistry()), FakeClock(), random.Random(7).random
    sessions = Sessions(lambda *_: None)
    identity = MemoryIdentity(
        "default", IdentitySpec(), REGION, sessions, known_account="111111111111", tree_size=tree_size
    )
    stores = {
        Decrypt.AWS: ParameterStore(identity, None, metrics),
        Decrypt.LOCAL: ParameterStore(identity, Opener(OwnKeys(identity, None, metrics), unknown_envelopes), metrics),
    }
    secrets = SecretsManager(identity, metrics)
    guard = Guard(Limits(config.quotas.share, config.quotas.limits), dice=dice, metrics=metrics)

    def trees(route: Route) -> ParameterStore:
        return stores[route.decrypt]

    ciphertexts = Ciphertexts(OwnKeys(identity, None, metrics), unknown_envelopes)

    objects = Objects(identity, Way(unknown_keys, unknown_envelopes, lend_key), metrics, most=2**20)

    def sources(route: Route) -> Source:
        if route.source is SourceKind.S3:
            return objects
        if route.source is SourceKind.KMS:
            return ciphertexts
        return trees(route) if route.source is SourceKind.SSM else secrets

    async with asyncio.TaskGroup() as tasks:
        engine = Engine(World(sources, trees, guard, clock, dice, metrics, tasks))
        engine.declare(config, stretch)
        poller = tasks.create_task(engine.refresher.run())
        yield engine, identity.asked
        poller.cancel()


async def count_hourly(config: Config, *, tree_size: int = 10, stretch: float = 1.0) -> Counter[str]:
    """Count the requests of twenty minutes, after all phases have spread, and give those of an hour."""
    async with daemon(config, tree_size=tree_size, stretch=stretch) as (_, asked):
        await asyncio.sleep(SPREAD)
        before = Counter(asked)
        await asyncio.sleep(1200)
        return Counter({operation: 3 * (count - before[operation]) for operation, count in asked.items()})


async def count_start(config: Config, *, tree_size: int = 10) -> tuple[Counter[str], float]:
    """Count the requests until everything is held, and the seconds that they take."""
    async with daemon(config, tree_size=tree_size) as (engine, asked):
        started = asyncio.get_running_loop().time()
        while not engine.readings.ready():  # noqa: ASYNC110 -- time is virtual; readiness is a state, no event
            await asyncio.sleep(0.01)
        return Counter(asked), asyncio.get_running_loop().time() - started
