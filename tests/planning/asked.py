"""Let the daemon's own sources ask a fake AWS for all that a configuration reads, and say it in IAM's words.

The requests are those that really went out, with their parameters. What AWS's services ask KMS for on the caller's
behalf is in no request: that is written here, as their guides tell it (service, encryption context).
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Final, TypeVar

from prometheus_client import CollectorRegistry

from sidecar.aws import Aws
from sidecar.aws.failover import Replica
from sidecar.aws.identities import Identity, Question
from sidecar.aws.models import OPERATIONS
from sidecar.core.config.models import Config, IdentitySpec
from sidecar.core.errors import SecretError, Transient
from sidecar.core.ports import Call, Gate, Route
from sidecar.core.refs import Ref, SourceKind, Tree
from sidecar.core.secret import Plaintext
from sidecar.engine.clock import SystemClock
from sidecar.envelope.messages import Messages
from sidecar.household import identities_of
from sidecar.telemetry import Metrics
from tests.aws_fixtures import AwsAccount
from tests.planning.configured import configured
from tests.planning.evaluator import Request

T = TypeVar("T")
Parameters = Mapping[str, Any]

REGION, WEST = "eu-west-1", "us-west-2"
SUFFIX: Final = "-AbCdEf"
EXTERNAL_ID: Final = "x-42"
_KEY_ID: Final = 36  # characters with which the fake's ciphertexts begin


@dataclass(frozen=True)
class Asked:
    """One thing that was asked, and for the sake of which value."""

    tag: str
    request: Request


@dataclass
class Wiretap:
    """A gate that lets everything through, and notes who asked what."""

    heard: list[tuple[Identity, Question[object]]] = field(default_factory=list)

    async def send(self, _call: Call, attempt: Callable[[], Awaitable[T]]) -> T:
        """Note the question and ask it."""
        asking = attempt()
        assert isinstance(attempt, partial)
        who, asked = getattr(attempt.func, "__self__", None), attempt.args[0]
        assert isinstance(who, Identity)
        assert isinstance(asked, Question)
        self.heard.append((who, asked))
        return await asking

    async def bide(self, turn: Awaitable[T]) -> T:
        """Wait as long as it takes."""
        return await turn

    def once(self) -> Gate:
        """Give itself: it never retries."""
        return self


@dataclass(frozen=True)
class Cloud:
    """Two accounts with values under customer managed keys: ours, and one with a role and a secret that it shares."""

    own: AwsAccount
    other: AwsAccount
    values: str  # ARNs of keys: of our values here,
    replicas: str  # in the other region,
    theirs: str  # of the other account's values,
    theirs_west: str  # and of their replicas,
    named: str  # of ciphertexts, allowed by its ARN,
    aliased: str  # allowed as alias/prod

    @property
    def role(self) -> str:
        """As whom the daemon starts."""
        return f"arn:aws:iam::{self.own.id}:role/app"

    @property
    def reader(self) -> str:
        """Whom it becomes in the other account."""
        return f"arn:aws:iam::{self.other.id}:role/reader"

    @cached_property
    def shared(self) -> str:
        """The secret that the other account shares."""
        found = self.other.client("secretsmanager").describe_secret(SecretId="prod/shared")
        return str(found["ARN"])

    @property
    def keys(self) -> dict[str, tuple[str, ...]]:
        """All keys, with their aliases."""
        rest = (self.values, self.replicas, self.theirs, self.theirs_west, self.named)
        return {self.aliased: ("alias/prod",), **dict.fromkeys(rest, ())}

    @cached_property
    def config(self) -> Config:
        """Read some of everything."""
        endpoint = f"endpoint_url: '{self.own.url}'"
        return configured(f"""
secrets:
  db: sm:prod/db#password
  token: {{ref: sm:prod/token, required: false}}
  shared: {self.shared}
  level: ssm:/prod/level
  api: {{ref: ssm:/prod/api, decrypt: local}}
  advanced: {{ref: ssm:/prod/advanced, decrypt: local}}
  chain: s3://{self.own.bucket}/prod/chain
  licence: s3://{self.own.bucket}/prod/licence?version_id={_version(self.own)}
  sealed: s3://{self.own.bucket}/prod/sealed?context=app=prod-object
  sealed-by-alias: s3://{self.own.bucket}/prod/sealed-by-alias?context=app=prod-object
  blob: "kms:{_sealed(self.own, self.named, app="prod")}?context=app=prod"
  bare: "kms:{_sealed(self.own, self.named)}"
  blob-by-alias: "kms:{_sealed(self.own, self.aliased, app="prod")}?context=app=prod"
  bare-by-alias: "kms:{_sealed(self.own, self.aliased)}"
  message: "kms:{_message(self.own, self.aliased, "prod-message")}"
  bill: sm:prod/bill?via=billing
