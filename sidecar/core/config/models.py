"""Say what can be configured: every key with its type, its default, its unit and why.

The JSON Schema comes from here. A section checks its own scalars; what concerns two keys at once is in `rules`.
Durations are seconds once they are read.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from sidecar.core.config.types import (
    Account,
    Budget,
    Count,
    CountOrNone,
    DecryptChoice,
    Duration,
    ExternalId,
    FilePath,
    FleetName,
    Glob,
    IdentityName,
    Interval,
    KeyChoice,
    LogFormatChoice,
    LogLevel,
    LogLevelChoice,
    Mode,
    OutputPath,
    PerSecret,
    PerSecretChoice,
    Profile,
    QuotaName,
    Rate,
    Region,
    RoleArn,
    SecretName,
    SecretOrField,
    SecretRef,
    Settle,
    Share,
    SignalName,
    Size,
    SourceChoice,
    StoreAddress,
    Switch,
    TcpAddress,
    Text,
    TreePath,
    UnixPath,
    Url,
    none_is_nothing,
    ref_as_mapping,
)
from sidecar.core.config.units import Address
from sidecar.core.ports import Decrypt
from sidecar.core.refs import DEFAULT_IDENTITY
from sidecar.core.settling import Wait

MINUTE: Final = 60.0
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR


class Section(BaseModel):
    """One mapping of the configuration; a key that is there without a value says nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_empty(cls, value: object) -> object:
        return {} if value is None else value


_NothingIsEmpty: Final = BeforeValidator(lambda value: {} if value is None else value)
_NothingIsEmptyList: Final = BeforeValidator(lambda value: [] if value is None else value)


# Ten thousand of the next two may live as long as the process: plain slotted dataclasses, not models.


@dataclass(frozen=True, slots=True)
class SecretSpec:
    """A secret that the app wants held: a reference, alone or with what differs from the rest."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    ref: Annotated[SecretRef, Field(description="Where the value lives.")]
    refresh: Annotated[Interval | None, Field(description="How often it is checked; `cache.refresh` unless given.")] = (
        None
    )
    ttl: Annotated[
        Interval | None,
        Field(
            description="Unconfirmed for longer than this, it is stale; `cache.ttl`, else three times its own refresh."
        ),
    ] = None
    required: Annotated[Switch, Field(description="Whether the daemon is ready only once it is held.")] = True
    decrypt: Annotated[
        DecryptChoice,
        Field(description="Who opens a SecureString: AWS on the way, or this daemon by a kms:Decrypt of its own."),
    ] = Decrypt.AWS


@dataclass(frozen=True, slots=True)
class TreeSpec:
    """Every parameter below a path: new ones appear, deleted ones go."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    tree: Annotated[TreePath, Field(alias="ref", description="The path, as ssm:/prod/app/.")]
    refresh: Annotated[Interval | None, Field(description="How often it is walked; `cache.refresh` unless given.")] = (
        None
    )
    decrypt: Annotated[DecryptChoice, Field(description="Who opens its SecureStrings, as for a secret.")] = Decrypt.AWS


SecretSpecOrRef = Annotated[SecretSpec, BeforeValidator(ref_as_mapping, json_schema_input_type=SecretRef | SecretSpec)]
TreeSpecOrPath = Annotated[TreeSpec, BeforeValidator(ref_as_mapping, json_schema_input_type=TreePath | TreeSpec)]


class OnDemand(Section):
    """What a caller may ask for without a declaration."""

    allow: Annotated[tuple[Glob, ...], _NothingIsEmptyList] = Field(
        ("*",), description="Globs over canonical references; [] means declared secrets only."
    )
    max_entries: Count = Field(
        1000, description="So many are kept; the least recently used go first, declared ones never."
    )
    max_bytes: Size = Field(
        64 * 2**20,
        description="All of them together hold about so much, counted once a second; the same ones go first.",
    )
    idle: Interval = Field(HOUR, description="Dropped, and asked of AWS no more, when nobody wanted it for so long.")


