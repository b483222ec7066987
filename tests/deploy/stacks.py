"""Deploy templates of deploy/ to a fake AWS, and find there what they made.

MiniStack deploys them: the fake that the project ships knows no CloudFormation.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
from botocore.validate import ParamValidator
from cfnlint import decode

from tests.docs_markdown import ROOT

REGION = "eu-west-1"
DEPLOY = ROOT / "deploy"
MOST_LOOKS = 500

Json = Any  # templates are read as they come
SdkClient = Any  # botocore makes its classes as it reads its models


@dataclass(frozen=True)
class Cloud:
    """A fake AWS that knows CloudFormation."""

    url: str

    def client(self, service: str) -> SdkClient:
        """Return the SDK's client of a service."""
        return botocore.session.get_session().create_client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id="made-up",
            aws_secret_access_key="made-up",
        )

    def deploy(self, stack: str, template: str, **parameters: str) -> dict[str, str]:
        """Make a stack of a template, by its path below deploy/, and give its outputs."""
        cloudformation = self.client("cloudformation")
        cloudformation.create_stack(
            StackName=stack,
            TemplateBody=(DEPLOY / template).read_text(),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        for _ in range(MOST_LOOKS):
            (seen,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
            if not seen["StackStatus"].endswith("IN_PROGRESS"):
                break
        assert seen["StackStatus"] == "CREATE_COMPLETE", cloudformation.describe_stack_events(StackName=stack)
        return {output["OutputKey"]: output["OutputValue"] for output in seen.get("Outputs", [])}


def templates() -> list[Path]:
    """List what ships for CloudFormation."""
    found = [path for path in DEPLOY.rglob("*.yaml") if "AWSTemplateFormatVersion" in path.read_text()]
    return sorted(found)


def read(template: str) -> Json:
    """Read a template, its short functions as CloudFormation understands them."""
    found, problems = decode.decode(str(DEPLOY / template))
    assert not problems
    return json.loads(json.dumps(found))


def complaints(service: str, operation: str, request: Json) -> str:
    """Say what botocore's model of an operation has against a request: what is missing, unknown or of another type."""
    shape = botocore.session.get_session().get_service_model(service).operation_model(operation).input_shape
    assert shape is not None
    return str(ParamValidator().validate(request, shape).generate_report())
