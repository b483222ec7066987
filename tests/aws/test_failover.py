from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from sidecar.aws import Aws
from sidecar.aws.failover import Failover, Replica
from sidecar.core.config.models import IdentitySpec
from sidecar.core.errors import AccessDenied, Failure, NotFound, Unreachable
from sidecar.core.ports import Gate, Route
from sidecar.core.refs import Pick, Ref, Selector, SourceKind
from sidecar.core.secret import Plaintext, Revision, Secret, Version
from sidecar.telemetry import Metrics
from tests.aws.conformance import revision, value
from tests.aws.gates import OpenGate
from tests.aws_fixtures import AwsAccount

DB, KEY = Ref(SourceKind.SM, "app/db"), Ref(SourceKind.SM, "app/key")


@dataclass
class Place:
    """One region: what it answers, and what it was asked."""

    region: str
    identity: str
    failure: Failure | None = None
    failures: dict[str, Failure] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # other ids under which it answers
    asked: list[list[Ref]] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)
    batch: int = 20

    def _answers(self, refs: Sequence[Ref], gate: Gate) -> dict[Ref, Secret | Failure]:
        self.asked.append(list(refs))
        self.gates.append(gate)
        return {ref: self.failures.get(ref.id) or self.failure or self._secret(ref) for ref in refs}

    def _secret(self, ref: Ref) -> Secret:
        named = Ref(ref.source, self.names.get(ref.id, ref.id), ref.selector, identity=ref.identity)
        return Secret(Revision(named, Version("1"), self.region), Plaintext(self.region.encode()))

    async def probe(self, refs: Sequence[Ref], gate: Gate) -> Mapping[Ref, Revision | Secret | Failure]:
        """Answer with versions."""
        answers = self._answers(refs, gate)
        return {ref: answer.revision if isinstance(answer, Secret) else answer for ref, answer in answers.items()}

    async def fetch(self, refs: Sequence[Ref], gate: Gate) -> Mapping[Ref, Secret | Failure]:
        """Answer with values."""
        return self._answers(refs, gate)


@dataclass
class StrictGate(OpenGate):
    """A gate whose once() is another gate, so that a test can tell them apart."""

    single: OpenGate = field(default_factory=OpenGate)

    def once(self) -> Gate:
        """Give the other one."""
        return self.single


@pytest.fixture
def first() -> Place:
    """Give the usual place."""
    return Place("eu-west-1", "default")


@pytest.fixture
def second() -> Place:
    """Give the place to turn to."""
    return Place("us-west-2", "dr")


@pytest.fixture
def third() -> Place:
    """Give the last resort."""
    return Place("us-east-1", "far", batch=10)


@pytest.fixture
def places(first: Place, second: Place, third: Place) -> Failover:
    """Give all three as one source."""
    return Failover(first, [Replica(place.identity, place.region, place) for place in (second, third)])


async def test_asks_only_the_first_while_it_answers(places: Failover, second: Place, gate: OpenGate) -> None:
    """No replica is asked for what the first place gave or refused."""
    answers = await places.fetch([DB], gate)
    assert revision(answers[DB]).region == "eu-west-1"
    assert second.asked == []


@pytest.mark.parametrize("answer", [NotFound("gone"), AccessDenied("no")])
async def test_what_aws_has_answered_it_has_answered(
    places: Failover, first: Place, second: Place, gate: OpenGate, answer: Failure
) -> None:
    """A definitive failure is no reason to ask elsewhere."""
    first.failure = answer
    assert (await places.probe([DB], gate))[DB] is answer
    assert second.asked == []


async def test_turns_to_the_next_for_what_is_open(
    places: Failover, first: Place, second: Place, gate: OpenGate
) -> None:
    """Only refs without an answer go on, as the next identity's; the answer has the first's ref and its own region."""
    first.failures["app/db"] = Unreachable("away")
    answers = await places.fetch([DB, KEY], gate)
    assert second.asked == [[Ref(SourceKind.SM, "app/db", identity="dr")]]
    assert {ref: (value(answer), revision(answer).ref) for ref, answer in answers.items()} == {
        DB: (b"us-west-2", DB),
        KEY: (b"eu-west-1", KEY),
    }
    probed = await places.probe([DB], gate)
    assert (revision(probed[DB]).ref, revision(probed[DB]).region) == (DB, "us-west-2")


