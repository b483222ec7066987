"""Read Secrets Manager: DescribeSecret tells which version is current, GetSecretValue or a batch of them brings it.

A role may lack DescribeSecret or BatchGetSecretValue: that is noticed once, said once, and done without.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from sidecar.aws.answers import Answer
from sidecar.aws.each import answered, each
from sidecar.aws.errors import Asked, RoleRefused, translate_item
from sidecar.aws.identities import Identity, Question
from sidecar.core.errors import AccessDenied, Failure, NotFound, SecretError, Transient, Unintelligible, kept
from sidecar.core.ports import Gate
from sidecar.core.refs import NEWEST_STAGE, Pick, Ref
from sidecar.core.secret import Plaintext, Revision, Secret, Version
from sidecar.telemetry import KmsReason, Metrics, events

log = structlog.get_logger()

BATCH: Final = 20  # the most that BatchGetSecretValue takes
ENOUGH: Final = 3  # secrets that may be read but not described, and none that may be: the whole role lacks the right


@dataclass(frozen=True, slots=True)
class Description:
    """What DescribeSecret tells: all but the value."""

    name: str
    arn: str
    deleting: bool
    stages: Mapping[str, tuple[str, ...]]  # by version id; versions without a stage are not told
    rotates_at: float | None

    def version_of(self, ref: Ref) -> str | None:
        """Give the version that the ref means; None where there is none."""
        if ref.selector is not None and ref.selector.pick is Pick.VERSION_ID:
            return ref.selector.value  # one without a stage may exist all the same: the fetch will tell
        stage = ref.selector.value if ref.selector else NEWEST_STAGE
        return next((version for version, stages in self.stages.items() if stage in stages), None)


@dataclass(frozen=True, slots=True)
class Value:
    """One version of a secret, as GetSecretValue or an item of a batch gives it."""

    name: str
    arn: str
    version: str
    stages: tuple[str, ...]
    made_at: float | None
    plaintext: Plaintext


@dataclass(frozen=True, slots=True)
class Refusal:
    """One secret that a batch did not bring."""

    secret: str  # name or ARN, as AWS has it
    code: str
    message: str

    def __repr__(self) -> str:
        """Hide AWS's free text."""
        return f"Refusal({self.code})"


@dataclass(frozen=True, slots=True)
class Batch:
    """What one BatchGetSecretValue brought."""

    values: tuple[Value, ...]
    refusals: tuple[Refusal, ...]


