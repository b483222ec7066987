"""Write policies as the tools of their world take them: IAM's JSON, CloudFormation's YAML, Terraform's HCL. Pure.

In the last two, account, region and partition may stay open: each has names for where it is deployed.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

import yaml

from sidecar.planning.places import ACCOUNT, PARTITION, REGION, TOKENS, Unsaid
from sidecar.planning.statements import Document

Tree: TypeAlias = "str | bool | Sequence[Tree] | Mapping[str, Tree]"


class Format(StrEnum):
    """How a policy is written."""

    JSON = "json"
    CFN = "cfn"
    TF = "tf"


@dataclass(frozen=True, slots=True)
class IdentityPolicy:
    """What an identity may do, in one policy or several."""

    parts: Sequence[Document]


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """Who may assume a role."""

    document: Document
    role: str  # ARN


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """Who may use a key."""

    document: Document
    key: str | None  # id, alias or ARN; None: one that is to be made


@dataclass(frozen=True, slots=True)
class SecretPolicy:
    """What other accounts' secrets must allow."""

    document: Document
    secrets: Sequence[str]  # ARNs, which may end in what stands for six characters


Policy = IdentityPolicy | TrustPolicy | KeyPolicy | SecretPolicy


def render(policy: Policy, form: Format) -> str:
    """Write a policy; raises Unsaid where JSON has no word for what is not known."""
    return _RENDER[form](policy)


# --- JSON ----------------------------------------------------------------------------------------------------------

_OPTIONS: Final = {ACCOUNT: "--account", REGION: "--region", PARTITION: "--partition"}
_OR_ELSE: Final = "or take --format cfn or tf, which know where they are deployed"


def _json(policy: Policy) -> str:
    documents = policy.parts if isinstance(policy, IdentityPolicy) else [policy.document]
    text = json.dumps(documents[0] if len(documents) == 1 else list(documents), indent=2, ensure_ascii=False)
    unsaid = [option for token, option in _OPTIONS.items() if token in text]
    if "--region" in unsaid:  # which tells the partition
        unsaid = [option for option in unsaid if option != "--partition"]
    if unsaid:
        raise Unsaid(" and ".join(unsaid), f"the policy names what the configuration does not tell: say it, {_OR_ELSE}")
    return text + "\n"


# --- CloudFormation ------------------------------------------------------------------------------------------------

_PSEUDO: Final = {ACCOUNT: "${AWS::AccountId}", REGION: "${AWS::Region}", PARTITION: "${AWS::Partition}"}
_VARIABLE: Final = re.compile(r"\$\{(.*?)\}")


class _Tagged(str):
    """A scalar with one of CloudFormation's tags."""

    __slots__ = ("tag",)
    tag: str


def _tagged(tag: str, text: str) -> _Tagged:
    scalar = _Tagged(text)
    scalar.tag = tag
    return scalar


class _Dumper(yaml.SafeDumper):
    """YAML as CloudFormation reads it: tags for its functions, nothing shared."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 -- the base's
        """Write everything out."""
        return True


_Dumper.add_representer(_Tagged, lambda dumper, scalar: dumper.represent_scalar(scalar.tag, str(scalar)))


def _cfn(policy: Policy) -> str:
    template: dict[str, Tree] = {"AWSTemplateFormatVersion": "2010-09-09", **_template(policy)}
    return yaml.dump(template, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDE)


_WIDE: Final = 1000  # nothing is folded


def _template(policy: Policy) -> dict[str, Tree]:
    if isinstance(policy, IdentityPolicy):
        return _identity_template(policy)
    if isinstance(policy, TrustPolicy):
        return _role_template(policy)
    return _key_template(policy) if isinstance(policy, KeyPolicy) else _secrets_template(policy)


def _identity_template(policy: IdentityPolicy) -> dict[str, Tree]:
    names = [_numbered("Policy", number) for number in range(1, len(policy.parts) + 1)]
    attached: Tree = {"Fn::If": ["HasRole", [_tagged("!Ref", "Role")], _tagged("!Ref", "AWS::NoValue")]}
    return {
        "Description": "What sidecar must be allowed for its configuration, and nothing else.",
        "Parameters": {
            "Role": {"Type": "String", "Default": "", "Description": "Name of a role to attach it to; none if empty."}
        },
        "Conditions": {"HasRole": {"Fn::Not": [{"Fn::Equals": [_tagged("!Ref", "Role"), ""]}]}},
        "Resources": {
            name: _resource("IAM::ManagedPolicy", PolicyDocument=_as_cfn(part), Roles=attached)
            for name, part in zip(names, policy.parts, strict=True)
        },
        "Outputs": {
            f"{name}Arn": {"Description": "To attach to the role.", "Value": _tagged("!Ref", name)} for name in names
        },
    }


def _role_template(policy: TrustPolicy) -> dict[str, Tree]:
    path, _, name = policy.role.partition(":role/")[2].rpartition("/")
    role: dict[str, Tree] = {"RoleName": name, "Path": f"/{path}/"} if path else {"RoleName": name}
    return {
        "Description": "A role that sidecar assumes; attach to it what `sidecar policy` prints for its identity.",
        "Resources": {"Role": _resource("IAM::Role", **role, AssumeRolePolicyDocument=_as_cfn(policy.document))},
    }


def _key_template(policy: KeyPolicy) -> dict[str, Tree]:
    key = _resource("KMS::Key", EnableKeyRotation=True, KeyPolicy=_as_cfn(policy.document))
    kept: dict[str, Tree] = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}  # or all under it is lost
    return {
        "Description": "A KMS key for what sidecar reads.",
        "Resources": {"Key": {**key, **kept}},
        "Outputs": {"KeyArn": {"Description": "For --key.", "Value": {"Fn::GetAtt": ["Key", "Arn"]}}},
    }


def _secrets_template(policy: SecretPolicy) -> dict[str, Tree]:
    return {
        "Description": "What lets sidecar read secrets of this account from another one.",
        "Resources": {
            _numbered("Secret", number): _resource(
                "SecretsManager::ResourcePolicy",
                SecretId=_known_by(secret)[1],
                ResourcePolicy=_as_cfn(policy.document),
                BlockPublicPolicy=True,
            )
            for number, secret in enumerate(policy.secrets, start=1)
        },
    }


def _resource(kind: str, **properties: Tree) -> dict[str, Tree]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def _as_cfn(value: object) -> Tree:
    """Write tokens as pseudo parameters; IAM's own variables stand where `!Sub` would take them for its own."""
    if isinstance(value, str):
        if not any(token in value for token in TOKENS):
            return value
        return _tagged("!Sub", _VARIABLE.sub(lambda found: _PSEUDO.get(found[0], f"${{!{found[1]}}}"), value))
    return _mapped(value, _as_cfn)


