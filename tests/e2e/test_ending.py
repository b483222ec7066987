"""SIGTERM drains: readiness off, what is under way finishes, streams end, the socket goes, exit code 0."""

import os
import signal
import stat
from pathlib import Path

import pytest

from tests.aws_fixtures import AwsAccount
from tests.e2e.conftest import Start
from tests.e2e.processes import MOST_TRIES, Daemon, read_answer, send


def misses(daemon: Daemon, number: int) -> None:
    """Come back once so many callers wait for AWS; each scrape is an answer that is waited for."""
    for _ in range(MOST_TRIES):
        if daemon.metrics().total("sidecar_cache_requests_total", result="miss") >= number:
            return
    raise AssertionError("nobody waits")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_drains(aws: AwsAccount, start: Start, number: signal.Signals) -> None:
    """Watches and long polls end at once, nobody new is let in, a request that waits for AWS is still answered."""
    aws.put_parameter("/held", "v")
    aws.put_parameter("/slow", "worth the wait")
    daemon = start(secrets={"held": "ssm:/held"})
    watch = daemon.watch()
    poll = daemon.connect()
    send(poll, "GET", "/v1/values/held", If_None_Match=daemon.value("held").etag, Prefer="wait=300")
    idle = daemon.connect()
    send(idle, "GET", "/readyz")
    assert read_answer(idle).status == 200
    aws.fake.fault("slow", seconds=0.5, name="/slow")
    waiting = daemon.connect()
    send(waiting, "GET", "/v1/resolve?ref=ssm:/slow", Prefer="wait=30")
    misses(daemon, 1)

    daemon.process.send_signal(number)
    assert watch.next_event() == {}
    assert read_answer(poll).status == 304
    with pytest.raises(ConnectionRefusedError):
        daemon.from_ops("/readyz")
    assert not daemon.socket.exists()
    answer = read_answer(waiting)
    assert (answer.status, answer.json["value"]) == (200, "worth the wait")
    assert daemon.wait() == 0
    told = [line["event"] for line in daemon.events("daemon_drained") + daemon.events("daemon_stopped")]
    assert told == ["daemon_drained", "daemon_stopped"]


def test_an_answer_that_does_not_come_holds_nobody(aws: AwsAccount, start: Start) -> None:
    """AWS says nothing for a minute: the caller is told within the grace, and the daemon ends."""
    aws.put_parameter("/never", "v")
    daemon = start()
    aws.fake.fault("slow", seconds=20, name="/never")
    waiting = daemon.connect()
    send(waiting, "GET", "/v1/resolve?ref=ssm:/never", Prefer="wait=60")
    misses(daemon, 1)
    daemon.process.send_signal(signal.SIGTERM)
    assert read_answer(waiting).status == 504
    assert daemon.wait() == 0


def test_a_restart_after_kill_9(aws: AwsAccount, start: Start) -> None:
    """Killed in the middle of everything, it starts again on the same socket; a watch's old position means nothing."""
    aws.put_parameter("/a", "one")
    daemon = start(secrets={"a": "ssm:/a"}, cache={"refresh": "1s"})
    watch = daemon.watch()
    waiting = daemon.connect()
    send(waiting, "GET", "/v1/resolve?ref=ssm:/a", Prefer="wait=30")
    daemon.end(signal.SIGKILL)
    assert stat.S_ISSOCK(os.lstat(daemon.socket).st_mode)
    aws.put_parameter("/a", "two")
    again = start(secrets={"a": "ssm:/a"}, cache={"refresh": "1s"})
    assert again.value("a").body == b"two"
    resumed = again.watch("name=a", Last_Event_ID=watch.position)
    assert resumed.next_change()["name"] == "a"


def test_a_position_resumes_a_watch(aws: AwsAccount, start: Start) -> None:
    """A client that was away names the last event it saw, and gets what changed meanwhile, once."""
    aws.put_parameter("/a", "one")
    aws.put_parameter("/b", "one")
    daemon = start(secrets={"a": "ssm:/a", "b": "ssm:/b"}, cache={"refresh": "1s"})
    watch = daemon.watch()
    seen = watch.position
    watch.close()
    held = daemon.value("a")
    aws.put_parameter("/a", "two")
    assert daemon.value("a", If_None_Match=held.etag).body == b"two"
    resumed = daemon.watch("values=1", Last_Event_ID=seen)
    change = resumed.next_change()
    assert (change["name"], change["value"]) == ("a", "two")
    aws.put_parameter("/b", "two")
    assert resumed.next_change()["name"] == "b"


def test_what_it_leaves_of_others(folder: Path, aws: AwsAccount, start: Start) -> None:
    """A socket that somebody else put in its place meanwhile is left alone at the end."""
    aws.put_parameter("/a", "v")
    daemon = start(secrets={"a": "ssm:/a"})
    daemon.socket.unlink()
    daemon.socket.write_text("somebody else's")
    assert daemon.end() == 0
    assert (folder / "s").read_text() == "somebody else's"
