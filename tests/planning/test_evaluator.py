"""The judge, judged: by what AWS's own guides say of the examples that they publish."""

from typing import Any

import pytest

from tests.planning.evaluator import Effect, Policies, Request, judge

Json = Any  # policies as they are written

ROLE = "arn:aws:iam::111122223333:role/ExampleRole"
STRANGER = "arn:aws:iam::444455556666:role/ExampleRole"
KEY = "arn:aws:kms:us-west-2:111122223333:key/1234abcd"
ROOT = "arn:aws:iam::111122223333:root"
EC2, LAMBDA = "ec2.us-west-2.amazonaws.com", "lambda.us-west-2.amazonaws.com"


def allow(action: str | list[str] = "*", resource: str | list[str] = "*", **more: Json) -> Json:
    """Write a statement that allows."""
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: str | list[str] = "*", resource: str | list[str] = "*", **more: Json) -> Json:
    """Write a statement that denies."""
    return allow(action, resource, **more) | {"Effect": "Deny"}


def by(principal: str | list[str], action: str | list[str] = "kms:Decrypt", **more: Json) -> Json:
    """Write a statement of a key policy."""
    return allow(action, Principal={"AWS": principal}, **more)


def policy(*statements: Json) -> Json:
    """Write a policy."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def ask(action: str = "kms:Decrypt", resource: str = KEY, principal: str = ROLE, **context: Json) -> Request:
    """Ask for something; a context key is written with __ for its colon."""
    return Request(principal, action, resource, {key.replace("__", ":"): value for key, value in context.items()})


class TestEvaluation:
    """IAM User Guide, "Policy evaluation logic", and its example of one user with two kinds of policy."""

    own = policy(
        allow("s3:ListAllMyBuckets"),
        allow("s3:*", ["arn:aws:s3:::carlossalazar", "arn:aws:s3:::carlossalazar/*"]),
        deny("s3:*", "arn:aws:s3:::*log*"),
    )

    @pytest.mark.parametrize(
        ("action", "resource", "effect"),
        [
            ("s3:GetObject", "arn:aws:s3:::carlossalazar/notes", Effect.ALLOW),
            ("s3:getobject", "arn:aws:s3:::carlossalazar/notes", Effect.ALLOW),
            ("s3:PutObject", "arn:aws:s3:::others/notes", Effect.SILENT),
            ("s3:GetObject", "arn:aws:s3:::carlossalazar/log.txt", Effect.DENY),
            ("ec2:RunInstances", "*", Effect.SILENT),
            ("s3:ListAllMyBuckets", "*", Effect.ALLOW),
        ],
    )
    def test_a_denial_outweighs_and_silence_is_none(self, action: str, resource: str, effect: Effect) -> None:
        """Whatever else is allowed."""
        assert judge([self.own], ask(action, resource)) is effect

    def test_either_policy_is_enough_within_the_account(self) -> None:
        """A resource's policy that names the role needs no other; a denial in either stands."""
        secret = "arn:aws:secretsmanager:us-west-2:111122223333:secret:db-AbCdEf"
        read = ask("secretsmanager:GetSecretValue", secret)
        named = policy(by(ROLE, "secretsmanager:GetSecretValue"))
        assert Policies(of_resources={secret: named}).allow(read)
        assert Policies({ROLE: [policy(allow("secretsmanager:*"))]}).allow(read)
        assert not Policies({ROLE: [policy(deny())]}, {secret: named}).allow(read)
        assert not Policies({ROLE: [policy(allow())]}, {secret: policy(deny(Principal="*"))}).allow(read)
        assert not Policies(of_resources={secret: policy(by(ROOT, "secretsmanager:GetSecretValue"))}).allow(read)

    def test_both_are_needed_across_accounts(self) -> None:
        """The owner lets the account or the role in, and the caller's own account lets it out."""
        secret = "arn:aws:secretsmanager:us-west-2:111122223333:secret:db-AbCdEf"
        read = ask("secretsmanager:GetSecretValue", secret, STRANGER)
        mine = {STRANGER: [policy(allow("secretsmanager:GetSecretValue", secret))]}
        for principal in (STRANGER, "444455556666", "arn:aws:iam::444455556666:root"):
            theirs = {secret: policy(by(principal, "secretsmanager:GetSecretValue"))}
            assert Policies(mine, theirs).allow(read)
            assert not Policies({}, theirs).allow(read)
        assert not Policies(mine).allow(read)

    def test_what_is_not_meant(self) -> None:
        """NotAction and NotResource allow all but that."""
        grant = {"Effect": "Allow", "NotAction": "iam:*", "NotResource": "arn:aws:s3:::hr/*"}
        assert judge([policy(grant)], ask("s3:GetObject", "arn:aws:s3:::it/x")) is Effect.ALLOW
        assert judge([policy(grant)], ask("iam:GetUser", "x")) is Effect.SILENT
        assert judge([policy(grant)], ask("s3:GetObject", "arn:aws:s3:::hr/x")) is Effect.SILENT


