"""What is planned is what the real engine, guard and sources ask for, counted in virtual time."""

import random
from collections import Counter, defaultdict

import pytest

from sidecar.aws.sm import BATCH
from sidecar.aws.ssm import PAGE
from sidecar.core import schedule
from sidecar.core.config.models import Config
from sidecar.core.schedule import Schedule
from sidecar.engine.policies import Policies
from sidecar.planning.census import census
from sidecar.planning.flows import PARAMETERS, SECRETS, Flow, batches, flows
from tests.planning.configured import configured, secrets
from tests.planning.counted import REGION, count_hourly, count_start


def planned(config: Config, *, tree_size: int = 10) -> list[Flow]:
    """Plan one daemon."""
    return flows(census(config, lambda _: REGION), Policies(config.cache), tree_size=tree_size)


OFTEN = "cache: {refresh: 20s, revalidate: 5m}"
CONFIGURATIONS = {
    "parameters": f"secrets:\n{secrets('ssm:/p/', 100)}\n{OFTEN}",
    "a last batch with room": f"secrets:\n{secrets('ssm:/p/', 23)}\ncache: {{refresh: 20s}}",
    "two intervals": f"secrets:\n{secrets('ssm:/p/', 5, refresh='4s')}\n{secrets('ssm:/p/', 15, first=5)}\n{OFTEN}",
    "decrypted here": f"secrets:\n{secrets('ssm:/p/', 30, decrypt='local')}\n{OFTEN}",
    "ciphertexts": "secrets: {a: 'kms:AQIC', b: 'kms:AQID', c: 'kms:AQID?context=a=1'}\n" + OFTEN,
    "objects": f"secrets:\n{secrets('s3://bucket/k', 30)}\n{OFTEN}",
    "a customer's key": "secrets: {key: sm:key, a: 's3://bucket/a?sse_c=key', b: 's3://bucket/b'}\n" + OFTEN,
    "secrets": f"secrets:\n{secrets('sm:s/', 45)}\n{OFTEN}",
    "one too many for a batch": f"secrets:\n{secrets('sm:s/', 21)}\n{OFTEN}",
    "stages": "secrets: {a: sm:a?stage=AWSPREVIOUS, b: sm:b?stage=AWSPREVIOUS}\n" + OFTEN,
    "names of the same": "secrets: {a: sm:x#a, b: sm:x#b, c: {ref: sm:x, refresh: 10s}}\n" + OFTEN,
    "a tree": "trees: {app: ssm:/app/}\n" + OFTEN,
    "a tree decrypted here": "trees: {app: {ref: ssm:/app/, decrypt: local}}\n" + OFTEN,
}


@pytest.mark.looptime
@pytest.mark.parametrize("name", [name for name in CONFIGURATIONS if name != "ciphertexts"])  # too rare to be counted
async def test_hourly_requests_agree_with_the_engine(name: str) -> None:
    """Within a tenth, together and each operation that is more than a twentieth of them."""
    config = configured(CONFIGURATIONS[name])
    counted = await count_hourly(config, tree_size=25)
    hourly: defaultdict[str, float] = defaultdict(float)
    for flow in planned(config, tree_size=25):
        hourly[flow.operation] += flow.hourly
    assert sum(hourly.values()) == pytest.approx(sum(counted.values()), rel=0.1)
    for operation, each in hourly.items():
        if each > sum(hourly.values()) / 20:
            assert each == pytest.approx(counted[operation], rel=0.1), operation


@pytest.mark.looptime
@pytest.mark.parametrize("name", [name for name in CONFIGURATIONS if name != "stages"])
async def test_the_requests_of_a_start_agree_with_the_engine(name: str) -> None:
    """To hold everything once takes as many requests as planned, and no KMS on our behalf where it is ours."""
    config = configured(CONFIGURATIONS[name])
    start = Counter[str]()
    for flow in planned(config, tree_size=25):
        start[flow.operation] += int(flow.at_start)
    assert (await count_start(config, tree_size=25))[0] == +start


@pytest.mark.looptime
async def test_lengthened_intervals_agree_with_the_engine() -> None:
    """A budget's factor means the same to the plan and to the daemon."""
    config = configured(CONFIGURATIONS["secrets"])
    (described,) = [
        flow.hourly
        for flow in flows(census(config, lambda _: REGION), Policies(config.cache, 3.0), tree_size=0)
        if flow.operation == "DescribeSecret"
    ]
    counted = await count_hourly(config, stretch=3.0)
    assert described == pytest.approx(counted["DescribeSecret"], rel=0.1)


def simulated(counts: dict[float, int], *, hours: float = 6) -> float:
    """Let the daemon's own schedule run with seeded dice, and count its batches in a second."""
    dice, plan, sent = random.Random(3).random, Schedule[tuple[float, int]](), 0
    for interval, number in counts.items():
        for index in range(number):
            plan.put((interval, index), schedule.spread(interval, dice()))
    while (now := plan.earliest()) is not None and now < hours * 3600:
        taken, thrown = plan.take(now, PARAMETERS), dice()
        sent += now > 3600
        for key in taken:
            delay = schedule.jittered(key[0], thrown)
            plan.put(key, now + delay, slack=delay * schedule.COMPANY)
    return sent / (hours * 3600 - 3600)


@pytest.mark.parametrize(
    "counts",
    [
        {60.0: 100},
        {300.0: 15},
        {60.0: 5, 300.0: 5},
        {60.0: 5, 300.0: 15},
        {30.0: 3, 300.0: 20, 900.0: 7},
        {60.0: 12, 65.0: 12},
        {300.0: 1005},
        {10.0: 12, 30.0: 1, 900.0: 20},
    ],
)
def test_mixed_intervals_fill_each_others_batches(counts: dict[float, int]) -> None:
    """The formula gives what the schedule does, within 15 %."""
    assert batches(counts, PARAMETERS) == pytest.approx(simulated(counts), rel=0.15)


def test_batches_are_as_large_as_the_sources_make_them() -> None:
    """Planning knows the sizes without importing the SDK."""
    assert (PARAMETERS, SECRETS) == (PAGE, BATCH)
