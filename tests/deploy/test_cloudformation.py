"""deploy/cloudformation: each template is what CloudFormation takes, and makes what it says.

Not shown by a deployment, as neither MiniStack nor moto can: `rds-rotation.yaml` (no fake expands AWS's transform of
hosted rotations), `quota-alarm.yaml` (MiniStack refuses metric math, moto drops it), the key of the log group and the
table's time to live (both fakes forget them). These are looked for in the template, and held against botocore's models.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import lint_file
from click.testing import CliRunner

from sidecar.cli import main
from sidecar.planning.grants import build_needs
from sidecar.planning.keyrings import Known
from sidecar.planning.places import World
from sidecar.planning.statements import document
from tests.aws.ministack import running_ministack
from tests.deploy.stacks import DEPLOY, REGION, Cloud, complaints, read, templates
from tests.docs_markdown import ROOT, doc
from tests.planning.configured import configured

Json = Any  # templates are read as they come
CLOUDFORMATION = doc("cloudformation.md")
WRITER = "arn:aws:iam::111111111111:role/deployer"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Give MiniStack, shared by the tests here: each has names of its own."""
    with running_ministack(tmp_path_factory.mktemp("ministack")) as url:
        yield Cloud(url)


@pytest.fixture(scope="module")
def app(cloud: Cloud) -> dict[str, str]:
    """Deploy what an app needs, and give the stack's outputs."""
    return cloud.deploy("shop", "cloudformation/app.yaml", App="shop")


def resolved(value: Json) -> Json:
    """Do what CloudFormation does, for the app `shop`; what `sidecar policy` leaves open stands for the same."""
    if value == {"Fn::GetAtt": ["Key", "Arn"]}:
        return KEY
    if isinstance(value, dict) and set(value) == {"Fn::Sub"}:
        return resolved(value["Fn::Sub"].replace("${App}", "shop").replace("AWS::AccountId", "account").lower())
    if isinstance(value, dict):
        return {key: resolved(each) for key, each in value.items()}
    if isinstance(value, list):
        return [resolved(each) for each in value]
    return value.replace("${aws::", "${")


def statements(cloud: Cloud, key_arn: str) -> dict[str, Json]:
    """Read a key's policy: its statements by their names."""
    told = cloud.client("kms").get_key_policy(KeyId=key_arn.rpartition("/")[2], PolicyName="default")
    return {each["Sid"]: each for each in json.loads(told["Policy"])["Statement"]}


@pytest.mark.parametrize("template", templates(), ids=lambda path: str(path.relative_to(DEPLOY)))
def test_lint_has_nothing_to_say(template: Path) -> None:
    """cfn-lint reads it with the resource schemas that AWS publishes."""
    assert lint_file(template) == []


def test_every_template_is_listed() -> None:
    """In the table of the page."""
    listed = [re.findall(r"\(\.\./(.+)\)", row[0])[0] for row in CLOUDFORMATION.rows("template", "makes")]
    assert sorted(listed) == [str(path.relative_to(ROOT)) for path in templates()]


