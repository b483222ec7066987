"""SIGHUP: a good file is applied without a dropped connection or a needless fetch, a bad one changes nothing."""

import json
import signal

from tests.aws_fixtures import AwsAccount
from tests.e2e.conftest import Lend, Start
from tests.e2e.processes import configuration, read_answer, send


def test_secrets_come_and_go(aws: AwsAccount, start: Start) -> None:
    """Only what is new is fetched; what is gone is not found; connections and streams stay open."""
    for name in ("/a", "/b", "/c"):
        aws.put_parameter(name, f"value of {name}")
    aws.put_parameter("/tree/leaf", "leaf")
    daemon = start(secrets={"a": "ssm:/a", "b": "ssm:/b"}, cache={"refresh": "1h"})
    kept = daemon.connect()
    send(kept, "GET", "/v1/values/a")
    held = read_answer(kept)
    watch = daemon.watch()
    aws.fake.forget_requests()

    secrets = {"a": "ssm:/a", "c": "ssm:/c", "a-too": "ssm:/a"}
    sections = {"secrets": secrets, "trees": {"t": "ssm:/tree/"}, "cache": {"refresh": "1h"}}
    said = daemon.reconfigure(configuration(daemon.folder, sections))
    assert daemon.wait_for_next(said, "config_reloaded")["secrets"] == 3
    assert {watch.next_change()["name"] for _ in range(3)} == {"a-too", "c", "t/leaf"}
    assert daemon.value("c").body == b"value of /c"
    assert daemon.value("t/leaf").body == b"leaf"
    assert daemon.value("b").status == 404
    send(kept, "GET", "/v1/values/a", If_None_Match=held.etag)
    assert read_answer(kept).status == 304
    send(kept, "GET", "/v1/values/a-too")
    assert read_answer(kept).body == b"value of /a"
    asked = [request.names for request in aws.fake.requests("ssm")]
    assert sorted(asked) == [("/c",), ("/tree",)]

    aws.put_parameter("/a", "newer")
    assert daemon.changed("a", held.etag).body == b"newer"  # still checked
    names = {watch.next_change()["name"], watch.next_change()["name"]}
    assert names == {"a", "a-too"}


def test_a_bad_file_changes_nothing(aws: AwsAccount, start: Start) -> None:
    """Every problem is in one line of the log; values, rules and readiness are as before; a good one follows."""
    aws.put_parameter("/a", "v")
    daemon = start(secrets={"a": "ssm:/a"})
    said = daemon.reload("secrets: {a: nonsense, b: sm:x?via=nobody}\nevents: {}\n")
    rejected = daemon.wait_for_next(said, "config_rejected")
    assert len(rejected["problems"]) == 3
    assert all("sidecar.yaml line" in problem for problem in rejected["problems"])
    assert (daemon.value("a").body, daemon.get("/readyz").status) == (b"v", 200)
    said = daemon.reload("secrets: [")
    daemon.wait_for_next(said, "config_rejected")
    daemon.config.unlink()
    said = len(daemon.log.all)
    daemon.process.send_signal(signal.SIGHUP)
    assert "No such file" in daemon.wait_for_next(said, "config_rejected")["problems"][0]
    assert daemon.value("a").body == b"v"
    good = {"secrets": {"a": "ssm:/a", "b": "ssm:/a", "t/c": "ssm:/a"}, "trees": {"t": "ssm:/t/"}}
    said = daemon.reconfigure(configuration(daemon.folder, good))
    daemon.wait_for_next(said, "config_reloaded")
    assert "t/c is declared too" in daemon.wait_for_next(said, "config_warned")["what"]
    assert daemon.value("b").body == b"v"


def test_another_identity_fetches_anew(aws: AwsAccount, start: Start, lend_account: Lend) -> None:
    """A value read with a role that has become another is fetched again; what the others read is left alone."""
    with lend_account() as first, lend_account() as second:
        first.put_secret("s", "of the first")
        second.put_secret("s", "of the second")
        aws.put_secret("own", "ours")

        def sections(account: AwsAccount) -> dict[str, object]:
            role = {"role_arn": f"arn:aws:iam::{account.id}:role/r", "region": aws.region}
            secrets = {"s": "sm:s?via=other", "own": "sm:own"}
            return {"secrets": secrets, "identities": {"other": role}, "cache": {"refresh": "1h"}}

        daemon = start(**sections(first))
        assert daemon.value("s").body == b"of the first"
        aws.fake.forget_requests()
        said = daemon.reconfigure(configuration(daemon.folder, sections(second)))
        daemon.wait_for_next(said, "config_reloaded")
        assert daemon.value("s").body == b"of the second"
        assert daemon.value("own").body == b"ours"
        assert aws.fake.requests("secretsmanager") == []

        without = {"secrets": {"own": "sm:own", "again": "sm:own?stage=AWSCURRENT"}, "cache": {"refresh": "1h"}}
        said = daemon.reconfigure(configuration(daemon.folder, without))
        daemon.wait_for_next(said, "config_reloaded")
        assert daemon.value("s").status == 404
        assert daemon.resolve("sm:s?via=other").status == 400
        aws.put_secret("own", "ours anew")
        assert daemon.changed("own", daemon.value("own").etag).body == b"ours anew"
        assert daemon.get("/healthz").status == 200


def test_rules_and_levels_change(aws: AwsAccount, start: Start) -> None:
    """Access rules, audit and the level of the log are the new file's; another socket waits for the next start."""
    aws.put_parameter("/a", "v")
    daemon = start(secrets={"a": "ssm:/a"})
    kept = daemon.connect()
    send(kept, "GET", "/v1/values/a")
    assert read_answer(kept).body == b"v"
    secrets = {"a": "ssm:/a"}
    closed = {
        "secrets": secrets,
        "access": [{"uid": 54321, "allow": ["*"]}],
        "log": {"level": "info", "format": "json", "audit": True},
        "listen": {"unix": {"path": str(daemon.folder / "elsewhere")}},
    }
    said = daemon.reconfigure(configuration(daemon.folder, closed))
    daemon.wait_for_next(said, "config_reloaded")
    assert "listen" in daemon.wait_for_next(said, "config_warned")["what"]
    send(kept, "GET", "/v1/values/a")
    assert read_answer(kept).status == 403  # the rules hold for connections that were there before
    denied = daemon.wait_for_next(said, "secret_accessed")
    assert (denied["name"], denied["outcome"]) == ("a", "caller_denied")
    said = daemon.reconfigure(configuration(daemon.folder, {"secrets": secrets}))
    daemon.wait_for_next(said, "config_reloaded")
    send(kept, "GET", "/v1/values/a")
    assert read_answer(kept).body == b"v"


def test_a_reload_in_an_outage(aws: AwsAccount, start: Start) -> None:
    """What is held stays held; what is new comes when AWS is back."""
    aws.put_parameter("/a", "one")
    aws.put_parameter("/b", "two")
    daemon = start(secrets={"a": "ssm:/a"}, cache={"refresh": "1s"})
    aws.fake.fault("outage")
    secrets = {"a": "ssm:/a", "b": "ssm:/b"}
    said = daemon.reload(json.dumps(configuration(daemon.folder, {"secrets": secrets, "cache": {"refresh": "1s"}})))
    daemon.wait_for_next(said, "config_reloaded")
    daemon.wait_for("check_failed", ref="ssm:/b")
    assert (daemon.value("a").body, daemon.get("/readyz").status) == (b"one", 503)
    aws.fake.clear()
    daemon.wait_for("secret_recovered", ref="ssm:/b")
    assert (daemon.value("b").body, daemon.get("/readyz").status) == (b"two", 200)
