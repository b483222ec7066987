"""Signatures and public keys, as an unmodified SDK sees them, checked by another implementation."""

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from tests.aws_fixtures import AwsAccount, refusal

CURVES = {"ECC_NIST_P256": "256", "ECC_NIST_P384": "384", "ECC_NIST_P521": "512", "ECC_SECG_P256K1": "256"}


def test_rsa_signatures(aws: AwsAccount) -> None:
    """Every RSA algorithm signs a message or its digest, and the downloaded public key agrees."""
    kms = aws.client("kms")
    key = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    public = kms.get_public_key(KeyId=key)
    loaded = serialization.load_der_public_key(public["PublicKey"])
    assert isinstance(loaded, rsa.RSAPublicKey)
    assert len(public["SigningAlgorithms"]) == 6
    for algorithm in public["SigningAlgorithms"]:
        bits = algorithm[-3:]
        kind = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[bits]
        digest = hashlib.new(f"sha{bits}", b"message").digest()
        by_digest = {"KeyId": key, "SigningAlgorithm": algorithm, "MessageType": "DIGEST", "Message": digest}
        signature = kms.sign(**by_digest)["Signature"]
        asked = {"KeyId": key, "SigningAlgorithm": algorithm, "Signature": signature}
        assert kms.verify(Message=b"message", **asked)["SignatureValid"]
        assert refusal(kms.verify, Message=b"another", **asked).code == "KMSInvalidSignatureException"
        salted = padding.PSS(padding.MGF1(kind), kind.digest_size)
        loaded.verify(signature, b"message", salted if "PSS" in algorithm else padding.PKCS1v15(), kind)


@pytest.mark.parametrize("spec", CURVES)
def test_ecc_signatures(aws: AwsAccount, spec: str) -> None:
    """Each curve has its one algorithm, and the downloaded public key agrees."""
    kms = aws.client("kms")
    key = kms.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    asked = {"KeyId": key, "SigningAlgorithm": f"ECDSA_SHA_{CURVES[spec]}", "Message": b"message"}
    signature = kms.sign(**asked)["Signature"]
    assert kms.verify(Signature=signature, **asked)["SignatureValid"]
    assert refusal(kms.verify, Signature=signature, **{**asked, "Message": b"x"}).code == "KMSInvalidSignatureException"
    loaded = serialization.load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])
    assert isinstance(loaded, ec.EllipticCurvePublicKey)
    kind = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[CURVES[spec]]
    loaded.verify(signature, b"message", ec.ECDSA(kind))
    wrong = {**asked, "SigningAlgorithm": "RSASSA_PSS_SHA_256"}
    assert refusal(kms.sign, **wrong).code == "InvalidKeyUsageException"


def test_wrong_usage_and_messages(aws: AwsAccount) -> None:
    """What a key is not for, a digest of another length and a message too long are refused."""
    kms, symmetric = aws.client("kms"), aws.create_key()
    key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    asked = {"SigningAlgorithm": "ECDSA_SHA_256", "Message": b"x"}
    assert refusal(kms.sign, KeyId=symmetric, **asked).code == "InvalidKeyUsageException"
    assert refusal(kms.encrypt, KeyId=key, Plaintext=b"x").code == "InvalidKeyUsageException"
    assert refusal(kms.sign, KeyId=key, MessageType="DIGEST", **asked).code == "ValidationException"
    long = {**asked, "Message": b"x" * 4097}
    assert refusal(kms.sign, KeyId=key, **long).code == "ValidationException"
    dry = refusal(kms.sign, KeyId=key, DryRun=True, **asked)
    assert (dry.code, dry.status) == ("DryRunOperationException", 412)
    assert refusal(kms.get_public_key, KeyId=symmetric).code == "UnsupportedOperationException"
    aws.fake.set_key_state(key, "PendingDeletion", region=aws.region)
    assert refusal(kms.get_public_key, KeyId=key).code == "KMSInvalidStateException"
