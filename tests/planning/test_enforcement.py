"""The printed policies, enforced on all that the daemon asks: enough, no more than that, and each part for a reason."""

import copy
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from sidecar.fakeaws.control import FakeAws
from sidecar.planning.counterparts import secret_policy, trust
from sidecar.planning.grants import build_needs
from sidecar.planning.key_policies import KeyPolicyKind, KeyWish, key_policy
from sidecar.planning.keyrings import Known
from sidecar.planning.places import World
from sidecar.planning.statements import document
from tests.aws_fixtures import AwsAccount
from tests.planning.asked import REGION, WEST, Asked, Cloud, ask_everything, planted
from tests.planning.evaluator import Effect, Policies, Request, judge

Json = Any  # policies as they are written

REPLICAS = {"db there", "token there"}
OWN_SECRETS = {"db", "token", "together"}
SEALED = {"sealed", "sealed-by-alias"}
NEEDED = {
    "app": {
        "ReadSecrets": {*OWN_SECRETS, *REPLICAS, "shared", "shared there"},
        "ReadManySecretsAtOnce": {"together"},
        "ReadSecretsOnDemand": {"on demand"},
        "ReadParameters": {"level", "api", "advanced"},
        "WalkTrees": {"tree", "locally"},
        "ReadTrees": {"tree", "locally"},
        "ReadObjects": {"chain", *SEALED},
        "ReadObjectVersions": {"licence"},
        "DecryptSecrets": OWN_SECRETS,
        "DecryptSecretsInUsWest2": REPLICAS,
        "DecryptSecretsInUsWest2Of": {"shared there"},
        "DecryptSecretsOf": {"shared"},
        "DecryptSecretsOnDemand": {"on demand"},
        "DecryptParameters": {"level"},
        "DecryptTrees": {"tree"},
        "DecryptObjects": {"chain", "licence", *SEALED},
        "DecryptParametersLocally": {"api", "advanced"},
        "DecryptTreesLocally": {"locally"},
        "OpenCiphertexts": {"bare"},
        "OpenCiphertextsByAlias": {"bare-by-alias"},
        "OpenCiphertextsOfAppProd": {"blob"},
        "OpenCiphertextsOfAppProdByAlias": {"blob-by-alias"},
        "OpenCiphertextsOfAppProdMessage": {"message"},
        "OpenObjects": {"sealed"},
        "OpenObjectsByAlias": {"sealed-by-alias"},
        "FindKeysByAlias": {"message", "blob-by-alias", "bare-by-alias", "sealed-by-alias"},
        "KmsForTheApp": {"sign"},
        "KmsForTheAppByAlias": {"sign"},
        "RandomForTheApp": {"random"},
        "LeaseWithTheFleet": {"fleet"},
        "DiscoverQuotas": {"quotas"},
        "AssumeRolesAsBilling": {"bill"},
    },
    "reader": {"ReadSecrets": {"bill"}, "DecryptSecrets": {"bill"}, "DiscoverQuotas": {"quotas"}},
}
"""What fails without a statement: the values (or what else was asked) that need it, and no others."""


@dataclass(frozen=True)
class Scene:
    """What was asked, and what is granted for it."""

    cloud: Cloud
    asked: list[Asked]
    policies: Policies

    def denied(self, policies: Policies) -> set[str]:
        """Name what fails under other policies."""
        return {each.tag for each in self.asked if not policies.allow(each.request)}

    def without_identities(self, role: str) -> Json:
        """Give the policy of one role, to be changed."""
        return copy.deepcopy(self.policies.of_identities[role][0])

    def with_policy(self, role: str, written: Json) -> Policies:
        """Give all policies, with another for one role."""
        return replace(self.policies, of_identities={**self.policies.of_identities, role: [written]})

    def with_resource(self, arn: str, written: Json | None) -> Policies:
        """Give all policies, with another for one resource, or none."""
        rest = {key: value for key, value in self.policies.of_resources.items() if key != arn}
        return replace(self.policies, of_resources=rest if written is None else {**rest, arn: written})


