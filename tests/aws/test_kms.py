from sidecar.aws.kms import decrypt, encrypt
from sidecar.core.keys import SYMMETRIC


def test_leaves_out_what_is_not_given() -> None:
    """KMS's own defaults stand: no KeyId, no context, no algorithm unless it is another."""
    question = decrypt("eu-west-1", "kms:x", blob=b"blob", context=(), key_id=None, algorithm=SYMMETRIC)
    assert question.parameters == {"CiphertextBlob": b"blob"}
    assert (question.service, question.operation, question.kms_quota) == ("kms", "Decrypt", "kms.symmetric")


def test_an_algorithm_goes_along_and_says_whose_quota() -> None:
    """RSA has a quota of its own."""
    question = encrypt(
        "eu-west-1", "kms:x", key_id="k", plaintext=b"p", context=(("a", "1"),), algorithm="RSAES_OAEP_SHA_256"
    )
    assert question.parameters["EncryptionAlgorithm"] == "RSAES_OAEP_SHA_256"
    assert question.parameters["EncryptionContext"] == {"a": "1"}
    assert question.kms_quota == "kms.rsa"
