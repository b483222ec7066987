"""Read Parameter Store: ten parameters a request, or everything below a path.

What a probe brings without decryption is a String's value, but a SecureString's version only.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sidecar.aws.answers import Answer
from sidecar.aws.each import answered, each
from sidecar.aws.errors import RoleRefused
from sidecar.aws.identities import Identity, Question
from sidecar.core.errors import Failure, NotFound, SecretError, Transient, Unintelligible, kept
from sidecar.core.ports import Gate
from sidecar.core.refs import Pick, Ref, SourceKind, Tree
from sidecar.core.secret import Plaintext, Revision, Secret, Version
from sidecar.telemetry import KmsReason, Metrics

if TYPE_CHECKING:
    from sidecar.aws.local import Opener  # at run time only where it is configured

PAGE: Final = 10  # the most that GetParameters and GetParametersByPath give
MOST_APART: Final = 4096  # refs remembered to spoil a batch: far more than are declared, a bound on what callers ask


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter as Parameter Store told it; `value` is ciphertext if it is secure and was not decrypted."""

    name: str
    arn: str
    secure: bool
    value: str
    version: int
    modified_at: float
    selector: str  # by which it was asked for, "" for the newest

    def __repr__(self) -> str:
        """Hide the value."""
        return f"Parameter({self.arn})"

    @property
    def identity(self) -> Version:
        """Tell this revision from every other: a number comes again when a parameter is deleted and made anew."""
        return Version(f"{self.version}@{round(self.modified_at * 1000)}")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a tree."""

    parameters: tuple[Parameter, ...]
    next_token: str | None


@dataclass(frozen=True, slots=True)
class Batch:
    """What one GetParameters brought."""

    parameters: tuple[Parameter, ...]  # in any order
    unknown: frozenset[str]

    def find(self, ref: Ref) -> Parameter | Failure:
        """Give the answer for one of the refs that were asked for."""
        selector = ref.selector.value if ref.selector else ""
        for parameter in self.parameters:
            if ref.id in {parameter.name, parameter.arn} and parameter.selector == selector:
                return parameter
        if not self.unknown & {asked_name(ref), ref.id}:
            return Unintelligible(f"{ref}: the answer left it out")
        what = "such version or label of it" if ref.selector else "such parameter"
        return NotFound(f"{ref}: AWS knows no {what}")


class ParameterStore:
    """Parameters as one identity sees them, decrypted by AWS or by ourselves."""

    batch = PAGE

    def __init__(
        self, identity: Identity, opener: "Opener | None", metrics: Metrics, *, most_apart: int = MOST_APART
    ) -> None:
        """Take as whom to ask, who opens SecureStrings (None: AWS does), and where KMS's work is counted."""
        self._identity = identity
        self._opener = opener
        self._metrics = metrics
        self._most_apart = most_apart
        self._apart: set[Ref] = set()  # each made AWS refuse a whole batch: asked alone until it does so no more

    async def probe(self, refs: Sequence[Ref], gate: Gate) -> dict[Ref, Revision | Secret | Failure]:
        """Do what `Source.probe` promises: ten refs a request, one more for each that would spoil the batch."""
        found = await self._get(refs, gate, decrypted=False)
        return {
            ref: await answered(self._told(ref, answer, gate)) if isinstance(answer, Parameter) else answer
            for ref, answer in found.items()
        }

    async def fetch(self, refs: Sequence[Ref], gate: Gate) -> dict[Ref, Secret | Failure]:
        """Do what `Source.fetch` promises."""
        found = await self._get(refs, gate, decrypted=self._opener is None)
        parameters = {ref: answer for ref, answer in found.items() if isinstance(answer, Parameter)}
        failures = {ref: answer for ref, answer in found.items() if not isinstance(answer, Parameter)}
        return await self._open_all(parameters, gate) | failures

    async def probe_tree(self, tree: Tree, gate: Gate) -> AsyncIterator[Mapping[Ref, Revision | Secret]]:
        """Do what `TreeSource.probe_tree` promises."""
        async for page in self._pages(tree, gate, decrypted=False):
            yield {ref: await self._told(ref, parameter, gate) for ref, parameter in page.items()}

    async def fetch_tree(self, tree: Tree, gate: Gate) -> AsyncIterator[Mapping[Ref, Secret]]:
        """Do what `TreeSource.fetch_tree` promises."""
        async for page in self._pages(tree, gate, decrypted=self._opener is None):
            opened = await self._open_all(page, gate)
            yield {ref: _or_raise(answer) for ref, answer in opened.items()}

    async def _get(self, refs: Sequence[Ref], gate: Gate, *, decrypted: bool) -> dict[Ref, Parameter | Failure]:
        found: dict[Ref, Parameter | Failure] = {}
        for region, group in self._groups(refs):
            found |= await self._get_group(region, group, gate, decrypted=decrypted)
        return found

    def _groups(self, refs: Sequence[Ref]) -> Iterator[tuple[str, list[Ref]]]:
        """Part the refs into those that one request can ask for together."""
        together: dict[str, list[Ref]] = {}
        for ref in refs:
            region = ref.arn.region if ref.arn else self._identity.region
            if ref in self._apart:
                yield region, [ref]
            else:
                together.setdefault(region, []).append(ref)
        yield from together.items()

    async def _get_group(
        self, region: str, refs: list[Ref], gate: Gate, *, decrypted: bool
    ) -> dict[Ref, Parameter | Failure]:
        """Ask for all together; when AWS refuses, ask for each half, down to the one that it refuses."""
        try:
            batch = await self._identity.ask(batch_question(refs, region, decrypted=decrypted), gate)
        except (Transient, RoleRefused) as failure:
            return dict.fromkeys(refs, kept(failure))
        except SecretError as failure:
            if len(refs) == 1:
                self._set_apart(refs[0])
                return {refs[0]: kept(failure)}
            middle = len(refs) // 2
            first = await self._get_group(region, refs[:middle], gate, decrypted=decrypted)
            return first | await self._get_group(region, refs[middle:], gate, decrypted=decrypted)
        self._apart.difference_update(refs)
        self._count(batch.parameters, decrypted=decrypted)
        return {ref: batch.find(ref) for ref in refs}

    def _set_apart(self, ref: Ref) -> None:
        if len(self._apart) >= self._most_apart:
            self._apart.clear()
        self._apart.add(ref)

    def _count(self, parameters: Sequence[Parameter], *, decrypted: bool) -> None:
        if decrypted:
            self._metrics.kms_charged(KmsReason.SSM, sum(parameter.secure for parameter in parameters))

    async def _pages(self, tree: Tree, gate: Gate, *, decrypted: bool) -> AsyncIterator[dict[Ref, Parameter]]:
        token: str | None = None
        seen: set[str] = set()
        while True:
            question = page_question(tree, self._identity.region, token, decrypted=decrypted)
            page = await self._identity.ask(question, gate)
            self._count(page.parameters, decrypted=decrypted)
            yield {Ref(SourceKind.SSM, found.name, identity=tree.identity): found for found in page.parameters}
            token = page.next_token  # an empty page may carry one all the same
            if token is None:
                return
            if token in seen:
                raise Unintelligible(f"{tree}: AWS gave the same page again, where the next was asked for")
            seen.add(token)

    async def _told(self, ref: Ref, parameter: Parameter, gate: Gate) -> Revision | Secret:
        """Give what an answer without decryption tells."""
        revision = await self._revision(ref, parameter, gate)
        return revision if parameter.secure else Secret(revision, Plaintext(parameter.value.encode()))

    async def _open_all(self, parameters: Mapping[Ref, Parameter], gate: Gate) -> dict[Ref, Secret | Failure]:
        return await each(tuple(parameters), lambda ref: self._open(ref, parameters[ref], gate))

    async def _open(self, ref: Ref, parameter: Parameter, gate: Gate) -> Secret:
        revision = await self._revision(ref, parameter, gate)
        if self._opener is None or not parameter.secure:
            return Secret(revision, Plaintext(parameter.value.encode()))
        return Secret(revision, await self._opener.open(ref, value=parameter.value, arn=parameter.arn, gate=gate))

    async def _revision(self, ref: Ref, parameter: Parameter, gate: Gate) -> Revision:
        region = ref.arn.region if ref.arn else self._identity.region
        return Revision(
            ref=await self._identity.named(ref, name=parameter.name, arn=parameter.arn, gate=gate),
            version=parameter.identity,
            region=region,
            labels=(ref.selector.value,) if ref.selector and ref.selector.pick is Pick.LABEL else (),
            modified_at=parameter.modified_at,
        )


