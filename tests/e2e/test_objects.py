"""Values that are objects of S3."""

import base64
import json
import secrets as random

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


def test_a_customers_key_is_lent_and_followed(aws: AwsAccount, start: Start) -> None:
    """Its secret is fetched first, whoever is asked for; a new one reads the object anew, at once.

    While only one of the two has changed, what is held is served on; the key is in no log and no answer.
    """
    one, two = random.token_bytes(32), random.token_bytes(32)

    def upload(content: bytes, key: bytes) -> None:
        aws.put_object("cert", content, SSECustomerAlgorithm="AES256", SSECustomerKey=key)

    def store(key: bytes) -> None:
        aws.put_secret("keys", json.dumps({"cert": base64.b64encode(key).decode()}))

    upload(b"first", one)
    store(one)
    ref = f"s3://{aws.bucket}/cert?sse_c=cert-key"
    secrets = {"cert": {"ref": ref, "refresh": "1h"}, "cert-key": {"ref": "sm:keys#cert", "refresh": "1s"}}
    daemon = start(secrets=secrets, log={"level": "debug"})
    held = daemon.value("cert")
    assert held.body == b"first"
    assert daemon.resolve(ref).json["value"] == "first"
    said = len(daemon.log.all)
    store(two)
    daemon.wait_for_next(said, "check_failed", ref=ref, why="access_denied")
    assert daemon.value("cert").body == b"first"
    upload(b"second", two)
    daemon.refresh("cert")
    assert daemon.changed("cert", held.etag).body == b"second"
    undeclared = daemon.resolve(f"s3://{aws.bucket}/cert?sse_c=nothing")
    assert (undeclared.status, undeclared.json["type"]) == (403, "urn:sidecar:problem:bad-customer-key")
    shown = daemon.log.text + daemon.get("/v1/status").body.decode() + daemon.get("/v1/secrets").body.decode()
    for key in (one, two):
        assert not any(shape in shown for shape in (base64.b64encode(key).decode(), repr(key)[2:-1], key.hex()))


def test_who_may_not_read_a_key_may_not_use_it(aws: AwsAccount, start: Start) -> None:
    """On demand a reference that names a secret needs the right to it; a declared one does not."""
    key = random.token_bytes(32)
    aws.put_object("cert", b"value", SSECustomerAlgorithm="AES256", SSECustomerKey=key)
    aws.put_secret("key", key)
    ref = f"s3://{aws.bucket}/cert?sse_c=key"
    daemon = start(secrets={"cert": ref, "key": "sm:key"}, access=[{"allow": ["cert", "s3:*"]}])
    assert (daemon.value("cert").body, daemon.value("key").status) == (b"value", 403)
    assert daemon.resolve(ref).json["value"] == "value"
    assert daemon.resolve(f"s3://{aws.bucket}/other?sse_c=key").status == 403
