import json
import os
import pty
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from sidecar.cli.status import as_line, as_lines
from sidecar.cli.watching import Seen
from tests.cli.conftest import Invoke
from tests.cli.processes import ENDING, SIDECAR, clean, read_until, running
from tests.unix_peer import answer, listening

STATUS = {"version": "1.2.3", "now": "2026-11-01T12:00:00Z", "started_at": "2026-11-01T11:58:00Z", "ready": True}
READY_LINE = "sidecar 1.2.3, up 2m0s, ready\n"


def test_status(invoke: Invoke, folder: Path) -> None:
    """For people, or as the interface answers."""
    with listening(folder / "s", routes={"/v1/status": answer(STATUS)}):
        assert invoke("status", "--socket", "s").stdout == READY_LINE
        assert json.loads(invoke("status", "--json", "--socket", "s").stdout) == STATUS


@pytest.mark.parametrize(
    ("reply", "code", "line"),
    [
        (answer({"ready": True, "unready": []}), 0, "ready\n"),
        (
            answer({"ready": False, "unready": [{"name": "db", "reason": "throttled"}]}, 503),
            5,
            "not ready: db (throttled)\n",
        ),
    ],
)
def test_ready(invoke: Invoke, folder: Path, reply: bytes, code: int, line: str) -> None:
    """A health check reads the exit code, people the line."""
    with listening(folder / "s", routes={"/readyz": reply}):
        result = invoke("status", "--ready", "--socket", "s")
        as_json = invoke("status", "--ready", "--json", "--socket", "s")
    assert (result.exit_code, result.stdout) == (code, line)
    assert as_json.exit_code == code
    assert json.loads(as_json.stdout)["ready"] is (code == 0)


def test_ready_without_a_daemon(invoke: Invoke) -> None:
    """It is not."""
    assert invoke("status", "--ready", "--socket", "nowhere").exit_code == 5


class TestWatch:
    """`--watch`: the status again and again."""

    @pytest.mark.parametrize(
        "options",
        [
            ("--ready", "--watch"),
            ("--interval", "1s"),
            ("--watch", "--interval", "99ms"),
            ("--watch", "--interval", "x"),
        ],
    )
    def test_options_that_do_not_go_together(self, invoke: Invoke, options: tuple[str, ...]) -> None:
        """They are wrong usage, and so is an interval that leaves the daemon no peace."""
        assert invoke("status", *options, "--socket", "nowhere").exit_code == 2

    def test_without_a_daemon_it_does_not_begin(self, invoke: Invoke) -> None:
        """Whoever starts it learns at once that nobody is there."""
        assert invoke("status", "--watch", "--socket", "nowhere").exit_code == 5

    @pytest.mark.parametrize(("option", "each"), [((), READY_LINE), (("--json",), '"version": "1.2.3"')])
    def test_plain_where_there_is_no_terminal(self, folder: Path, option: tuple[str, ...], each: str) -> None:
        """A block or a line of JSON for each look; interrupted, it ends well."""
        arguments = ("status", "--watch", "--interval", "100ms", "--socket", "s", *option)
        with (
            listening(folder / "s", routes={"/v1/status": answer(STATUS)}),
            running(*arguments, cwd=folder, env={"PYTHONUNBUFFERED": "1"}) as process,
        ):
            for _ in range(2):
                assert each in read_until(process.stdout, each.strip())
            process.send_signal(signal.SIGINT)
            assert process.wait(ENDING) == 0
            assert process.stderr is not None
            assert process.stderr.read() == ""

    @pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
    def test_in_place_on_a_terminal(self, folder: Path, ending: signal.Signals) -> None:
        """It takes the screen, and gives it back as it was, however it is ended."""
        with listening(folder / "s", routes={"/v1/status": answer(STATUS)}):
            shown, code = self.on_a_terminal(folder, {"TERM": "xterm"}, ending)
        assert code == 0
        assert shown.startswith("\x1b[?1049h")
        assert "\x1b[?1049l" in shown

    def test_plain_on_a_terminal_that_has_no_places(self, folder: Path) -> None:
        """As an editor's shell is one."""
        with listening(folder / "s", routes={"/v1/status": answer(STATUS)}):
            shown, code = self.on_a_terminal(folder, {"TERM": "dumb"}, signal.SIGINT)
        assert (shown.startswith("sidecar 1.2.3, up 2m0s, ready"), "\x1b" in shown, code) == (True, False, 0)

    def on_a_terminal(self, folder: Path, env: Mapping[str, str], ending: signal.Signals) -> tuple[str, int]:
        """Run it with a terminal of its own until it has shown the status; give all that came, and how it ended."""
        ours, its = pty.openpty()
        command = [*SIDECAR, "status", "--watch", "--socket", "s"]
        with (
            os.fdopen(ours, "rb", buffering=0) as screen,
            subprocess.Popen(command, cwd=folder, env=clean(env), stdout=its, stdin=its, stderr=its) as process,
        ):
            os.close(its)
            shown = b""
            while b"ready" not in shown:
                shown += screen.read(4096)
            process.send_signal(ending)
            code = process.wait(ENDING)
            return (shown + self.rest(screen.fileno())).decode(), code

    def rest(self, screen: int) -> bytes:
        """Read what is left; Linux ends a terminal whose other side is closed by an error."""
        try:
            return os.read(screen, 65536)
        except OSError:
            return b""

    def test_a_daemon_that_is_away(self) -> None:
        """It is told in a line, or as JSON; its last word was printed before."""
        away = Seen(STATUS, "no daemon answers.", "12:00:00")
        assert list(as_lines(away)) == ["no daemon answers. Since 12:00:00."]
        assert json.loads(as_line(away)) == {"away": "no daemon answers.", "since": "12:00:00"}
