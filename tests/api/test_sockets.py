import errno
import fcntl
import grp
import os
import resource
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.api.sockets import (
    AddressTaken,
    UnixListener,
    adopt_unix,
    allow_connections,
    bind_next_tcp,
    bind_tcp,
    bind_unix,
    verify,
)
from sidecar.core.config.units import Address
from sidecar.core.errors import BindError
from tests.api.users import as_user, needs_root


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Give a path that is short enough for a socket."""
    return str(tmp_path / "s.sock")


@pytest.fixture
def listener(path: str) -> Iterator[UnixListener]:
    """Bind a socket at `path`."""
    bound = bind_unix(path, mode=0o600)
    yield bound
    bound.socket.close()


def refusal(path: str, *, mode: int = 0o600, group: int | str | None = None) -> BindError:
    """Give the error with which binding fails."""
    with pytest.raises(BindError) as caught:
        bind_unix(path, mode=mode, group=group)
    assert "\n" not in str(caught.value)
    assert caught.value.mend
    return caught.value


def leave_stale(path: str) -> None:
    """Leave a socket file as a crash does."""
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(path)


class TestUnix:
    """The socket of the app."""

    def test_has_the_mode_asked_for_and_answers(self, path: str) -> None:
        """Mode as asked, whatever the umask; a client connects."""
        previous = os.umask(0o077)
        try:
            bound = bind_unix(path, mode=0o666)
        finally:
            os.umask(previous)
        with bound.socket, socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
        assert stat.S_IMODE(os.lstat(path).st_mode) == 0o666

    def test_leaves_the_umask_as_it_was(self, listener: UnixListener) -> None:
        """The umask belongs to the process and is put back."""
        assert listener.path
        previous = os.umask(0o022)
        os.umask(previous)
        assert previous != 0o777

    def test_makes_missing_directories(self, tmp_path: Path) -> None:
        """The parent directories come into being."""
        path = tmp_path / "a" / "b" / "s.sock"
        bind_unix(str(path), mode=0o600).socket.close()
        assert path.is_socket()

    def test_replaces_a_stale_file(self, path: str) -> None:
        """What a crash left behind is no obstacle."""
        leave_stale(path)
        before = os.lstat(path).st_mode
        with bind_unix(path, mode=0o600).socket, socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
        assert os.lstat(path).st_mode != before

    def test_respects_a_live_one(self, listener: UnixListener) -> None:
        """Another daemon's socket stays, and the error says so."""
        assert "another process is serving on it" in str(refusal(listener.path))
        assert os.lstat(listener.path).st_ino == listener.inode

    def test_respects_a_busy_one(self, path: str) -> None:
        """A socket whose queue is full is a live one."""
        with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as first:
            busy.bind(path)
            busy.listen(0)
            first.connect(path)
            assert "another process is serving on it" in str(refusal(path))

    def test_leaves_a_file_alone(self, path: str) -> None:
        """A file in its place is not removed."""
        Path(path).write_text("precious")
        assert "no socket" in str(refusal(path))
        assert Path(path).read_text() == "precious"

    def test_follows_no_symbolic_link(self, path: str, tmp_path: Path) -> None:
        """A link is refused, even one to a stale socket, and its target stays."""
        leave_stale(str(tmp_path / "target"))
        Path(path).symlink_to(tmp_path / "target")
        assert "no socket" in str(refusal(path))
        assert (tmp_path / "target").is_socket()

    def test_refuses_another_kind_of_socket(self, path: str) -> None:
        """A datagram socket is somebody else's."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.bind(path)
            assert "cannot be taken over" in str(refusal(path))

    def test_refuses_a_path_that_is_too_long(self, tmp_path: Path) -> None:
        """108 bytes do not fit, and nothing is made."""
        path = "/tmp/" + "x" * 103
        assert len(path) == 108
        assert "107 bytes" in str(refusal(path))
        assert not list(tmp_path.iterdir())

    def test_refuses_a_file_for_a_directory(self, tmp_path: Path) -> None:
        """A parent that is no directory is told in one line."""
        (tmp_path / "file").touch()
        assert "cannot be made" in str(refusal(str(tmp_path / "file" / "s.sock")))

    def test_refuses_while_another_opens(self, path: str) -> None:
        """Two that start at once do not remove each other's socket."""
        descriptor = os.open(Path(path).parent, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        assert "at this moment" in str(refusal(path))
        os.close(descriptor)

    def test_refuses_an_unknown_group(self, path: str) -> None:
        """A group that the system does not know, before anything is made."""
        assert "no-such-group" in str(refusal(path, group="no-such-group"))
        assert not Path(path).exists()

    def test_takes_a_group_by_name(self, path: str) -> None:
        """The name of our own group is as good as its number."""
        bind_unix(path, mode=0o660, group=grp.getgrgid(os.getegid()).gr_name).socket.close()
        assert os.lstat(path).st_gid == os.getegid()

    @needs_root
    def test_gives_it_to_the_group(self, path: str) -> None:
        """The group is set, by number."""
        bind_unix(path, mode=0o660, group=4242).socket.close()
        assert (os.lstat(path).st_gid, stat.S_IMODE(os.lstat(path).st_mode)) == (4242, 0o660)

    @needs_root
    def test_tells_how_to_mend_a_chown_that_is_not_permitted(self, open_dir: Path) -> None:
        """Without the group among its own, a user may not; the mend names the gid, and no file is left."""
        outcome = bind_as_user(open_dir / "s.sock", group=4242)
        assert "may not give it to group 4242" in outcome
        assert "4242 be among the process's groups" in outcome
        assert not list(open_dir.iterdir())

    @needs_root
    def test_may_give_it_to_a_supplementary_group(self, open_dir: Path) -> None:
        """With the group among the process's own, it works without privileges."""
        assert bind_as_user(open_dir / "s.sock", group=4242, groups=[4242]) == "bound\n"
        assert os.lstat(open_dir / "s.sock").st_gid == 4242

    @needs_root
    def test_tells_of_a_directory_that_cannot_be_written(self, open_dir: Path) -> None:
        """One line, with the path and the reason."""
        open_dir.chmod(0o755)
        outcome = bind_as_user(open_dir / "s.sock")
        assert f"{open_dir}/s.sock: cannot be made: Permission denied" in outcome

    @needs_root
    def test_tells_of_a_socket_that_cannot_be_asked(self, open_dir: Path) -> None:
        """A socket of another user that refuses us may be live: it stays."""
        with bind_unix(str(open_dir / "s.sock"), mode=0o600).socket:
            assert "cannot be taken over" in bind_as_user(open_dir / "s.sock")

    def test_is_not_served_unless_the_file_is_as_asked(self, listener: UnixListener) -> None:
        """A file system that ignores modes or owners, or a file that was swapped."""
        verify(listener, 0o600, os.getegid())
        for mode, gid in ((0o660, None), (0o600, 4242)):
            with pytest.raises(BindError, match="not as asked"):
                verify(listener, mode, gid)
        Path(listener.path).unlink()
        with pytest.raises(BindError, match="is gone"):
            verify(listener, 0o600, None)


_IMPORTS = "from sidecar.api.sockets import bind_unix\nfrom sidecar.core.errors import BindError"
_BIND = """
try:
    bind_unix("{path}", mode=0o660, group={group})
    print("bound")
except BindError as error:
    print(error, error.mend, sep="\\n")
"""


def bind_as_user(path: Path, *, group: int | None = None, groups: Sequence[int] = ()) -> str:
    """Give what an unprivileged user gets that binds there."""
    return as_user(1001, _BIND.format(path=path, group=group), imports=_IMPORTS, groups=groups)


class TestRemove:
    """The end of the socket file."""

    def test_removes_its_own(self, listener: UnixListener) -> None:
        """The file goes with the daemon."""
        listener.remove()
        assert not Path(listener.path).exists()

    def test_leaves_a_successors(self, listener: UnixListener) -> None:
        """What another daemon has put in its place stays."""
        Path(listener.path).unlink()
        with bind_unix(listener.path, mode=0o600).socket:
            listener.remove()
            assert Path(listener.path).is_socket()

    def test_is_content_when_it_is_gone(self, listener: UnixListener) -> None:
        """Removed by hand: nothing to do."""
        Path(listener.path).unlink()
        listener.remove()


class TestTcp:
    """The listener of probes and scrapes."""

    def test_listens(self) -> None:
        """Port 0 is any free one."""
        with (
            closing(bind_tcp(Address("127.0.0.1", 0))) as server,
            closing(socket.create_connection(server.getsockname())),
        ):
            pass

    def test_a_taken_port_is_one_clear_line(self) -> None:
        """Address and reason in one line."""
        with closing(bind_tcp(Address("127.0.0.1", 0))) as server:
            port = server.getsockname()[1]
            with pytest.raises(AddressTaken, match=f"^127.0.0.1:{port}: another process is listening there$"):
                bind_tcp(Address("127.0.0.1", port))

    def test_an_address_of_another_machine_is_one_clear_line(self) -> None:
        """The system's reason, and no traceback of another kind."""
        with pytest.raises(BindError, match=os.strerror(errno.EADDRNOTAVAIL)):
            bind_tcp(Address("192.0.2.1", 0))

    def test_takes_the_next_free_port(self) -> None:
        """`dev` steps over a taken port."""
        with closing(bind_tcp(Address("127.0.0.1", 0))) as server:
            taken = server.getsockname()[1]
            with closing(bind_next_tcp(Address("127.0.0.1", taken))) as found:
                assert taken < found.getsockname()[1] < taken + 100


def test_connections_are_as_many_as_the_system_lets_there_be() -> None:
    """The usual limit of 1,024 open files would end a thousand callers; a higher one stays."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    hard = before[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        allow_connections()
        raised, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert raised == (min(hard, 65_536) if hard != resource.RLIM_INFINITY else 65_536)
        allow_connections()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (raised, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_socket_that_was_opened_for_us_is_left_as_it_is(tmp_path: Path) -> None:
    """Its file stays; an abstract one is named as people write it."""
    with socket.socket(socket.AF_UNIX) as opened, socket.socket(socket.AF_UNIX) as abstract:
        opened.bind(str(tmp_path / "s"))
        listener = adopt_unix(opened)
        listener.remove()
        assert (listener.path, (tmp_path / "s").is_socket()) == (str(tmp_path / "s"), True)
        abstract.bind("\0sidecar-test")
        assert adopt_unix(abstract).path == "@sidecar-test"
