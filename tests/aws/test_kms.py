import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

from sidecar.aws.kms import decrypt, encrypt, sign
from sidecar.core.keys import SYMMETRIC, quota_of


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


def test_a_kind_of_key_that_is_not_known_uses_nobody_elses_quota() -> None:
    """Such a request has a bucket of its own, as any operation without a row."""
    question = sign("eu-west-1", "kms:x", key_id="k", message=b"m", algorithm="ML_DSA_SHAKE_256", is_digest=False)
    assert question.kms_quota == "kms.Sign"


@pytest.mark.parametrize("shape", ["SigningAlgorithmSpec", "EncryptionAlgorithmSpec"])
def test_no_pair_is_charged_to_symmetric_keys(shape: str) -> None:
    """Of all algorithms that KMS knows, only its default one is of symmetric keys."""
    names = set(ServiceModel(Loader().load_service_model("kms", "service-2"), "kms").shape_for(shape).enum)
    assert {name for name in names if quota_of(name) == "kms.symmetric"} <= {SYMMETRIC}
    assert {name for name in names if quota_of(name) is None} <= {"ML_DSA_SHAKE_256"}
