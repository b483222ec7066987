import asyncio
import errno
import os
import socket
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import uvloop

from sidecar.api.peers import caller_of, parse_xucred, peers_known
from sidecar.core.access import Caller
from tests.api.users import as_user, needs_root

_CONNECT = """
with socket.socket(socket.AF_UNIX) as client:
    client.connect("{path}")
    client.recv(1)
"""


def caller_from(path: Path, uid: int, groups: list[int]) -> Caller | None:
    """Give the caller that a real process of this user is seen as."""
    with socket.socket(socket.AF_UNIX) as server, ThreadPoolExecutor() as threads:
        server.bind(str(path))
        path.chmod(0o666)
        server.listen()
        done = threads.submit(as_user, uid, _CONNECT.format(path=path), imports="import socket", groups=groups)
        connection, _ = server.accept()
        with connection:
            caller = caller_of(connection)
        done.result()
    return caller


@pytest.mark.skipif(sys.platform != "linux", reason="the other systems tell it by other options")
class TestLinux:
    """SO_PEERCRED and SO_PEERGROUPS."""

    def test_a_pair_is_ourselves(self) -> None:
        """Process, user, group, supplementary groups."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            caller = caller_of(ours)
        assert caller == Caller(os.getuid(), os.getgid(), frozenset(os.getgroups()), os.getpid())

    @needs_root
    @pytest.mark.parametrize("count", [0, 1, 200, 1000])
    def test_another_process_with_its_groups(self, open_dir: Path, count: int) -> None:
        """However many: beyond 256 Python's own buffer is too small."""
        groups = list(range(5000, 5000 + count))
        caller = caller_from(open_dir / "s", 1001, groups)
        assert caller
        assert (caller.uid, caller.gid, caller.groups) == (1001, 1001, frozenset(groups))

    def test_works_under_uvloop(self, tmp_path: Path) -> None:
        """Its stand-in for a socket tells it too."""

        async def connect() -> Caller | None:
            seen: asyncio.Future[Caller | None] = asyncio.get_running_loop().create_future()

            def connected(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                seen.set_result(caller_of(writer.get_extra_info("socket")))
                writer.close()

            async with await asyncio.start_unix_server(connected, tmp_path / "s"):
                _, writer = await asyncio.open_unix_connection(tmp_path / "s")
                writer.close()
                return await seen

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            caller = runner.run(connect())
        assert caller
        assert (caller.uid, caller.pid) == (os.getuid(), os.getpid())


class Answers:
    """A socket that answers as it is told."""

    def __init__(self, credentials: bytes | OSError, groups: bytes | OSError = b"") -> None:
        """Take what the two options give."""
        self._answers = {socket.SO_PEERCRED: credentials, 59: groups}

    def getsockopt(self, _level: int, option: int, _size: int, /) -> bytes:
        """Answer."""
        answer = self._answers[option]
        if isinstance(answer, OSError):
            raise answer
        return answer

    def fileno(self) -> int:
        """Give a descriptor that is none."""
        return -1


@pytest.mark.skipif(sys.platform != "linux", reason="the other systems tell it by other options")
class TestPoorLinux:
    """Systems that call themselves Linux and tell less."""

    CREDENTIALS = struct.pack("iII", 0, 7, 8)

    def test_no_groups_is_none(self) -> None:
        """An old kernel: no rule for a group fits, so nothing is given by mistake; a foreign process has no number."""
        told = caller_of(Answers(self.CREDENTIALS, OSError(errno.ENOPROTOOPT, "")))
        assert told == Caller(uid=7, gid=8, groups=frozenset(), pid=None)

    def test_no_credentials_is_nobody(self) -> None:
        """A sandbox: the caller is unknown."""
        assert caller_of(Answers(OSError(errno.ENOPROTOOPT, ""))) is None

    def test_a_failure_to_read_many_groups_is_nobody(self) -> None:
        """Better unknown than with groups missing."""
        assert caller_of(Answers(self.CREDENTIALS, OSError(errno.ERANGE, ""))) is None


class TestMacos:
    """LOCAL_PEERCRED."""

    def test_the_first_group_is_the_main_one(self) -> None:
        """Of sixteen places only as many as are filled."""
        credentials = struct.pack("IIh2x16I", 0, 501, 3, 20, 12, 61, *[0] * 13)
        assert parse_xucred(credentials, struct.pack("I", 99)) == Caller(501, 20, frozenset({12, 61}), 99)

    def test_no_group_is_not_the_first(self) -> None:
        """A caller without groups is not in wheel, whose number is what an empty place holds."""
        credentials = struct.pack("IIh2x16I", 0, 501, 0, *[0] * 16)
        assert not parse_xucred(credentials, struct.pack("I", 99)).is_in(0)


@pytest.mark.parametrize(("platform", "known"), [("linux", True), ("darwin", True), ("win32", False), ("aix", False)])
def test_some_systems_tell_nothing(platform: str, *, known: bool) -> None:
    """There, rules are a configuration error."""
    assert peers_known(platform) is known
