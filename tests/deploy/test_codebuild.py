"""deploy/codebuild: a project that CodeBuild takes, and a buildspec whose commands are run."""

from typing import Any

import yaml

from sidecar.core.spellings import parse_any
from tests.deploy.stacks import DEPLOY, complaints, read

Json = Any  # templates are read as they come
BUILDSPEC: Json = yaml.safe_load((DEPLOY / "codebuild" / "buildspec.yml").read_text())


def project() -> Json:
    """Read the project's properties."""
    return read("codebuild/project.yaml")["Resources"]["Project"]["Properties"]


def as_the_api_spells(value: Json) -> Json:
    """Turn CloudFormation's spelling into CreateProject's; what is filled in at deployment is some text."""
    if isinstance(value, dict):
        if any(key == "Ref" or key.startswith("Fn::") for key in value):
            return "some-text"
        return {key[0].lower() + key[1:]: as_the_api_spells(each) for key, each in value.items()}
    return [as_the_api_spells(each) for each in value] if isinstance(value, list) else value


def test_the_project_can_be_made() -> None:
    """Nothing is missing, unknown or of another type, by botocore's model of CreateProject."""
    asked = as_the_api_spells(project())
    asked["source"]["buildspec"] = asked["source"].pop("buildSpec")
    asked["vpcConfig"]["subnets"] = ["subnet-1", "subnet-2"]
    assert complaints("codebuild", "CreateProject", asked) == ""


def test_its_variables_are_references() -> None:
    """Of both kinds; none is plaintext."""
    kinds = [each["Type"] for each in project()["Environment"]["EnvironmentVariables"]]
    assert kinds == ["PARAMETER_STORE", "SECRETS_MANAGER"]


def test_it_builds_in_a_vpc() -> None:
    """With a security group that lets nobody in."""
    found = read("codebuild/project.yaml")["Resources"]
    assert found["Project"]["Properties"]["VpcConfig"]["SecurityGroupIds"] == [{"Ref": "SecurityGroup"}]
    assert "SecurityGroupIngress" not in found["SecurityGroup"]["Properties"]


def test_the_buildspec_names_what_the_project_may_read() -> None:
    """Its own variables and the references are of the same secret and path."""
    env = BUILDSPEC["env"]
    assert list(env["parameter-store"].values()) == ["/shop/log-level"]
    assert list(env["secrets-manager"].values()) == ["shop/db:password"]
    assert [str(parse_any(value)) for value in env["variables"].values()] == ["sm:shop/db", "ssm:/shop/log-level"]
