import asyncio
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.stampede.loop import run
from bench.stampede.plot import PANELS, plot
from bench.stampede.stampede import Launch, Outcome, Scenario, Stampede, stampede
from bench.stampede.strategies import STRATEGIES, Strategy
from bench.stampede.table import cells, table

ROOT = Path(__file__).parents[2]
STANDARD, ADAPTIVE, FIXED, ALONE, FLEET = STRATEGIES

SMALL = Scenario(daemons=20, quota=20, strangers=4)
"""A thousand daemons under a quota of 1,000, at a fiftieth of the size: each has the same part of it."""


@pytest.fixture(scope="module")
def outcomes() -> Mapping[str, Outcome]:
    """Run the small stampede once by each strategy."""
    return {each.name: stampede(SMALL, each.prepare) for each in STRATEGIES}


class TestLoop:
    """Time jumps."""

    def test_an_hour_takes_no_time(self) -> None:
        """Timers are due in their order, at their times."""

        async def main() -> list[float]:
            loop, seen = asyncio.get_running_loop(), list[float]()
            for at in (3_600.0, 0.5, 2.0):
                loop.call_at(at, lambda: seen.append(loop.time()))
            await asyncio.sleep(3_601)
            return seen

        assert run(main()) == [0.5, 2.0, 3_600.0]

    def test_nothing_to_wait_for(self) -> None:
        """A program that would wait for ever is told so."""

        async def main() -> None:
            await asyncio.Event().wait()

        with pytest.raises(RuntimeError, match="everybody waits"):
            run(main())


class TestGoals:
    """What each strategy comes to, at the same part of a quota for each daemon as in the documented table."""

    def test_everybody_gets_everything(self, outcomes: Mapping[str, Outcome]) -> None:
        """Nobody goes without, and nobody is quicker than AWS and strangers' hurt allow."""
        for outcome in outcomes.values():
            assert outcome.missing == 0
            answered = outcome.ours.calls - outcome.ours.throttled  # some were due for their second check already
            assert SMALL.fetches <= answered <= 1.02 * SMALL.fetches
            assert outcome.seconds > (SMALL.fetches - SMALL.quota) / SMALL.quota

    def test_a_fleet_shares(self, outcomes: Mapping[str, Outcome]) -> None:
        """With leases it takes no more than 1.1 x the ideal time, less than 1 % is throttled, nothing fails."""
        fleet = outcomes[FLEET.name]
        assert fleet.ratio <= 1.1
        assert fleet.ours.share < 0.01
        assert fleet.failed == 0

    def test_alone_it_is_careful(self, outcomes: Mapping[str, Outcome]) -> None:
        """Without a store no more than 1.8 x the ideal time, at most 20 % are throttled, nothing fails."""
        alone = outcomes[ALONE.name]
        assert alone.ratio <= 1.8
        assert alone.ours.share <= 0.2
        assert alone.failed == 0

    @pytest.mark.parametrize("other", [STANDARD.name, ADAPTIVE.name, FIXED.name])
    def test_others_hurt(self, outcomes: Mapping[str, Outcome], other: str) -> None:
        """All others have more of their calls throttled, fail, and hurt strangers more."""
        alone = outcomes[ALONE.name]
        assert outcomes[other].ours.share > 1.5 * alone.ours.share
        assert outcomes[other].strangers.share > 2 * alone.strangers.share
        assert outcomes[other].failed > 0

    @pytest.mark.parametrize("strategy", [ALONE, FLEET], ids=lambda each: each.name)
    def test_one_alone_is_ready_at_once(self, strategy: Strategy) -> None:
        """One daemon with twenty secrets needs less than a second, and nothing is throttled."""
        outcome = stampede(Scenario(1), strategy.prepare)
        assert outcome.seconds < 1
        assert (outcome.ours.throttled, outcome.failed) == (0, 0)


class TestRepeatable:
    """Anyone gets the same table."""

    def test_same_seed_same_outcome(self, outcomes: Mapping[str, Outcome]) -> None:
        """To the last digit; another seed gives another one."""
        again = stampede(SMALL, ALONE.prepare)
        assert again == outcomes[ALONE.name]
        assert stampede(Scenario(20, quota=20, strangers=4, seed=6), ALONE.prepare) != again

    def test_the_command_prints_the_documented_rows(self) -> None:
        """Whatever Python makes of hashes: what docs/stampede.md says of one daemon and of ten is what comes out."""
        command = [sys.executable, "-m", "bench.stampede", "--daemons", "1", "--daemons", "10"]
        environ = {**os.environ, "PYTHONHASHSEED": "7"}
        printed = subprocess.run(command, env=environ, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        documented = [_squeezed(line) for line in (ROOT / "docs/stampede.md").read_text().splitlines()]
        rows = printed.splitlines()[2:]
        assert len(rows) == 2 * len(STRATEGIES)
        assert [row for row in rows if _squeezed(row) not in documented] == []


def _squeezed(line: str) -> str:
    return " ".join(line.split())


class TestTelling:
    """Outcomes as people see them."""

    def test_table(self, outcomes: Mapping[str, Outcome]) -> None:
        """A head, a rule, and a line for each; all of one width."""
        lines = table((each, outcomes[each.name]) for each in STRATEGIES).splitlines()
        assert len(lines) == 2 + len(STRATEGIES)
        assert len({len(line) for line in lines}) == 1
        fleet = outcomes[FLEET.name]
        assert _squeezed(lines[-1]).startswith(f"| 20 | sidecar fleet | {fleet.seconds:.2f} | {fleet.ratio:.2f} |")

    def test_called_off(self) -> None:
        """Who never gets everything is said to, and the stampede ends."""

        def prepare(_stampede: Stampede) -> Launch:
            return lambda: None

        outcome = stampede(Scenario(2, patience=10), prepare)
        assert (outcome.seconds, outcome.missing) == (10, 40)
        assert cells(ALONE, outcome)[2] == "never (40 missing)"

    def test_plot(self, outcomes: Mapping[str, Outcome]) -> None:
        """It is XML, with a line for each strategy in each panel, inside of the picture."""
        rows = [(each, outcomes[each.name]) for each in STRATEGIES]
        picture = ET.fromstring(plot(rows))
        lines = picture.findall(".//{*}polyline")
        assert len(lines) == len(PANELS) * len(STRATEGIES)
        width, height = (float(each) for each in picture.attrib["viewBox"].split()[2:])
        points = [point.split(",") for line in lines for point in line.attrib["points"].split()]
        assert all(0 < float(x) < width and 0 < float(y) < height for x, y in points)
