"""Putting the seed file into the stores, without a server."""

import asyncio
import base64
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import yaml

from sidecar.core.ciphertexts import looks_like_message
from sidecar.fakeaws import kms, secretsmanager, ssm, stores
from sidecar.fakeaws.planting import Garden, complain, gardener, tend
from sidecar.fakeaws.seed import BadSeed, parse_seed
from sidecar.fakeaws.sts import Tokens
from sidecar.fakeaws.visit import Visit
from sidecar.fakeaws.wire import AwsError, Json, Params

_numbers = itertools.count(700_000_000_001)


class Bed:
    """A garden in an account of its own."""

    def __init__(self, account: str) -> None:
        """Begin with nothing planted."""
        self.account = account
        self.garden = Garden(Tokens())

    def text(self, body: str) -> str:
        """Return a seed file for this account."""
        return yaml.safe_dump({"account": self.account, "region": "eu-west-1"} | yaml.safe_load(body))

    def plant(self, body: str) -> int:
        """Plant a seed file."""
        return self.garden.plant(parse_seed(self.text(body)))

    def visit(self, region: str = "eu-west-1") -> Visit:
        """Look at it as the account's owner."""
        return gardener(self.account, region)

    def parameter(self, name: str) -> Json:
        """Return a parameter, decrypted."""
        found = ssm.get_parameter(self.visit(), Params({"Name": name, "WithDecryption": True}))["Parameter"]
        assert isinstance(found, dict)
        return found

    @property
    def bucket(self) -> str:
        """Name its bucket."""
        return f"bed-{self.account}"

    def object_or_none(self, key: str) -> stores.FakeKey | None:
        """Return the newest version of an object, if it is there."""
        found = stores.find_bucket(self.bucket)
        assert found is not None
        return stores.find_object(found[1], key, None)

    def object(self, key: str) -> stores.FakeKey:
        """Return the newest version of an object."""
        stored = self.object_or_none(key)
        assert stored is not None
        return stored

    def content(self, key: str) -> bytes:
        """Return what is in an object."""
        return bytes(self.object(key).value)

    def secret(self, name: str, region: str = "eu-west-1") -> Json:
        """Return a secret's current version."""
        return secretsmanager.get_secret_value(self.visit(region), Params({"SecretId": name}))


@pytest.fixture
def bed() -> Iterator[Bed]:
    """Give each test a garden that no other test sees."""
    made = Bed(str(next(_numbers)))
    yield made
    stores.forget_account(made.account)


def test_all_kinds_are_planted(bed: Bed) -> None:
    """Keys, parameters and secrets are there, in their own regions."""
    objects = f"objects: {{{bed.bucket}/a/b: {{value: three, key: alias/app}}}}"
    count = bed.plant(
        """
keys: {alias/app: enabled}
parameters:
  /a: {value: one, type: SecureString, key: alias/app, labels: [green]}
  /long: {value: %s}
secrets:
  db: {value: {password: two}, key: alias/app, replicas: [us-west-2]}
  blob: !!binary AP8=
"""
        % ("x" * 5000)
        + objects
    )
    assert count == 6
    assert bed.content("a/b") == b"three"
    assert bed.parameter("/a:green")["Value"] == "one"
    assert bed.parameter("/long")["Value"] == "x" * 5000
    assert bed.secret("db")["SecretString"] == bed.secret("db", "us-west-2")["SecretString"] == '{"password": "two"}'
    assert bed.secret("blob")["SecretBinary"] == "AP8="


def test_only_what_changed_gets_a_version(bed: Bed) -> None:
    """What the file says as before keeps its version; what it says anew has the next."""
    bed.plant("{parameters: {/same: x, /new: one}, secrets: {same: x, new: one}}")
    same = bed.secret("same")["VersionId"]
    assert bed.plant("{parameters: {/same: x, /new: two}, secrets: {same: x, new: two}}") == 2
    assert (bed.parameter("/same")["Version"], bed.parameter("/new")["Version"]) == (1, 2)
    assert bed.secret("same")["VersionId"] == same
    assert bed.secret("new")["SecretString"] == "two"


def test_options_of_a_secret_change_without_a_version(bed: Bed) -> None:
    """Another key or sharing is no new value."""
    bed.plant("{keys: {alias/app: enabled}, secrets: {db: {value: x}}}")
    version = bed.secret("db")["VersionId"]
    bed.plant("{keys: {alias/app: enabled}, secrets: {db: {value: x, key: alias/app, shared: true}}}")
    assert bed.secret("db")["VersionId"] == version
    bed.plant("{keys: {alias/app: disabled}, secrets: {db: {value: x, key: alias/app, shared: true}}}")
    with pytest.raises(AwsError, match="DecryptionFailure"):
        bed.secret("db")