class Cache(Section):
    """How long a value is trusted, and how often AWS is asked."""

    refresh: Interval = Field(
        5 * MINUTE,
        description="Each value is checked this often, give or take 10 %. Secrets Manager bills every check.",
    )
    min_refresh: Interval = Field(
        1.0, description="Callers can make one value be checked at most this often, however many they are."
    )
    ttl: Interval | None = Field(
        None,
        description="A value that was not confirmed for longer is stale. Three times the value's own refresh unless "
        "given, so that two checks may fail unseen.",
    )
    stale_if_error: Duration = Field(
        DAY, description="So long past ttl a stale value is served while AWS cannot answer; 0s means never."
    )
    revoke_after: Duration = Field(
        5 * MINUTE,
        description="When AWS refuses (access denied, key disabled), what is held is served as stale for so long and "
        "then dropped: a slip in a policy need not stop the app, a revocation must.",
    )
    negative_ttl: Duration = Field(
        10.0, description="So long AWS is not asked again for what it has just said not to exist or not to allow."
    )
    revalidate: Interval = Field(
        DAY,
        description="Even an unchanged value is fetched this often: lost permission and disabled keys show only then.",
    )
    keep_previous: Duration = Field(
        15 * MINUTE, description="After a change the old version stays readable for so long; 0s means not at all."
    )


class Unix(Section):
    """The socket that the app talks to."""

    path: UnixPath = Field("/run/sidecar/sidecar.sock", description="At most 107 bytes, the system's limit.")
    mode: Mode = Field(0o660, description="Who may connect, in octal: owner and group unless given.")
    group: Account | None = Field(None, description="Group of the socket; the process's own unless given.")


class Listen(Section):
    """Where the daemon can be asked."""

    unix: Unix = Field(Unix(), description="The app's socket: values, status, changes.")
    ops: TcpAddress | None = Field(
        Address("127.0.0.1", 9102),
        description="/metrics, /healthz and /readyz over TCP: never a value, never a reference. Port 0 means any free "
        "one, null means none.",
    )


def _also_gid(schema: JsonDict) -> None:
    """Tell editors of the other spelling of `group`; pydantic describes only the first."""
    properties = schema["properties"]
    assert isinstance(properties, dict)
    properties["gid"] = properties["group"]


class AccessRule(Section):
    """Who may read what; the first rule that matches caller and name decides."""

    model_config = ConfigDict(json_schema_extra=_also_gid)

    uid: Account | None = Field(None, description="The caller's user, by number or name; anybody unless given.")
    group: Account | None = Field(
        None,
        validation_alias=AliasChoices("group", "gid"),
        description="A group that the caller is in, supplementary ones too; any unless given. Also written gid.",
    )
    allow: Annotated[tuple[Glob, ...], _NothingIsEmptyList] = Field(
        description="Globs over names and, on demand, canonical references; * crosses slashes."
    )
    admin: Switch = Field(
        default=False, description="Whether the caller may also refresh all and see the status of all."
    )


class IdentitySpec(Section):
    """Which account, region and role a reference is read with."""

    region: Region | None = Field(None, description="The SDK's own chain decides unless given.")
    profile: Profile | None = Field(None, description="A profile of the SDK's shared configuration files.")
    endpoint_url: Url | None = Field(None, description="Where AWS is, if not where the SDK thinks: a fake or a proxy.")
    use_fips: Switch = Field(default=False, description="Use AWS's FIPS 140 endpoints.")
    use_dualstack: Switch = Field(default=False, description="Use AWS's endpoints that also speak IPv6.")
    role_arn: RoleArn | None = Field(
        None, description="A role to assume, from the credentials of the chain or profile."
    )
    external_id: ExternalId | None = Field(None, description="What the role's trust policy wants to be told.")


