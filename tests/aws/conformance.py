"""What every source promises, whatever it reads from and whichever AWS answers.

A class for each source names the ways to plant and remove values; a class for each fake names its account and gaps.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import pytest

from sidecar.aws import Aws
from sidecar.core.errors import Failure, NotFound
from sidecar.core.ports import Route, Source
from sidecar.core.refs import Pick, Ref, Selector, SourceKind
from sidecar.core.secret import Revision, Secret
from tests.aws.gates import OpenGate
from tests.aws_fixtures import AwsAccount


def version(answer: Revision | Secret | Failure) -> str:
    """Give the version of an answer that has one."""
    assert isinstance(answer, Revision | Secret), answer
    return answer.version if isinstance(answer, Revision) else answer.revision.version


def value(answer: Revision | Secret | Failure) -> bytes:
    """Give the plaintext of an answer that must be a secret."""
    assert isinstance(answer, Secret), answer
    return answer.plaintext.reveal()


def revision(answer: Revision | Secret | Failure) -> Revision:
    """Give what is told beside the plaintext."""
    assert isinstance(answer, Revision | Secret), answer
    return answer if isinstance(answer, Revision) else answer.revision


class SourceConformance(ABC):
    """Promises of the port, many small ones."""

    kind: ClassVar[SourceKind]
    gaps: ClassVar[Mapping[str, str]] = {}  # test -> why this fake cannot show it
    ghost: ClassVar[Selector]  # picks a version that no value has

    @abstractmethod
    def put(self, account: AwsAccount, name: str, value: str) -> Ref:
        """Store a new version of a value, made where there is none."""

    @abstractmethod
    def remove(self, account: AwsAccount, name: str) -> None:
        """Delete a value for good."""

    @abstractmethod
    def arn(self, account: AwsAccount, name: str) -> str:
        """Give the full ARN of a value."""

    def ref(self, account: AwsAccount, name: str) -> Ref:  # noqa: ARG002 -- one that lies in a place of the account's
        """Refer to a value by its name."""
        return Ref(self.kind, name)

    def by_arn(self, account: AwsAccount, name: str) -> Ref:
        """Refer to a value by its ARN."""
        return Ref(self.kind, self.arn(account, name))

    @pytest.fixture(autouse=True)
    def known_gaps(self, request: pytest.FixtureRequest) -> None:
        """Skip what this fake is known not to have, and say why."""
        if reason := self.gaps.get(request.node.originalname):
            pytest.skip(reason)

    @pytest.fixture
    def source(self, room: Aws) -> Source:
        """Give the source under test."""
        return room.source(Route(self.kind, "default"))

    async def test_fetches_what_was_stored(self, source: Source, account: AwsAccount, gate: OpenGate) -> None:
        """A fetch brings the very bytes, also beyond ASCII."""
        ref = self.put(account, "/app/db", "påsswörd\n€")
        assert value((await source.fetch([ref], gate))[ref]) == "påsswörd\n€".encode()

    async def test_answers_every_ref_of_a_full_batch(self, source: Source, account: AwsAccount, gate: OpenGate) -> None:
        """As many refs as a batch takes are answered each with its own value."""
        refs = [self.put(account, f"/app/{number}", f"value {number}") for number in range(source.batch)]
        fetched = await source.fetch(refs, gate)
        assert {ref: value(fetched[ref]) for ref in refs} == {ref: f"value {n}".encode() for n, ref in enumerate(refs)}
        assert set(await source.probe(refs, gate)) == set(refs)

    async def test_asks_nothing_for_nothing(self, source: Source, gate: OpenGate) -> None:
        """No refs, no requests, no answers."""
        assert await source.probe([], gate) == {}
        assert await source.fetch([], gate) == {}
        assert gate.calls == []

    async def test_does_not_find_what_is_not_there(self, source: Source, account: AwsAccount, gate: OpenGate) -> None:
        """An unknown name is NotFound in both verbs, and the message names it."""
        self.put(account, "/app/other", "here")
        ref = self.ref(account, "/app/nothing")
        for answers in (await source.probe([ref], gate), await source.fetch([ref], gate)):
            assert isinstance(answers[ref], NotFound)
            assert str(ref) in str(answers[ref])

    async def test_a_bad_ref_leaves_its_neighbours_alone(
        self, source: Source, account: AwsAccount, gate: OpenGate
    ) -> None:
        """Beside an unknown name the others are answered as ever."""
        good, bad = self.put(account, "/app/good", "good"), self.ref(account, "/app/bad")
        fetched = await source.fetch([bad, good], gate)
        assert value(fetched[good]) == b"good"
        assert isinstance(fetched[bad], NotFound)
        probed = await source.probe([bad, good], gate)
        assert version(probed[good]) == version(fetched[good])
        assert isinstance(probed[bad], NotFound)

    async def test_probe_and_fetch_agree(self, source: Source, account: AwsAccount, gate: OpenGate) -> None:
        """The version that a probe tells is the one that a fetch brings, each time the same."""
        ref = self.put(account, "/app/db", "same")
        first = version((await source.probe([ref], gate))[ref])
        assert version((await source.fetch([ref], gate))[ref]) == first
        assert version((await source.probe([ref], gate))[ref]) == first

    async def test_a_change_is_another_version(self, source: Source, account: AwsAccount, gate: OpenGate) -> None:
        """After a new value was stored, probe and fetch tell the same, other version."""
        ref = self.put(account, "/app/db", "old")
        before = version((await source.probe([ref], gate))[ref])
        self.put(account, "/app/db", "new")
        after = version((await source.probe([ref], gate))[ref])
        fetched = (await source.fetch([ref], gate))[ref]
        assert (value(fetched), version(fetched)) == (b"new", after)
        assert after != before

    async def test_a_pinned_version_stays(self, source: Source, account: AwsAccount, gate: OpenGate) -> None:
        """A ref that picks a version by its id reads the same after a change."""
        ref = self.put(account, "/app/db", "old")
        pinned = self.pin(ref, version((await source.probe([ref], gate))[ref]))
        self.put(account, "/app/db", "new")
        fetched = await source.fetch([pinned, ref], gate)
        assert (value(fetched[pinned]), value(fetched[ref])) == (b"old", b"new")
        assert version((await source.probe([pinned], gate))[pinned]) == version(fetched[pinned])

    async def test_does_not_find_a_version_that_is_not_there(
        self, source: Source, account: AwsAccount, gate: OpenGate
    ) -> None:
        """A version that never was is NotFound, beside the value itself, which is there."""
        ref = self.put(account, "/app/db", "here")
        ghost = Ref(self.kind, ref.id, self.ghost)
        fetched = await source.fetch([ghost, ref], gate)
        assert isinstance(fetched[ghost], NotFound)
        assert value(fetched[ref]) == b"here"

    async def test_a_deleted_value_is_not_found(self, source: Source, account: AwsAccount, gate: OpenGate) -> None:
        """After deletion probe and fetch both say NotFound."""
        ref = self.put(account, "/app/db", "gone soon")
        self.remove(account, "/app/db")
        assert isinstance((await source.probe([ref], gate))[ref], NotFound)
        assert isinstance((await source.fetch([ref], gate))[ref], NotFound)

    async def test_a_value_made_anew_is_another_version(
        self, source: Source, account: AwsAccount, gate: OpenGate
    ) -> None:
        """A value that was deleted and made again is not taken for the old one, though numbers begin anew."""
        ref = self.put(account, "/app/db", "first life")
        before = version((await source.probe([ref], gate))[ref])
        self.remove(account, "/app/db")
        self.put(account, "/app/db", "second life")
        fetched = (await source.fetch([ref], gate))[ref]
        assert value(fetched) == b"second life"
        assert version(fetched) != before

    async def test_name_and_arn_are_one_value(self, source: Source, account: AwsAccount, gate: OpenGate) -> None:
        """Asked for by ARN, a value of one's own comes under the ref of its name, with the same version."""
        ref = self.put(account, "/app/db", "one")
        by_arn = self.by_arn(account, "/app/db")
        fetched = await source.fetch([by_arn, ref], gate)
        probed = await source.probe([by_arn, ref], gate)
        assert {revision(answer).ref for answer in (*fetched.values(), *probed.values())} == {ref}
        assert len({version(answer) for answer in (*fetched.values(), *probed.values())}) == 1

    async def test_tells_where_it_came_from(self, source: Source, account: AwsAccount, gate: OpenGate) -> None:
        """Every answer names its region, and every request its quotas' account and region."""
        ref = self.put(account, "/app/db", "here")
        assert revision((await source.probe([ref], gate))[ref]).region == account.region
        assert revision((await source.fetch([ref], gate))[ref]).region == account.region
        await source.fetch([ref], gate)  # whose account it is may be learnt by the first
        assert {call.scope.region for call in gate.calls} == {account.region}
        assert gate.calls[-1].scope.account == account.id

    def pin(self, ref: Ref, told: str) -> Ref:
        """Pick this version for ever."""
        pick = Pick.VERSION if self.kind is SourceKind.SSM else Pick.VERSION_ID
        return Ref(self.kind, ref.id, Selector(pick, told.split("@", maxsplit=1)[0]))
