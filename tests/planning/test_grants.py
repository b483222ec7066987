import base64
import re

import pytest
from cfnlint.api import lint

from sidecar.aws.models import OPERATIONS
from sidecar.core.arns import Arn
from sidecar.core.ports import DataKey
from sidecar.core.secret import Plaintext
from sidecar.envelope.sdk import seal_message
from sidecar.planning.grants import used_identities
from sidecar.planning.places import Unsaid, World
from sidecar.planning.purposes import Purpose
from sidecar.planning.rendering import Format, IdentityPolicy, render
from sidecar.planning.statements import document
from tests.planning.configured import configured
from tests.planning.granted import KEY, OTHER, OWN, conditions, grants, needs, world

SM = f"arn:aws:secretsmanager:eu-west-1:{OWN}:secret:"
SSM = f"arn:aws:ssm:eu-west-1:{OWN}:parameter/"
BILLING = "identities: {billing: {role_arn: 'arn:aws:iam::333333333333:role/r', region: us-east-1}}\n"
ALL = f"""
secrets:
  db: sm:db#password
  token: sm:token
  level: ssm:/level
  api: {{ref: ssm:/api, decrypt: local}}
  blob: kms:AQICAHhxyz0=
  chain: s3://prod-config/chain.pem
  licence: s3://prod-config/licence?version_id=3sL4kqtJlcpXroDTDmJ
  sealed: s3://prod-config/sealed?context=app=web
  bill: sm:bill?via=billing
trees: {{app: ssm:/app/, own: {{ref: ssm:/own/, decrypt: local}}}}
on_demand: {{allow: ["sm:dev/*", "ssm:/dev/*", "s3://dev/*", "s3://dev/x?version_id=*", "kms:*"]}}
kms: {{allow_keys: ["{KEY}", alias/app]}}
access: [{{uid: 1, allow: ["*", "kms/*"]}}]
fleet: {{store: "dynamodb://leases", name: prod}}
quotas: {{discover: true}}
{BILLING}"""


def test_every_purpose_has_its_statement() -> None:
    """In the order of purposes, whatever the configuration asks for."""
    found = [grant.sid for grant in needs(ALL, where=world("one")).grants]
    purposes = [re.sub("(ByAlias|Of.*)$", "", sid) for sid in found]
    assert list(dict.fromkeys(purposes)) == list(Purpose)
    assert purposes == sorted(purposes, key=[*Purpose].index)


def test_cloudformation_takes_every_statement() -> None:
    """cfn-lint knows AWS's actions, resources and conditions."""
    found = needs(ALL, where=world("one", "alias/app", f"arn:aws:kms:us-east-1:{OTHER}:key/two"))
    assert lint(render(IdentityPolicy([document(found.grants)]), Format.CFN)) == []


def test_only_what_the_daemon_asks_is_granted() -> None:
    """Each action is an operation of ours, or what IAM calls it; none has a wildcard."""
    asked = {
        f"{service.replace('-', '')}:{operation}"
        for service, operations in OPERATIONS.items()
        for operation in operations
    }
    granted = {action for grant in grants(ALL, where=world("one")).values() for action in grant.actions}
    assert granted <= asked | {"s3:GetObjectVersion"}
    assert asked - granted == {"s3:HeadObject", "sts:AssumeRoleWithWebIdentity", "sts:GetCallerIdentity"}


