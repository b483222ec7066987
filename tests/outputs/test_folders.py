import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.outputs.failures import Unwritten
from sidecar.outputs.folders import Ownership, is_memory, open_folder

MOUNTS = """\
22 27 0:20 / /sys rw,nosuid - sysfs sysfs rw
27 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 27 0:31 / /run/secrets rw shared:5 master:1 - tmpfs tmpfs rw
41 27 0:32 / /run/odd rw
"""


def test_memory_is_known_by_its_device(tmp_path: Path) -> None:
    """A tmpfs is; a disk, what is not listed, and a system that tells nothing are not."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    devices = [os.makedev(0, 31), os.makedev(8, 1), os.makedev(0, 32), os.makedev(9, 9)]
    assert [is_memory(device, mounts) for device in devices] == [True, False, False, False]
    assert not is_memory(os.makedev(0, 31), tmp_path / "none")


def test_a_disk_is_refused_unless_it_is_allowed(tmp_path: Path, memory: Path) -> None:
    """By what the system says of the open folder, with the mend."""
    with (
        pytest.raises(Unwritten, match="not known to be in memory") as refused,
        open_folder(Path("/"), allow_disk=False),
    ):
        pass
    assert "allow_disk: true" in refused.value.mend
    with open_folder(tmp_path, allow_disk=True), open_folder(memory, allow_disk=False) as folder:
        assert folder.path == memory
    with pytest.raises(Unwritten, match="No such file"), open_folder(memory / "none", allow_disk=False):
        pass


def test_a_file_is_replaced_with_mode_and_owner(memory: Path) -> None:
    """What was there is another inode's from then on; a link is replaced, not followed."""
    victim = memory / "victim"
    victim.write_bytes(b"safe")
    (memory / "x").symlink_to(victim)
    with open_folder(memory, allow_disk=False) as folder:
        assert folder.read("x") is None
        assert folder.has("x")
        folder.replace("x", b"new", Ownership(0o440, os.getuid(), os.getgid()))
        assert folder.read("x") == b"new"
        assert stat.S_IMODE((memory / "x").stat().st_mode) == 0o440
        folder.correct("x", Ownership(0o400))
        assert stat.S_IMODE((memory / "x").stat().st_mode) == 0o400
        assert not folder.has("y")
    assert victim.read_bytes() == b"safe"


def test_what_a_killed_daemon_left_is_swept(memory: Path) -> None:
    """A failure leaves nothing either."""
    left = memory / ".x.sidecar-0123"
    left.write_bytes(b"half")
    (memory / "d").mkdir()
    with open_folder(memory, allow_disk=False) as folder:
        folder.replace("x", b"v", Ownership(0o400))
        with pytest.raises(IsADirectoryError):
            folder.replace("d", b"v", Ownership(0o400))
    assert sorted(path.name for path in memory.iterdir()) == ["d", "x"]


WRITER = """
import sys
from itertools import count
from pathlib import Path
from sidecar.outputs.folders import Ownership, open_folder
with open_folder(Path(sys.argv[1]), allow_disk=False) as folder:
    for number in count():
        folder.replace("x", b"%010d" % number * 9_000, Ownership(0o400))
        if number == 20:
            print("up", flush=True)
"""


def test_readers_never_see_half_a_file_whoever_dies(memory: Path) -> None:
    """Two writers on one file, killed in the midst of it: each read is whole, and what they left is swept."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(memory)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    try:
        assert all(writer.stdout is not None and writer.stdout.readline() for writer in writers)
        seen = {(memory / "x").read_bytes() for _ in range(2_000)}
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    seen.add((memory / "x").read_bytes())
    assert len(seen) > 10
    assert all(content == content[:10] * 9_000 for content in seen)
    with open_folder(memory, allow_disk=False) as folder:
        folder.replace("x", b"last", Ownership(0o400))
    assert [path.name for path in memory.iterdir()] == ["x"]