class Quotas(Section):
    """How much of the account's request rates this daemon may take."""

    share: Share = Field(
        0.10, description="The most of each quota: a small part, as nobody knows how many others use the account."
    )
    limits: Annotated[dict[QuotaName, Rate], _NothingIsEmpty] = Field(
        {}, description="The account's own limits in requests per second, where they are not AWS's defaults."
    )
    discover: Switch = Field(
        default=False,
        description="Whether Service Quotas is asked, once a day, for the account's own limits; `limits` goes before.",
    )
    budget: Budget | None = Field(
        None,
        description="What one daemon's polling may cost by list prices. All intervals lengthen to keep within it; no "
        "read fails or waits for it.",
    )


class InFile(Section):
    """A secret of the daemon's own, in a file that is read when it is needed."""

    file: FilePath = Field(description="An absolute path.")


class Fleet(Section):
    """Daemons that hold one share of each quota together, and lease parts of it from each other."""

    store: StoreAddress = Field(description="Where leases are kept: Redis, Valkey or a DynamoDB table.")
    name: FleetName = Field(
        description="Daemons that name the same store and this name are one fleet: one for each account they share."
    )
    share: Share = Field(
        0.80,
        description="The most of each quota that the whole fleet takes: what strangers need is left. Where daemons of "
        "one fleet disagree, the least counts.",
    )
    password: InFile | None = Field(
        None, description="The store's password, where its address does not hold one; read anew for each connection."
    )


class DataKeyCache(Section):
    """How long one data key serves; any limit 0 means that each message asks KMS."""

    max_age: Duration = Field(
        5 * MINUTE, description="A data key is used for so long, to encrypt and to decrypt; 0s switches the cache off."
    )
    max_bytes: Size = Field(100 * 2**20, description="One data key encrypts at most so much plaintext; 0 likewise.")
    max_messages: CountOrNone = Field(
        1000, description="One data key encrypts at most so many messages; 0 likewise: each has its own."
    )


class Kms(Section):
    """Which KMS keys are used, and how often KMS is asked for a data key."""

    allow_keys: tuple[KeyChoice, ...] | None = Field(
        None,
        description="Keys under which kms: references and the app's requests are opened and sealed. Those of the "
        "identity's own account unless given; [] means none. Says nothing about `decrypt: local`.",
    )
    data_key_cache: DataKeyCache = Field(
        DataKeyCache(), description="How long one data key serves; any limit 0 means that each message asks KMS."
    )


class S3(Section):
    """How objects are read."""

    max_object: Size = Field(
        16 * 2**20,
        description="A larger object is refused: it is held in memory, and a slip in a key must not fill it.",
    )


class HttpHook(Section):
    """Whom to tell over HTTP."""

    url: Url = Field(description="Where a signed POST goes; 2xx means that it was understood.")
    secret: SecretOrField = Field(description="The declared secret whose bytes sign it, by HMAC-SHA256.")


class OnChange(Section):
    """Whom to tell that a file has other bytes: exactly one of `signal`, `exec` and `http`."""

    signal: SignalName | None = Field(None, description="A signal, to the process in `pid_file`.")
    pid_file: FilePath | None = Field(None, description="Where the number of the process stands, read each time.")
    exec: Annotated[tuple[Text, ...], _NothingIsEmptyList] = Field(
        (), description="A command and its arguments; no shell. What it prints goes nowhere."
    )
    timeout: Interval = Field(30.0, description="A command that takes longer is killed, and has failed.")
    http: HttpHook | None = Field(None, description="A signed POST.")


class FileSpec(Section):
    """A file that is kept as its secrets are: exactly one of `secret`, `tree`, `template` and `template_file`."""

    path: OutputPath = Field(description="Where it is; with `tree` a folder. The folder that it lies in must exist.")
    secret: SecretOrField | None = Field(None, description="The bytes of a declared secret, or of a field of it.")
    tree: SecretName | None = Field(None, description="All of a declared tree, a file for each value.")
    template: Text | None = Field(None, description="A Jinja2 template.")
    template_file: FilePath | None = Field(None, description="Where a template is, read at the start and by a reload.")
    mode: Mode = Field(0o400, description="Of the file, in octal; folders of a tree get x where it has r.")
    owner: Account | None = Field(None, description="Whose it is; the process's own unless given. Needs to be root.")
    group: Account | None = Field(None, description="Its group; the process's own unless given.")
    on_change: Annotated[
        OnChange | None,
        BeforeValidator(none_is_nothing, json_schema_input_type=Literal["none"] | OnChange | None),
    ] = Field(None, description="Whom to tell that its bytes are others; none unless given.")
    wait: Settle = Field(
        Wait(), description="Quiet seconds before changes are written, and the most since the first: min:max."
    )
    allow_disk: Switch = Field(
        default=False, description="Whether it may lie where it outlives the machine's memory: refused unless true."
    )


