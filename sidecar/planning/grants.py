"""Work out what a configuration must be granted: one statement for each purpose, and nothing beyond. Pure.

What cannot be known beforehand becomes a note: values on demand that no glob names, keys that nobody named.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sidecar.core.access import Globs
from sidecar.core.ciphertexts import is_message
from sidecar.core.config.models import Config, SecretSpec
from sidecar.core.config.units import StoreKind
from sidecar.core.errors import SecretError
from sidecar.core.ports import Decrypt
from sidecar.core.refs import DEFAULT_IDENTITY, Context, Ref, SourceKind
from sidecar.planning.gathering import Gathering, Use, camel
from sidecar.planning.keyrings import KeyRing, Keys
from sidecar.planning.on_demand import LeftOut, Offer, offers
from sidecar.planning.places import Place, World, is_same, literal, members_of, place_of, place_of_arn, plain
from sidecar.planning.purposes import (
    KMS_OF_APP,
    OBJECTS,
    ON_DEMAND,
    PARAMETERS,
    RANDOM_OF_APP,
    SECRETS,
    TREES,
    VERSIONS,
    VERSIONS_ON_DEMAND,
    Kind,
    Purpose,
)
from sidecar.planning.statements import Condition, Grant

SUFFIX: Final = "-??????"
"""What AWS appends to a secret's name in its ARN."""

_CONTEXT: Final = "kms:EncryptionContext:"
_CONTEXT_KEYS: Final = "kms:EncryptionContextKeys"
_PUBLISHED: Final = "/aws/service/"
_ANYTHING: Final = "*"
_APP: Final = "kms/"


@dataclass(frozen=True, slots=True)
class Needs:
    """What one identity must be granted, and what is to be said of it."""

    grants: tuple[Grant, ...]
    notes: tuple[str, ...]
    foreign: tuple[str, ...]  # ARNs of other accounts' secrets


@dataclass(frozen=True, slots=True)
class _Value:
    """A value that an identity reads."""

    ref: Ref
    decrypt: Decrypt = Decrypt.AWS
    is_replica: bool = False  # of one that another identity reads: its region is this one's


def build_needs(config: Config, name: str, world: World, ring: KeyRing) -> Needs:
    """Say what an identity, and those that are the same but for the region, must be granted; raises Unsaid."""
    members = members_of(name, config)
    found = Gathering(place_of(config.identities[name], world))
    for member in members:
        _Reader(config, member, place_of(config.identities[member], world), found, ring).gather()
    if DEFAULT_IDENTITY in members:
        home = place_of(config.identities[DEFAULT_IDENTITY], world)
        _gather_app(config, home, found, ring)
        _gather_fleet(config, home, found)
        _note_globs(config, found)
    if config.quotas.discover and not used_identities(config).isdisjoint(members):
        found.read(Purpose.DISCOVER_QUOTAS, ("servicequotas:ListServiceQuotas",), _ANYTHING)
    _gather_roles(config, name, found)
    return Needs(found.grants(), tuple(found.notes), tuple(found.foreign))


def used_identities(config: Config) -> set[str]:
    """Name the identities as which something is read that is declared, or that a glob names."""
    declared = {spec.ref.identity for spec in config.secrets.values()}
    declared |= {spec.tree.identity for spec in config.trees.values()}
    offered = {offer.identity for offer in offers(config.on_demand.allow) if isinstance(offer, Offer)}
    return declared.union(*config.failover.values()) | offered & config.identities.keys()


