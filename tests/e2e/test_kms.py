"""KMS for the app, by a real daemon: counted, written down, kept to its keys, and told plainly when AWS is away."""

import base64
from typing import Any

from tests.aws_fixtures import AwsAccount
from tests.e2e.conftest import Start
from tests.e2e.processes import Answer, Daemon

CANARY = b"Canary0plain8vQw"
Json = Any  # KMS's own JSON


def do(daemon: Daemon, operation: str, /, wait: int = 10, **members: Json) -> Answer:
    """Ask for an operation."""
    return daemon.ask("POST", f"/v1/kms/{operation}", members, Prefer=f"wait={wait}")


def done(daemon: Daemon, operation: str, /, **members: Json) -> dict[str, Json]:
    """Ask for one that succeeds."""
    answer = do(daemon, operation, **members)
    assert answer.status == 200, answer.body
    told: dict[str, Json] = answer.json
    return told


def b64(value: bytes) -> str:
    """Write bytes as KMS's JSON has them."""
    return base64.b64encode(value).decode()


def test_a_day_with_kms(aws: AwsAccount, start: Start) -> None:
    """What was asked is what AWS was asked; each use is written down, nothing that was encrypted ever is.

    An outage is told with the time to come back, what needs no KMS goes on; a key that a reload takes away is refused
    at once, though its public key was held.
    """
    kms = aws.client("kms")
    key, signing = aws.create_key(), kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    daemon = start(kms={"allow_keys": [key, signing]}, log={"level": "debug", "format": "json", "audit": True})
    aws.fake.forget_requests()
    small = done(daemon, "encrypt", KeyId=key, Plaintext=b64(CANARY))
    large = [done(daemon, "encrypt", KeyId=key, Plaintext=b64(CANARY * 1000), envelope=True) for _ in range(3)]
    data_key = done(daemon, "generate-data-key", KeyId=key)
    assert done(daemon, "decrypt", CiphertextBlob=small["CiphertextBlob"])["Plaintext"] == b64(CANARY)
    assert done(daemon, "decrypt", CiphertextBlob=large[2]["CiphertextBlob"])["Plaintext"] == b64(CANARY * 1000)
    signed = {"KeyId": signing, "Message": b64(CANARY), "SigningAlgorithm": "RSASSA_PSS_SHA_256"}
    signature = done(daemon, "sign", **signed)["Signature"]
    for _ in range(3):
        assert done(daemon, "verify", **signed, Signature=signature)["SignatureValid"]
    asked = {each: count for each, count in aws.fake.counts().items() if each.startswith("kms.")}
    assert asked == {
        "kms.Encrypt": 1,
        "kms.GenerateDataKey": 2,  # one of them for three messages
        "kms.Decrypt": 2,
        "kms.Sign": 1,
        "kms.GetPublicKey": 1,
    }
    told = daemon.metrics()
    assert {each: count for each, count in told.requests.items() if each.startswith("kms.")} == asked
    assert told.total("sidecar_data_keys_total", result="hit") == 2
    assert told.total("sidecar_http_requests_total", route="/v1/kms/{operation}") == 11

    aws.fake.fault("outage", service="kms")
    away = do(daemon, "generate-data-key", wait=1, KeyId=key)
    assert away.status in {503, 504}
    assert (away.status == 504) or int(away.headers["retry-after"]) >= 1
    assert done(daemon, "verify", **signed, Signature=signature)["SignatureValid"]
    assert done(daemon, "decrypt", CiphertextBlob=large[0]["CiphertextBlob"])["KeyId"] == key
    aws.fake.clear()

    said = daemon.reconfigure(
        {"kms": {"allow_keys": [key]}, "log": {"level": "debug", "format": "json", "audit": True}}
    )
    daemon.wait_for_next(said, "config_reloaded")
    taken = do(daemon, "verify", **signed, Signature=signature)
    assert (taken.status, taken.json["type"]) == (403, "urn:sidecar:problem:key-not-allowed")
    for name, outcome in (("encrypt", "ok"), ("sign", "ok"), ("verify", "key_not_allowed")):
        daemon.wait_for("secret_accessed", name=f"kms/{name}", outcome=outcome)
    secrets = (CANARY.decode(), b64(CANARY)[:12], data_key["Plaintext"], small["CiphertextBlob"], signature[:40])
    seen = daemon.log.text + daemon.get("/metrics").body.decode() + daemon.get("/v1/status").body.decode()
    assert not [secret for secret in secrets if secret in seen]