class TestSecrets:
    """Secrets Manager."""

    def test_by_name(self) -> None:
        """Its ARN ends in six characters that nobody knows; fields and stages are one secret."""
        found = grants('secrets: {a: "sm:db#x", b: "sm:db#y", c: "sm:db?stage=AWSPREVIOUS"}')
        assert list(found) == ["ReadSecrets"]
        assert found["ReadSecrets"].resources == (f"{SM}db-??????",)
        assert found["ReadSecrets"].actions == ("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue")

    def test_by_arn(self) -> None:
        """A full one is exact, of a partial one the end is open."""
        found = grants(f'secrets: {{a: "{SM}db-AbCdEf", b: "{SM}token"}}')
        assert found["ReadSecrets"].resources == (f"{SM}db-AbCdEf", f"{SM}token-??????")

    def test_at_once(self) -> None:
        """Only where two can be asked for together."""
        assert "ReadManySecretsAtOnce" in grants("secrets: {a: sm:a, b: sm:b}")
        assert "ReadManySecretsAtOnce" not in grants(f'secrets: {{a: sm:a, b: "{SM}b-AbCdEf", c: "sm:c?stage=X"}}')
        assert "ReadManySecretsAtOnce" not in grants(f"secrets: {{a: sm:a, b: sm:b?via=billing}}\n{BILLING}")

    def test_decryption_is_through_the_service_and_for_the_secret(self) -> None:
        """Of this region, with the context that Secrets Manager gives."""
        found = grants("secrets: {a: sm:a}", where=world("one"))["DecryptSecrets"]
        assert (found.actions, found.resources) == (("kms:Decrypt",), (KEY,))
        assert conditions(found) == {
            "StringEquals": {"kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com"},
            "StringLike": {"kms:EncryptionContext:SecretARN": f"{SM}a-??????"},
        }

    def test_replicas(self) -> None:
        """Read by whoever stands in, in its region; under a key there."""
        text = (
            f'secrets: {{a: sm:a, b: "{SM}b-AbCdEf", c: ssm:/c}}\n'
            "identities: {default: {region: eu-west-1}, dr: {region: us-west-2}}\nfailover: {sm: [default, dr]}"
        )
        found = grants(text, where=world("alias/app"))
        west = SM.replace("eu-west-1", "us-west-2")
        assert found["ReadSecrets"].resources == (
            f"{SM}a-??????",
            f"{SM}b-AbCdEf",
            f"{west}a-??????",
            f"{west}b-AbCdEf",
        )
        assert conditions(found["DecryptSecretsInUsWest2ByAlias"])["StringEquals"] == {
            "kms:ViaService": "secretsmanager.us-west-2.amazonaws.com"
        }
        assert grants(text, "dr").keys() == grants(text).keys()

    def test_replicas_of_another_account(self) -> None:
        """Have the resource policy of their secret: it is told once."""
        shared = f"arn:aws:secretsmanager:eu-west-1:{OTHER}:secret:shared-AbCdEf"
        text = f"secrets: {{a: '{shared}'}}\nidentities: {{dr: {{region: us-west-2}}}}\nfailover: {{sm: [default, dr]}}"
        found = needs(text)
        assert found.foreign == (shared,)
        assert len(found.grants[0].resources) == 2

    def test_of_another_account(self) -> None:
        """Are told, so that the other side can be written; and need a customer managed key."""
        shared = f"arn:aws:secretsmanager:eu-west-1:{OTHER}:secret:shared-AbCdEf"
        found = needs(f'secrets: {{a: "{shared}"}}')
        assert found.foreign == (shared,)
        assert "must lie under a customer managed key" in found.notes[0]
        key = KEY.replace(OWN, OTHER)
        decrypt = grants(f'secrets: {{a: "{shared}"}}', where=world(key))[f"DecryptSecretsOf{OTHER}"]
        assert decrypt.resources == (key,)