@dataclass(frozen=True, slots=True)
class _Reader:
    """One identity, and what it reads."""

    config: Config
    name: str
    home: Place
    found: Gathering
    ring: KeyRing

    def gather(self) -> None:
        """Go through all that it reads."""
        values = list(self._values())
        for value in values:
            self._value(value)
        if sum(_is_fetched_together(value.ref) for value in values) > 1:
            self.found.read(Purpose.READ_MANY, ("secretsmanager:BatchGetSecretValue",), _ANYTHING)
        for spec in self.config.trees.values():
            if spec.tree.identity == self.name:
                self._tree(spec.tree.path, spec.decrypt)
        mine = [offer for offer in offers(self.config.on_demand.allow) if isinstance(offer, Offer)]
        for offer in mine:
            if offer.identity == self.name:
                self._offer(offer)
        blind = any(offer.source is SourceKind.KMS and offer.identity == self.name for offer in mine)
        if blind or any(self._may_be_of_alias(value.ref) for value in values):
            find_keys(self.home, self.found, self.ring)

    def _may_be_of_alias(self, ref: Ref) -> bool:
        """Tell whether a ciphertext comes with a key that may be what an allowed alias names."""
        if ref.source is SourceKind.S3:
            return bool(ref.context)
        several = len(self.config.kms.allow_keys or ()) > 1
        return ref.source is SourceKind.KMS and (several or is_message(ref.ciphertext))

    def _values(self) -> Iterator[_Value]:
        """Give what it reads, each once, and the replicas for which it stands in."""
        declared: dict[Ref, SecretSpec] = {}
        for spec in sorted(self.config.secrets.values(), key=lambda spec: not spec.required):  # as the daemon does
            declared.setdefault(spec.ref.whole, spec)
        for ref, spec in declared.items():
            order = self.config.failover.get(ref.source, ())
            if ref.identity == self.name:
                yield _Value(ref, spec.decrypt)
            elif ref.identity == next(iter(order), None) and self.name in order:
                yield _Value(ref, spec.decrypt, is_replica=True)

    def _value(self, value: _Value) -> None:
        if value.ref.source is SourceKind.SM:
            self._secret(value)
        elif value.ref.source is SourceKind.SSM:
            self._parameter(value)
        elif value.ref.source is SourceKind.KMS:
            self._ciphertext(value.ref)
        else:
            self._object(value.ref)

    def _secret(self, value: _Value) -> None:
        arn = value.ref.arn
        if arn is None:
            place, resource = self.home, f"secret:{value.ref.id}{SUFFIX}"
        else:
            place = place_of_arn(arn, self.home)
            place = replace(place, region=self.home.region) if value.is_replica else place
            is_partial = arn.resource == f"secret:{arn.secret}"
            resource = f"{arn.resource}{SUFFIX}" if is_partial else arn.resource
        full = place.arn("secretsmanager", resource)
        if not is_same(place.account, self.home.account) and not value.is_replica:  # which has its secret's policy
            self.found.foreign.setdefault(full)
        self._read(SECRETS, place, full)

    def _parameter(self, value: _Value) -> None:
        arn = value.ref.arn
        place = place_of_arn(arn, self.home) if arn else self.home
        if not is_same(place.account, self.home.account):
            self.found.note(
                f"{value.ref} is of another account: it must be of the advanced tier, and shared from there by RAM"
            )
        resource = str(arn) if arn else parameter_arn(value.ref.id, self.home)
        self._read(PARAMETERS, place, resource, value.decrypt)

    def _tree(self, path: str, decrypt: Decrypt) -> None:
        """Grant the walk on the path and below; a parameter of the path's own name is none of the tree's."""
        top = parameter_arn(path, self.home)
        self.found.read(Purpose.WALK_TREES, ("ssm:GetParametersByPath",), top, f"{top}/*")
        self._read(TREES, self.home, f"{top}/*", decrypt)

    def _object(self, ref: Ref) -> None:
        bucket = f"arn:{self.home.partition}:s3:::{literal(ref.bucket)}"
        kind = VERSIONS if ref.selector else OBJECTS
        self._read_object(kind, bucket, f"{bucket}/{literal(ref.key)}", under_kms=not ref.sse_c)
        if ref.context:  # a client encrypted it: the message has more in its context, which nobody knows here
            for keys in self.ring.of_ciphertexts(self.home, what=str(ref)):
                self.found.use(Use(Purpose.OPEN_OBJECTS, keys, conditions=_wants(ref.context)))

    def _read_object(self, kind: Kind, bucket: str, resource: str, *, under_kms: bool) -> None:
        """Grant an object; under an S3 Bucket Key the context is the bucket's ARN."""
        self.found.read(kind.read, kind.actions, resource)
        if under_kms:
            self._decrypt(kind, self.home, [resource, bucket], Decrypt.AWS)

    def _read(self, kind: Kind, place: Place, resource: str, decrypt: Decrypt = Decrypt.AWS) -> None:
        self.found.read(kind.read, kind.actions, resource)
        if f":parameter{_PUBLISHED}" not in resource:  # AWS publishes no SecureString
            self._decrypt(kind, place, [resource], decrypt)

    def _decrypt(self, kind: Kind, place: Place, values: Sequence[str], decrypt: Decrypt) -> None:
        """Grant what decrypts values: by AWS on the way, or by the daemon itself."""
        hint, context = self.found.hint(place), f"{_CONTEXT}{kind.context}"
        if decrypt is Decrypt.LOCAL and kind.locally:
            for keys in self.ring.of_local(place, self.home):
                self.found.use(Use(kind.locally, keys, context=context, hint=hint), values)
            return
        via = Condition("StringEquals", "kms:ViaService", (place.via(kind.service),))
        found = self.ring.of_values(place, self.home)
        for keys in found:
            self.found.use(Use(kind.decrypt, keys, conditions=(via,), context=context, hint=hint), values)
        if not found:
            self.found.note(_without_key(place, self.home))

    def _ciphertext(self, ref: Ref) -> None:
        if not is_message(ref.ciphertext):
            self._open(self.ring.of_ciphertexts(self.home, what=ref.shown), ref.context)
            return
        from sidecar.envelope.sdk import needs_of  # noqa: PLC0415 -- only where there is a message

        try:
            needs = needs_of(ref.ciphertext, ref.shown)
        except SecretError as error:
            self.found.note(f"{error}: it is left out")
            return
        keys = self.ring.of_message([each.key for each in needs.data_keys], self.home)
        if not keys:
            self.found.note(f"{ref.shown}: none of its data keys is of a KMS key that is allowed: it is left out")
        self._open(keys, needs.context)

    def _open(self, found: Sequence[Keys], context: Context) -> None:
        for keys in found:
            self.found.use(Use(Purpose.OPEN_CIPHERTEXTS, keys, conditions=_is_exactly(context), hint=_named(context)))

    def _offer(self, offer: Offer) -> None:
        if offer.source is SourceKind.KMS:
            for keys in self.ring.of_ciphertexts(self.home, what="kms: references on demand"):
                self.found.use(Use(Purpose.OPEN_CIPHERTEXTS_ON_DEMAND, keys))
            return
        kind = ON_DEMAND[offer.source]
        if offer.source is SourceKind.S3:
            kind = VERSIONS_ON_DEMAND if offer.versioned else kind
            bucket = f"arn:{self.home.partition}:s3:::{offer.pattern.partition('/')[0]}"
            self._read_object(kind, bucket, f"arn:{self.home.partition}:s3:::{offer.pattern}", under_kms=True)
            return
        place = _place_of_pattern(offer.pattern, self.home) if offer.is_arn else self.home
        self._read(kind, place, _offered_arn(offer, place))


