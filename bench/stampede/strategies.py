"""Name the ways of asking AWS that are compared."""

from dataclasses import dataclass
from typing import Final

from bench.stampede.apps import fixed_share, sdk_adaptive, sdk_standard
from bench.stampede.daemons import alone, leased
from bench.stampede.stampede import Prepare


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way, as the table calls it and the plot draws it."""

    name: str
    colour: str
    prepare: Prepare


# Colours that the colour-blind can tell apart (Okabe and Ito).
STRATEGIES: Final = (
    Strategy("botocore standard", "#d55e00", sdk_standard),
    Strategy("botocore adaptive", "#e69f00", sdk_adaptive),
    Strategy("fixed share of 10 %", "#999999", fixed_share),
    Strategy("sidecar alone", "#0072b2", alone),
    Strategy("sidecar fleet", "#009e73", leased),
)