def world(cloud: Cloud, *keys: str) -> World:
    """Say where it all is."""
    return World(cloud.own.id, REGION, keys=keys or (cloud.values, cloud.replicas, cloud.theirs, cloud.theirs_west))


def identity_policy(cloud: Cloud, name: str, where: World) -> Json:
    """Print an identity's own."""
    config = cloud.config
    return document(build_needs(config, name, where, Known(where.keys, config.kms.allow_keys)).grants)


def policy_of_key(cloud: Cloud, key: str, kind: KeyPolicyKind) -> Json:
    """Print a key's, for whoever reads what lies under it."""
    readers = ("billing", "default") if key == cloud.theirs else ("default",)
    wish = KeyWish(kind, readers, "alias/prod" if key == cloud.aliased else key, cloud.role)
    return document(key_policy(cloud.config, wish, world(cloud)))


def shared(cloud: Cloud) -> tuple[str, str]:
    """Give the ARNs of the secret that is shared, and of its replica."""
    return cloud.shared, cloud.shared.replace(REGION, WEST)


def granted(cloud: Cloud, kind: KeyPolicyKind = KeyPolicyKind.DEFAULT) -> Policies:
    """Print all of them."""
    config, where = cloud.config, world(cloud)
    return Policies(
        {
            cloud.role: [identity_policy(cloud, "default", where)],
            cloud.reader: [identity_policy(cloud, "billing", where)],
        },
        {
            cloud.reader: document([trust(config, "billing", cloud.role, where)]),
            **{arn: document([secret_policy(config, "default", cloud.role, where)]) for arn in shared(cloud)},
            **{key: policy_of_key(cloud, key, kind) for key in cloud.keys},
        },
    )


@pytest.fixture(scope="module")
def scene(fake_aws: FakeAws) -> Iterator[Scene]:
    """Plant, ask and print, once for all."""
    own, other = (AwsAccount(fake_aws.of(number)) for number in ("300000000001", "300000000002"))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        for name, value in own.env.items():
            patch.setenv(name, value)
        cloud = planted(own, other)
        yield Scene(cloud, ask_everything(cloud), granted(cloud))
    own.fake.reset()
    other.fake.reset()


def role_of(scene: Scene, name: str) -> str:
    """Give the ARN of one of the two roles."""
    return scene.cloud.role if name == "app" else scene.cloud.reader


def needed(name: str, sid: str, scene: Scene) -> set[str]:
    """Say what a statement is for."""
    return NEEDED[name][sid.removesuffix(scene.cloud.other.id)]


def statements(scene: Scene) -> Iterator[tuple[str, str, int, Json]]:
    """Give each statement of the two roles: whose, its name, its place, and the whole policy to be changed."""
    for name in NEEDED:
        for index, statement in enumerate(scene.policies.of_identities[role_of(scene, name)][0]["Statement"]):
            yield name, statement["Sid"], index, scene.without_identities(role_of(scene, name))


def test_something_was_asked_for_everything(scene: Scene) -> None:
    """By as many kinds of requests as there are statements for."""
    tags = {each.tag for each in scene.asked}
    assert tags == set().union(*NEEDED["app"].values(), *NEEDED["reader"].values())
    assert {each.request.action.partition(":")[0] for each in scene.asked} == {
        "secretsmanager", "ssm", "s3", "kms", "sts", "dynamodb", "servicequotas",
    }  # fmt: skip


@pytest.mark.parametrize("kind", KeyPolicyKind)
def test_every_request_is_allowed(scene: Scene, kind: KeyPolicyKind) -> None:
    """Whichever key policy there is."""
    assert scene.denied(granted(scene.cloud, kind)) == set()


def test_without_a_statement_just_what_needs_it_fails(scene: Scene) -> None:
    """One by one."""
    for name, sid, index, policy in statements(scene):
        del policy["Statement"][index]
        assert scene.denied(scene.with_policy(role_of(scene, name), policy)) == needed(name, sid, scene), sid


