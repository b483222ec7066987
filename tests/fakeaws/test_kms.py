"""KMS, as an unmodified SDK sees it."""

import pytest

from tests.aws_fixtures import AwsAccount, refusal

CONTEXT = {"app": "made-up"}


def test_context_must_match(aws: AwsAccount) -> None:
    """Ciphertext opens with the context it was closed with."""
    key = aws.create_key("alias/app")
    kms = aws.client("kms")
    blob = kms.encrypt(KeyId="alias/app", Plaintext=b"made-up", EncryptionContext=CONTEXT)["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT)["Plaintext"] == b"made-up"
    assert kms.decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT)["KeyId"] == key
    for asked in ({}, {"EncryptionContext": {"app": "other"}}):
        assert refusal(kms.decrypt, CiphertextBlob=blob, **asked).code == "InvalidCiphertextException"
    assert refusal(kms.decrypt, CiphertextBlob=b"no ciphertext at all").code == "InvalidCiphertextException"


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("Disabled", "DisabledException"),
        ("PendingDeletion", "KMSInvalidStateException"),
        ("PendingImport", "KMSInvalidStateException"),
        ("Unavailable", "KMSInvalidStateException"),
    ],
)
def test_key_states(aws: AwsAccount, state: str, code: str) -> None:
    """A key that is not enabled neither encrypts nor decrypts, and says why."""
    key = aws.create_key()
    kms = aws.client("kms")
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    aws.fake.set_key_state(key, state, region=aws.region)
    for call, asked in (
        (kms.decrypt, {"CiphertextBlob": blob}),
        (kms.encrypt, {"KeyId": key, "Plaintext": b"x"}),
        (kms.generate_data_key, {"KeyId": key, "KeySpec": "AES_256"}),
        (kms.re_encrypt, {"CiphertextBlob": blob, "DestinationKeyId": key}),
    ):
        told = refusal(call, **asked)
        assert (told.code, key in told.message) == (code, True)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == state


def test_keys_are_managed_by_any_name(aws: AwsAccount) -> None:
    """Disable, enable, schedule and cancel take an ARN or an alias."""
    key = aws.create_key("alias/app")
    kms = aws.client("kms")
    for call, asked, state in (
        (kms.disable_key, key, "Disabled"),
        (kms.enable_key, key.rpartition("/")[2], "Enabled"),
        (kms.schedule_key_deletion, key, "PendingDeletion"),
        (kms.cancel_key_deletion, key, "Disabled"),
    ):
        call(KeyId=asked)
        assert kms.describe_key(KeyId="alias/app")["KeyMetadata"]["KeyState"] == state


def test_decrypt_with_another_key_named(aws: AwsAccount) -> None:
    """KeyId on Decrypt must be the key that closed it."""
    kms = aws.client("kms")
    key, other = aws.create_key(), aws.create_key()
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob, KeyId=key)["Plaintext"] == b"x"
    assert refusal(kms.decrypt, CiphertextBlob=blob, KeyId=other).code == "IncorrectKeyException"


def test_unknown_keys(aws: AwsAccount) -> None:
    """A key that is not there is NotFound, by id or alias, and an AWS-managed key is not for callers."""
    encrypt = aws.client("kms").encrypt
    for key in ("alias/none", "00000000-0000-0000-0000-000000000000", f"arn:aws:kms:{aws.region}:{aws.id}:key/none"):
        assert refusal(encrypt, KeyId=key, Plaintext=b"x").code == "NotFoundException"
    assert refusal(encrypt, KeyId="alias/aws/ssm", Plaintext=b"x").code == "AccessDeniedException"


