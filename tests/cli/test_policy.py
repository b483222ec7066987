import json
import re
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import decode_str
from click.testing import Result

from sidecar.planning.purposes import Purpose
from tests.cli.conftest import Invoke
from tests.docs_markdown import code, doc

Json = Any  # policies are read as they are printed

ACCOUNT = "111111111111"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"
SHARED = "arn:aws:secretsmanager:eu-west-1:222222222222:secret:shared-AbCdEf"
CONFIG = f"""
secrets:
  db: sm:prod/db#password
  shared: {SHARED}
  bill: sm:bill?via=billing
identities:
  default: {{region: eu-west-1}}
  billing: {{role_arn: "arn:aws:iam::333333333333:role/reader", external_id: x-42, region: us-east-1}}
"""
KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/one"


@pytest.fixture
def policy(invoke: Invoke, folder: Path) -> Invoke:
    """Run the command beside the configuration."""
    (folder / "sidecar.yaml").write_text(CONFIG)
    return lambda *arguments: invoke("policy", *arguments)


def sids(result: Result) -> list[str]:
    """Give the names of the statements that were printed."""
    assert result.exit_code == 0, result.stderr
    return [each["Sid"] for each in json.loads(result.stdout)["Statement"]]


def test_the_identitys_own_policy(policy: Invoke) -> None:
    """On standard output for IAM; on standard error what is left out, and what others must do."""
    result = policy("--account", ACCOUNT, "--key", "one")
    assert sids(result) == ["ReadSecrets", "DecryptSecrets", "AssumeRolesAsBilling"]
    said = result.stderr.splitlines()
    assert said[0].startswith("sidecar: values of account 222222222222 must lie under a customer managed key")
    assert said[1].startswith("sidecar: on_demand.allow '*' is left out: it names nothing that could be granted")
    assert said[2].endswith("needs a policy of its own: sidecar policy --identity billing")
    assert SHARED in said[3]
    assert len(said) == 4


def test_of_another_identity(policy: Invoke) -> None:
    """Whose account and region the configuration tells; its trust policy wants to know more."""
    result = policy("--identity", "billing")
    assert sids(result) == ["ReadSecrets"]
    assert "sidecar policy --identity billing --trust" in result.stderr
    assert sids(policy("--identity", "billing", "--trust", "--role", ROLE)) == ["SidecarAssumes"]


def test_a_role_that_begins_with_a_profile(invoke: Invoke, folder: Path) -> None:
    """Where no identity is that profile alone, nothing here grants the first step: it is said."""
    text = CONFIG.replace("external_id: x-42", "profile: ops")
    (folder / "sidecar.yaml").write_text(text)
    result = invoke("policy", "--identity", "billing")
    assert "whoever the profile ops is needs sts:AssumeRole on arn:aws:iam::333333333333:role/reader" in result.stderr
    (folder / "sidecar.yaml").write_text(f"{text}  ops: {{profile: ops}}\n")
    assert "whoever" not in invoke("policy", "--identity", "billing").stderr
    assert sids(invoke("policy", "--identity", "ops", "--account", "444444444444", "--region", "eu-west-1")) == [
        "AssumeRoles"
    ]


def test_a_key_policy(policy: Invoke) -> None:
    """Of either kind; the flag alone is the default one."""
    assert sids(policy("--account", ACCOUNT, "--key-policy")) == ["AccountDecides"]
    custom = policy("--key-policy", "custom", "--role", ROLE, "--key", KEY)
    assert sids(custom) == ["AccountAdministers", "DecryptSecrets"]
    assert custom.stderr == "sidecar: nobody is named who may encrypt under the key: give --writer\n"
    theirs = KEY.replace(ACCOUNT, "222222222222")
    assert sids(policy("--key-policy", "--key", theirs, "--role", ROLE)) == [
        "AccountDecides",
        "DecryptSecretsOf222222222222",
    ]
    assert "taken for a key of the account in which the daemon starts" in policy("--key-policy", "--key", KEY).stderr


def test_what_another_accounts_secret_must_allow(policy: Invoke, folder: Path) -> None:
    """And which secrets those are."""
    result = policy("--resource-policy", "--role", ROLE)
    assert sids(result) == ["ReadSecrets"]
    assert result.stderr == f"sidecar: for each of: {SHARED}\n"
    assert policy("--resource-policy", "--identity", "billing", "--role", ROLE).exit_code == 2
    (folder / "sidecar.yaml").write_text(
        CONFIG.replace("bill: sm:bill?via=billing", f"x: {SHARED.replace('west', 'north')}")
    )
    assert "they are in several regions" in policy("--resource-policy", "--role", ROLE).stderr


