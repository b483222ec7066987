from hypothesis import given
from hypothesis import strategies as st

from sidecar.planning.statements import MOST_MANAGED, Condition, Grant, document, parted, size_of

NAMES = st.integers(1, 40).map(
    lambda count: tuple(f"arn:aws:ssm:eu-west-1:111111111111:parameter/p{n}" for n in range(count))
)


def test_is_written_as_iam_has_it() -> None:
    """One of several is alone; conditions stand under their operator; no principal where there is none."""
    grant = Grant("Read", ("a:Get",), ("r1", "r2"), (Condition("StringEquals", "k", ("v",)),))
    assert document([grant]) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Read",
                "Effect": "Allow",
                "Action": "a:Get",
                "Resource": ["r1", "r2"],
                "Condition": {"StringEquals": {"k": "v"}},
            }
        ],
    }
    trust = Grant("Assume", ("sts:AssumeRole",), (), principal="arn:p").record()
    assert trust == {"Sid": "Assume", "Effect": "Allow", "Principal": {"AWS": "arn:p"}, "Action": "sts:AssumeRole"}


def test_an_open_account_counts_as_long_as_it_can_be() -> None:
    """A policy that fits with a token fits wherever it is deployed."""
    open_, closed = (
        size_of(document([Grant("R", ("a:Get",), (f"arn:aws:x:{region}:{account}:y",))]))
        for region, account in (("${region}", "${account}"), ("ap-southeast-1", "1" * 12))
    )
    assert open_ == closed


def test_what_fits_is_one_policy() -> None:
    """In its order."""
    grants = [Grant(name, ("a:Get",), ("r",)) for name in ("One", "Two")]
    assert parted(grants) == [grants]
    assert parted([]) == []


@given(st.lists(NAMES, min_size=1, max_size=6))
def test_what_is_too_large_is_dealt_out(resources: list[tuple[str, ...]]) -> None:
    """Each part fits, every name is unique, and together they grant what was to be granted."""
    grants = [Grant(f"S{number}", ("ssm:GetParameters",), found) for number, found in enumerate(resources)]
    parts = parted(grants, 400)
    assert all(size_of(document(part)) <= 400 for part in parts)
    dealt = [grant for part in parts for grant in part]
    assert len({grant.sid for grant in dealt}) == len(dealt)
    assert [each for grant in dealt for each in grant.resources] == [each for found in resources for each in found]


def test_a_statement_with_many_values_of_a_context_is_halved_by_them() -> None:
    """Each half keeps the other conditions."""
    via = Condition("StringEquals", "kms:ViaService", ("ssm",))
    values = tuple(f"arn:{number:04}" for number in range(2000))
    (whole,) = [Grant("D", ("kms:Decrypt",), ("key",), (via, Condition("StringLike", "c", values)))]
    parts = parted([whole])
    assert len(parts) > 2
    assert all(size_of(document(part)) <= MOST_MANAGED for part in parts)
    assert all(grant.conditions[0] == via for part in parts for grant in part)
    assert [value for part in parts for grant in part for value in grant.conditions[1].values] == list(values)


def test_what_cannot_be_halved_stays() -> None:
    """A test of all values means something else in halves."""
    every = Condition("ForAllValues:StringEquals", "k", ("a", "b"))
    assert Grant("D", ("kms:Decrypt",), ("key",), (every,)).halves() is None
    assert Grant("D", ("kms:Decrypt",), ("key",)).halves() is None
    assert parted([Grant("D", ("kms:Decrypt",), ("key" * 9000,))])[0][0].sid == "D"
