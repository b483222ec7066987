import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sidecar.api.sockets import Handed
from sidecar.systemd import (
    REJECTED,
    VARIABLES,
    BadHandoverError,
    Health,
    Systemd,
    read_address,
    read_sockets,
    read_watchdog,
    status_of,
    take_over,
)
from sidecar.telemetry import events

ME = str(os.getpid())


class Manager:
    """The other side: what systemd would hear."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(0)

    def heard(self) -> list[str]:
        """Give what has come since the last time, message by message."""
        messages: list[str] = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return messages

    def close(self) -> None:
        """Listen no longer."""
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """Listen at a path, and at a name that is none."""
    path = str(tmp_path / "notify")
    with closing(Manager(path if request.param == "path" else f"@sidecar-test-{os.getpid()}")) as manager:
        yield manager


def under(address: str, watchdog: float | None = None) -> Systemd:
    """Give the daemon's side, with a clock that stands still."""
    return Systemd(address, watchdog, Handed(), lambda: 12_345_678)


def health(*, healthy: bool = True, states: tuple[str, ...] = (), missing: tuple[str, ...] = ()) -> Health:
    """Say how a daemon stands."""
    return Health(lambda: healthy, lambda: states, lambda: ((name, "not_found") for name in missing))


Hand = Callable[..., AbstractContextManager[tuple[dict[str, str], int]]]


@pytest.fixture
def hand(tmp_path: Path) -> Hand:
    """Hand sockets of these families over as systemd does: by descriptors in a row."""

    @contextmanager
    def handing(*families: int, listen: bool = True, names: str = "") -> Iterator[tuple[dict[str, str], int]]:
        first = 700
        for number, family in enumerate(families):
            with socket.socket(family) as made:
                made.bind(str(tmp_path / str(number)) if family == socket.AF_UNIX else ("127.0.0.1", 0))
                if listen:
                    made.listen()
                os.dup2(made.fileno(), first + number)
        yield {"LISTEN_FDS": str(len(families)), "LISTEN_PID": ME, "LISTEN_FDNAMES": names}, first
        for number in range(len(families)):  # those that were refused are closed already
            with suppress(OSError):
                os.close(first + number)

    return handing


class TestTelling:
    """What systemd hears, in sd_notify(3)'s words."""

    def test_a_life(self, manager: Manager) -> None:
        """Ready, a reload with the clock's time, the end."""
        systemd = under(manager.address)
        systemd.ready()
        systemd.reloading()
        systemd.reloaded(is_adopted=True)
        systemd.stopping()
        assert manager.heard() == [
            "READY=1",
            "RELOADING=1\nMONOTONIC_USEC=12345678",
            "READY=1",
            "STOPPING=1\nSTATUS=draining",
        ]

    def test_nobody_who_wants_to_hear(self) -> None:
        """Where there is only a socket that was handed over, nothing is said, and nothing is amiss."""
        with capture_logs() as lines:
            under("").ready()
        assert lines == []

    def test_nobody_who_listens(self, tmp_path: Path) -> None:
        """One line for each time that it does not take what is said."""
        address = str(tmp_path / "notify")
        systemd = under(address)
        with capture_logs() as lines:
            systemd.ready()
            systemd.stopping()
            with closing(Manager(address)):
                systemd.ready()
            systemd.ready()
        assert [(line["event"], line["why"]) for line in lines] == [
            (events.SYSTEMD_LOST, "No such file or directory"),
            (events.SYSTEMD_LOST, "Connection refused"),
        ]