def test_without_a_resource_or_action_something_of_that_fails(scene: Scene) -> None:
    """None is there for nothing."""
    for name, sid, index, policy in statements(scene):
        for key in ("Resource", "Action"):
            whole = policy["Statement"][index][key]
            for left_out in whole if isinstance(whole, list) else ():
                policy["Statement"][index][key] = [each for each in whole if each != left_out]
                failed = scene.denied(scene.with_policy(role_of(scene, name), policy))
                assert failed, (sid, left_out)
                assert failed <= needed(name, sid, scene)
            policy["Statement"][index][key] = whole


def test_with_a_condition_altered_just_what_needs_it_fails(scene: Scene) -> None:
    """Each value of each, one by one."""
    for name, sid, index, policy in statements(scene):
        for tests, key in _conditions(policy["Statement"][index]):
            whole = tests[key]
            values = whole if isinstance(whole, list) else [whole]
            failed: set[str] = set()
            for value in values:
                altered = "false" if value == "true" else f"{value}x"
                tests[key] = [altered if each == value else each for each in values]
                lost = scene.denied(scene.with_policy(role_of(scene, name), policy))
                assert lost, (sid, key, value)
                failed |= lost
            tests[key] = whole
            assert failed == needed(name, sid, scene), (sid, key)


def test_without_a_condition_more_would_be_allowed(scene: Scene) -> None:
    """Each keeps something out that the rest of the policy would let in, whatever others' policies say."""
    near = list(near_misses(scene))
    for name, sid, index, policy in statements(scene):
        mine = [each for each in near if each.principal == role_of(scene, name)]
        for operator, tests in list(policy["Statement"][index].get("Condition", {}).items()):
            for key in list(tests):
                changed = copy.deepcopy(policy)
                del changed["Statement"][index]["Condition"][operator][key]
                let_in = (each for each in mine if judge([changed], each) is Effect.ALLOW)
                assert next(let_in, None), (sid, key)


def test_nothing_beyond_is_allowed(scene: Scene) -> None:
    """Other names, actions, regions, accounts, keys, services and contexts, and KMS itself."""
    near = list(near_misses(scene))
    assert len(near) > 500
    assert [each for each in near if scene.policies.allow(each)] == []


def _conditions(statement: Json) -> Iterator[tuple[Json, str]]:
    for tests in statement.get("Condition", {}).values():
        for key in list(tests):
            yield tests, key


# --- near misses ---------------------------------------------------------------------------------------------------

OTHER_ACTIONS = {
    "secretsmanager": ("PutSecretValue", "DeleteSecret", "ListSecrets", "RotateSecret", "GetResourcePolicy"),
    "ssm": ("GetParameter", "GetParameterHistory", "PutParameter", "DeleteParameter", "DescribeParameters"),
    "s3": ("PutObject", "DeleteObject", "ListBucket", "GetObjectAcl", "GetObjectTagging"),
    "kms": ("Encrypt", "GenerateDataKey", "ReEncryptFrom", "CreateGrant", "ScheduleKeyDeletion", "PutKeyPolicy"),
    "dynamodb": ("DeleteItem", "Scan", "UpdateItem", "DeleteTable"),
    "sts": ("TagSession", "SetSourceIdentity"),
    "servicequotas": ("RequestServiceQuotaIncrease", "GetServiceQuota"),
}
BOUND = ("SecretARN", "PARAMETER_ARN", "aws:s3:arn", "app")
"""Names of encryption contexts by which values are told apart."""


USES = ("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:CreateGrant")
"""What may be done with a key; the rest is its administration."""


def near_misses(scene: Scene) -> Iterator[Request]:
    """Change one thing of each request that was made."""
    allowed = {_told(each.request) for each in scene.asked}
    for each in scene.asked:
        for missed in itertools.chain(_elsewhere(each.request, scene), _otherwise(each)):
            if _told(missed) not in allowed:
                yield missed