def test_data_keys(aws: AwsAccount) -> None:
    """A data key comes closed and open, or closed only; re-encryption changes the key."""
    kms = aws.client("kms")
    key, other = aws.create_key(), aws.create_key()
    made = kms.generate_data_key(KeyId=key, KeySpec="AES_128", EncryptionContext=CONTEXT)
    assert len(made["Plaintext"]) == 16
    blob = made["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT)["Plaintext"] == made["Plaintext"]
    assert "Plaintext" not in kms.generate_data_key_without_plaintext(KeyId=key, NumberOfBytes=64)
    moved = kms.re_encrypt(CiphertextBlob=blob, SourceEncryptionContext=CONTEXT, DestinationKeyId=other)
    assert (moved["SourceKeyId"], moved["KeyId"]) == (key, other)
    assert kms.decrypt(CiphertextBlob=moved["CiphertextBlob"])["Plaintext"] == made["Plaintext"]
    assert len(kms.generate_random(NumberOfBytes=7)["Plaintext"]) == 7


def test_dry_run_checks_and_does_nothing(aws: AwsAccount) -> None:
    """DryRun answers DryRunOperationException where the call would have worked, else the error."""
    kms = aws.client("kms")
    key = aws.create_key()
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    assert refusal(kms.decrypt, CiphertextBlob=blob, DryRun=True).code == "DryRunOperationException"
    aws.fake.deny("kms:Decrypt", key)
    told = refusal(kms.decrypt, CiphertextBlob=blob, DryRun=True)
    assert (told.code, "kms:Decrypt" in told.message) == ("AccessDeniedException", True)


def test_signing_keys_have_states_too(aws: AwsAccount) -> None:
    """Sign needs an enabled key and has a quota of its own."""
    kms = aws.client("kms")
    key = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")["KeyMetadata"]["Arn"]
    asked = {"KeyId": key, "Message": b"x", "SigningAlgorithm": "ECDSA_SHA_256"}
    signature = kms.sign(**asked)["Signature"]
    assert kms.verify(**asked, Signature=signature)["SignatureValid"]
    aws.fake.limit({"kms.ecc": 1})
    kms.sign(**asked)
    assert refusal(kms.sign, **asked).code == "ThrottlingException"
    aws.fake.clear()
    aws.fake.set_key_state(key, "Disabled", region=aws.region)
    assert refusal(kms.sign, **asked).code == "DisabledException"


def test_key_of_another_account_by_its_arn(aws: AwsAccount) -> None:
    """A stranger uses the key by ARN; what it closed opens for him too."""
    key = aws.create_key()
    stranger = aws.client_as("kms", "999999999999")
    blob = stranger.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    assert stranger.decrypt(CiphertextBlob=blob)["KeyId"] == key


def test_uses_are_limited_and_counted(aws: AwsAccount) -> None:
    """kms.symmetric is one quota for all symmetric operations; only decryptions are counted as such."""
    kms = aws.client("kms")
    key = aws.create_key()
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    aws.fake.forget_requests()
    aws.fake.limit({"kms.symmetric": 3})
    kms.decrypt(CiphertextBlob=blob)
    kms.encrypt(KeyId=key, Plaintext=b"x")
    kms.generate_random(NumberOfBytes=1)
    assert refusal(kms.decrypt, CiphertextBlob=blob).code == "ThrottlingException"
    assert aws.fake.kms_charges() == 1


def test_bad_requests(aws: AwsAccount) -> None:
    """What does not fit KMS's own limits is a ValidationException."""
    kms, key = aws.client("kms"), aws.create_key()
    assert refusal(kms.encrypt, KeyId=key, Plaintext=b"x" * 4097).code == "ValidationException"


def test_rsa_pairs_encrypt(aws: AwsAccount) -> None:
    """An RSA pair encrypts by OAEP, takes no context, and needs its name and algorithm to decrypt."""
    kms = aws.client("kms")
    key = kms.create_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["Arn"]
    for algorithm in ("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"):
        asked = {"KeyId": key, "EncryptionAlgorithm": algorithm}
        closed = kms.encrypt(Plaintext=b"x", **asked)
        assert (closed["KeyId"], closed["EncryptionAlgorithm"]) == (key, algorithm)
        assert kms.decrypt(CiphertextBlob=closed["CiphertextBlob"], **asked)["Plaintext"] == b"x"
    assert refusal(kms.decrypt, CiphertextBlob=b"x" * 256, **asked).code == "InvalidCiphertextException"
    assert refusal(kms.encrypt, Plaintext=b"x" * 191, **asked).code == "ValidationException"
    assert refusal(kms.encrypt, Plaintext=b"x", **asked, EncryptionContext=CONTEXT).code == "ValidationException"
    for call, more in ((kms.encrypt, {"Plaintext": b"x"}), (kms.generate_data_key, {"KeySpec": "AES_256"})):
        assert refusal(call, KeyId=key, **more).code == "InvalidKeyUsageException"


def test_key_policy_shuts_out(aws: AwsAccount) -> None:
    """Whom the key policy does not admit is told so by KMS, Parameter Store and Secrets Manager in their own words."""
    key = aws.create_key("alias/app")
    aws.put_parameter("/p", "x", KeyId="alias/app")
    aws.put_secret("s", "x", KmsKeyId="alias/app")
    kms = aws.client("kms")
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    assert aws.fake.shut_out("alias/app", aws.id, region=aws.region) == key
    told = refusal(kms.decrypt, CiphertextBlob=blob)
    assert (told.code, "no resource-based policy allows the kms:Decrypt" in told.message) == (
        "AccessDeniedException",
        True,
    )
    assert "kms:Decrypt" in refusal(aws.client("ssm").get_parameter, Name="/p", WithDecryption=True).message
    told = refusal(aws.client("secretsmanager").get_secret_value, SecretId="s")
    assert told.message == "Access to KMS is not allowed"
    aws.fake.shut_out(key, region=aws.region)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def test_key_of_another_region(aws: AwsAccount) -> None:
    """An ARN names a key of the region that is asked."""
    key = aws.create_key()
    told = refusal(aws.client("kms", "us-west-2").encrypt, KeyId=key, Plaintext=b"x")
    assert (told.code, told.message) == ("NotFoundException", "Invalid arn eu-west-1")
