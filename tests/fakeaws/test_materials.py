"""A key's material, as an unmodified SDK sees it: imported, expired, deleted, rotated."""

from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.aws_fixtures import AwsAccount, refusal

SHA256 = hashes.SHA256()


def import_material(aws: AwsAccount, key: str, material: bytes, **more: object) -> None:
    """Import material as AWS's guide tells."""
    kms = aws.client("kms")
    asked = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}
    given = kms.get_parameters_for_import(KeyId=key, **asked)
    public = serialization.load_der_public_key(given["PublicKey"])
    assert isinstance(public, rsa.RSAPublicKey)
    wrapped = public.encrypt(material, padding.OAEP(padding.MGF1(SHA256), SHA256, None))
    kms.import_key_material(KeyId=key, ImportToken=given["ImportToken"], EncryptedKeyMaterial=wrapped, **more)


def test_imported_material_comes_expires_and_comes_again(aws: AwsAccount) -> None:
    """A key waits for its material, works with it, waits again when it expired or was deleted; it stays the same."""
    kms, forever = aws.client("kms"), {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
    key = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["Arn"]
    assert refusal(kms.encrypt, KeyId=key, Plaintext=b"x").code == "KMSInvalidStateException"
    import_material(aws, key, b"m" * 32, **forever)
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    import_material(aws, key, b"m" * 32, ValidTo=datetime.now(UTC) - timedelta(seconds=1))
    told = refusal(kms.decrypt, CiphertextBlob=blob)
    assert (told.code, "pending import" in told.message) == ("KMSInvalidStateException", True)
    assert refusal(import_material, aws=aws, key=key, material=b"n" * 32, **forever).code == (
        "IncorrectKeyMaterialException"
    )
    import_material(aws, key, b"m" * 32, **forever)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    kms.delete_imported_key_material(KeyId=key)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingImport"


def test_bad_imports(aws: AwsAccount) -> None:
    """Another key's token, what does not unwrap, no expiry and keys of KMS's own material are refused."""
    kms = aws.client("kms")
    key, own = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["Arn"], aws.create_key()
    asked = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}
    token = kms.get_parameters_for_import(KeyId=key, **asked)["ImportToken"]
    closed = {"KeyId": key, "EncryptedKeyMaterial": b"x" * 256}
    assert refusal(kms.import_key_material, ImportToken=b"x", **closed).code == "InvalidImportTokenException"
    assert refusal(kms.import_key_material, ImportToken=token, **closed).code == "InvalidCiphertextException"
    assert refusal(import_material, aws=aws, key=key, material=b"m" * 32).code == "ValidationException"
    assert refusal(kms.get_parameters_for_import, KeyId=own, **asked).code == "UnsupportedOperationException"
    assert refusal(kms.create_key, KeySpec="ECC_NIST_P256", KeyUsage="ENCRYPT_DECRYPT").code == "ValidationException"


def test_rotation_is_invisible(aws: AwsAccount) -> None:
    """After rotations, what each material closed still opens, under the same key."""
    kms, key = aws.client("kms"), aws.create_key()
    blobs = []
    for text in (b"first", b"second", b"third"):
        blobs.append(kms.encrypt(KeyId=key, Plaintext=text)["CiphertextBlob"])
        kms.rotate_key_on_demand(KeyId=key)
    opened = [kms.decrypt(CiphertextBlob=blob, KeyId=key)["Plaintext"] for blob in blobs]
    assert opened == [b"first", b"second", b"third"]
    broken = blobs[0][:-1] + bytes([blobs[0][-1] ^ 1])
    assert refusal(kms.decrypt, CiphertextBlob=broken).code == "InvalidCiphertextException"
    assert len(kms.list_key_rotations(KeyId=key)["Rotations"]) == 3
    aws.fake.set_key_state(key, "Disabled", region=aws.region)
    assert refusal(kms.rotate_key_on_demand, KeyId=key).code == "DisabledException"
    pair = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    assert refusal(kms.rotate_key_on_demand, KeyId=pair).code == "UnsupportedOperationException"