def _is_fetched_together(ref: Ref) -> bool:
    return ref.source is SourceKind.SM and ref.selector is None and ref.arn is None


def parameter_arn(name: str, home: Place) -> str:
    """Spell the ARN of a parameter; those that AWS publishes have no account."""
    place = replace(home, account="") if name.startswith(_PUBLISHED) else home
    return place.arn("ssm", f"parameter/{name.removeprefix('/')}")


def _place_of_pattern(pattern: str, home: Place) -> Place:
    _, partition, _, region, account, _ = pattern.split(":", 5)
    return Place(partition, account or home.account, region)


def _offered_arn(offer: Offer, place: Place) -> str:
    """Spell the resource of a glob; the six characters of a secret's ARN may be what its last `*` stands for."""
    if offer.source is SourceKind.SSM:
        return offer.pattern if offer.is_arn else parameter_arn(offer.pattern, place)
    resource = offer.pattern if offer.is_arn else place.arn("secretsmanager", f"secret:{offer.pattern}")
    return resource if resource.endswith("*") else f"{resource}{SUFFIX}"


def _wants(context: Context) -> tuple[Condition, ...]:
    return tuple(Condition("StringEquals", f"{_CONTEXT}{name}", (plain(value),)) for name, value in context)


def _is_exactly(context: Context) -> tuple[Condition, ...]:
    """Want this context and no other; names count exactly only in the list of all."""
    if not context:
        return (Condition("Null", _CONTEXT_KEYS, ("true",)),)
    names = tuple(plain(name) for name, _ in context)
    return (*_wants(context), Condition("ForAllValues:StringEquals", _CONTEXT_KEYS, names))