class TestParameters:
    """Parameter Store."""

    def test_by_name_and_arn(self) -> None:
        """With a path or without; versions and labels are of the parameter."""
        found = grants(f'secrets: {{a: "ssm:/a/b?version=3", b: "ssm:plain", c: "{SSM}c"}}')
        assert found["ReadParameters"].resources == (f"{SSM}a/b", f"{SSM}c", f"{SSM}plain")

    def test_what_aws_publishes(self) -> None:
        """Has no account and no key."""
        found = grants("secrets: {a: ssm:/aws/service/ami/x}", where=world("one"))
        assert list(found) == ["ReadParameters"]
        assert found["ReadParameters"].resources == ("arn:aws:ssm:eu-west-1::parameter/aws/service/ami/x",)

    def test_of_another_account(self) -> None:
        """Sharing is no policy of ours, so it is said."""
        notes = needs(f'secrets: {{a: "arn:aws:ssm:eu-west-1:{OTHER}:parameter/a"}}').notes
        assert any("shared from there by RAM" in note for note in notes)

    def test_trees(self) -> None:
        """The walk is of the path and below; a parameter of the path's own name is not read."""
        found = grants("trees: {app: ssm:/prod/app/}", where=world("one"))
        assert found["WalkTrees"].actions == ("ssm:GetParametersByPath",)
        assert found["WalkTrees"].resources == (f"{SSM}prod/app", f"{SSM}prod/app/*")
        assert (found["ReadTrees"].actions, found["ReadTrees"].resources) == (
            ("ssm:GetParameters",),
            (f"{SSM}prod/app/*",),
        )
        assert conditions(found["DecryptTrees"]) == {
            "StringEquals": {"kms:ViaService": "ssm.eu-west-1.amazonaws.com"},
            "StringLike": {"kms:EncryptionContext:PARAMETER_ARN": f"{SSM}prod/app/*"},
        }

    def test_local_decryption_asks_kms_itself(self) -> None:
        """So there is no service in between, but the context all the same."""
        text = "secrets: {a: {ref: ssm:/a, decrypt: local}}\ntrees: {t: {ref: ssm:/t/, decrypt: local}}"
        found = grants(text, where=world("one"))
        assert conditions(found["DecryptParametersLocally"]) == {
            "StringEquals": {"kms:EncryptionContext:PARAMETER_ARN": f"{SSM}a"}
        }
        assert conditions(found["DecryptTreesLocally"]) == {
            "StringLike": {"kms:EncryptionContext:PARAMETER_ARN": f"{SSM}t/*"}
        }
        assert not {"DecryptParameters", "DecryptTrees"} & found.keys()
        with pytest.raises(Unsaid, match="--key"):
            grants(text)


class TestObjects:
    """S3."""

    def test_with_and_without_version(self) -> None:
        """A version is another action; the key is spelt as S3 knows it, and means itself."""
        version = "version_id=3sL4kqtJlcpXroDTDmJ"
        found = grants(f'secrets: {{a: "s3://prod-config/a b%2Ac", b: "s3://prod-config/b?{version}"}}')
        assert found["ReadObjects"].resources == ("arn:aws:s3:::prod-config/a b${*}c",)
        assert found["ReadObjectVersions"].actions == ("s3:GetObjectVersion",)
        assert found["ReadObjectVersions"].resources == ("arn:aws:s3:::prod-config/b",)

    def test_under_kms(self) -> None:
        """Through S3, for the object, or the bucket where that has a Bucket Key; a customer's key needs no KMS."""
        text = 'secrets: {a: "s3://prod-config/a", b: "s3://prod-config/b?sse_c=c", c: "sm:c"}'
        found = grants(text, where=world("one"))
        assert conditions(found["DecryptObjects"])["StringEquals"] == {
            "kms:ViaService": "s3.eu-west-1.amazonaws.com",
            "kms:EncryptionContext:aws:s3:arn": ["arn:aws:s3:::prod-config", "arn:aws:s3:::prod-config/a"],
        }

    def test_that_a_client_encrypted(self) -> None:
        """Its message may hold more of a context than the reference says."""
        found = grants(f'secrets: {{a: "s3://prod-config/a?context=app=web"}}\nkms: {{allow_keys: ["{KEY}"]}}')
        assert conditions(found["OpenObjects"]) == {"StringEquals": {"kms:EncryptionContext:app": "web"}}
        assert "FindKeys" not in found