def test_for_cloudformation_and_terraform_nothing_must_be_said(policy: Invoke) -> None:
    """They know the account where they are deployed."""
    read: tuple[Json, Json] = decode_str(policy("--format", "cfn").stdout)
    assert read[1] == []
    assert read[0]["Resources"]["Policy"]["Type"] == "AWS::IAM::ManagedPolicy"
    assert 'data "aws_caller_identity" "current" {}' in policy("--format", "tf").stdout


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "--account: the policy names what the configuration does not tell: say it, or take --format cfn"),
        (("--account", "1"), "Invalid value for '--account': want twelve digits"),
        (("--region", "Ireland"), "Invalid value for '--region': want a region such as eu-west-1"),
        (("--key", "alias app"), "Invalid value for '--key': this names no KMS key. Write a key's ARN"),
        (("--role", "app"), "Invalid value for '--role': want the ARN of a role"),
        (("--identity", "dr"), "--identity: there is no dr; there are default, billing"),
        (("--identity", "default", "--identity", "billing"), "only a key policy is for several identities"),
        (("--trust", "--key-policy"), "want at most one of --key-policy, --trust, --resource-policy"),
        (("--trust",), "--trust: the identity default has no role_arn"),
        (("--identity", "billing", "--trust"), "--role: the trust policy names who assumes the role: give its ARN"),
        (("--key-policy", "custom", "--account", ACCOUNT), "--role: the policy names the role with which the daemon"),
        (("--key-policy", "--key", "one", "--key", "two"), "a key policy is of one key"),
        (("--account", "222222222222", "--role", ROLE), f"--role is of account {ACCOUNT}, and --account says 2222"),
    ],
)
def test_what_is_missing_or_wrong_is_said(policy: Invoke, arguments: tuple[str, ...], line: str) -> None:
    """In one line, with what to give; exit code 2, and nothing on standard output."""
    result = policy(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].startswith(f"sidecar: {line}")


def test_a_large_one_is_parted(invoke: Invoke, folder: Path) -> None:
    """Into as many managed policies as it takes, which is said, also where a role takes fewer."""
    secrets = "\n".join(f"  s{number}: sm:some/rather/long/name/of/a/secret/{number:05}" for number in range(900))
    (folder / "sidecar.yaml").write_text(f"secrets:\n{secrets}\non_demand: {{allow: []}}\n")
    result = invoke("policy", "--account", ACCOUNT, "--region", "eu-west-1", "--key", "one")
    parts = json.loads(result.stdout)
    resources = [each for part in parts for statement in part["Statement"] for each in statement["Resource"]]
    assert sum(":secret:" in each for each in resources) == 900
    count = re.search(r"a managed policy takes 6,144: in (\d+), attach all", result.stderr)
    assert count
    assert int(count[1]) == len(parts) > 10
    assert "a role takes 10 managed policies unless its quota is raised" in result.stderr
    custom = invoke("policy", "--key-policy", "custom", "--role", ROLE, "--region", "eu-west-1")
    assert "but a key policy takes 32,768" in custom.stderr


def test_nothing_to_grant(invoke: Invoke, folder: Path) -> None:
    """An identity that reads nothing needs nothing, which is not a policy."""
    (folder / "sidecar.yaml").write_text("on_demand: {allow: []}")
    assert invoke("policy", "--account", ACCOUNT).exit_code == 2


def test_a_bad_configuration_is_told_as_ever(invoke: Invoke, folder: Path) -> None:
    """With all problems, and exit code 2."""
    (folder / "sidecar.yaml").write_text("secrets: {a: nope}")
    result = invoke("policy")
    assert result.exit_code == 2
    assert "secrets.a" in result.stderr


class TestPage:
    """docs/policy.md."""

    page = doc("policy.md")

    def test_the_example_prints_what_is_shown(self, invoke: Invoke, folder: Path) -> None:
        """The two statements for the secret, and the like."""
        config, shown = (
            next(each.text for each in self.page.blocks if each.language == kind) for kind in ("yaml", "json")
        )
        (folder / "sidecar.yaml").write_text(config)
        result = invoke("policy", "--account", ACCOUNT, "--key", f"{KEY[:-3]}KEY-ID")
        printed = json.loads(result.stdout)["Statement"]
        assert [each for each in printed if "Secrets" in each["Sid"]] == json.loads(shown)
        assert result.stderr == ""

    def test_every_statement_is_explained(self) -> None:
        """In the order of a policy."""
        assert [code(row[0])[0] for row in self.page.rows("statement", "is there for")] == list(Purpose)

    @pytest.mark.parametrize("part", ["default", "custom"])
    def test_every_kind_of_key_policy_is_explained(self, part: str) -> None:
        """Who may use the key."""
        assert part in [code(row[0])[0] for row in self.page.rows("kind", "who may use the key", "choose it when")]