class SecretsManager:
    """Secrets as one identity sees them."""

    batch = BATCH

    def __init__(self, identity: Identity, metrics: Metrics) -> None:
        """Take as whom to ask, and where KMS's work is counted."""
        self._identity = identity
        self._metrics = metrics
        self._may_batch = True
        self._has_described = False
        self._undescribed: set[Ref] = set()  # may be read but not described

    async def probe(self, refs: Sequence[Ref], gate: Gate) -> dict[Ref, Revision | Secret | Failure]:
        """Do what `Source.probe` promises: one request a ref."""
        return await each(refs, lambda ref: self._probe(ref, gate))

    async def fetch(self, refs: Sequence[Ref], gate: Gate) -> dict[Ref, Secret | Failure]:
        """Do what `Source.fetch` promises: one request for all that name the current version, one for each other."""
        together = [ref for ref in refs if ref.selector is None and ref.arn is None] if self._may_batch else []
        brought = await self._fetch_together(together, gate) if len(together) > 1 else {}
        apart = [ref for ref in refs if ref not in brought]
        return brought | await each(apart, lambda ref: self._get(ref, gate))

    async def _probe(self, ref: Ref, gate: Gate) -> Revision | Secret:
        if ref in self._undescribed or self._describes_nothing:
            return await self._get(ref, gate)
        try:
            described = await self._identity.ask(self._describe_question(ref), gate)
        except RoleRefused:
            raise
        except AccessDenied:
            return await self._get_undescribed(ref, gate)
        self._has_described = True
        return await self._revision(ref, described, gate)

    @property
    def _describes_nothing(self) -> bool:
        return not self._has_described and len(self._undescribed) >= ENOUGH

    async def _get_undescribed(self, ref: Ref, gate: Gate) -> Secret:
        """Read the value where its description was refused; that it can be read shows what is missing."""
        secret = await self._get(ref, gate)
        if not self._undescribed:
            log.warning(events.DESCRIBE_DENIED, identity=self._identity.name, ref=str(ref))
        self._undescribed.add(ref)
        return secret

    async def _get(self, ref: Ref, gate: Gate) -> Secret:
        value = await self._identity.ask(self._value_question(ref), gate)
        self._metrics.kms_charged(KmsReason.SM)
        return await self._secret(ref, value, gate)

    async def _fetch_together(self, refs: list[Ref], gate: Gate) -> dict[Ref, Secret | Failure]:
        """Fetch with one request; what it does not answer is left to be asked for by itself."""
        try:
            batch = await self._identity.ask(self._batch_question(refs), gate)
        except RoleRefused as failure:
            return dict.fromkeys(refs, kept(failure))
        except AccessDenied:
            log.info(events.BATCH_DENIED, identity=self._identity.name)
            self._may_batch = False
            return {}
        except (SecretError, Unintelligible):  # whose fault it is shows when each is asked for by itself
            return {}
        except Transient as failure:
            return dict.fromkeys(refs, kept(failure))
        self._metrics.kms_charged(KmsReason.SM, len(batch.values))
        return await self._answers(refs, batch, gate)

    async def _answers(self, refs: Sequence[Ref], batch: Batch, gate: Gate) -> dict[Ref, Secret | Failure]:
        answers: dict[Ref, Secret | Failure] = {}
        values = {value.name: value for value in batch.values}
        refusals = {refusal.secret: refusal for refusal in batch.refusals}
        for ref in refs:
            if (value := values.get(ref.id)) is not None:
                answers[ref] = await answered(self._secret(ref, value, gate))
            elif (refusal := refusals.get(ref.id)) is not None:
                asked = Asked(str(ref), "secretsmanager", "BatchGetSecretValue", self._region(ref), self._identity.name)
                answers[ref] = translate_item(refusal.code, refusal.message, asked)
        return answers

    async def _revision(self, ref: Ref, described: Description, gate: Gate) -> Revision:
        if described.deleting:
            raise NotFound(f"{ref}: it is being deleted", mend="Restore it, or take the reference out.")
        version = described.version_of(ref)
        if version is None:
            raise NotFound(f"{ref}: the secret has no version with this stage")
        return Revision(
            ref=await self._identity.named(ref, name=described.name, arn=described.arn, gate=gate),
            version=Version(version),
            region=self._region(ref),
            labels=described.stages.get(version, ()),
            rotates_at=described.rotates_at,
        )

    async def _secret(self, ref: Ref, value: Value, gate: Gate) -> Secret:
        revision = Revision(
            ref=await self._identity.named(ref, name=value.name, arn=value.arn, gate=gate),
            version=Version(value.version),
            region=self._region(ref),
            labels=value.stages,
            modified_at=value.made_at,
        )
        return Secret(revision, value.plaintext)

    def _region(self, ref: Ref) -> str:
        return ref.arn.region if ref.arn else self._identity.region

    def _describe_question(self, ref: Ref) -> Question[Description]:
        return Question(
            "secretsmanager", "DescribeSecret", self._region(ref), {"SecretId": ref.id}, str(ref), _read_description
        )

    def _value_question(self, ref: Ref) -> Question[Value]:
        return Question(
            service="secretsmanager",
            operation="GetSecretValue",
            region=self._region(ref),
            parameters={"SecretId": ref.id, **_picked(ref)},
            about=str(ref),
            read=_read_value,
            plaintexts=1,
        )

    def _batch_question(self, refs: Sequence[Ref]) -> Question[Batch]:
        return Question(
            service="secretsmanager",
            operation="BatchGetSecretValue",
            region=self._identity.region,
            parameters={"SecretIdList": [ref.id for ref in refs]},
            about=f"a request for {len(refs)} secrets",  # which ones is nothing for those who may read one of them
            read=_read_batch,
            plaintexts=len(refs),
        )


def _picked(ref: Ref) -> dict[str, str]:
    if ref.selector is None:
        return {}
    return {"VersionId" if ref.selector.pick is Pick.VERSION_ID else "VersionStage": ref.selector.value}


def _read_description(answer: Answer) -> Description:
    stages = answer.nested("VersionIdsToStages")  # a secret that never had a value has none
    return Description(
        name=answer.text("Name"),
        arn=answer.text("ARN"),
        deleting=answer.has("DeletedDate"),
        stages={version: stages.texts(version) for version in stages.fields},
        rotates_at=answer.optional_moment("NextRotationDate"),
    )


def _read_value(answer: Answer) -> Value:
    answer.needs_one_of("SecretString", "SecretBinary")
    text = answer.optional_text("SecretString")
    return Value(
        name=answer.text("Name"),
        arn=answer.text("ARN"),
        version=answer.text("VersionId"),
        stages=answer.texts("VersionStages"),
        made_at=answer.optional_moment("CreatedDate"),
        plaintext=Plaintext(answer.blob("SecretBinary") if text is None else text.encode()),
    )


def _read_batch(answer: Answer) -> Batch:
    answer.needs_one_of("SecretValues", "Errors")
    return Batch(
        tuple(_read_value(item) for item in answer.items("SecretValues")),
        tuple(
            Refusal(item.text("SecretId"), item.text("ErrorCode"), item.optional_text("Message") or "")
            for item in answer.items("Errors")
        ),
    )