trees: {{tree: ssm:/prod/tree/, locally: {{ref: ssm:/prod/locally/, decrypt: local}}}}
on_demand: {{allow: ["sm:prod-demand/*"]}}
identities:
  default: {{region: {REGION}, {endpoint}}}
  dr: {{region: {WEST}, {endpoint}}}
  billing: {{role_arn: "{self.reader}", external_id: {EXTERNAL_ID}, region: {REGION}, {endpoint}}}
failover: {{sm: [default, dr]}}
kms: {{allow_keys: ["{self.named}", alias/prod]}}
access: [{{uid: 1, allow: ["*", kms/sign, kms/generate-random]}}]
fleet: {{store: "dynamodb://prod-fleet", name: prod}}
quotas: {{discover: true}}
""")


def planted(own: AwsAccount, other: AwsAccount) -> Cloud:
    """Make keys and values."""
    west = AwsAccount(own.fake, WEST)
    there = AwsAccount(other.fake, WEST)
    cloud = Cloud(
        own,
        other,
        values=own.create_key(),
        replicas=west.create_key(),
        theirs=other.create_key(),
        theirs_west=there.create_key(),
        named=own.create_key(),
        aliased=own.create_key("alias/prod"),
    )
    for account, key in ((own, cloud.values), (west, cloud.replicas)):
        for name in ("prod/db", "prod/token"):
            account.put_secret(name, '{"password": "x"}', KmsKeyId=key)
    own.put_secret("prod-demand/one", "x", KmsKeyId=cloud.values)
    other.put_secret("prod/bill", "x", KmsKeyId=cloud.theirs)
    other.put_secret("prod/shared", "x", KmsKeyId=cloud.theirs)
    everybody = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*"}]}'
    other.client("secretsmanager").put_resource_policy(SecretId="prod/shared", ResourcePolicy=everybody)
    own.put_parameter("/prod/level", "x", KeyId=cloud.values)
    own.put_parameter("/prod/api", "x", KeyId=cloud.values)
    own.put_parameter("/prod/advanced", "x", KeyId=cloud.values, Tier="Advanced")
    for path in ("tree", "locally"):
        own.put_parameter(f"/prod/{path}/a", "x", KeyId=cloud.values)
    under_kms = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": cloud.values}
    own.put_object("prod/chain", b"x", **under_kms)
    own.keep_versions()
    own.put_object("prod/licence", b"x", **under_kms)
    for name, key in (("prod/sealed", cloud.named), ("prod/sealed-by-alias", cloud.aliased)):
        own.put_object(name, base64.b64decode(_message(own, key, "prod-object")), **under_kms)
    own.fake.role(cloud.reader, external_id=EXTERNAL_ID)
    return cloud


def _version(account: AwsAccount) -> str:
    return str(account.client("s3").head_object(Bucket=account.bucket, Key="prod/licence")["VersionId"])


def _sealed(account: AwsAccount, key: str, **context: str) -> str:
    blob = account.client("kms").encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=context)["CiphertextBlob"]
    return base64.b64encode(blob).decode()


def _message(account: AwsAccount, key: str, app: str) -> str:
    """Write an Encryption SDK message as its owner would."""
    from sidecar.core.ports import DataKey  # noqa: PLC0415 -- beside its only use
    from sidecar.envelope.sdk import seal_message  # noqa: PLC0415 -- likewise

    made = account.client("kms").generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext={"app": app})
    data_key = DataKey(made["KeyId"], Plaintext(made["Plaintext"]), made["CiphertextBlob"])
    return base64.b64encode(seal_message(b"x", data_key, (("app", app),))).decode()


# --- asking --------------------------------------------------------------------------------------------------------


Ask = Callable[[Aws, Gate], Awaitable[object]]


def ask_everything(cloud: Cloud) -> list[Asked]:
    """Read all that is configured, and give what was asked for it."""
    return [*asyncio.run(_ask_all(cloud)), *_beside(cloud)]


async def _ask_all(cloud: Cloud) -> list[Asked]:
    return [asked for tag, ask in _asks(cloud) for asked in await _hear(cloud, tag, ask)]


async def _hear(cloud: Cloud, tag: str, ask: Ask) -> list[Asked]:
    """Ask as a daemon that has just started: what it remembers of others' sake would not be asked again."""
    config, metrics, tap = cloud.config, Metrics(CollectorRegistry()), Wiretap()
    messages = Messages(config.kms.data_key_cache, SystemClock(), metrics)
    aws = Aws(config.identities, config.failover, metrics, allow_keys=config.kms.allow_keys, envelopes=lambda: messages)
    try:
        with suppress(SecretError, Transient):
            await ask(aws, tap)
    finally:
        await aws.close()
    return [Asked(tag, each) for who, asked in tap.heard for each in requests_of(cloud, who, asked)]


