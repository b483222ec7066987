"""What AWS does wrong, the app hardly notices: held values are served, visibly stale, until AWS is back."""

import pytest

from sidecar.core.pacing import START_RATE
from tests.aws_fixtures import AwsAccount
from tests.e2e.conftest import Lender, Start
from tests.e2e.processes import Answer

IMPATIENT = {"refresh": "1s", "ttl": "1s", "negative_ttl": "1s"}
"""Everything as quick as a configuration may ask for."""

FAULTS = ("outage", "500", "503", "html-200", "expired-token", "bad-credentials", "clock-skew")


def is_stale(answer: Answer) -> bool:
    """Tell whether a value was served, and called stale."""
    return answer.status == 200 and answer.stale


def is_fresh(answer: Answer) -> bool:
    """Tell whether a value was served, and not called stale."""
    return answer.status == 200 and not answer.stale


def test_what_is_held_outlives_every_kind_of_trouble(elsewhere: Lender, start: Start) -> None:
    """Each is told in one line, its value served and stale past ttl; the daemon stays ready, and recovers by itself."""
    others = elsewhere(FAULTS)
    daemon = start(env=others.env, secrets=others.secrets, identities=others.identities, cache=IMPATIENT)
    for kind, account in others.accounts.items():
        account.fake.fault(kind)
    for kind, ref in others.secrets.items():
        daemon.wait_for("check_failed", ref=ref)
        assert daemon.until(kind, is_stale).body.decode() == kind
    assert (daemon.get("/readyz").status, daemon.get("/healthz").status) == (200, 200)
    described = daemon.get("/v1/secrets").json["secrets"]
    assert {each["state"] for each in described} == {"stale"}
    assert all(each["reason"] and each["detail"] and each["mend"] for each in described)
    assert {each["name"]: each["reason"] for each in described}["html-200"] == "unintelligible"

    for account in others.accounts.values():
        account.fake.clear()
    for kind in FAULTS:
        daemon.until(kind, is_fresh)
    told = [line["ref"] for line in daemon.events("check_failed")]
    assert sorted(told) == sorted(others.secrets.values())
    assert sorted(line["ref"] for line in daemon.events("secret_recovered")) == sorted(told)


def test_an_outage_of_everything(aws: AwsAccount, start: Start) -> None:
    """Both services and a tree: what is held is served, what is not has an error that says when to come back."""
    aws.put_secret("s", "one")
    aws.put_parameter("/p", "two")
    aws.put_parameter("/tree/leaf", "three")
    daemon = start(secrets={"s": "sm:s", "p": "ssm:/p"}, trees={"t": "ssm:/tree/"}, cache=IMPATIENT)
    aws.fake.fault("outage")
    for name, value in (("s", b"one"), ("p", b"two"), ("t/leaf", b"three")):
        assert daemon.until(name, is_stale).body == value
    cold = daemon.resolve("sm:never-asked", Prefer="wait=1")
    assert (cold.status, cold.headers["content-type"]) == (503, "application/problem+json")
    assert int(cold.headers["retry-after"]) >= 1
    assert (daemon.get("/readyz").status, daemon.get("/healthz").status) == (200, 200)
    aws.fake.clear()
    for name in ("s", "p", "t/leaf"):
        daemon.until(name, is_fresh)


def test_no_stale_values_where_none_are_wanted(aws: AwsAccount, start: Start) -> None:
    """With stale_if_error: 0s a value that cannot be confirmed is refused, with Retry-After, and comes back."""
    aws.put_secret("strict", "v")
    daemon = start(secrets={"strict": "sm:strict"}, cache={**IMPATIENT, "stale_if_error": "0s"})
    aws.fake.fault("outage")
    refused = daemon.until("strict", lambda answer: answer.status == 503)
    assert refused.json["name"] == "strict"
    assert int(refused.headers["retry-after"]) >= 1
    assert daemon.get("/readyz").status == 503
    aws.fake.clear()
    daemon.wait_for("secret_recovered")
    assert daemon.value("strict").body == b"v"


def test_a_cold_start_in_an_outage(aws: AwsAccount, start: Start) -> None:
    """It runs, is healthy but not ready, says why, and has the value as soon as AWS is back."""
    aws.put_secret("s", "v")
    aws.put_parameter("/tree/leaf", "v")
    aws.fake.fault("outage")
    daemon = start(ready=False, secrets={"s": "sm:s"}, trees={"t": "ssm:/tree/"}, cache=IMPATIENT)
    assert daemon.get("/healthz").status == 200
    daemon.wait_for("check_failed", ref="sm:s")
    daemon.wait_for("tree_failed", tree="t")
    unready = daemon.get("/readyz")
    assert unready.status == 503
    assert unready.json["unready"] == [
        {"name": "s", "reason": "unreachable"},
        {"name": "t/", "reason": "unreachable"},
    ]
    aws.fake.clear()
    daemon.wait_for("daemon_ready")
    assert daemon.value("t/leaf").body == b"v"


