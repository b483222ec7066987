"""Serve a whole engine over a real Unix socket, and speak HTTP to it byte by byte."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from sidecar.api.patience import Patience
from sidecar.api.permits import Permits
from sidecar.api.server import Interface
from sidecar.api.services import Kms, Services
from sidecar.api.sockets import UnixListener, bind_tcp, bind_unix
from sidecar.core.access import Access, Declared, Globs, Rule
from sidecar.core.config.models import Cache
from sidecar.core.config.units import Address
from sidecar.core.errors import ConfigError, Failure, Problem
from sidecar.core.ports import Gate, KeyService
from sidecar.core.refs import Ref
from sidecar.core.secret import Revision, Secret
from tests.engine.fakes import FakeSource, ssm
from tests.engine.world import SSM, Laboratory, laboratory

BOOT = "b00t"
DB = ssm("/prod/db")
API = ssm("/prod/api")
JSON_DB = b'{"user": "app", "password": "canary-1"}'


def no_region() -> NoReturn:
    """Know no region in which KMS could be asked."""
    raise ConfigError([Problem("", "identities.default.region", "want a region")])


async def no_key(_key_id: str, _keys: KeyService, _gate: Gate) -> NoReturn:
    """Know no public key either."""
    no_region()


NO_KMS = Kms(no_region, no_region, no_key)


async def as_spelt(ref: Ref, _deadline: float) -> Ref:
    """Know no account: a reference stays as it was asked."""
    return ref


@dataclass(frozen=True)
class Response:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    version: str

    @property
    def json(self) -> Any:  # noqa: ANN401 -- JSON answers are read as they come
        """Read the body."""
        return json.loads(self.body)


@dataclass
class HeldSource(FakeSource):
    """A source that answers only once it is let."""

    let: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def fetch(self, refs: Sequence[Ref], gate: Gate) -> Mapping[Ref, Secret | Failure]:
        """Wait, then answer."""
        self.asked.set()
        await self.let.wait()
        return await super().fetch(refs, gate)

    async def probe(self, refs: Sequence[Ref], gate: Gate) -> Mapping[Ref, Revision | Secret | Failure]:
        """Wait, then answer."""
        self.asked.set()
        await self.let.wait()
        return await super().probe(refs, gate)


@dataclass
class SeenPatience(Patience):
    """Patience that tells a test when a request has begun to wait, and when an idle one has left."""

    begun: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    left: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    def hurry(self) -> None:
        """End all waits at once, as though the grace were over."""
        now = asyncio.get_running_loop().time()
        for timeout in (*self._idle, *self._busy):
            timeout.reschedule(now)

    @asynccontextmanager
    async def idle(self, deadline: float | None = None) -> AsyncIterator[None]:
        """Tell, then wait."""
        async with super().idle(deadline):
            self.begun.release()
            try:
                yield
            finally:
                self.left.release()

    @asynccontextmanager
    async def busy(self, deadline: float) -> AsyncIterator[None]:
        """Tell, then wait."""
        async with super().busy(deadline):
            self.begun.release()
            yield


@dataclass
class Served:
    """A daemon's interface and what stands behind it."""

    lab: Laboratory
    services: Services
    interface: Interface
    patience: SeenPatience
    path: str
    ops: tuple[str, int]

    @property
    def source(self) -> FakeSource:
        """Give the source of plain ssm refs."""
        return self.lab.source

    async def waiting(self, requests: int = 1) -> None:
        """Come back once so many more requests wait, for AWS or for something to happen."""
        for _ in range(requests):
            await self.patience.begun.acquire()

    async def hold(self, ref: Ref = DB) -> None:
        """Have a declared value fetched."""
        entry = self.lab.entry(ref)
        await self.services.engine.resolver.get(entry, asyncio.get_running_loop().time() + 10)

    def change(self, ref: Ref, value: bytes, version: str) -> None:
        """Make another version current and settle it, as a check does."""
        self.source.put(ref, value, version)
        self.services.engine.store.settle(ref, self.source.values[ref])

    def permit(self, *rules: Rule, on_demand: Sequence[str] = ("*",)) -> None:
        """Keep to these rules from now on, as after a reload."""
        declared = Declared({each.name: each.ref for each in self.services.engine.catalogue}, {})
        self.services.permits = Permits(Access(rules), declared, Globs(on_demand))

    async def get(self, target: str, **headers: str) -> Response:
        """Ask with GET; underscores in a header's name stand for dashes."""
        return await self.ask("GET", target, content=b"", **headers)

    async def ask(self, method: str, target: str, *, content: bytes = b"", **headers: str) -> Response:
        """Ask on a connection of its own."""
        lines = [f"{method} {target} HTTP/1.1", "Host: sidecar", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if content:
            lines.append(f"Content-Length: {len(content)}")
        return parse(await self.raw("\r\n".join([*lines, "", ""]).encode() + content), method)

    async def post(self, target: str, body: object) -> Response:
        """Ask with POST and a JSON body."""
        return await self.ask("POST", target, content=json.dumps(body).encode())

    async def raw(self, data: bytes) -> bytes:
        """Send bytes, give what comes back until the other side closes."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        writer.write(data)
        answer = await reader.read()
        writer.close()
        return answer

    @asynccontextmanager
    async def open(self, target: str, **headers: str) -> AsyncIterator[asyncio.StreamReader]:
        """Open a stream and give it behind its headers; by HTTP/1.0, so that nothing is chunked."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([f"GET {target} HTTP/1.0", *lines, "", ""]).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.0 200"), head
        yield reader
        writer.close()