class MetricsSpec(Section):
    """What is exported to Prometheus."""

    per_secret: PerSecretChoice = Field(
        PerSecret.AUTO, description="Whether each declared secret has series of its own; auto: up to 100 of them."
    )


class Log(Section):
    """What is written to standard error."""

    level: LogLevelChoice = Field(LogLevel.INFO, description="The least urgent lines that are written.")
    format: LogFormatChoice | None = Field(
        None, description="One JSON object a line, or for the eye; console on a terminal, else json, unless given."
    )
    audit: Switch = Field(default=False, description="Write a line for each access: who, which name, how it ended.")


def _with_default(identities: dict[str, IdentitySpec]) -> dict[str, IdentitySpec]:
    return {DEFAULT_IDENTITY: IdentitySpec(), **identities}


class Config(Section):
    """Keep an app's AWS secrets fresh and serve them on a Unix socket."""

    secrets: Annotated[dict[SecretName, SecretSpecOrRef], _NothingIsEmpty] = Field(
        {}, description="Secrets by the name that the app asks for."
    )
    trees: Annotated[dict[SecretName, TreeSpecOrPath], _NothingIsEmpty] = Field(
        {}, description="Paths of Parameter Store by name; what lies below `app` is called app/<rest>."
    )
    on_demand: OnDemand = Field(OnDemand(), description="What may be asked for without a declaration.")
    cache: Cache = Field(Cache(), description="How long a value is trusted, and how often AWS is asked.")
    listen: Listen = Field(Listen(), description="Where the daemon can be asked.")
    access: Annotated[tuple[AccessRule, ...], _NothingIsEmptyList] = Field(
        (), description="Who may read what. Without rules, whoever the socket's mode lets in, as admin."
    )
    identities: Annotated[dict[IdentityName, IdentitySpec], _NothingIsEmpty, AfterValidator(_with_default)] = Field(
        {DEFAULT_IDENTITY: IdentitySpec()},
        description="Which account, region and role a reference is read with; `default` unless it says ?via=name.",
    )
    failover: Annotated[dict[SourceChoice, tuple[IdentityName, ...]], _NothingIsEmpty] = Field(
        {},
        description="Where replicas of multi-region secrets are, in order; the next is tried on transient errors only.",
    )
    quotas: Quotas = Field(Quotas(), description="How much of the account's request rates this daemon may take.")
    fleet: Fleet | None = Field(
        None, description="The daemons with which this one shares the account's quotas; alone unless given."
    )
    kms: Kms = Field(Kms(), description="Which KMS keys are used, and how often KMS is asked for a data key.")
    s3: S3 = Field(S3(), description="How objects are read.")
    files: Annotated[tuple[FileSpec, ...], _NothingIsEmptyList] = Field(
        (), description="Files that are kept as the secrets in them are, for programs that cannot ask."
    )
    metrics: MetricsSpec = Field(MetricsSpec(), description="What is exported to Prometheus.")
    log: Log = Field(Log(), description="What is written to standard error.")

    @property
    def warnings(self) -> tuple[str, ...]:
        """Say what is allowed but may not be meant."""
        return tuple(
            f"trees.{tree}: {_listed(shadowing)} {'is' if len(shadowing) == 1 else 'are'} declared too, and win over "
            "parameters of the same name"
            for tree in self.trees
            if (shadowing := [name for name in self.secrets if name.startswith(f"{tree}/")])
        )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


_NAMED: Final = 3  # enough to find the others by