class TestConditions:
    """IAM User Guide, "Condition operators", "Multivalued context keys", "Policy variables"."""

    @pytest.mark.parametrize(
        ("operator", "want", "found", "holds"),
        [
            ("StringEquals", "a*", "a*", True),
            ("StringEquals", "a*", "ab", False),
            ("StringEquals", "a", None, False),
            ("StringEquals", ["a", "b"], "b", True),
            ("StringEqualsIgnoreCase", "AB", "ab", True),
            ("StringNotEquals", "a", "b", True),
            ("StringNotEquals", "a", None, True),
            ("StringNotEquals", ["a", "b"], "b", False),
            ("StringLike", "a*?", "abc", True),
            ("StringLike", "a?", "a", False),
            ("StringLike", "a${*}", "ab", False),
            ("StringLike", "a${*}${?}${$}", "a*?$", True),
            ("StringLike", "${key}x", "vx", False),
            ("StringEqualsIfExists", "a", None, True),
            ("StringEqualsIfExists", "a", "b", False),
            ("ArnLike", "arn:aws:s3:::b/*", "arn:aws:s3:::b/x:y", True),
            ("ArnLike", "arn:*:x", "arn:aws:s3:::x", False),
            ("Bool", "true", "True", True),
            ("Null", "true", None, True),
            ("Null", "true", "x", False),
            ("Null", "false", "x", True),
            ("ForAllValues:StringEquals", ["a", "b"], ("a", "b"), True),
            ("ForAllValues:StringEquals", ["a", "b"], ("a", "c"), False),
            ("ForAllValues:StringEquals", ["a"], None, True),
            ("ForAnyValue:StringEquals", ["a", "b"], ("b", "c"), True),
            ("ForAnyValue:StringEquals", ["a"], ("c",), False),
            ("ForAnyValue:StringEquals", ["a"], None, False),
            ("ForAnyValue:StringLike", "a*", ("b", "ab"), True),
        ],
    )
    def test_an_operator(self, operator: str, want: Json, found: Json, *, holds: bool) -> None:
        """Holds, or not; a key's own case does not count."""
        context = {} if found is None else {"SOME__KEY": found}
        granted = policy(allow(Condition={operator: {"some:key": want}}))
        assert (judge([granted], ask(**context)) is Effect.ALLOW) is holds

    def test_all_operators_and_keys_must_hold(self) -> None:
        """Any value of one, but each of them."""
        granted = policy(allow(Condition={"StringEquals": {"x": ["1", "2"], "y": "3"}, "Null": {"z": "true"}}))
        assert judge([granted], ask(x="2", y="3")) is Effect.ALLOW
        assert judge([granted], ask(x="2", y="4")) is Effect.SILENT
        assert judge([granted], ask(x="2", y="3", z="0")) is Effect.SILENT

    def test_a_variable_is_what_the_request_says(self) -> None:
        """As in the example of a home folder for each user."""
        granted = policy(allow("s3:GetObject", "arn:aws:s3:::mybucket/${aws:username}/*"))
        assert judge([granted], ask("s3:GetObject", "arn:aws:s3:::mybucket/ana/x", aws__username="ana")) is Effect.ALLOW
        assert (
            judge([granted], ask("s3:GetObject", "arn:aws:s3:::mybucket/bob/x", aws__username="ana")) is Effect.SILENT
        )