def asked_name(ref: Ref) -> str:
    """Spell a ref as Parameter Store wants to be asked for it."""
    return f"{ref.id}:{ref.selector.value}" if ref.selector else ref.id


def batch_question(refs: Sequence[Ref], region: str, *, decrypted: bool) -> Question[Batch]:
    """Ask for some parameters."""
    return Question(
        service="ssm",
        operation="GetParameters",
        region=region,
        parameters={"Names": [asked_name(ref) for ref in refs], "WithDecryption": decrypted},
        # Which ones is nothing for those who may read one of them.
        about=str(refs[0]) if len(refs) == 1 else f"a request for {len(refs)} parameters",
        read=_read_batch,
        plaintexts=len(refs) if decrypted else 0,
    )


def page_question(tree: Tree, region: str, token: str | None, *, decrypted: bool) -> Question[Page]:
    """Ask for one page of a tree."""
    return Question(
        service="ssm",
        operation="GetParametersByPath",
        region=region,
        parameters={
            "Path": tree.path,
            "Recursive": True,
            "WithDecryption": decrypted,
            "MaxResults": PAGE,
            **({} if token is None else {"NextToken": token}),
        },
        about=str(tree),
        read=_read_page,
        plaintexts=PAGE if decrypted else 0,
    )


def _read_batch(answer: Answer) -> Batch:
    answer.needs_one_of("Parameters", "InvalidParameters")
    parameters = tuple(_read_parameter(item) for item in answer.items("Parameters"))
    return Batch(parameters, frozenset(answer.texts("InvalidParameters")))


def _read_page(answer: Answer) -> Page:
    answer.needs_one_of("Parameters")
    return Page(tuple(_read_parameter(item) for item in answer.items("Parameters")), answer.optional_text("NextToken"))


def _read_parameter(answer: Answer) -> Parameter:
    return Parameter(
        name=answer.text("Name"),
        arn=answer.text("ARN"),
        secure=answer.text("Type") == "SecureString",
        value=answer.text("Value"),
        version=answer.number("Version"),
        modified_at=answer.moment("LastModifiedDate"),
        selector=(answer.optional_text("Selector") or "").removeprefix(":"),
    )


def _or_raise(answer: Secret | Failure) -> Secret:
    if isinstance(answer, Secret):
        return answer
    raise answer