async def test_goes_down_the_list(places: Failover, first: Place, second: Place, third: Place, gate: OpenGate) -> None:
    """The third is asked when the second is away too; when all are, the first's failure is the answer."""
    first.failure, second.failure = Unreachable("first away"), Unreachable("second away")
    assert value((await places.fetch([DB], gate))[DB]) == b"us-east-1"
    third.failure = Unreachable("third away")
    assert (await places.fetch([DB], gate))[DB] is first.failure


async def test_a_replicas_refusal_says_nothing(places: Failover, first: Place, second: Place, gate: OpenGate) -> None:
    """That a value is not replicated does not mean that it is gone: the next place is asked."""
    first.failure, second.failure = Unreachable("away"), NotFound("never replicated")
    assert value((await places.fetch([DB], gate))[DB]) == b"us-east-1"


async def test_goes_back_to_the_first(places: Failover, first: Place, gate: OpenGate) -> None:
    """As soon as the first place answers, it is used again; the log tells of the turn once an outage."""
    with capture_logs() as logs:
        for failure in (Unreachable("away"), Unreachable("still away"), None, Unreachable("again")):
            first.failure = failure
            answers = await places.fetch([DB], gate)
            assert value(answers[DB]) == (b"us-west-2" if failure else b"eu-west-1")
    assert [(line["event"], line["region"]) for line in logs] == [("failed_over", "us-west-2")] * 2


async def test_only_the_last_place_is_tried_again(places: Failover, first: Place, second: Place, third: Place) -> None:
    """Where there is another place to ask, a request is sent once; only the last has retries."""
    first.failure = second.failure = Unreachable("away")
    gate = StrictGate()
    await places.fetch([DB], gate)
    assert [place.gates[0] for place in (first, second, third)] == [gate.single, gate.single, gate]


def test_takes_the_smallest_batch(places: Failover) -> None:
    """A batch must fit every place that it may go to."""
    assert places.batch == 10


HERE = "arn:aws:secretsmanager:eu-west-1:222222222222:secret:app/db-AbCdEf"
THERE = "arn:aws:secretsmanager:us-west-2:222222222222:secret:app/db-AbCdEf"


@pytest.mark.parametrize(
    ("asked", "sent", "named", "told"),
    [
        (HERE, THERE, THERE, HERE),  # another account's secret: the ARN's region is the place's
        (HERE[:-7], THERE[:-7], THERE, HERE),  # a partial ARN becomes whole
        (HERE, THERE, "app/db", HERE),  # the replica's identity is at home in that account
        ("app/db", "app/db", THERE, "app/db"),  # and the other way round
    ],
)
async def test_arns_are_translated_there_and_back(  # noqa: PLR0913, PLR0917 -- a row of the table and its fixtures
    first: Place, second: Place, gate: OpenGate, asked: str, sent: str, named: str, told: str
) -> None:
    """A replica is asked with its own region's ARN, and answers with the first place's."""
    first.failure, second.names = Unreachable("away"), {sent: named}
    pinned = Selector(Pick.STAGE, "AWSPREVIOUS")
    ref = Ref(SourceKind.SM, asked, pinned)
    answers = await Failover(first, [Replica("dr", "us-west-2", second)]).fetch([ref], gate)
    assert second.asked == [[Ref(SourceKind.SM, sent, pinned, identity="dr")]]
    assert revision(answers[ref]).ref == Ref(SourceKind.SM, told, pinned)


async def test_a_region_is_away(aws: AwsAccount, metrics: Metrics, gate: OpenGate) -> None:
    """With AWS down in the first region, the replica's value and version are served, then the first's again."""
    secrets = aws.client("secretsmanager")
    made = secrets.create_secret(Name="app/db", SecretString="same", AddReplicaRegions=[{"Region": "us-west-2"}])
    identities = {
        "default": IdentitySpec(region="eu-west-1", endpoint_url=aws.url),
        "dr": IdentitySpec(region="us-west-2", endpoint_url=aws.url),
    }
    async with Aws(identities, {SourceKind.SM: ("default", "dr")}, metrics) as room:
        source = room.source(Route(SourceKind.SM, "default"))
        aws.fake.fault("outage", region="eu-west-1")
        away = (await source.fetch([DB], gate))[DB]
        assert (value(away), revision(away).version) == (b"same", made["VersionId"])
        assert (revision(away).ref, revision(away).region) == (DB, "us-west-2")
        aws.fake.clear()
        assert revision((await source.probe([DB], gate))[DB]).region == "eu-west-1"
