"""deploy/ecs: what ECS would register, checked by botocore's model of it and registered at a fake."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from sidecar.core.config.loading import load
from sidecar.core.spellings import parse_any
from tests.aws.ministack import running_ministack
from tests.deploy.stacks import REGION, Cloud, complaints, read
from tests.docs_markdown import doc

Json = Any  # templates are read as they come
KINDS = ["fargate", "ec2"]
GIVEN = {
    "Family": "shop",
    "Sidecar": "team/sidecar:0.1.0",
    "Image": "team/shop:v3",
    "Secrets": "db-password=sm:shop/db#password;log-level=ssm:/shop/log-level",
    "RoleArn": "arn:aws:iam::111111111111:role/shop-secrets",
    "LogGroup": "/shop/sidecar",
}
VERBATIM = {"dockerLabels", "options", "driverOpts"}
"""Whose keys are the user's own."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Give MiniStack."""
    with running_ministack(tmp_path_factory.mktemp("ministack")) as url:
        yield Cloud(url)


def filled(value: Json) -> Json:
    """Put what is given in the place of references."""
    if isinstance(value, dict):
        if value.keys() == {"Ref"}:
            return GIVEN.get(value["Ref"], {"AWS::Region": REGION, "Cpu": "512", "Memory": "1024"}.get(value["Ref"]))
        if value.keys() == {"Fn::GetAtt"}:
            return "arn:aws:iam::111111111111:role/execution"
        return {key: filled(each) for key, each in value.items()}
    return [filled(each) for each in value] if isinstance(value, list) else value


def as_the_api_spells(value: Json) -> Json:
    """Turn CloudFormation's spelling of a task definition into RegisterTaskDefinition's."""
    if isinstance(value, dict):
        small = {key[0].lower() + key[1:]: each for key, each in value.items()}
        return {key: each if key in VERBATIM else as_the_api_spells(each) for key, each in small.items()}
    return [as_the_api_spells(each) for each in value] if isinstance(value, list) else value


def task(kind: str) -> Json:
    """Give the request that registers this kind of task."""
    return as_the_api_spells(filled(read(f"ecs/{kind}.yaml")["Resources"]["Task"]["Properties"]))


def container(task: Mapping[str, Json], name: str) -> Json:
    """Give one of its containers."""
    (found,) = (each for each in task["containerDefinitions"] if each["name"] == name)
    return found


@pytest.mark.parametrize("kind", KINDS)
class TestTask:
    """Both kinds."""

    def test_it_can_be_registered(self, kind: str) -> None:
        """Nothing is missing, unknown or of another type."""
        assert complaints("ecs", "RegisterTaskDefinition", task(kind)) == ""

    def test_it_is_registered(self, cloud: Cloud, kind: str) -> None:
        """A stack of it comes up, and the task definition is there."""
        arn = cloud.deploy(f"task-{kind}", f"ecs/{kind}.yaml", **GIVEN)["TaskDefinition"]
        seen = cloud.client("ecs").describe_task_definition(taskDefinition=arn)["taskDefinition"]
        assert [each["name"] for each in seen["containerDefinitions"]] == ["sidecar", "app"]
        assert seen["requiresCompatibilities"] == [kind.upper()]
        assert seen["taskRoleArn"] == GIVEN["RoleArn"]

    def test_the_app_waits_for_the_secrets(self, kind: str) -> None:
        """It starts when the sidecar's own check says that it is ready, and ends before it."""
        found = task(kind)
        sidecar, app = container(found, "sidecar"), container(found, "app")
        assert app["dependsOn"] == [{"containerName": "sidecar", "condition": "HEALTHY"}]
        assert sidecar["healthCheck"]["command"] == ["CMD", "sidecar", "status", "--ready"]
        assert sidecar["essential"]

    def test_they_share_the_socket(self, kind: str) -> None:
        """Both see the volume; the app, in the sidecar's group, may not put anything there."""
        found = task(kind)
        (volume,) = found["volumes"]
        sidecar, app = container(found, "sidecar"), container(found, "app")
        assert sidecar["mountPoints"] == [{"sourceVolume": volume["name"], "containerPath": "/run/sidecar"}]
        assert app["mountPoints"] == [{**sidecar["mountPoints"][0], "readOnly": True}]
        assert app["user"].endswith(":65532")
        assert {"name": "SIDECAR_SOCKET", "value": "/run/sidecar/sidecar.sock"} in app["environment"]

    def test_the_sidecar_can_do_little(self, kind: str) -> None:
        """No capability, and nothing to write but the volume."""
        sidecar = container(task(kind), "sidecar")
        assert sidecar["readonlyRootFilesystem"]
        assert sidecar["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}

    def test_its_environment_is_a_configuration(self, kind: str) -> None:
        """The daemon takes it: the secrets are declared, metrics are served to the network."""
        environ = {each["name"]: each["value"] for each in container(task(kind), "sidecar")["environment"]}
        config = load(file=None, environ=environ)
        assert {name: str(spec.ref) for name, spec in config.secrets.items()} == {
            "db-password": str(parse_any("sm:shop/db#password")),
            "log-level": str(parse_any("ssm:/shop/log-level")),
        }
        assert str(config.listen.ops) == "0.0.0.0:9102"

    def test_prometheus_finds_it(self, kind: str) -> None:
        """The port is mapped, and labelled as discovery by label expects."""
        sidecar = container(task(kind), "sidecar")
        assert [each["containerPort"] for each in sidecar["portMappings"]] == [9102]
        assert sidecar["dockerLabels"]["PROMETHEUS_EXPORTER_PORT"] == "9102"

    def test_no_value_is_in_it(self, kind: str) -> None:
        """References only; ECS's own `secrets` would put values into the environment."""
        assert all("secrets" not in each for each in task(kind)["containerDefinitions"])


def test_memory_is_shared_on_ec2_only() -> None:
    """There the volume is memory, so `files:` may lie in it; Fargate's are disks."""
    (volume,) = task("ec2")["volumes"]
    options = volume["dockerVolumeConfiguration"]["driverOpts"]
    assert options["type"] == "tmpfs"
    assert "uid=65532" in options["o"]
    assert task("fargate")["volumes"] == [{"name": "sidecar"}]


def test_the_page_gives_every_parameter() -> None:
    """The command of the page names what the template asks for and has no default."""
    asked = {name for name, spec in read("ecs/fargate.yaml")["Parameters"].items() if "Default" not in spec}
    command = next(block.text for block in doc("ecs.md").blocks if "ecs/fargate.yaml" in block.text)
    assert asked <= set(re.findall(r"(\w+)=", command))
