import stat
from pathlib import Path

import pytest

from sidecar.outputs.contents import ALONE, Content
from sidecar.outputs.failures import Unrendered, Unwritten
from sidecar.outputs.folders import Ownership
from sidecar.outputs.places import SingleFile, Site, There, TreeFolder


def mode(path: Path) -> int:
    """Give a file's bits."""
    return stat.S_IMODE(path.lstat().st_mode)


def put(site: Site, content: Content) -> There:
    """Put content and compare it."""
    with site.opened() as folder:
        site.place.put(folder, content)
        return site.place.look(folder, content)


def test_a_single_file(memory: Path) -> None:
    """It is compared byte by byte; the mode of one that is right already is corrected."""
    site = Site(memory, SingleFile("x", Ownership(0o400)), allow_disk=False)
    with site.opened() as folder:
        assert site.place.look(folder, {ALONE: b"v"}) == There(anything=False, same=False)
    assert put(site, {ALONE: b"v"}) == There(anything=True, same=True)
    (memory / "x").chmod(0o644)
    with site.opened() as folder:
        assert site.place.look(folder, {ALONE: b"w"}) == There(anything=True, same=False)
        site.place.correct(folder, {ALONE: b"v"})
    assert mode(memory / "x") == 0o400


class TestTree:
    """A folder of links."""

    @pytest.fixture
    def site(self, memory: Path) -> Site:
        """Give a place for a tree."""
        return Site(memory, TreeFolder("app", Ownership(0o440)), allow_disk=False)

    def test_values_appear_change_and_go(self, site: Site, memory: Path) -> None:
        """By one link that turns; the old folder goes."""
        assert put(site, {"a": b"1", "sub/b": b"2"}).same
        root = memory / "app"
        assert ((root / "a").read_bytes(), (root / "sub/b").read_bytes()) == (b"1", b"2")
        assert [str((root / name).readlink()) for name in ("a", "sub")] == ["..data/a", "..data/sub"]
        first = str((root / "..data").readlink())
        assert put(site, {"a": b"3", "c": b"4"}).same
        assert sorted(path.name for path in root.iterdir()) == sorted(
            ["..data", str((root / "..data").readlink()), "a", "c"]
        )
        assert str((root / "..data").readlink()) != first
        assert (mode(root), mode((root / "..data").resolve()), mode((root / "a").resolve())) == (0o750, 0o750, 0o440)

    def test_an_open_old_folder_stays_whole(self, site: Site, memory: Path) -> None:
        """Who has opened a file of it reads that one to its end."""
        put(site, {"a": b"old"})
        with (memory / "app/a").open("rb") as file:
            put(site, {"a": b"new"})
            assert file.read() == b"old"

    def test_what_is_right_is_only_corrected(self, site: Site, memory: Path) -> None:
        """Modes of files and folders."""
        content = {"a": b"1", "sub/b": b"2"}
        put(site, content)
        (memory / "app/a").chmod(0o600)
        (memory / "app").chmod(0o777)
        with site.opened() as folder:
            site.place.correct(folder, content)
            assert not site.place.look(folder, {"a": b"1"}).same
        assert (mode((memory / "app/a").resolve()), mode(memory / "app")) == (0o440, 0o750)

    def test_what_a_killed_daemon_left_is_swept(self, site: Site, memory: Path) -> None:
        """Folders and links that were never turned to."""
        put(site, {"a": b"1"})
        (memory / "app/..half").mkdir()
        (memory / "app/..link").symlink_to("..half")
        put(site, {"a": b"2"})
        assert {"..half", "..link"} & {path.name for path in (memory / "app").iterdir()} == set()

    def test_what_stands_in_the_way_is_left_alone(self, site: Site, memory: Path) -> None:
        """A file where the folder should be; nothing half-made stays."""
        (memory / "app").write_bytes(b"mine")
        with pytest.raises(Unwritten), site.opened() as folder:
            site.place.put(folder, {"a": b"1"})
        assert (memory / "app").read_bytes() == b"mine"

    def test_a_failure_leaves_the_old_values(self, site: Site, memory: Path) -> None:
        """And nothing half-made."""
        put(site, {"a": b"1"})
        with pytest.raises(Unwritten), site.opened() as folder:
            site.place.put(folder, {"a": b"2", "x" * 300: b"3"})
        assert (memory / "app/a").read_bytes() == b"1"
        assert len(list((memory / "app").iterdir())) == 3

    @pytest.mark.parametrize("names", [("..data",), ("a", "a/b")])
    def test_names_that_cannot_lie_beside_each_other(self, site: Site, names: tuple[str, ...]) -> None:
        """Are told by name, with the mend."""
        with pytest.raises(Unrendered, match=names[0]), site.opened() as folder:
            site.place.put(folder, dict.fromkeys(names, b""))
