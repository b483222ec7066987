"""Values that lie encrypted in the configuration."""

import base64

import aws_encryption_sdk
import botocore.session
import pytest
from aws_encryption_sdk.key_providers.kms import StrictAwsKmsMasterKeyProvider

from tests.aws_fixtures import AwsAccount
from tests.e2e.conftest import Start


def kms_ref(blob: bytes) -> str:
    """Refer to a ciphertext."""
    return f"kms:{base64.urlsafe_b64encode(blob).decode()}"


def message(aws: AwsAccount, key: str, plaintext: bytes, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Encrypt as anybody's Encryption SDK does."""
    for name, value in aws.env.items():
        monkeypatch.setenv(name, value)
    provider = StrictAwsKmsMasterKeyProvider(key_ids=[key], botocore_session=botocore.session.Session())
    sealed, _ = aws_encryption_sdk.EncryptionSDKClient().encrypt(source=plaintext, key_provider=provider)
    return bytes(sealed)


def test_ciphertext_in_the_configuration_is_served(
    aws: AwsAccount, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KMS's and the SDK's, in the file and in the environment, each opened once.

    What does not open is told in one line and disturbs nobody. A rotation is not seen, and no ciphertext is logged.
    """
    key = aws.create_key()
    blob = aws.client("kms").encrypt(KeyId=key, Plaintext=b'{"password": "small"}')["CiphertextBlob"]
    large = message(aws, key, b"large" * 2000, monkeypatch)
    bound = aws.client("kms").encrypt(KeyId=key, Plaintext=b"bound", EncryptionContext={"app": "web", "env": "prod"})
    in_environment = f"bound={kms_ref(bound['CiphertextBlob'])}?context=env=prod,app=web"
    secrets = {"small": f"{kms_ref(blob)}#password", "large": kms_ref(large)}
    bad = {"altered": blob[:-1] + bytes([blob[-1] ^ 1]), "cut": large[:-9], "odd": b"\x02\xff\xff" + large[3:]}
    spoilt = {name: {"ref": kms_ref(odd), "required": False} for name, odd in bad.items()}
    aws.fake.forget_requests()
    daemon = start(secrets={**secrets, **spoilt}, env={"SIDECAR_SECRETS": in_environment})
    assert (daemon.value("small").body, daemon.value("large").body) == (b"small", b"large" * 2000)
    assert daemon.value("bound").body == b"bound"
    for name, kind in (("altered", "bad-ciphertext"), ("cut", "bad-ciphertext"), ("odd", "undecryptable")):
        answer = daemon.value(name)
        assert (answer.status, answer.json["type"]) == (502, f"urn:sidecar:problem:{kind}")
        assert "kms:" in answer.json["detail"]
    asked = aws.fake.counts()["kms.Decrypt"]
    aws.client("kms").rotate_key_on_demand(KeyId=key)
    daemon.refresh("small", "large")
    assert daemon.value("small").body == b"small"
    assert aws.fake.counts()["kms.Decrypt"] == asked
    log = daemon.log.text
    assert "Traceback" not in log
    assert not any(kms_ref(each)[:80] in log for each in (blob, large, *bad.values()))


def test_a_key_that_is_allowed_no_longer(aws: AwsAccount, start: Start) -> None:
    """A reload drops what only it opened, and nothing else: the rest is not fetched again."""
    mine, other = aws.create_key(), aws.create_key()
    blob = aws.client("kms").encrypt(KeyId=mine, Plaintext=b"sealed")["CiphertextBlob"]
    aws.put_parameter("/plain", "kept")
    secrets = {"sealed": {"ref": kms_ref(blob), "required": False}, "plain": "ssm:/plain"}
    daemon = start(secrets=secrets, kms={"allow_keys": [mine]})
    assert (daemon.value("sealed").body, daemon.value("plain").body) == (b"sealed", b"kept")
    before = aws.fake.kms_charges()
    said = daemon.reconfigure({"secrets": secrets, "kms": {"allow_keys": [other, "alias/none"]}})
    daemon.wait_for_next(said, "config_reloaded")
    answer = daemon.value("sealed")
    assert (answer.status, answer.json["type"]) == (403, "urn:sidecar:problem:key-not-allowed")
    assert daemon.value("plain").body == b"kept"
    assert aws.fake.kms_charges() == before + 1