def parse(answer: bytes, method: str = "GET") -> Response:
    """Take an answer apart, and check that its length is what it says."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status_line, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if method != "HEAD" and "content-length" in headers:
        assert int(headers["content-length"]) == len(body)
    version, status, *_ = status_line.split()
    return Response(int(status), headers, body, version)


def open_listener(directory: str) -> UnixListener:
    """Bind a socket that every user may connect to."""
    Path(directory).chmod(0o755)
    return bind_unix(f"{directory}/s", mode=0o666)


@asynccontextmanager
async def served(
    secrets: Mapping[str, Ref] | None = None,
    *,
    cache: Cache | None = None,
    source: FakeSource | None = None,
    polling: bool = False,
    kms: Kms = NO_KMS,
) -> AsyncIterator[Served]:
    """Serve until the block ends. The value of `db` is there in AWS, that of `api` too; nothing is held yet."""
    with tempfile.TemporaryDirectory(prefix="sidecar-") as directory:
        listener = open_listener(directory)
        async with laboratory(polling=polling) as lab:
            lab.sources.by_route[SSM] = source or FakeSource()
            lab.source.put(DB, JSON_DB)
            lab.source.put(API, b"canary-api")
            lab.declare(secrets or {"db": DB, "api": API}, cache=cache)
            permits = Permits(Access([]), Declared({}, {}), Globs(["*"]))
            patience = SeenPatience()
            services = Services(
                lab.engine,
                lab.guard,
                lab.metrics,
                permits,
                BOOT,
                lab.clock.wall(),
                as_spelt,
                kms=kms,
                patience=patience,
            )
            interface = Interface(services)
            ops = bind_tcp(Address("127.0.0.1", 0))
            one = Served(lab, services, interface, patience, listener.path, ops.getsockname())
            one.permit()
            await interface.serve_unix(listener)
            await interface.serve_ops(ops)
            try:
                yield one
            finally:
                await interface.drain()


@asynccontextmanager
async def in_memory() -> AsyncIterator[Services]:
    """Give what the routes work with, without sockets: for virtual time."""
    async with laboratory(polling=False) as lab:
        permits = Permits(Access([]), Declared({}, {}), Globs(["*"]))
        yield Services(lab.engine, lab.guard, lab.metrics, permits, BOOT, lab.clock.wall(), as_spelt)