def test_a_disabled_key_is_seen_and_revokes(aws: AwsAccount, start: Start) -> None:
    """A revalidation finds it: stale for revoke_after, then refused with the mend; enabled again, it is served."""
    aws.put_parameter("/locked", "v", KeyId=aws.create_key("alias/lock"))
    cache = {**IMPATIENT, "revalidate": "1s", "revoke_after": "1s"}
    daemon = start(secrets={"locked": "ssm:/locked"}, cache=cache)
    aws.fake.set_key_state("alias/lock", "Disabled", region=aws.region)
    assert daemon.wait_for("check_failed")["why"] == "key_disabled"
    refused = daemon.until("locked", lambda answer: answer.status == 403)
    assert "enable-key" in refused.json["mend"]
    assert daemon.metrics().total("sidecar_secret_state", name="locked") == 2
    aws.fake.set_key_state("alias/lock", "Enabled", region=aws.region)
    daemon.wait_for("secret_recovered")
    assert daemon.value("locked").body == b"v"


def test_a_role_that_may_not_describe(aws: AwsAccount, start: Start) -> None:
    """Said once; values are read whole instead, and a rotation is seen all the same."""
    names = [f"n{number}" for number in range(5)]
    for name in names:
        aws.put_secret(name, "old")
    aws.fake.deny("secretsmanager:DescribeSecret")
    daemon = start(secrets={name: f"sm:{name}" for name in names}, cache=IMPATIENT)
    held = daemon.value("n3")
    aws.put_secret("n3", "new")
    assert daemon.value("n3", If_None_Match=held.etag).body == b"new"
    daemon.until("n0", is_fresh)
    refused = [each for each in aws.fake.requests("secretsmanager", "DescribeSecret") if each.status == 400]
    assert len(refused) <= len(names)
    assert len(daemon.events("describe_denied")) == 1
    assert not daemon.events("check_failed")


def test_a_role_that_may_not_batch(aws: AwsAccount, start: Start) -> None:
    """Said once; every value is asked for by itself."""
    names = [f"n{number}" for number in range(5)]
    for name in names:
        aws.put_secret(name, f"value of {name}")
    aws.fake.deny("secretsmanager:BatchGetSecretValue")
    daemon = start(secrets={name: f"sm:{name}" for name in names})
    assert [daemon.value(name).body.decode() for name in names] == [f"value of {name}" for name in names]
    assert len(daemon.events("batch_denied")) == 1
    assert len(aws.fake.requests("secretsmanager", "BatchGetSecretValue")) == 1
    assert daemon.metrics().total("sidecar_aws_requests_total", outcome="denied") == 1


@pytest.mark.parametrize("cold", [False, True], ids=["held before", "cold start"])
def test_a_replica_helps_when_the_first_region_is_down(aws: AwsAccount, start: Start, *, cold: bool) -> None:
    """The next region is asked, the answer names it; the first is used again once it answers."""
    aws.put_secret("replicated", "v", AddReplicaRegions=[{"Region": "us-west-2"}])
    if cold:
        aws.fake.fault("outage", region=aws.region)
    daemon = start(
        secrets={"r": "sm:replicated"},
        cache=IMPATIENT,
        identities={"default": {"region": aws.region}, "dr": {"region": "us-west-2"}},
        failover={"sm": ["default", "dr"]},
    )
    if not cold:
        assert daemon.get("/v1/secrets/r").json["region"] == aws.region
        aws.fake.fault("outage", region=aws.region)
    helped = daemon.wait_for("failed_over")
    assert helped["region"] == "us-west-2"
    told = daemon.get("/v1/secrets/r").json
    assert (told["region"], told["value"], told["ref"]) == ("us-west-2", "v", "sm:replicated")
    daemon.until("r", is_fresh)
    aws.fake.clear()
    aws.put_secret("replicated", "newer")
    assert daemon.changed("r", daemon.value("r").etag).body == b"newer"
    while (told := daemon.get("/v1/secrets/r").json)["region"] != aws.region:
        daemon.refresh("r")
    assert told["value"] == "newer"


def test_a_small_quota_slows_but_fails_nothing(aws: AwsAccount, start: Start) -> None:
    """AWS admits two requests a second: throttled ones are tried again until everything is there."""
    names = [f"/q/{number}" for number in range(40)]
    for name in names:
        aws.put_parameter(name, "v")
    aws.fake.forget_requests()
    aws.fake.limit({"ssm.get": 2})
    daemon = start(secrets={f"q{number}": f"ssm:{name}" for number, name in enumerate(names)})
    metrics = daemon.metrics()
    assert metrics.requests == aws.fake.counts()
    throttled = [each for each in aws.fake.requests("ssm") if each.error == "ThrottlingException"]
    assert metrics.total("sidecar_aws_requests_total", outcome="throttled") == len(throttled)
    assert aws.fake.kms_charges() == len(names)


@pytest.mark.parametrize(
    ("slowed", "allowed", "kept"), [("ssm.get", 1, "kms.symmetric"), ("kms.symmetric", 5, "ssm.get")]
)
def test_only_the_quota_that_throttles_is_slowed(
    aws: AwsAccount, start: Start, slowed: str, allowed: float, kept: str
) -> None:
    """Parameter Store's own and KMS's behind it are told apart; the one that has room keeps its rate."""
    for number in range(20):
        aws.put_parameter(f"/q/{number}", "v")
    aws.fake.limit({slowed: allowed})
    daemon = start(secrets={f"q{number}": f"ssm:/q/{number}" for number in range(20)})
    quotas = {quota["quota"]: quota for quota in daemon.get("/v1/status").json["quotas"]}
    assert quotas[slowed]["throttled"] > 0
    assert quotas[slowed]["rate"] < quotas[slowed]["ceiling"]
    assert quotas[kept]["throttled"] == 0
    assert quotas[kept]["rate"] >= min(quotas[kept]["ceiling"], START_RATE)