class TestCiphertexts:
    """kms: references."""

    blob = "kms:AQICAHhxyz0="

    def test_each_context_is_exact(self) -> None:
        """No more of it and no less; none at all is one too."""
        with_context = f"{self.blob}?context=app=web,env=$%7Bx%7D"
        text = f'secrets: {{a: "{self.blob}", b: "{with_context}"}}\nkms: {{allow_keys: ["{KEY}"]}}'
        found = grants(text)
        assert conditions(found["OpenCiphertexts"]) == {"Null": {"kms:EncryptionContextKeys": "true"}}
        assert conditions(found["OpenCiphertextsOfAppWebAndEnvX"]) == {
            "StringEquals": {"kms:EncryptionContext:app": "web", "kms:EncryptionContext:env": "${$}{x}"},
            "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["app", "env"]},
        }

    def test_a_message_says_its_keys_and_its_context(self) -> None:
        """So nothing else is granted, whatever else is allowed."""
        data_key = DataKey(KEY, Plaintext(bytes(32)), b"wrapped")
        sealed = base64.b64encode(seal_message(b"value", data_key, (("app", "web"),))).decode()
        found = grants(f'secrets: {{a: "kms:{sealed}"}}\nkms: {{allow_keys: ["{KEY}", "{KEY[:-3]}two"]}}')
        (opened,) = found.values()
        assert opened.resources == (KEY,)
        assert conditions(opened)["StringEquals"] == {"kms:EncryptionContext:app": "web"}
        assert grants(f'secrets: {{a: "kms:{sealed}"}}').keys() == found.keys()
        left = needs(f'secrets: {{a: "kms:{sealed}"}}\nkms: {{allow_keys: []}}')
        assert left.grants == ()
        assert "none of its data keys is of a KMS key that is allowed" in left.notes[0]

    def test_what_is_no_whole_message_is_left_out(self) -> None:
        """The daemon will say the same of it."""
        blob = base64.b64encode(b"\x02\x05\x78not a message").decode()
        found = needs(f'secrets: {{a: "kms:{blob}"}}\nkms: {{allow_keys: ["{KEY}"]}}')
        assert found.grants == ()
        assert "left out" in found.notes[0]

    def test_aliases_are_asked_for_their_keys(self) -> None:
        """Where a ciphertext comes back with one of several keys, of which an alias is one."""
        several = f'secrets: {{a: "{self.blob}"}}\nkms: {{allow_keys: ["{KEY}", alias/app]}}'
        assert grants(several)["FindKeysByAlias"].actions == ("kms:DescribeKey",)
        assert "FindKeysByAlias" not in grants(f'secrets: {{a: "{self.blob}"}}\nkms: {{allow_keys: [alias/app]}}')


class TestApp:
    """KMS for the app."""

    def test_what_access_rules_name(self) -> None:
        """And no more of KMS than that takes."""
        text = (
            f'kms: {{allow_keys: ["{KEY}"]}}\naccess: [{{uid: 1, allow: ["db", "kms/encrypt", "kms/generate-random"]}}]'
        )
        found = grants(text)
        assert found["KmsForTheApp"].actions == ("kms:Encrypt", "kms:GenerateDataKey", "kms:GetPublicKey")
        assert found["RandomForTheApp"].resources == ("*",)

    def test_a_rule_for_everything_says_nothing_of_kms(self) -> None:
        """Which is said, where keys are allowed."""
        text = f'secrets: {{a: ssm:/a}}\nkms: {{allow_keys: ["{KEY}"]}}\naccess: [{{uid: 1, allow: ["*"]}}]'
        found = needs(text)
        assert [grant.sid for grant in found.grants] == ["ReadParameters"]
        assert any("no access rule names them" in note for note in found.notes)


