"""Who the daemon is towards AWS: credentials late, expired or of another account; no network, a wrong region."""

from pathlib import Path

from tests.aws_fixtures import AwsAccount
from tests.e2e.conftest import Lend, Lender, Start, write_credentials

QUICK = {"refresh": "1s", "negative_ttl": "1s"}


def test_credentials_may_come_late(aws: AwsAccount, start: Start, folder: Path) -> None:
    """Without any it runs, is not ready, says why in one line; a file that is written later is all it takes."""
    aws.put_secret("s", "v")
    file = folder / "credentials"
    env = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SHARED_CREDENTIALS_FILE": str(file)}
    daemon = start(ready=False, env=env, secrets={"s": "sm:s"}, cache=QUICK)
    failed = daemon.wait_for("check_failed", ref="sm:s")
    assert "there are no credentials" in failed["error"]
    assert "AWS_ACCESS_KEY_ID" in failed["mend"]
    unready = daemon.get("/readyz")
    assert (unready.status, unready.json["unready"]) == (503, [{"name": "s", "reason": "unreachable"}])
    answer = daemon.value("s", Prefer="wait=1")
    assert (answer.status, answer.json["mend"]) == (503, failed["mend"])
    assert daemon.get("/healthz").status == 200

    write_credentials(file, {"default": aws.id})
    daemon.wait_for("daemon_ready")
    assert daemon.value("s").body == b"v"
    assert len(daemon.events("check_failed")) == 1


def test_what_is_wrong_is_said_once_and_tried_again(elsewhere: Lender, start: Start) -> None:
    """An expired token, invalid keys, a wrong clock, a wrong region, no network: one line each, with what to do."""
    mends = {"expired-token": "Renew", "bad-credentials": "Renew", "clock-skew": "clock"}
    others = elsewhere(mends)
    for kind, account in others.accounts.items():
        account.fake.fault(kind)
    mends |= {"away": "network", "nowhere": "region"}
    secrets = {kind: f"sm:s?via={kind}" for kind in mends}
    strange = {"away": {"endpoint_url": "http://127.0.0.1:1"}, "nowhere": {"region": "eu-nowhere-1"}}
    daemon = start(ready=False, env=others.env, secrets=secrets, identities=others.identities | strange, cache=QUICK)
    for kind, mend in mends.items():
        assert mend in daemon.wait_for("check_failed", ref=secrets[kind])["mend"]
    for kind, account in others.accounts.items():
        account.fake.clear()
        daemon.wait_for("secret_recovered", ref=secrets[kind])
    told = [line["ref"] for line in daemon.events("check_failed")]
    assert sorted(told) == sorted(secrets.values())
    assert daemon.log.text.count("Found credentials in shared credentials file") == 1  # the library says so at each try
    assert daemon.get("/healthz").status == 200


def test_a_role_in_another_account(aws: AwsAccount, start: Start, lend_account: Lend) -> None:
    """It is assumed once for all its values, with its external id; a wrong id is refused; an expired one renewed."""
    with lend_account() as other:
        role = f"arn:aws:iam::{other.id}:role/reader"
        aws.fake.role(role, external_id="x1")
        other.put_secret("theirs", "one")
        other.put_parameter("/theirs", "two")
        other.fake.forget_requests()
        billing = {"role_arn": role, "external_id": "x1", "region": aws.region}
        daemon = start(
            secrets={
                "s": "sm:theirs?via=billing",
                "p": "ssm:/theirs?via=billing",
                "again": "sm:theirs?via=same",
                "w": {"ref": "sm:theirs?via=wrong", "required": False},
            },
            cache=QUICK,
            identities={"billing": billing, "same": billing, "wrong": {**billing, "external_id": "x2"}},
        )
        assert (daemon.value("s").body, daemon.value("p").body) == (b"one", b"two")
        refused = daemon.wait_for("check_failed", ref="sm:theirs?via=wrong")
        assert (refused["why"], daemon.value("w").status) == ("access_denied", 403)
        callers = {request.identity.split("/")[1] for request in other.fake.requests()}
        assert callers == {"reader"}
        assert [each.status for each in aws.fake.requests("sts", "AssumeRole") if each.status == 200] == [200]

        other.put_secret("theirs", "three")
        other.fake.fault("expired-token", count=1, service="secretsmanager")
        assert daemon.changed("s", daemon.value("s").etag).body == b"three"
        assert [each.status for each in aws.fake.requests("sts", "AssumeRole") if each.status == 200] == [200, 200]


def test_values_of_other_accounts(aws: AwsAccount, start: Start, lend_account: Lend, folder: Path) -> None:
    """A shared secret is read by its ARN, with the daemon's own identity; a profile is an identity too."""
    with lend_account() as other:
        other.put_secret("shared", "theirs", KmsKeyId=other.create_key())
        secrets = other.client("secretsmanager")
        policy = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*"}]}'
        secrets.put_resource_policy(SecretId="shared", ResourcePolicy=policy)
        arn = secrets.describe_secret(SecretId="shared")["ARN"]
        aws.put_secret("shared", "ours")
        write_credentials(folder / "credentials", {"elsewhere": other.id})
        daemon = start(
            env={"AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials")},
            secrets={"theirs": f"sm:{arn}", "ours": "sm:shared", "profile": "sm:shared?via=elsewhere"},
            identities={"elsewhere": {"profile": "elsewhere", "region": aws.region}},
        )
        values = {name: daemon.value(name).body for name in ("theirs", "ours", "profile")}
        assert values == {"theirs": b"theirs", "ours": b"ours", "profile": b"theirs"}
        assert daemon.get("/v1/secrets/theirs").json["ref"] == f"sm:{arn}"
