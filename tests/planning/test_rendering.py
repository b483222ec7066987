import json
from typing import Any

import pytest
from cfnlint.api import lint
from cfnlint.decode import decode_str

from sidecar.planning.places import ACCOUNT, PARTITION, REGION, Unsaid
from sidecar.planning.rendering import (
    Format,
    IdentityPolicy,
    KeyPolicy,
    Policy,
    SecretPolicy,
    TrustPolicy,
    render,
)
from sidecar.planning.statements import Condition, Grant, document
from tests.planning.hcl import Block, read

Json = Any  # policies are read as they are written

ROLE = "arn:aws:iam::222222222222:role/readers/billing"
OPEN = f"arn:{PARTITION}:secretsmanager:{REGION}:{ACCOUNT}:secret:db-??????"
VALUES = {
    "data.aws_caller_identity.current.account_id": "111111111111",
    "data.aws_partition.current.partition": "aws",
    "data.aws_region.current.id": "eu-west-1",
    "data.aws_secretsmanager_secret.secret.arn": "arn",
}
ODD = 'quo"te\\ %{ ${$}{aws:x} é'
READ = Grant(
    "Read",
    ("a:One", "a:Two"),
    (OPEN, "arn:aws:s3:::b/x${*}"),
    (Condition("StringEquals", "kms:EncryptionContext:x", (ODD,)),),
)
TRUST = document([Grant("Assume", ("sts:AssumeRole",), (), principal="arn:aws:iam::111111111111:root")])
KEY_POLICY = document([Grant("AccountDecides", ("kms:*",), ("*",), principal=f"arn:{PARTITION}:iam::{ACCOUNT}:root")])
SHARED = document([Grant("Read", ("secretsmanager:GetSecretValue",), ("*",), principal=ROLE)])
SECRETS = (
    "arn:aws:secretsmanager:eu-west-1:222222222222:secret:a/b-AbCdEf",
    "arn:aws:secretsmanager:eu-west-1:222222222222:secret:c-??????",
)
POLICIES: dict[str, Policy] = {
    "identity": IdentityPolicy([document([READ])]),
    "parts": IdentityPolicy([document([READ]), document([READ])]),
    "trust": TrustPolicy(TRUST, ROLE),
    "key": KeyPolicy(KEY_POLICY, None),
    "secrets": SecretPolicy(SHARED, SECRETS),
}


def closed(written: Json) -> Json:
    """Put what is known where a document leaves it open."""
    text = json.dumps(written)
    for token, value in ((ACCOUNT, "111111111111"), (REGION, "eu-west-1"), (PARTITION, "aws")):
        text = text.replace(token, value)
    return json.loads(text)


def template(policy: Policy) -> Json:
    """Read what is rendered for CloudFormation."""
    read_, errors = decode_str(render(policy, Format.CFN))
    assert errors == []
    return read_


def blocks(policy: Policy) -> list[Block]:
    """Read what is rendered for Terraform."""
    return read(render(policy, Format.TF), VALUES)


def resolved(value: Json) -> Json:
    """Do what CloudFormation does with `!Sub`."""
    if isinstance(value, dict) and set(value) == {"Fn::Sub"}:
        text = value["Fn::Sub"]
        for name, known in (("AccountId", "111111111111"), ("Region", "eu-west-1"), ("Partition", "aws")):
            text = text.replace(f"${{AWS::{name}}}", known)
        return text.replace("${!", "${")
    if isinstance(value, dict):
        return {key: resolved(each) for key, each in value.items()}
    return [resolved(each) for each in value] if isinstance(value, list) else value


class TestJson:
    """For IAM itself."""

    def test_one_policy_is_the_document(self) -> None:
        """As `aws iam put-role-policy` takes it; several are a list."""
        assert json.loads(render(POLICIES["trust"], Format.JSON)) == TRUST
        both = json.loads(render(IdentityPolicy([TRUST, SHARED]), Format.JSON))
        assert both == [TRUST, SHARED]

    @pytest.mark.parametrize(
        ("tokens", "options"),
        [
            (ACCOUNT, "--account"),
            (f"{PARTITION}{REGION}", "--region"),
            (PARTITION, "--partition"),
            (f"{PARTITION}{REGION}{ACCOUNT}", "--account and --region"),
        ],
    )
    def test_what_is_open_must_be_said(self, tokens: str, options: str) -> None:
        """All at once, by the options that say it; a region tells the partition."""
        with pytest.raises(Unsaid, match=f"^{options}: .* --format cfn"):
            render(IdentityPolicy([document([Grant("R", ("a:b",), (f"arn:{tokens}",))])]), Format.JSON)