def _asks(cloud: Cloud) -> Iterator[tuple[str, Ask]]:
    """Give everything that can be asked, by the name of what it is asked for."""
    config = cloud.config
    for name, spec in config.secrets.items():
        route, ref = Route(spec.ref.source, spec.ref.identity, spec.decrypt), spec.ref.whole
        yield name, partial(_read, route, ref)
        if ref.source is SourceKind.SM and ref.identity == "default":
            there = replace(route, identity="dr")
            yield f"{name} there", partial(_read_replica, there, ref)
    for name, tree in config.trees.items():
        yield name, partial(_walk, Route(SourceKind.SSM, "default", tree.decrypt), tree.tree)
    secrets = Route(SourceKind.SM, "default")
    together = [config.secrets[name].ref.whole for name in ("db", "token")]
    yield "together", lambda aws, gate: aws.source(secrets).fetch(together, gate)
    yield "on demand", partial(_read, secrets, Ref(SourceKind.SM, "prod-demand/one"))
    for identity in identities_of(config):
        yield "quotas", partial(_limits, identity)
    for key in (cloud.named, "alias/prod"):
        yield "sign", partial(_sign, key)
    yield "random", lambda aws, gate: aws.keys("default").generate_random(8, gate)


async def _read(route: Route, ref: Ref, aws: Aws, gate: Gate) -> None:
    source = aws.source(route)
    await source.probe([ref], gate)
    await source.fetch([ref], gate)


async def _read_replica(route: Route, ref: Ref, aws: Aws, gate: Gate) -> None:
    await _read(route, Replica(route.identity, WEST, aws.source(route)).spell(ref), aws, gate)


async def _walk(route: Route, tree: Tree, aws: Aws, gate: Gate) -> None:
    source = aws.trees(route)
    found = [ref async for page in source.fetch_tree(tree, gate) for ref in page]
    await aws.source(route).fetch(found, gate)  # as when one of them has changed


async def _limits(identity: str, aws: Aws, gate: Gate) -> None:
    await aws.limits(identity, gate)


async def _sign(key: str, aws: Aws, gate: Gate) -> None:
    await aws.keys("default").sign(key, b"x", "RSASSA_PSS_SHA_256", gate)


def _beside(cloud: Cloud) -> Iterator[Asked]:
    """Give what passes no gate: the credentials of roles, and the fleet's table."""
    spec = cloud.config.identities["billing"]
    told = {"sts:ExternalId": spec.external_id or ""}
    yield Asked("bill", Request(cloud.role, "sts:AssumeRole", cloud.reader, told))
    for operation in OPERATIONS["dynamodb"]:
        table = f"arn:aws:dynamodb:{REGION}:{cloud.own.id}:table/prod-fleet"
        yield Asked("fleet", Request(cloud.role, f"dynamodb:{operation}", table))


# --- in IAM's words ------------------------------------------------------------------------------------------------


def requests_of(cloud: Cloud, who: Identity, asked: Question[Any]) -> Iterator[Request]:
    """Say what one request needs to be allowed, and what AWS asks of KMS for it."""
    speaks = Speaker(cloud, who.spec, asked.region)
    yield from _WORDS[asked.service](speaks, asked.operation, asked.parameters)


