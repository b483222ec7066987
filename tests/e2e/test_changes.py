"""What changes in AWS reaches the app: by polling, by a long poll, by a watch, by a refresh."""

import json

from tests.aws_fixtures import AwsAccount
from tests.e2e.conftest import Start
from tests.e2e.processes import MOST_TRIES, Daemon

EVERY_SECOND = {"refresh": "1s"}


def agree(daemon: Daemon, account: AwsAccount) -> dict[str, int]:
    """Compare the daemon's counts with what reached AWS while nothing is under way; gives the counts."""
    for _ in range(MOST_TRIES):
        before, metrics = account.fake.counts(), daemon.metrics()
        if before == account.fake.counts() == metrics.requests:
            return before
    raise AssertionError(f"AWS saw {account.fake.counts()}, the daemon counts {daemon.metrics().requests}")


def test_a_rotation_reaches_the_app(aws: AwsAccount, start: Start) -> None:
    """A long poll returns the new value, a watch gets one event, the old value stays readable, KMS works twice."""
    first = aws.put_secret("db", json.dumps({"password": "old"}))
    aws.fake.forget_requests()
    daemon = start(secrets={"db": "sm:db#password"}, cache=EVERY_SECOND)
    held = daemon.value("db")
    watch = daemon.watch("name=db")
    assert (held.body, daemon.get("/v1/secrets/db").json["version"]) == (b"old", first)

    second = aws.put_secret("db", json.dumps({"password": "new"}))
    changed = daemon.value("db", If_None_Match=held.etag)
    assert (changed.status, changed.body) == (200, b"new")
    assert changed.etag != held.etag
    event = watch.next_change()
    assert (event["name"], event["version"], event["etag"]) == ("db", second, changed.etag)
    assert "value" not in event
    assert daemon.get("/v1/values/db?previous=1").body == b"old"
    assert aws.fake.kms_charges() == daemon.metrics().total("sidecar_kms_charges_total", reason="sm") == 2

    third = aws.put_secret("db", json.dumps({"password": "newest"}))
    assert watch.next_change()["version"] == third  # nothing came twice
    assert aws.fake.kms_charges() == 3
    assert daemon.metrics().total("sidecar_secret_changes_total", name="db") == 3


def test_polling_costs_no_decryption(aws: AwsAccount, start: Start) -> None:
    """Unchanged values are probed in batches of ten; the daemon's counts are those of AWS, for every operation."""
    names = [f"/poll/{number}" for number in range(12)]
    for name in names:
        aws.put_parameter(name, f"value of {name}")
    aws.put_secret("poll", "a secret")
    aws.put_parameter("/poll-tree/leaf", "leaf")
    aws.fake.forget_requests()
    declared = {f"p{number}": f"ssm:{name}" for number, name in enumerate(names)}
    daemon = start(secrets={**declared, "s": "sm:poll"}, trees={"t": "ssm:/poll-tree/"}, cache=EVERY_SECOND)
    probed: list[str] = []
    while min((probed.count(name) for name in [*names, "poll"]), default=0) < 2:
        daemon.value("s", If_None_Match=daemon.value("s").etag, Prefer="wait=1")
        probed = [name for request in aws.fake.requests() if not request.kms_charges for name in request.names]
    agree(daemon, aws)
    assert aws.fake.kms_charges() == len(names) + 2
    assert max(len(request.names) for request in aws.fake.requests("ssm", "GetParameters")) == 10


def test_a_tree_follows_its_parameters(aws: AwsAccount, start: Start) -> None:
    """A new parameter appears under its name, a changed one changes, a deleted one goes."""
    aws.put_parameter("/app/a", "one")
    aws.put_parameter("/app/b", "two")
    daemon = start(trees={"app": {"ref": "ssm:/app/", "refresh": "1s"}})
    watch = daemon.watch()
    aws.put_parameter("/app/new/c", "three", "String")
    assert watch.next_change()["name"] == "app/new/c"
    assert daemon.value("app/new/c").body == b"three"
    aws.put_parameter("/app/a", "one more")
    assert watch.next_change()["name"] == "app/a"
    held = daemon.value("app/b")
    aws.client("ssm").delete_parameter(Name="/app/b")
    assert daemon.value("app/b", If_None_Match=held.etag).status == 404
    assert {each["name"] for each in daemon.get("/v1/secrets").json["secrets"]} == {"app/a", "app/new/c"}


def test_a_deleted_secret_is_gone_at_once(aws: AwsAccount, start: Start) -> None:
    """What AWS marks for deletion is not served any more, with the reason; restored, it is back."""
    aws.put_secret("doomed", "v")
    aws.put_parameter("/doomed", "v")
    daemon = start(secrets={"s": "sm:doomed", "p": "ssm:/doomed"}, cache={"refresh": "1s", "negative_ttl": "1s"})
    held = daemon.value("s")
    aws.client("secretsmanager").delete_secret(SecretId="doomed", RecoveryWindowInDays=7)
    gone = daemon.value("s", If_None_Match=held.etag)
    assert (gone.status, gone.json["name"]) == (404, "s")
    assert "being deleted" in gone.json["detail"]
    assert daemon.get("/readyz").status == 503
    held = daemon.value("p")
    aws.client("ssm").delete_parameter(Name="/doomed")
    assert daemon.value("p", If_None_Match=held.etag).status == 404
    aws.client("secretsmanager").restore_secret(SecretId="doomed")
    daemon.wait_for("secret_recovered", ref="sm:doomed")
    assert daemon.value("s").body == b"v"


def test_a_refresh_brings_the_newest_value(aws: AwsAccount, start: Start) -> None:
    """An app whose login failed names the version that was rejected, and gets the newer one at once."""
    aws.put_secret("login", "old")
    daemon = start(secrets={"login": "sm:login"})
    held = daemon.value("login")
    aws.put_secret("login", "new")
    changed = daemon.changed("login", held.etag)
    assert changed.body == b"new"
    checks = aws.fake.counts()
    behind = daemon.ask("POST", "/v1/refresh", {"names": ["login"], "rejected": held.etag}).json["secrets"][0]
    assert (behind["changed"], behind["etag"]) == (True, changed.etag)
    assert aws.fake.counts() == checks  # a caller that is merely behind costs nothing


def test_many_callers_of_one_cold_value_cost_one_fetch(aws: AwsAccount, start: Start) -> None:
    """Fifty callers at once ask for the same undeclared value: AWS is asked once."""
    aws.put_parameter("/cold", "v")
    aws.fake.forget_requests()
    daemon = start()
    aws.fake.fault("slow", seconds=0.5, name="/cold")
    callers = [daemon.connect() for _ in range(50)]
    for caller in callers:
        caller.request("GET", "/v1/resolve?ref=ssm:/cold")
    bodies = {json.loads(caller.getresponse().read())["value"] for caller in callers}
    assert bodies == {"v"}
    assert [request.names for request in aws.fake.requests("ssm")] == [("/cold",)]