class TestKeepingTold:
    """What it hears from time to time."""

    async def _seconds(self, systemd: Systemd, of: Health, seconds: float) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await systemd.keep_told(of)

    @pytest.mark.looptime
    async def test_a_sign_of_life_at_half_of_the_watchdogs_time(self, manager: Manager) -> None:
        """Beside the status, which is said when it is another."""
        await self._seconds(under(manager.address, watchdog=4), health(states=("fresh",)), 5)
        assert manager.heard() == ["WATCHDOG=1\nSTATUS=ready: 1 fresh", "WATCHDOG=1", "WATCHDOG=1"]

    @pytest.mark.looptime
    async def test_none_while_it_is_ill(self, manager: Manager) -> None:
        """By the rule of /healthz: then systemd starts it anew."""
        await self._seconds(under(manager.address, watchdog=4), health(healthy=False, states=("fresh",)), 60)
        assert manager.heard() == ["STATUS=ready: 1 fresh"]

    @pytest.mark.looptime
    async def test_none_where_there_is_no_watchdog(self, manager: Manager) -> None:
        """The status alone, each time that it has changed."""
        states = ["pending"]
        of = Health(lambda: True, lambda: iter(states), lambda: ())
        asyncio.get_running_loop().call_later(9, states.append, "fresh")
        await self._seconds(under(manager.address), of, 60)
        assert manager.heard() == ["STATUS=ready: 1 pending", "STATUS=ready: 1 fresh, 1 pending"]

    @pytest.mark.looptime
    async def test_the_status_is_looked_at_each_second_until_it_is_ready(self, manager: Manager) -> None:
        """Who has just started the unit looks at it."""
        missing = ["a"]
        of = Health(lambda: True, lambda: ("fresh",), lambda: ((name, "pending") for name in missing))
        asyncio.get_running_loop().call_later(0.5, missing.clear)
        await self._seconds(under(manager.address), of, 1.5)
        assert manager.heard() == ["STATUS=not ready, a (pending): 1 fresh", "STATUS=ready: 1 fresh"]

    @pytest.mark.looptime
    async def test_a_rejected_configuration_is_told_until_there_is_another(self, manager: Manager) -> None:
        """Whoever looks at the unit sees it without the log."""
        systemd, of = under(manager.address), health(states=("fresh",))
        for is_adopted in (False, True):
            systemd.reloaded(is_adopted=is_adopted)
            await self._seconds(systemd, of, 1)
        assert manager.heard() == [
            "READY=1",
            f"STATUS=ready: 1 fresh; {REJECTED}",
            "READY=1",
            "STATUS=ready: 1 fresh",
        ]

    @pytest.mark.looptime
    async def test_it_waits_for_nobody(self, tmp_path: Path) -> None:
        """A queue that is full is said once in the log; when there is room again, the status is said again."""
        address = str(tmp_path / "notify")
        with closing(Manager(address)) as manager, capture_logs() as lines:
            systemd, of = under(address, watchdog=0.002), health(states=("fresh",))
            await self._seconds(systemd, of, 2)
            heard = manager.heard()
            await self._seconds(systemd, of, 0.0005)
            assert [line["event"] for line in lines] == [events.SYSTEMD_LOST]
            assert len(heard) < 2000
            assert manager.heard() == ["WATCHDOG=1\nSTATUS=ready: 1 fresh"]


class TestStatus:
    """One line for people."""

    def test_counts_by_state(self) -> None:
        """Of the declared secrets."""
        assert status_of(health(states=("fresh", "stale", "fresh"))) == "ready: 2 fresh, 1 stale"

    def test_nothing_is_declared(self) -> None:
        """Everything may be asked for on demand."""
        assert status_of(health()) == "ready: no secret is declared"

    def test_three_of_the_missing_are_named(self) -> None:
        """With the class of the reason, as /readyz tells it."""
        missing = health(states=("absent", "absent"), missing=("a", "b"))
        assert status_of(missing) == "not ready, a (not_found), b (not_found): 2 absent"
        many = health(states=("absent",) * 4, missing=("a", "b", "c", "d"))
        assert status_of(many) == "not ready, a (not_found), b (not_found), c (not_found) and more: 4 absent"


