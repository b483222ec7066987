"""Keep all files that the configuration names, each by a task of its own, through reloads.

Imported only where there are files. Must not know how one is made or written.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sidecar.core.config.models import Config, FileSpec
from sidecar.core.config.rules import Accounts
from sidecar.core.errors import ConfigError, Problem
from sidecar.core.files import FileReading
from sidecar.core.settling import Settling
from sidecar.outputs.contents import Make, prepare
from sidecar.outputs.delivery import Around, Delivery
from sidecar.outputs.failures import Unwritten
from sidecar.outputs.folders import Ownership, open_folder
from sidecar.outputs.hooks import hook_of
from sidecar.outputs.places import SingleFile, Site, TreeFolder
from sidecar.outputs.writing import Writer


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file that has no mistakes, and what makes its content."""

    spec: FileSpec
    make: Make


@dataclass(slots=True)
class Files:
    """All files."""

    around: Around
    accounts: Accounts
    tasks: asyncio.TaskGroup
    _kept: list[tuple[Delivery, asyncio.Task[None]]] = field(default_factory=list)

    async def adopt(self, prepared: Sequence[Prepared]) -> None:
        """Keep exactly these from now on. What is no longer among them stays where it is, as it is."""
        ending = [task for _, task in self._kept]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)
        self._kept = [self._keep(each.spec, each.make) for each in prepared]

    def readings(self) -> Iterable[FileReading]:
        """Say how each stands."""
        return [delivery.reading() for delivery, _ in self._kept]

    def _keep(self, spec: FileSpec, make: Make) -> tuple[Delivery, asyncio.Task[None]]:
        hook = hook_of(spec.on_change, self.around.values, self.around.wall) if spec.on_change else None
        writer, settling = Writer(site_of(spec, self.accounts)), Settling(spec.wait)
        delivery = Delivery(spec.path, make, writer, hook, settling, self.around)
        return delivery, self.tasks.create_task(delivery.run(), name=f"file {spec.path}")


def site_of(spec: FileSpec, accounts: Accounts) -> Site:
    """Say where a file goes, and whose it will be."""
    path = Path(spec.path)
    uid, gid = _number(spec.owner, accounts.uid), _number(spec.group, accounts.gid)
    place = TreeFolder if spec.tree is not None else SingleFile
    return Site(path.parent, place(path.name, Ownership(spec.mode, uid, gid)), spec.allow_disk)


def prepare_files(config: Config) -> list[Prepared]:
    """Read templates and look at folders; raises ConfigError with every mistake, and every file on a disk."""
    makes, problems = prepare(config)
    problems += _misplaced(config)
    if problems:
        raise ConfigError(problems)
    return [Prepared(spec, makes[spec.path]) for spec in config.files]


def _misplaced(config: Config) -> Iterator[Problem]:
    for index, spec in enumerate(config.files):
        folder = Path(spec.path).parent
        if spec.allow_disk or not folder.is_dir():
            continue  # one that is not there may be mounted later: it is looked at again when something is written
        try:
            with open_folder(folder, allow_disk=False):
                pass
        except Unwritten as failure:
            yield Problem("", f"files.{index}.path", f"{failure}. {failure.mend}")


def _number(account: int | str | None, look_up: Callable[[str], int | None]) -> int:
    """Give the number of a user or group; those that are named exist, the configuration's rules have seen to it."""
    if account is None:
        return -1
    found = account if isinstance(account, int) else look_up(account)
    return -1 if found is None else found