class TestCloudFormation:
    """As a template that can be deployed."""

    @pytest.mark.parametrize("name", POLICIES)
    def test_lint_has_nothing_to_say(self, name: str) -> None:
        """cfn-lint reads it with the schemas that AWS publishes."""
        policy = POLICIES[name]
        if name in {"identity", "parts"}:  # the strange one is none of AWS's actions
            grant = Grant("Read", ("secretsmanager:GetSecretValue",), (OPEN, "arn:aws:s3:::b/x${*}"))
            parts = [document([grant])] * (2 if name == "parts" else 1)
            policy = IdentityPolicy(parts)
        assert lint(render(policy, Format.CFN)) == []

    def test_the_policy_is_the_document(self) -> None:
        """What is open, CloudFormation knows; IAM's own variables stay."""
        made = template(POLICIES["identity"])["Resources"]["Policy"]
        assert resolved(made["Properties"]["PolicyDocument"]) == closed(document([READ]))
        assert list(template(POLICIES["parts"])["Resources"]) == ["Policy", "Policy2"]
        assert list(template(POLICIES["parts"])["Outputs"]) == ["PolicyArn", "Policy2Arn"]

    def test_a_role_has_its_name_and_path(self) -> None:
        """Those of the ARN in the configuration."""
        role = template(POLICIES["trust"])["Resources"]["Role"]["Properties"]
        assert (role["RoleName"], role["Path"], role["AssumeRolePolicyDocument"]) == ("billing", "/readers/", TRUST)
        plain = template(TrustPolicy(TRUST, "arn:aws:iam::222222222222:role/r"))["Resources"]["Role"]["Properties"]
        assert (plain["RoleName"], "Path" in plain) == ("r", False)

    def test_a_key_turns_and_is_kept(self) -> None:
        """What lies under it would be lost with it."""
        key = template(POLICIES["key"])["Resources"]["Key"]
        assert (key["DeletionPolicy"], key["Properties"]["EnableKeyRotation"]) == ("Retain", True)
        assert resolved(key["Properties"]["KeyPolicy"]) == closed(KEY_POLICY)

    def test_each_secret_has_the_policy(self) -> None:
        """By its ARN, or by its name where that is all that is known."""
        made = template(POLICIES["secrets"])["Resources"]
        assert [each["Properties"]["SecretId"] for each in made.values()] == [SECRETS[0], "c"]
        assert all(each["Properties"]["ResourcePolicy"] == SHARED for each in made.values())


class TestTerraform:
    """As a module's file."""

    def test_the_policy_is_the_document(self) -> None:
        """What is open, data sources know, and only those are declared; odd text comes out as it went in."""
        *data, policy = blocks(POLICIES["identity"])
        assert [(each.word, each.kind, each.label) for each in data] == [
            ("data", "aws_caller_identity", "current"),
            ("data", "aws_partition", "current"),
            ("data", "aws_region", "current"),
        ]
        assert (policy.kind, policy.arguments["name"]) == ("aws_iam_policy", "sidecar")
        assert policy.arguments["policy"] == closed(document([READ]))
        assert [each.label for each in blocks(POLICIES["parts"])[3:]] == ["sidecar", "sidecar-2"]

    def test_a_role(self) -> None:
        """With its name and path."""
        (role,) = blocks(POLICIES["trust"])
        assert (role.kind, role.arguments["name"], role.arguments["path"]) == ("aws_iam_role", "billing", "/readers/")
        assert role.arguments["assume_role_policy"] == TRUST

    def test_a_key(self) -> None:
        """A new one turns; one that is there gets its policy."""
        *_, made = blocks(POLICIES["key"])
        assert (made.kind, made.arguments["enable_key_rotation"]) == ("aws_kms_key", "true")
        *_, found, there = blocks(KeyPolicy(KEY_POLICY, "alias/app"))
        assert (found.word, found.kind, found.arguments) == ("data", "aws_kms_key", {"key_id": "alias/app"})
        assert (there.kind, there.arguments["key_id"]) == ("aws_kms_key_policy", "data.aws_kms_key.sidecar.id")
        assert there.arguments["policy"] == closed(KEY_POLICY)

    def test_secrets(self) -> None:
        """Looked up by what is known of them."""
        values = VALUES | {"data.aws_secretsmanager_secret.secret-2.arn": "arn"}
        found = read(render(POLICIES["secrets"], Format.TF), values)
        assert [each.arguments for each in found if each.word == "data"] == [{"arn": SECRETS[0]}, {"name": "c"}]
        policies = [each.arguments for each in found if each.word == "resource"]
        assert [each["secret_arn"] for each in policies] == [
            "data.aws_secretsmanager_secret.secret.arn",
            "data.aws_secretsmanager_secret.secret-2.arn",
        ]
        assert all(each["policy"] == SHARED for each in policies)