def _mapped(value: object, write: Callable[[object], Tree]) -> Tree:
    if isinstance(value, Mapping):
        return {str(key): write(each) for key, each in value.items()}
    assert isinstance(value, list)
    return [write(each) for each in value]


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}{number}"


def _known_by(secret: str) -> tuple[str, str]:
    """Give by what a secret is known in its own account: its ARN, or its name where not all of that is known."""
    return ("name", secret.partition(":secret:")[2].rpartition("-")[0]) if secret.endswith("?") else ("arn", secret)


# --- Terraform -----------------------------------------------------------------------------------------------------

_DATA: Final = {
    ACCOUNT: ("aws_caller_identity", "account_id"),
    PARTITION: ("aws_partition", "partition"),
    REGION: ("aws_region", "id"),  # `name` in version 5 of the provider, `region` in 6: `id` in both
}
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DIRECTIVE: Final = re.compile(r"%\{")


def _tf(policy: Policy) -> str:
    blocks = "\n".join(_blocks(policy))
    used = (f'data "{kind}" "current" {{}}\n\n' for kind, _ in _DATA.values() if f"data.{kind}." in blocks)
    return "".join(used) + blocks


def _blocks(policy: Policy) -> Iterator[str]:
    if isinstance(policy, IdentityPolicy):
        for number, part in enumerate(policy.parts, start=1):
            label = _label("sidecar", number)
            yield _block("resource", "aws_iam_policy", label, name=_quoted(label), policy=_encoded(part))
    elif isinstance(policy, TrustPolicy):
        path, _, name = policy.role.partition(":role/")[2].rpartition("/")
        more = {"path": _quoted(f"/{path}/")} if path else {}
        trusted = _encoded(policy.document)
        yield _block("resource", "aws_iam_role", "sidecar", name=_quoted(name), **more, assume_role_policy=trusted)
    elif isinstance(policy, KeyPolicy):
        yield from _key_blocks(policy)
    else:
        yield from _secret_blocks(policy)


def _key_blocks(policy: KeyPolicy) -> Iterator[str]:
    written = _encoded(policy.document)
    if policy.key is None:
        yield _block("resource", "aws_kms_key", "sidecar", enable_key_rotation="true", policy=written)
        return
    yield _block("data", "aws_kms_key", "sidecar", key_id=_quoted(policy.key))  # KMS sets no policy by an alias
    yield _block("resource", "aws_kms_key_policy", "sidecar", key_id="data.aws_kms_key.sidecar.id", policy=written)


def _secret_blocks(policy: SecretPolicy) -> Iterator[str]:
    for number, secret in enumerate(policy.secrets, start=1):
        label = _label("secret", number)
        by, value = _known_by(secret)
        yield _block("data", "aws_secretsmanager_secret", label, **{by: _quoted(value)})
        arn = f"data.aws_secretsmanager_secret.{label}.arn"
        written = _encoded(policy.document)
        yield _block("resource", "aws_secretsmanager_secret_policy", label, secret_arn=arn, policy=written)


def _label(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


def _block(word: str, kind: str, label: str, /, **arguments: str) -> str:
    widest = max(map(len, arguments))
    lines = (f"  {name:<{widest}} = {value}\n" for name, value in arguments.items())
    return f'{word} "{kind}" "{label}" {{\n{"".join(lines)}}}\n'


def _encoded(document: Document) -> str:
    return f"jsonencode({_hcl(document, 1)})"


def _hcl(value: object, depth: int) -> str:
    """Write an expression, whose inner lines are indented."""
    inner, outer = "  " * (depth + 1), "  " * depth
    if isinstance(value, Mapping):
        lines = (f"{inner}{_key(str(key))} = {_hcl(each, depth + 1)}\n" for key, each in value.items())
        return f"{{\n{''.join(lines)}{outer}}}"
    if isinstance(value, list):
        return f"[\n{''.join(f'{inner}{_hcl(each, depth + 1)},{chr(10)}' for each in value)}{outer}]"
    return _quoted(str(value))


def _key(name: str) -> str:
    return name if _IDENTIFIER.fullmatch(name) else _quoted(name)


def _quoted(text: str) -> str:
    """Write a string of HCL; only our own tokens are templates in it."""
    escaped = _DIRECTIVE.sub("%%{", json.dumps(text, ensure_ascii=False))
    return _VARIABLE.sub(_template_of, escaped)


def _template_of(found: re.Match[str]) -> str:
    kind, attribute = _DATA.get(found[0], ("", ""))
    return f"${{data.{kind}.current.{attribute}}}" if kind else f"${found[0]}"


_RENDER: Final[Mapping[Format, Callable[[Policy], str]]] = {Format.JSON: _json, Format.CFN: _cfn, Format.TF: _tf}
