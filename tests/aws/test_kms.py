import base64

import pytest

from sidecar.aws.kms import decrypt_question
from sidecar.core.errors import Undecryptable
from sidecar.core.refs import Ref, SourceKind

REF = Ref(SourceKind.SSM, "/app/db")
ARN = "arn:aws:ssm:eu-west-1:111111111111:parameter/app/db"


def test_asks_with_the_parameters_context() -> None:
    """The ciphertext goes to the parameter's region, under the context that Parameter Store encrypted it with."""
    blob = b"\x01\x02\x02\x00ciphertext"
    question = decrypt_question(REF, value=base64.b64encode(blob).decode(), arn=ARN, region="eu-west-1")
    assert (question.service, question.operation, question.region) == ("kms", "Decrypt", "eu-west-1")
    assert question.parameters == {"CiphertextBlob": blob, "EncryptionContext": {"PARAMETER_ARN": ARN}}


@pytest.mark.parametrize(
    ("told", "what"),
    [
        (base64.b64encode(b"\x02\x05\x78message").decode(), "advanced tier"),
        (base64.b64encode(b"\x01\x80message").decode(), "advanced tier"),
        ("not base64!", "no ciphertext"),
        ("kms:alias/aws/ssm:plain", "no ciphertext"),
    ],
)
def test_what_is_no_blob_of_kms_is_not_sent_there(told: str, what: str) -> None:
    """An Encryption SDK message or garbage is Undecryptable, said plainly and not quoted."""
    with pytest.raises(Undecryptable, match=what) as caught:
        decrypt_question(REF, value=told, arn=ARN, region="eu-west-1")
    assert str(REF) in str(caught.value)
    assert told not in str(caught.value)