def _named(context: Context) -> str:
    return "Of" + "And".join(camel(f"{name} {value}")[:_LONGEST_NAME] for name, value in context) if context else ""


_LONGEST_NAME: Final = 40  # characters of a Sid that still help


def _without_key(place: Place, home: Place) -> str:
    if not is_same(place.account, home.account):
        return (
            f"values of account {place.account} must lie under a customer managed key, as AWS managed keys serve their "
            "own account only: name it by --key"
        )
    return (
        f"no --key of {place.where}: values there are taken to lie under AWS managed keys, which need no grant; name "
        "customer managed keys by --key"
    )


def find_keys(home: Place, found: Gathering, ring: KeyRing) -> None:
    """Let it be asked which keys the allowed aliases name: a ciphertext comes back with its key, not with an alias."""
    for keys in ring.aliases(home):
        found.use(Use(Purpose.FIND_KEYS, keys, ("kms:DescribeKey",)))


def _gather_app(config: Config, home: Place, found: Gathering, ring: KeyRing) -> None:
    """Grant what access rules give the app by name: a rule for everything says nothing of KMS."""
    globs = Globs(glob for rule in config.access for glob in rule.allow if glob.startswith(_APP))
    wanted = [operation for operation in KMS_OF_APP if globs.match(f"{_APP}{operation}")]
    actions = sorted({action for operation in wanted for action in KMS_OF_APP[operation]})
    if globs.match(f"{_APP}{RANDOM_OF_APP}"):
        found.read(Purpose.RANDOM_FOR_THE_APP, ("kms:GenerateRandom",), _ANYTHING)
    if actions:
        for keys in ring.of_app(home, what="the app's own requests to KMS"):
            found.use(Use(Purpose.KMS_FOR_THE_APP, keys, tuple(actions)))
        find_keys(home, found, ring)
    elif config.kms.allow_keys and not globs.patterns:
        found.note("the app's own requests to KMS are left out, as no access rule names them: kms/encrypt, or kms/*")


def _gather_fleet(config: Config, home: Place, found: Gathering) -> None:
    if config.fleet and config.fleet.store.kind is StoreKind.DYNAMODB:
        table = home.arn("dynamodb", f"table/{config.fleet.store.url}")
        found.read(Purpose.LEASE_WITH_THE_FLEET, ("dynamodb:GetItem", "dynamodb:PutItem"), table)


def _note_globs(config: Config, found: Gathering) -> None:
    for offer in offers(config.on_demand.allow):
        if isinstance(offer, LeftOut):
            found.note(f"on_demand.allow {offer.glob!r} is left out: {offer.why}")
        elif offer.identity not in config.identities:
            found.note(f"on_demand.allow names the identity {offer.identity}, which is not configured: it is left out")


def _gather_roles(config: Config, name: str, found: Gathering) -> None:
    """Let those who begin without a role assume the roles of identities that are used and begin as they do."""
    spec, used = config.identities[name], used_identities(config)
    if spec.role_arn:
        return
    roles = {
        each: other for each, other in config.identities.items() if other.role_arn and other.profile == spec.profile
    }
    for each, other in roles.items():
        if each not in used:
            found.note(f"the identity {each} is left out, as nothing that is declared is read by it")
        elif other.external_id is None:
            found.read(Purpose.ASSUME_ROLES, ("sts:AssumeRole",), str(other.role_arn))
        else:
            told = Condition("StringEquals", "sts:ExternalId", (plain(other.external_id),))
            sid = f"{Purpose.ASSUME_ROLES}As{camel(each)}"
            found.add(Purpose.ASSUME_ROLES, Grant(sid, ("sts:AssumeRole",), (str(other.role_arn),), (told,)))