class TestApp:
    """app.yaml."""

    def test_the_key_turns_and_has_a_name(self, cloud: Cloud, app: dict[str, str]) -> None:
        """The alias is of the key that the output names, which rotates each year."""
        kms = cloud.client("kms")
        aliases = {each["AliasName"]: each.get("TargetKeyId") for each in kms.list_aliases()["Aliases"]}
        assert app["KeyArn"].endswith(aliases["alias/shop"])
        assert kms.get_key_rotation_status(KeyId=aliases["alias/shop"])["KeyRotationEnabled"]

    def test_the_secret_has_a_login(self, cloud: Cloud, app: dict[str, str]) -> None:
        """That nobody chose, under the key."""
        secrets = cloud.client("secretsmanager")
        login = json.loads(secrets.get_secret_value(SecretId="shop/db")["SecretString"])
        assert login["username"] == "shop"
        assert len(login["password"]) == 32
        assert secrets.describe_secret(SecretId="shop/db")["KmsKeyId"] == app["KeyArn"]

    def test_the_parameter_is_there(self, cloud: Cloud, app: dict[str, str]) -> None:
        """In the tree that the role may read."""
        assert cloud.client("ssm").get_parameter(Name="/shop/log-level")["Parameter"]["Value"] == "info"
        assert "log-level=ssm:/shop/log-level" in app["Secrets"]

    def test_the_role_is_a_tasks(self, cloud: Cloud, app: dict[str, str]) -> None:
        """ECS's tasks take it, and nobody else."""
        role = cloud.client("iam").get_role(RoleName="shop-secrets")["Role"]
        assert role["Arn"] == app["RoleArn"]
        trusted = role["AssumeRolePolicyDocument"]["Statement"]
        assert [each["Principal"] for each in trusted] == [{"Service": "ecs-tasks.amazonaws.com"}]

    def test_or_a_pods(self, cloud: Cloud) -> None:
        """With EKS Pod Identity, which tags its sessions."""
        cloud.deploy("pods", "cloudformation/app.yaml", App="pods", Runs="eks")
        role = cloud.client("iam").get_role(RoleName="pods-secrets")["Role"]
        (trusted,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert trusted["Principal"] == {"Service": "pods.eks.amazonaws.com"}
        assert trusted["Action"] == ["sts:AssumeRole", "sts:TagSession"]

    def test_the_role_may_do_what_the_command_prints(self) -> None:
        """For the secret, what lies below the app's path, and the key."""
        config = configured("secrets: {db: sm:shop/db}\ntrees: {app: ssm:/shop/}\non_demand: {allow: []}")
        where = World(keys=(KEY,))
        printed = document(build_needs(config, "default", where, Known(where.keys, None)).grants)
        template = read("cloudformation/app.yaml")["Resources"]["Policy"]["Properties"]["PolicyDocument"]
        assert resolved(template) == resolved(printed)

    def test_a_key_can_name_its_role(self, cloud: Cloud, app: dict[str, str]) -> None:
        """The custom policy leaves no use of the key to IAM alone; the default one leaves all."""
        parameters = {"App": "named", "KeyPolicy": "custom", "Writer": WRITER}
        named = statements(cloud, cloud.deploy("named", "cloudformation/app.yaml", **parameters)["KeyArn"])
        assert named["RoleReads"]["Principal"]["AWS"].endswith(":role/named-secrets")
        assert named["WriterWrites"]["Principal"]["AWS"] == WRITER
        assert not {"kms:*", "kms:Decrypt", "kms:Encrypt"} & set(named["AccountAdministers"]["Action"])
        assert list(statements(cloud, app["KeyArn"])) == ["AccountDecides"]

    def test_the_log_group_is_encrypted(self, cloud: Cloud, app: dict[str, str]) -> None:
        """It is there, for as long as was asked; the template names the key that has CloudWatch Logs in its policy."""
        (group,) = cloud.client("logs").describe_log_groups(logGroupNamePrefix=app["LogGroupName"])["logGroups"]
        assert group["retentionInDays"] == 30
        logged = read("cloudformation/app.yaml")["Resources"]["LogGroup"]["Properties"]
        assert logged["KmsKeyId"] == {"Fn::GetAtt": ["LogKey", "Arn"]}

    def test_the_log_s_key_is_for_the_log_alone(self, cloud: Cloud, app: dict[str, str]) -> None:
        """CloudWatch Logs of this region may use it, for this group, as its own context says."""
        logs = statements(cloud, app["LogKeyArn"])["CloudWatchLogsEncrypts"]
        assert logs["Principal"] == {"Service": f"logs.{REGION}.amazonaws.com"}
        (only,) = logs["Condition"]["ArnEquals"].values()
        assert only.endswith(":log-group:/shop/sidecar")
        assert "*" not in only


def test_what_the_command_prints_is_deployed(cloud: Cloud, app: dict[str, str], tmp_path: Path) -> None:
    """A policy, and a key whose policy is the printed one; that of the role this fake makes, but does not show."""
    (tmp_path / "sidecar.yaml").write_text(
        "secrets: {db: sm:shop/db}\ntrees: {app: ssm:/shop/}\non_demand: {allow: []}"
    )

    def printed(*options: str) -> str:
        arguments = ("policy", "--config", str(tmp_path / "sidecar.yaml"), *options)
        return CliRunner().invoke(main, arguments, catch_exceptions=False).stdout

    key = ("--key-policy", "custom", "--role", app["RoleArn"], "--writer", WRITER)
    (tmp_path / "policy.yaml").write_text(printed("--format", "cfn", "--key", app["KeyArn"]))
    (tmp_path / "key.yaml").write_text(printed("--format", "cfn", *key))
    assert ":policy/" in cloud.deploy("printed-policy", str(tmp_path / "policy.yaml"), Role="shop-secrets")["PolicyArn"]
    made = statements(cloud, cloud.deploy("printed-key", str(tmp_path / "key.yaml"))["KeyArn"])
    told = json.loads(printed(*key, "--region", REGION))["Statement"]
    assert list(made.values()) == told


def test_the_fleets_table(cloud: Cloud) -> None:
    """It is there under its name, paid by request, and forgets members by itself."""
    assert cloud.deploy("fleet", "cloudformation/fleet-table.yaml")["Store"] == "dynamodb://sidecar-fleet"
    dynamodb = cloud.client("dynamodb")
    table = dynamodb.describe_table(TableName="sidecar-fleet")["Table"]
    assert table["KeySchema"] == [{"AttributeName": "ledger", "KeyType": "HASH"}]
    told = read("cloudformation/fleet-table.yaml")["Resources"]["Table"]["Properties"]["TimeToLiveSpecification"]
    assert complaints("dynamodb", "UpdateTimeToLive", {"TableName": "t", "TimeToLiveSpecification": told}) == ""
    assert told == {"AttributeName": "expires", "Enabled": True}


def test_the_alarm() -> None:
    """CloudWatch would take it: of the account's use of KMS, in percent of the quota that is given."""
    asked = read("cloudformation/quota-alarm.yaml")["Resources"]["Alarm"]["Properties"]
    asked |= {"AlarmName": "alarm", "Threshold": 70, "AlarmActions": ["topic"], "OKActions": ["topic"]}
    asked["AlarmDescription"] = asked["AlarmDescription"]["Fn::Sub"]
    used, percent = asked["Metrics"]
    percent["Expression"] = percent["Expression"]["Fn::Sub"]
    assert complaints("cloudwatch", "PutMetricAlarm", asked) == ""
    assert used["MetricStat"]["Metric"]["Namespace"] == "AWS/Usage"
    assert percent["Expression"] == f"100 * ({used['Id']} / PERIOD({used['Id']})) / ${{PerSecond}}"


# -- the queries of the page


def event(name: str, **more: Json) -> Json:
    """Make an event as CloudTrail records it."""
    told = {
        "eventTime": "2026-11-30T08:00:00Z",
        "eventSource": "kms.amazonaws.com",
        "eventName": name,
        "userIdentity": {"type": "AssumedRole", "arn": ROLE},
        **more,
    }
    return {"EventName": name, "CloudTrailEvent": json.dumps(told)}


def decrypted(key: str, **context: str) -> Json:
    """Make the event of a secret's decryption, by Secrets Manager on the role's behalf."""
    return event(
        "Decrypt",
        userIdentity={"type": "AssumedRole", "arn": ROLE, "invokedBy": "secretsmanager.amazonaws.com"},
        requestParameters={"encryptionContext": context},
        resources=[{"ARN": key, "accountId": "111111111111", "type": "AWS::KMS::Key"}],
    )


ROLE = "arn:aws:sts::111111111111:assumed-role/shop-secrets/task"
KEY = "arn:aws:kms:eu-west-1:111111111111:key/one"
SECRET = "arn:aws:secretsmanager:eu-west-1:111111111111:secret:shop/db-AbCdEf"
EVENTS = [
    decrypted(KEY, SecretARN=SECRET, SecretVersionId="made-up"),
    decrypted(KEY, SecretARN=SECRET, SecretVersionId="made-up"),
    decrypted(KEY.replace("one", "two"), PARAMETER_ARN="arn:aws:ssm:eu-west-1:111111111111:parameter/other"),
    event("Decrypt", errorCode="AccessDenied"),
    event("DisableKey", requestParameters={"keyId": KEY}),
]
FOUND = {
    "uses": [f"1\t{ROLE}\t-", f"3\t{ROLE}\tsecretsmanager.amazonaws.com"],
    "values": [f"2026-11-30T08:00:00Z\t{ROLE}\t{SECRET}"] * 2,
    "refused": [f"2026-11-30T08:00:00Z\tDecrypt\tAccessDenied\t{ROLE}"],
    "changed": [f"2026-11-30T08:00:00Z\tDisableKey\t{KEY}\t{ROLE}"],
}


@pytest.mark.parametrize("query", FOUND)
def test_a_query_finds(jq: str, query: str) -> None:
    """With jq, the program runs the program of the page on events as CloudTrail gives them."""
    (program,) = [block.text for block in CLOUDFORMATION.blocks if block.mark == query]
    command = [jq, "-r", "--arg", "key", KEY, program]
    done = subprocess.run(command, input=json.dumps({"Events": EVENTS}), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == FOUND[query]


def test_every_query_is_run() -> None:
    """None is only looked at."""
    assert [block.mark for block in CLOUDFORMATION.blocks if block.language == "jq"] == list(FOUND)