def _told(request: Request) -> tuple[object, ...]:
    return request.principal, request.action, request.resource, tuple(sorted(request.context.items()))


def _elsewhere(request: Request, scene: Scene) -> Iterator[Request]:
    service, arn = request.action.partition(":")[0], request.resource
    for action in OTHER_ACTIONS[service]:
        yield replace(request, action=f"{service}:{action}")
    if arn == "*":
        return
    yield replace(request, principal=request.principal + "x")
    if service == "kms":
        yield from _swapped(request, scene)
        return
    names = (("prod", "qa"), (scene.cloud.own.id, "300000000003"), (REGION, "eu-north-1"), (WEST, "eu-north-1"))
    for here, there in (*names, ("/prod/", "/prod/x"), ("-AbCdEf", "-x-AbCdEf"), ("-AbCdEf", "")):
        if here in arn and not ("demand" in arn and here == "-AbCdEf"):
            yield replace(request, resource=arn.replace(here, there))
    if ":parameter/" in arn and "/tree" not in arn and "/locally" not in arn:
        yield replace(request, resource=f"{arn}/below")


def _swapped(request: Request, scene: Scene) -> Iterator[Request]:
    """Ask the same of each key."""
    for key, aliases in scene.cloud.keys.items():
        yield _with(replace(request, resource=key), "kms:ResourceAliases", aliases or None)


def _otherwise(asked: Asked) -> Iterator[Request]:
    request = asked.request
    for key, value in request.context.items():
        if key == "kms:ViaService":
            yield _with(request, key, None)
            for other in ("ssm.eu-west-1", "secretsmanager.eu-west-1", "s3.eu-north-1", "ec2.eu-west-1"):
                yield _with(request, key, f"{other}.amazonaws.com")
        elif key == "sts:ExternalId" or key.removeprefix("kms:EncryptionContext:") in BOUND:
            yield _with(request, key, None)
            yield _with(request, key, str(value).replace("prod", "qa") + ("" if "prod" in str(value) else "x"))
        elif key == "kms:ResourceAliases" and request.action == "kms:DescribeKey":
            yield _with(request, key, ("alias/qa",))
        elif key == "kms:EncryptionContextKeys" and asked.tag in {"blob", "blob-by-alias", "message"}:
            more = _with(request, key, ("app", "more"))
            yield _with(more, "kms:EncryptionContext:more", "x")
    if asked.tag in {"bare", "bare-by-alias"} and request.action == "kms:Decrypt":
        yield _with(_with(request, "kms:EncryptionContext:app", "x"), "kms:EncryptionContextKeys", ("app",))


def _with(request: Request, key: str, value: str | tuple[str, ...] | None) -> Request:
    rest: Mapping[str, str | tuple[str, ...]] = {name: each for name, each in request.context.items() if name != key}
    return replace(request, context=rest if value is None else {**rest, key: value})


# --- the others' policies ------------------------------------------------------------------------------------------

OF_KEYS = {
    "values": {*OWN_SECRETS, "on demand", "level", "api", "advanced", "tree", "locally", "chain", "licence", *SEALED},
    "replicas": REPLICAS,
    "theirs": {"shared", "bill"},
    "theirs_west": {"shared there"},
    "named": {"blob", "bare", "sealed", "sign"},
    "aliased": {"message", "blob-by-alias", "bare-by-alias", "sealed-by-alias", "sign"},
}


@pytest.mark.parametrize("key", OF_KEYS)
def test_without_its_policy_a_key_serves_nobody(scene: Scene, key: str) -> None:
    """Whatever IAM allows."""
    assert scene.denied(scene.with_resource(getattr(scene.cloud, key), None)) == OF_KEYS[key]