class TestVariables:
    """What is in the environment."""

    def test_they_are_taken_out(self) -> None:
        """No child speaks in our name, or takes our sockets; the rest stays."""
        environ = dict.fromkeys(VARIABLES, "1") | {"NOTIFY_SOCKET": "@x", "LISTEN_PID": "1", "HOME": "/"}
        systemd = take_over(environ, lambda: 0)
        assert environ == {"HOME": "/"}
        assert (systemd.address, systemd.watchdog, systemd.handed) == ("@x", None, Handed())

    @pytest.mark.parametrize(
        ("said", "seconds"),
        [
            ({}, None),
            ({"WATCHDOG_USEC": "30000000"}, 30),
            ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": ME}, 30),
            ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ],
    )
    def test_the_watchdog(self, said: dict[str, str], seconds: float | None) -> None:
        """In seconds, where it watches this process."""
        assert read_watchdog(said) == seconds

    @pytest.mark.parametrize(
        ("name", "value", "told"),
        [
            ("WATCHDOG_USEC", "soon", "WATCHDOG_USEC: want a number of microseconds above 0, got 'soon'"),
            ("WATCHDOG_USEC", "0", "WATCHDOG_USEC: want a number of microseconds above 0, got 0"),
            ("WATCHDOG_USEC", "-1", "WATCHDOG_USEC: want a number of microseconds above 0, got '-1'"),
            ("WATCHDOG_PID", "me", "WATCHDOG_PID: want the number of a process, got 'me'"),
            ("LISTEN_FDS", "x\ny", "LISTEN_FDS: want a number of sockets, got 'x\\ny'"),
            ("LISTEN_FDS", "9" * 90, "LISTEN_FDS: want a number of sockets, got '9999"),
            ("LISTEN_PID", "²", "LISTEN_PID: want the number of a process, got '²'"),
            ("NOTIFY_SOCKET", "notify", "NOTIFY_SOCKET: want an absolute path or a name that begins with @"),
        ],
    )
    def test_a_bad_one_is_told_in_a_line(self, name: str, value: str, told: str) -> None:
        """With what would be right, and what to do."""
        said = {"WATCHDOG_USEC": "1", "LISTEN_FDS": "1", name: value}
        with pytest.raises(BadHandoverError) as caught:
            take_over(said, lambda: 0)
        assert str(caught.value).startswith(told)
        assert "\n" not in str(caught.value)
        assert caught.value.mend

    def test_addresses(self) -> None:
        """A path, an abstract name, none."""
        assert [read_address({"NOTIFY_SOCKET": text}) for text in ("/run/x", "@x", "")] == ["/run/x", "@x", ""]
        assert read_address({}) == ""


class TestSockets:
    """What is handed over; that it is served as it is, tests/e2e/test_systemd.py shows."""

    @pytest.mark.parametrize(
        "said", [{}, {"LISTEN_FDS": "0", "LISTEN_PID": ME}, {"LISTEN_FDS": "2", "LISTEN_PID": "1"}, {"LISTEN_FDS": "2"}]
    )
    def test_those_of_others_are_left_alone(self, said: dict[str, str]) -> None:
        """A variable that was inherited from a process that they were meant for."""
        assert read_sockets(said) == Handed()

    def test_a_unix_one_is_the_apps_a_tcp_one_that_of_probes(self, hand: Hand) -> None:
        """In whatever order they come; no child gets them."""
        with hand(socket.AF_INET, socket.AF_UNIX) as (said, first):
            handed = read_sockets(said, first)
            assert handed.unix
            assert handed.ops
            with handed.unix, handed.ops:
                assert (handed.unix.family, handed.ops.family) == (socket.AF_UNIX, socket.AF_INET)
                assert [each.get_inheritable() for each in (handed.unix, handed.ops)] == [False, False]

    def test_a_second_of_a_kind_is_one_too_many(self, hand: Hand) -> None:
        """Told by the name that the unit gives it."""
        with hand(socket.AF_UNIX, socket.AF_UNIX, names="app:other") as (said, first):
            with pytest.raises(BadHandoverError, match="the socket other is a second Unix one") as caught:
                read_sockets(said, first)
            assert "at most one port" in caught.value.mend

    def test_one_that_does_not_listen(self, hand: Hand) -> None:
        """As a unit with Accept=yes hands over connections."""
        with (
            hand(socket.AF_UNIX, listen=False, names="connection") as (said, first),
            pytest.raises(BadHandoverError, match="the socket connection does not listen for streams"),
        ):
            read_sockets(said, first)

    def test_one_that_is_not_there(self, hand: Hand) -> None:
        """Told by number where it has no name."""
        with (
            hand() as (said, first),
            pytest.raises(BadHandoverError, match=r"\(number 1\) is no socket: Bad file descriptor"),
        ):
            read_sockets(said | {"LISTEN_FDS": "99999"}, first)
