"""Values that are objects of S3."""

from tests.aws_fixtures import AwsAccount
from tests.e2e.conftest import Start


def test_objects_are_served_and_followed(aws: AwsAccount, start: Start) -> None:
    """Declared and on demand, whole and by field, large ones too; fetched once for each version, and counted.

    What is too large, missing or elsewhere is told in one line, and disturbs nobody.
    """
    certificate, account = f"s3://{aws.bucket}/app/cert.pem", f"s3://{aws.bucket}/app/account.json"
    aws.put_object("app/account.json", b'{"key": "made-up"}')
    aws.keep_versions()
    aws.put_object("app/cert.pem", b"c" * 300_000, ServerSideEncryption="aws:kms")
    aws.put_object("app/dump", b"d" * 2**20)
    secrets: dict[str, object] = {"cert": {"ref": certificate, "refresh": "1s"}, "key": f"{account}#key"}
    bad = {"dump": f"s3://{aws.bucket}/app/dump", "gone": f"s3://{aws.bucket}/gone", "lost": "s3://no-such/x"}
    spoilt = {name: {"ref": ref, "required": False} for name, ref in bad.items()}
    aws.fake.forget_requests()
    daemon = start(secrets={**secrets, **spoilt}, s3={"max_object": "512KiB"})
    assert (daemon.value("cert").body, daemon.value("key").body) == (b"c" * 300_000, b"made-up")
    assert daemon.resolve(f"arn:aws:s3:::{aws.bucket}/app/account.json#key").json["value"] == "made-up"
    for name, status, kind in (("dump", 502, "too-large"), ("gone", 404, "not-found"), ("lost", 404, "not-found")):
        answer = daemon.value(name)
        assert (answer.status, answer.json["type"]) == (status, f"urn:sidecar:problem:{kind}")
    held = daemon.value("cert")
    newest = aws.put_object("app/cert.pem", b"new", ServerSideEncryption="aws:kms")
    changed = daemon.changed("cert", held.etag)
    assert (changed.body, daemon.get("/v1/secrets/cert").json["version"]) == (b"new", newest)
    assert daemon.get("/v1/values/cert?previous=1").body == b"c" * 300_000
    aws.client("s3").delete_object(Bucket=aws.bucket, Key="app/cert.pem")
    daemon.until("cert", lambda answer: answer.status == 404)
    samples = daemon.metrics()
    assert samples.total("sidecar_kms_charges_total", reason="s3") == aws.fake.kms_charges() == 2
    counted = aws.fake.counts()
    assert (counted["s3.GetObject"], counted["sts.GetCallerIdentity"]) == (samples.requests["s3.GetObject"], 1)
    assert "Traceback" not in daemon.log.text


def test_a_reload_lets_larger_objects_in(aws: AwsAccount, start: Start) -> None:
    """`s3.max_object` counts from then on, and what is held is not fetched anew."""
    aws.put_object("small", b"small")
    aws.put_object("large", b"l" * 2000)
    secrets = {
        "small": f"s3://{aws.bucket}/small",
        "large": {"ref": f"s3://{aws.bucket}/large", "required": False},
    }
    daemon = start(secrets=secrets, s3={"max_object": "1KiB"})
    assert (daemon.value("small").body, daemon.value("large").status) == (b"small", 502)
    said = daemon.reconfigure({"secrets": secrets, "s3": {"max_object": "2KiB"}})
    daemon.wait_for_next(said, "config_reloaded")
    daemon.refresh("large")
    assert daemon.value("large").body == b"l" * 2000