def test_a_custom_key_policy_holds_where_iam_is_wide_open(scene: Scene) -> None:
    """Everything that is read still is; of all near misses under the keys none comes through."""
    cloud = scene.cloud
    wide = {"Version": "2012-10-17", "Statement": [{"Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*"}]}
    custom = replace(
        granted(cloud, KeyPolicyKind.CUSTOM), of_identities={role: [wide] for role in (cloud.role, cloud.reader)}
    )
    default = replace(scene.policies, of_identities=custom.of_identities)
    assert scene.denied(custom) == set()
    own = (cloud.values, cloud.replicas, cloud.named)
    # Which value lies under which key nobody says: a key's policy lets the role read all that it reads there.
    swapped = {_told(missed) for each in scene.asked for missed in _swapped(each.request, scene)}
    near = [each for each in near_misses(scene) if each.resource in own and each.action in USES]
    near = [each for each in near if _told(each) not in swapped]
    assert [each for each in near if custom.allow(each)] == []
    assert sum(map(default.allow, near)) > len(near) / 2


def test_each_statement_of_a_custom_key_policy_is_needed(scene: Scene) -> None:
    """Without it something fails that lies under the key; with another condition too."""
    for key, tags in OF_KEYS.items():
        arn = getattr(scene.cloud, key)
        policy = policy_of_key(scene.cloud, arn, KeyPolicyKind.CUSTOM)
        own = replace(
            scene.policies, of_identities={**scene.policies.of_identities, scene.cloud.role: [without_kms(scene)]}
        )
        for index, statement in enumerate(policy["Statement"]):
            rest = {**policy, "Statement": [each for number, each in enumerate(policy["Statement"]) if number != index]}
            changed = replace(own, of_resources={**own.of_resources, **customs(scene), arn: rest})
            lost = scene.denied(changed) - scene.denied(
                replace(own, of_resources={**own.of_resources, **customs(scene)})
            )
            is_of_values = statement["Sid"].startswith("Decrypt")
            if statement["Sid"].startswith("Account") or (is_of_values and key in {"named", "aliased"}):
                assert lost == set()
            elif not key.startswith("theirs"):  # across accounts IAM is needed too
                assert lost, (key, statement["Sid"])
            assert lost <= tags


def without_kms(scene: Scene) -> Json:
    """Give the role's policy without all that is KMS's."""
    policy = scene.without_identities(scene.cloud.role)
    policy["Statement"] = [each for each in policy["Statement"] if "kms" not in str(each["Action"])]
    return policy


def customs(scene: Scene) -> dict[str, Json]:
    """Give the custom policies of all keys."""
    return {key: policy_of_key(scene.cloud, key, KeyPolicyKind.CUSTOM) for key in scene.cloud.keys}


def test_across_accounts_both_sides_are_needed(scene: Scene) -> None:
    """The secret's policy and the key's there, ours here; the role's trust with the external id."""
    cloud = scene.cloud
    assert scene.denied(scene.with_resource(cloud.shared, None)) == {"shared"}
    assert scene.denied(scene.with_resource(cloud.theirs, None)) == {"shared", "bill"}
    assert scene.denied(scene.with_resource(cloud.reader, None)) == {"bill"}
    own = policy_of_key(cloud, cloud.theirs, KeyPolicyKind.DEFAULT)
    alone = {**own, "Statement": [each for each in own["Statement"] if each["Sid"] == "AccountDecides"]}
    assert scene.denied(scene.with_resource(cloud.theirs, alone)) == {"shared"}


def test_by_alias_it_is_the_same(scene: Scene) -> None:
    """Where the keys of values are said by an alias: what has it may be used, what has another may not."""
    cloud = scene.cloud
    where = world(cloud, "alias/prod", cloud.theirs)
    policies = scene.with_policy(cloud.role, identity_policy(cloud, "default", where))
    own = [each for each in scene.asked if each.request.resource in (cloud.values, cloud.replicas)]
    assert own
    assert not any(policies.allow(each.request) for each in own)
    for each in own:
        assert policies.allow(_with(each.request, "kms:ResourceAliases", ("alias/prod", "alias/more")))
        assert not policies.allow(_with(each.request, "kms:ResourceAliases", ("alias/qa",)))