class TestOnDemand:
    """What is not declared."""

    def test_narrow_globs_are_resources(self) -> None:
        """The end of a secret's ARN may be what the last star stands for."""
        found = grants('on_demand: {allow: ["sm:dev/*", "sm:one", "ssm:/dev/*", "s3://dev-x/*"]}', where=world("one"))
        assert found["ReadSecretsOnDemand"].resources == (f"{SM}dev/*", f"{SM}one-??????")
        assert found["ReadParametersOnDemand"].resources == (f"{SSM}dev/*",)
        assert found["ReadObjectsOnDemand"].resources == ("arn:aws:s3:::dev-x/*",)
        assert conditions(found["DecryptObjectsOnDemand"])["StringLike"] == {
            "kms:EncryptionContext:aws:s3:arn": ["arn:aws:s3:::dev-x", "arn:aws:s3:::dev-x/*"]
        }

    def test_of_another_account(self) -> None:
        """An ARN says where."""
        found = grants(f'on_demand: {{allow: ["sm:arn:aws:secretsmanager:us-east-1:{OTHER}:secret:shared/*"]}}')
        assert found["ReadSecretsOnDemand"].resources == (f"arn:aws:secretsmanager:us-east-1:{OTHER}:secret:shared/*",)

    def test_as_another_identity(self) -> None:
        """Only where the glob names it."""
        text = f'on_demand: {{allow: ["sm:x/*?via=billing", "sm:y/*"]}}\n{BILLING}'
        assert grants(text, "billing")["ReadSecretsOnDemand"].resources == (
            "arn:aws:secretsmanager:us-east-1:333333333333:secret:x/*",
        )
        assert grants(text)["ReadSecretsOnDemand"].resources == (f"{SM}y/*",)
        assert used_identities(configured(text)) == {"billing", "default"}

    def test_what_is_too_wide_is_said(self) -> None:
        """And left out."""
        found = needs('secrets: {a: ssm:/a}\non_demand: {allow: ["*", "sm:x/*?via=nobody"]}')
        assert [grant.sid for grant in found.grants] == ["ReadParameters"]
        assert found.notes[-2].startswith("on_demand.allow '*' is left out")
        assert "names the identity nobody" in found.notes[-1]


class TestRoles:
    """Identities with a role."""

    def test_who_begins_may_assume_what_is_used(self) -> None:
        """With its external id, where it has one; by the same credentials only."""
        text = (
            "secrets: {a: sm:a?via=one, b: sm:b?via=two, c: sm:c?via=ops}\nidentities:\n"
            "  one: {role_arn: 'arn:aws:iam::333333333333:role/one'}\n"
            "  two: {role_arn: 'arn:aws:iam::333333333333:role/two', external_id: x-42}\n"
            "  ops: {role_arn: 'arn:aws:iam::333333333333:role/ops', profile: ops}\n"
            "  idle: {role_arn: 'arn:aws:iam::333333333333:role/idle'}\n"
        )
        found = needs(text)
        one, two = found.grants
        assert (one.sid, one.resources, one.conditions) == ("AssumeRoles", ("arn:aws:iam::333333333333:role/one",), ())
        assert (two.sid, conditions(two)) == ("AssumeRolesAsTwo", {"StringEquals": {"sts:ExternalId": "x-42"}})
        assert any("the identity idle is left out" in note for note in found.notes)
        assert list(grants(text, "one")) == ["ReadSecrets"]

    def test_its_values_are_of_its_account(self) -> None:
        """Whatever account the daemon starts in."""
        found = grants(f"secrets: {{a: ssm:/a?via=billing}}\n{BILLING}", "billing", World())
        assert Arn.parse(found["ReadParameters"].resources[0]).account == "333333333333"


def test_keys_that_nobody_named_are_a_note() -> None:
    """Values are taken to lie under AWS managed keys then: that needs no grant."""
    assert any("AWS managed keys" in note for note in needs("secrets: {a: sm:a}").notes)
    assert not any("AWS managed keys" in note for note in needs("secrets: {a: sm:a}", where=world("one")).notes)


def test_quotas_are_asked_for_as_whoever_reads() -> None:
    """One that reads nothing asks nothing."""
    text = f"secrets: {{a: ssm:/a?via=billing}}\nquotas: {{discover: true}}\n{BILLING}"
    assert "DiscoverQuotas" in grants(text, "billing")
    assert "DiscoverQuotas" not in grants(text)
