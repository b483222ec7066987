import errno
import os
import pwd
import subprocess
import sys
from pathlib import Path
from tempfile import gettempdir

import pytest

from sidecar.client import NoDaemon
from sidecar.client.sockets import judge, lets_in, unanswered
from tests.unix_peer import answer, listening

NOBODY = 65534
ASK = (
    "import os, sys; from sidecar.client import Client, Refused\n"
    f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    "try:\n    Client(sys.argv[1]).get('db')\nexcept Refused as error:\n    print(error, error.mend)"
)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def let_through(folder: Path) -> None:
    """Let everybody come as far as this folder; pytest's own are shut."""
    for each in (folder, *folder.parents):
        if each == Path(gettempdir()):
            break
        each.chmod(0o755)


def test_silence_is_death() -> None:
    """A daemon that does not answer in time is taken for dead."""
    assert "in time" in str(unanswered("/s", TimeoutError()))


@as_root
class TestUnreadable:
    """Who may not open the socket learns who may."""

    def asked(self, path: Path) -> str:
        """Ask as somebody without rights."""
        return subprocess.run([sys.executable, "-c", ASK, path], capture_output=True, text=True, check=True).stdout

    def test_the_socket(self, tmp_path: Path) -> None:
        """Its mode, owner and group are told, by name where they have one."""
        path = tmp_path / "s"
        let_through(tmp_path)
        with listening(path, answer(b"x")):
            os.chown(path, 0, 4242)
            path.chmod(0o660)
            said = self.asked(path)
        assert f"({NOBODY}) may not open {path}: {path} has mode 0660 and lets in user root (0), group 4242" in said
        assert "listen.unix.group" in said

    def test_a_folder_above_it(self, tmp_path: Path) -> None:
        """The one that shuts this user out is named, not the socket that nobody can see."""
        let_through(tmp_path)
        shut = tmp_path / "run"
        (shut / "deep").mkdir(parents=True)
        with listening(shut / "deep" / "s", answer(b"x")):
            shut.chmod(0o700)
            said = self.asked(shut / "deep" / "s")
        assert f"{shut} has mode 0700 and lets in user root (0)" in said


@pytest.mark.parametrize(("mode", "who"), [(0o600, 1), (0o620, 2), (0o622, 3), (0o444, 0)])
def test_who_is_let_in(tmp_path: Path, mode: int, who: int) -> None:
    """To a socket, those who may write; where nobody may, root still does."""
    (tmp_path / "s").touch()
    (tmp_path / "s").chmod(mode)
    told = lets_in((tmp_path / "s").stat())
    assert len(told.split(", ")) == max(who, 1)
    assert (told == "root only") is (who == 0)
    assert ("everybody else" in told) is (who == 3)


def test_who_is_told_by_number_and_name(tmp_path: Path) -> None:
    """Both for whom the system knows, a number for others; a folder that hides the socket stands for it."""
    (tmp_path / "s").touch(0o600)
    me = pwd.getpwuid(os.geteuid())
    told = str(unanswered(str(tmp_path / "s"), PermissionError(errno.EACCES, "no")))
    assert told.endswith(f"{tmp_path / 's'} has mode 0600 and lets in user {me.pw_name} ({me.pw_uid})")
    hidden = str(unanswered(str(tmp_path / "gone" / "s"), PermissionError(errno.EACCES, "no")))
    assert f"{tmp_path} has mode" in hidden


def test_a_path_that_is_no_socket(tmp_path: Path) -> None:
    """It is told before anything is opened."""
    with pytest.raises(NoDaemon, match="is no socket"):
        judge(str(tmp_path), {0})