class TestKeys:
    """KMS Developer Guide: default key policy, access from other accounts, condition keys."""

    default = policy(by(ROOT, "kms:*"))

    def test_the_default_key_policy_leaves_it_to_iam(self) -> None:
        """Alone it lets nobody in; without it IAM has no say."""
        iam = {ROLE: [policy(allow("kms:Decrypt", KEY))]}
        assert Policies(iam, {KEY: self.default}).allow(ask())
        assert not Policies({}, {KEY: self.default}).allow(ask())
        assert not Policies(iam, {KEY: policy()}).allow(ask())
        assert not Policies(iam).allow(ask())

    def test_a_key_policy_that_names_the_role_is_enough(self) -> None:
        """Within the key's own account."""
        assert Policies({}, {KEY: policy(by(ROLE))}).allow(ask())
        assert not Policies({}, {KEY: policy(by(ROLE))}).allow(ask("kms:Encrypt"))

    def test_another_account_needs_both(self) -> None:
        """The key's policy there, and IAM here."""
        iam = {STRANGER: [policy(allow("kms:Decrypt", KEY))]}
        there = policy(by(ROOT, "kms:*"), by("arn:aws:iam::444455556666:root"))
        assert Policies(iam, {KEY: there}).allow(ask(principal=STRANGER))
        assert not Policies({}, {KEY: there}).allow(ask(principal=STRANGER))
        assert not Policies({}, {KEY: policy(by(STRANGER))}).allow(ask(principal=STRANGER))
        assert not Policies(iam, {KEY: self.default}).allow(ask(principal=STRANGER))

    def test_via_service(self) -> None:
        """The guide's example: EC2 and RDS of one region on the role's behalf, and nobody else."""
        services = [EC2, "rds.us-west-2.amazonaws.com"]
        key = policy(
            by(ROLE, ["kms:Decrypt", "kms:GenerateDataKey*"], Condition={"StringEquals": {"kms:ViaService": services}})
        )
        only = Policies({}, {KEY: key})
        assert only.allow(ask(kms__ViaService=EC2))
        assert only.allow(ask("kms:GenerateDataKeyWithoutPlaintext", kms__ViaService=EC2))
        assert not only.allow(ask())
        assert not only.allow(ask(kms__ViaService=LAMBDA))
        assert not only.allow(ask(kms__ViaService=EC2.replace("west", "east")))

    def test_a_denial_via_a_service(self) -> None:
        """The guide's other example: all but Lambda."""
        denied = deny(Principal={"AWS": ROLE}, Condition={"StringEquals": {"kms:ViaService": LAMBDA}})
        key = policy(by(ROLE), denied)
        assert Policies({}, {KEY: key}).allow(ask(kms__ViaService=EC2))
        assert not Policies({}, {KEY: key}).allow(ask(kms__ViaService=LAMBDA))

    def test_encryption_context(self) -> None:
        """A pair must be there with its value; more pairs do not matter, unless their names are tested."""
        app = {"kms:EncryptionContext:AppName": "ExampleApp"}
        one = Policies({}, {KEY: policy(by(ROLE, Condition={"StringEquals": app}))})
        said: Json = {"kms__EncryptionContext__AppName": "ExampleApp", "kms__EncryptionContextKeys": ("AppName", "Env")}
        assert one.allow(ask(**said))
        assert not one.allow(ask(kms__EncryptionContext__AppName="Other"))
        assert not one.allow(ask())
        names = {"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["AppName"]}}
        exact = Policies({}, {KEY: policy(by(ROLE, Condition={"StringEquals": app, **names}))})
        assert not exact.allow(ask(**said))
        assert exact.allow(ask(**{**said, "kms__EncryptionContextKeys": ("AppName",)}))
        any_ = {"Null": {"kms:EncryptionContextKeys": "false"}}
        assert not Policies({}, {KEY: policy(by(ROLE, Condition=any_))}).allow(ask())

    def test_aliases_of_the_key(self) -> None:
        """IAM lets the keys be used that have an alias, not the alias."""
        granted = allow(
            "kms:Decrypt",
            "arn:aws:kms:*:111122223333:key/*",
            Condition={"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/project_1"}},
        )
        found = Policies({ROLE: [policy(granted)]}, {KEY: self.default})
        assert found.allow(ask(kms__ResourceAliases=("alias/project_1", "alias/other")))
        assert not found.allow(ask(kms__ResourceAliases=("alias/other",)))
        assert not found.allow(ask())


class TestRoles:
    """IAM User Guide, "Access to AWS accounts owned by third parties": the external id."""

    role = "arn:aws:iam::444455556666:role/reader"

    def test_a_role_is_assumed_by_whom_it_trusts(self) -> None:
        """Both sides, and the external id that was agreed on."""
        trusts = policy(
            {
                "Effect": "Allow",
                "Principal": {"AWS": ROOT},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": "12345"}},
            }
        )
        iam = {ROLE: [policy(allow("sts:AssumeRole", self.role))]}
        both = Policies(iam, {self.role: trusts})
        assert both.allow(ask("sts:AssumeRole", self.role, sts__ExternalId="12345"))
        assert not both.allow(ask("sts:AssumeRole", self.role, sts__ExternalId="1"))
        assert not both.allow(ask("sts:AssumeRole", self.role))
        assert not Policies({}, {self.role: trusts}).allow(ask("sts:AssumeRole", self.role, sts__ExternalId="12345"))
        assert not Policies(iam).allow(ask("sts:AssumeRole", self.role, sts__ExternalId="12345"))