@dataclass(frozen=True)
class Speaker:
    """Who asks, and where."""

    cloud: Cloud
    spec: IdentitySpec
    region: str

    @property
    def principal(self) -> str:
        """Name him."""
        return self.spec.role_arn or self.cloud.role

    def arn(self, service: str, resource: str) -> str:
        """Spell what is his own."""
        return f"arn:aws:{service}:{self.region}:{self.principal.split(':')[4]}:{resource}"

    def wants(self, action: str, resource: str) -> Request:
        """Ask for something."""
        return Request(self.principal, action, resource)

    def uses(self, key: str, action: str, context: Parameters, via: str = "") -> Request:
        """Ask KMS for something, himself or through a service."""
        said: dict[str, str | tuple[str, ...]] = {
            f"kms:EncryptionContext:{name}": value for name, value in context.items()
        }
        if context:
            said["kms:EncryptionContextKeys"] = tuple(context)
        if via:
            said["kms:ViaService"] = f"{via}.{self.region}.amazonaws.com"
        if aliases := self.cloud.keys[key]:
            said["kms:ResourceAliases"] = aliases
        return Request(self.principal, action, key, said)

    def key_of_values(self, arn: str) -> str:
        """Say under which key values of a place lie."""
        _, _, _, region, account, _ = arn.split(":", 5)
        if account == self.cloud.other.id:
            return self.cloud.theirs_west if region == WEST else self.cloud.theirs
        return self.cloud.replicas if region == WEST else self.cloud.values


def _secrets(who: Speaker, operation: str, asked: Parameters) -> Iterator[Request]:
    names = asked.get("SecretIdList") or [asked["SecretId"]]
    if operation == "BatchGetSecretValue":
        yield who.wants("secretsmanager:BatchGetSecretValue", "*")
    for name in names:
        arn = name if name.startswith("arn:") else who.arn("secretsmanager", f"secret:{name}{SUFFIX}")
        if operation == "DescribeSecret":
            yield who.wants("secretsmanager:DescribeSecret", arn)
        else:  # each item of a batch is one, too
            yield who.wants("secretsmanager:GetSecretValue", arn)
            context = {"SecretARN": arn, "SecretVersionId": "made-up"}
            yield who.uses(who.key_of_values(arn), "kms:Decrypt", context, "secretsmanager")


def _parameters(who: Speaker, operation: str, asked: Parameters) -> Iterator[Request]:
    names = [asked["Path"]] if operation == "GetParametersByPath" else asked["Names"]
    for name in names:
        arn = who.arn("ssm", f"parameter{name}")
        yield who.wants(f"ssm:{operation}", arn)
        if operation == "GetParametersByPath":
            yield who.wants(f"ssm:{operation}", f"{arn}/a")
            arn = f"{arn}/a"
        if asked["WithDecryption"]:
            yield who.uses(who.key_of_values(arn), "kms:Decrypt", {"PARAMETER_ARN": arn}, "ssm")


def _objects(who: Speaker, operation: str, asked: Parameters) -> Iterator[Request]:
    arn = f"arn:aws:s3:::{asked['Bucket']}/{asked['Key']}"
    yield who.wants("s3:GetObjectVersion" if "VersionId" in asked else "s3:GetObject", arn)
    if operation == "GetObject":
        yield who.uses(who.cloud.values, "kms:Decrypt", {"aws:s3:arn": arn}, "s3")
        bucket = arn.partition("/")[0]  # which it is under an S3 Bucket Key
        yield who.uses(who.cloud.values, "kms:Decrypt", {"aws:s3:arn": bucket}, "s3")


def _keys(who: Speaker, operation: str, asked: Parameters) -> Iterator[Request]:
    if operation == "GenerateRandom":
        yield who.wants("kms:GenerateRandom", "*")
        return
    key = asked.get("KeyId") or bytes(asked["CiphertextBlob"])[:_KEY_ID].decode()
    if key.endswith("alias/prod"):
        key = who.cloud.aliased
    (meant,) = [each for each in who.cloud.keys if each.endswith(key)]
    yield who.uses(meant, f"kms:{operation}", asked.get("EncryptionContext", {}))


def _quotas(who: Speaker, operation: str, _asked: Parameters) -> Iterator[Request]:
    yield who.wants(f"servicequotas:{operation}", "*")


def _credentials(_who: Speaker, operation: str, _asked: Parameters) -> Iterator[Request]:
    assert operation == "GetCallerIdentity"  # which needs no permission
    yield from ()


_WORDS: Final = {
    "secretsmanager": _secrets,
    "ssm": _parameters,
    "s3": _objects,
    "kms": _keys,
    "service-quotas": _quotas,
    "sts": _credentials,
}
