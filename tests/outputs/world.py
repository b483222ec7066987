"""Files in virtual time: a real engine with fake sources, and a file that is only remembered."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sidecar.core.config.models import Cache, SecretSpec, TreeSpec
from sidecar.core.refs import Ref, Tree
from sidecar.outputs.contents import ALONE, Content
from sidecar.outputs.failures import Unwritten
from sidecar.outputs.journal import Remembered, owes
from sidecar.outputs.values import Reading, Values, Versions, differing
from sidecar.outputs.writing import Put
from tests.engine.fakes import ssm
from tests.engine.world import Laboratory, laboratory

DB, API, LEAF = ssm("/db"), ssm("/api"), ssm("/app/leaf")
CACHE = Cache(refresh=1.0, min_refresh=1.0)


def declare(lab: Laboratory, **secrets: Ref | SecretSpec) -> None:
    """Keep these, checked each second, and the tree `app`."""
    lab.declare(secrets, {"app": TreeSpec(Tree("/app"))}, cache=CACHE)


@asynccontextmanager
async def values() -> AsyncIterator[tuple[Laboratory, Values]]:
    """Give an engine that polls, and all that it holds."""
    async with laboratory() as lab:
        yield lab, Values(lab.engine)


def reading(lab: Laboratory) -> Reading:
    """Look at what an engine holds."""
    return Reading(Values(lab.engine))


@dataclass
class Paper:
    """Stands in for a file system: one file, and what is remembered of it."""

    content: bytes | None = None
    remembered: Remembered | None = None
    writes: list[bytes] = field(default_factory=list)
    broken: Unwritten | None = None

    async def put(self, content: Content, versions: Versions, *, tells: bool) -> Put:
        """Write it down."""
        if self.broken:
            raise self.broken
        wanted, before = content[ALONE], self.remembered
        same, known = wanted == self.content, before.versions if before else {}
        owed = tells and owes(before, was_there=self.content is not None, same=same, versions=versions)
        self.writes += [] if same else [wanted]
        self.content, self.remembered = wanted, Remembered(known if owed else versions, owed)
        return Put(not same, owed, differing(known, versions))

    async def told(self, versions: Versions) -> None:
        """Owe nothing."""
        self.remembered = Remembered(versions)