def test_what_is_gone_is_deleted(bed: Bed) -> None:
    """Items that left the file leave AWS; a key is only scheduled to."""
    bed.plant("{keys: {alias/app: enabled}, parameters: {/a: x}, secrets: {db: {value: x, replicas: [us-west-2]}}}")
    assert bed.plant("{}") == 3
    with pytest.raises(AwsError, match="ParameterNotFound"):
        bed.parameter("/a")
    for region in ("eu-west-1", "us-west-2"):
        with pytest.raises(AwsError, match="ResourceNotFoundException"):
            bed.secret("db", region)
    (key,) = stores.kms_store(bed.account, "eu-west-1").keys.values()
    assert key.key_state == "PendingDeletion"
    assert bed.plant("{keys: {alias/app: enabled}}") == 1
    assert key.key_state == "Enabled"


def test_objects_are_planted_under_every_key(bed: Bed) -> None:
    """Of S3's own, of KMS, of a customer, of the client; an edit is a new version, what is gone has a marker on top."""
    customers = base64.b64encode(b"k" * 32).decode()
    bed.plant(
        f"""
keys: {{alias/app: enabled}}
objects:
  {bed.bucket}/plain: text
  {bed.bucket}/kms: {{value: text, key: alias/app}}
  {bed.bucket}/customer: {{value: text, sse_c: {customers}}}
  {bed.bucket}/client: {{value: text, envelope: alias/app}}
"""
    )
    assert [bed.object(key).encryption for key in ("plain", "kms", "customer")] == [None, "aws:kms", None]
    assert looks_like_message(bed.content("client"))
    first = bed.object("plain").version_id
    bed.plant(f"objects: {{{bed.bucket}/plain: other}}")
    assert bed.content("plain") == b"other"
    assert bed.object("plain").version_id != first
    assert bed.object_or_none("kms") is None


@pytest.mark.parametrize("how", ["key", "envelope"])
def test_an_object_wants_its_key(bed: Bed, how: str) -> None:
    """AWS's own words where there is none."""
    with pytest.raises(BadSeed, match=rf"objects.{bed.bucket}/x: NotFoundException: Alias .*alias/none"):
        bed.plant(f"objects: {{{bed.bucket}/x: {{value: text, {how}: alias/none}}}}")


def test_a_bucket_is_somebody_elses(bed: Bed) -> None:
    """One name is one bucket in all the world."""
    bed.plant(f"objects: {{{bed.bucket}/x: text}}")
    other = Bed(str(next(_numbers)))
    with pytest.raises(BadSeed, match="BucketAlreadyExists"):
        other.plant(f"objects: {{{bed.bucket}/x: text}}")


def test_what_others_deleted_already(bed: Bed) -> None:
    """A secret that is gone already need not be removed."""
    bed.plant("secrets: {db: x}")
    stores.secret_store(bed.account, "eu-west-1").delete_secret("db", None, force_delete_without_recovery=True)
    assert bed.plant("{}") == 1


def test_type_of_a_parameter_changes_by_deletion(bed: Bed) -> None:
    """AWS changes no type, so the parameter begins again at version 1."""
    bed.plant("parameters: {/a: x}")
    bed.plant("parameters: {/a: {value: y, type: SecureString}}")
    assert (bed.parameter("/a")["Version"], bed.parameter("/a")["Type"]) == (1, "SecureString")


def test_what_aws_refuses_is_told_and_the_rest_planted(bed: Bed) -> None:
    """One bad item keeps no other from being planted; errors are AWS's own."""
    with pytest.raises(BadSeed) as caught:
        bed.plant("{parameters: {/aws/x: y, /a: {value: z, type: SecureString, key: alias/none}}, secrets: {db: x}}")
    assert [problem.split(": ")[:2] for problem in caught.value.problems] == [
        ["parameters./a", "InvalidKeyId"],
        ["parameters./aws/x", "AccessDeniedException"],
    ]
    assert bed.secret("db")["SecretString"] == "x"


