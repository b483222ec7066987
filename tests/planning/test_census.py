"""A value is counted once for each way in which it is asked for."""

from sidecar.core.ports import Decrypt, Route
from sidecar.core.quotas import Scope
from sidecar.core.refs import SourceKind
from sidecar.planning.census import Sort, Wish, account_of, census
from tests.planning.configured import configured

ELSEWHERE = "arn:aws:secretsmanager:us-east-1:222222222222:secret:x-AbCdEf"


def test_names_of_one_value_are_one_with_all_their_wishes() -> None:
    """Fields and repetitions cost nothing; the keenest of the wishes is for the policies to find."""
    counted = census(
        configured('secrets: {a: "sm:x#a", b: {ref: "sm:x#b", refresh: 30s}, c: "sm:y"}'), lambda _: "eu-west-1"
    )
    scope, route = Scope("default", "eu-west-1"), Route(SourceKind.SM, "default")
    twice = Sort(route, scope, frozenset({Wish(None, None), Wish(30.0, None)}))
    assert counted.values == {twice: 1, Sort(route, scope, frozenset({Wish(None, None)})): 1}


def test_what_cannot_share_a_request_is_of_another_sort() -> None:
    """Stages, versions and ARNs are fetched one by one; an ARN says in which region."""
    text = (
        f'secrets: {{a: "sm:x?stage=AWSPREVIOUS", b: "sm:x?version_id={"0" * 32}", '
        f'c: "sm:{ELSEWHERE}", d: "ssm:/p?version=3"}}'
    )
    counted = census(configured(text), lambda _: "eu-west-1")
    assert sorted((sort.scope.region, sort.together, sort.pinned) for sort in counted.values) == [
        ("eu-west-1", False, False),
        ("eu-west-1", False, True),
        ("eu-west-1", True, True),
        ("us-east-1", False, False),
    ]


def test_trees_are_counted_apart() -> None:
    """Each is walked by itself; who decrypts is part of the way."""
    counted = census(configured("trees: {app: {ref: ssm:/app/, decrypt: local, refresh: 1m}}"), lambda _: "")
    (sort,) = counted.trees
    assert (sort.route.decrypt, sort.wishes) == (Decrypt.LOCAL, frozenset({Wish(60.0, None)}))
    assert not counted.values


def test_a_role_tells_the_account() -> None:
    """Identities without a role share the account of whoever runs the daemon, a profile has its own."""
    config = configured(
        "identities: {dr: {region: us-west-2}, ops: {profile: ops}, "
        "billing: {role_arn: 'arn:aws:iam::222222222222:role/r'}}"
    )
    accounts = {name: account_of(config.identities, name) for name in config.identities}
    assert accounts == {"default": "default", "dr": "default", "ops": "profile ops", "billing": "222222222222"}