def test_roles_are_expected(bed: Bed) -> None:
    """Roles of the file are what AssumeRole checks; the file's account is the default."""
    bed.plant('roles: {"arn:aws:iam::222222222222:role/r": {external_id: x}}')
    assert bed.garden.tokens.roles["arn:aws:iam::222222222222:role/r"].external_id == "x"
    assert bed.garden.tokens.default_account == bed.account


class Reader:
    """Takes what is told to the person who edits, one edit at a time."""

    def __init__(self) -> None:
        """Begin with nothing told."""
        self.told: asyncio.Queue[list[str]] = asyncio.Queue()

    def __call__(self, lines: Iterable[str]) -> None:
        """Take some lines."""
        self.told.put_nowait(list(lines))

    async def next(self) -> list[str]:
        """Wait for the next lines."""
        async with asyncio.timeout(10):
            return await self.told.get()


async def test_edits_are_planted(bed: Bed, tmp_path: Path) -> None:
    """An edit is live at once, in place or by another file; a bad one is told and changes nothing."""
    file, reader = tmp_path / "seed.yaml", Reader()
    file.write_text(bed.text("parameters: {/a: one}"))
    bed.garden.plant(parse_seed(file.read_text()))
    async with asyncio.TaskGroup() as tasks:
        tending = tasks.create_task(tend(file, bed.garden, reader, every=0.001))
        file.write_text(bed.text("parameters: {/a: second}"))
        assert await reader.next() == ["seed.yaml: 1 changed"]
        assert bed.parameter("/a")["Value"] == "second"
        file.write_text("parameters: [broken")
        assert (await reader.next())[0].startswith("seed.yaml: line 1")
        file.write_bytes(b"\xff\xfe")
        assert await reader.next() == ["seed.yaml: it cannot be read"]
        assert bed.parameter("/a")["Value"] == "second"
        file.unlink()
        other = tmp_path / "other"
        other.write_text(bed.text("parameters: {/a: third}"))
        other.replace(file)
        assert await reader.next() == ["seed.yaml: 1 changed"]
        assert bed.parameter("/a")["Value"] == "third"
        tending.cancel()


def test_complaints_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong is read on standard error."""
    complain(["a", "b"])
    assert capsys.readouterr().err == "a\nb\n"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("accounts: {'123456789012': {mars: {parameters: {/a: x}}}}", "There is no region mars"),
        ("secrets: {db: {value: x, replicas: [mars]}}", "There is no region mars"),
        ("parameters: {/a: {value: x, type: SecureString, key: alias/none}}", "alias/none is not found"),
    ],
)
def test_what_aws_would_not_take_is_told_until_it_is_mended(bed: Bed, body: str, problem: str) -> None:
    """Again with each edit that leaves it in place; what was never planted is not missed when it goes."""
    for _ in range(2):
        with pytest.raises(BadSeed, match=problem):
            bed.plant(body)
    assert bed.plant("parameters: {/b: x}") == 1


def test_what_cannot_be_changed_stays_as_it_was(bed: Bed) -> None:
    """A bad edit of a good item leaves the good one, and its mending is a change like any other."""
    assert bed.plant("parameters: {/a: one}") == 1
    with pytest.raises(BadSeed, match=r"parameters\./a: ValidationException"):
        bed.plant("parameters: {/a: %s}" % ("x" * 9000))
    assert bed.parameter("/a")["Value"] == "one"
    assert bed.plant("parameters: {/a: one}") == 0
    assert bed.plant("parameters: {/a: two}") == 1
    assert bed.parameter("/a")["Value"] == "two"


def test_keys_of_every_kind(bed: Bed) -> None:
    """A key is of the spec, usage and policy that the file says; another spec is another key behind the alias."""
    bed.plant("keys: {alias/app: {spec: ECC_NIST_P256, shut_out: [reader]}}")
    key = kms.find_key(bed.account, "eu-west-1", "alias/app")
    assert key is not None
    assert (key.key_spec, key.key_usage, kms.beside(key).shut_out) == ("ECC_NIST_P256", "SIGN_VERIFY", ("reader",))
    bed.plant("keys: {alias/app: {spec: RSA_2048}}")
    other = kms.find_key(bed.account, "eu-west-1", "alias/app")
    assert other is not None
    assert (other.key_spec, other.id == key.id) == ("RSA_2048", False)
    with pytest.raises(BadSeed, match="a key of ECC_NIST_P256 cannot be one for ENCRYPT_DECRYPT"):
        bed.plant("keys: {alias/app: {spec: ECC_NIST_P256, usage: ENCRYPT_DECRYPT}}")
