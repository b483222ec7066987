import pytest

from sidecar.core.keys import parse_pattern
from sidecar.planning.keyrings import KeyRing, Keys, Known, OneKey
from sidecar.planning.places import ACCOUNT, Place, Unsaid
from sidecar.planning.statements import Condition

HOME = Place("aws", "111111111111", "eu-west-1")
WEST = Place("aws", "111111111111", "us-west-2")
THERE = Place("aws", "222222222222", "eu-west-1")
OWN, OTHER, THIRD = (f"arn:aws:kms:eu-west-1:{account * 12}:key/k" for account in "123")


def known(*said: str, allowed: list[str] | None = None) -> KeyRing:
    """Make a ring of keys."""
    patterns = None if allowed is None else tuple(found for each in allowed if (found := parse_pattern(each)))
    return Known(said, patterns)


def alias(name: str, *regions: str) -> Keys:
    """Name keys by an alias."""
    resources = tuple(f"arn:aws:kms:{region}:111111111111:key/*" for region in regions)
    return Keys(resources, (Condition("ForAnyValue:StringEquals", "kms:ResourceAliases", (name,)),))


def test_a_value_lies_under_keys_of_its_own_region() -> None:
    """An id is a key at home; an alias, and a multi-Region key, may be in every region."""
    ring = known("one", "mrk-two", "alias/app", OWN)
    assert ring.of_values(HOME, HOME) == [
        Keys((OWN, "arn:aws:kms:eu-west-1:111111111111:key/mrk-two", "arn:aws:kms:eu-west-1:111111111111:key/one")),
        alias("alias/app", "eu-west-1"),
    ]
    assert ring.of_values(WEST, HOME) == [
        Keys(("arn:aws:kms:us-west-2:111111111111:key/mrk-two",)),
        alias("alias/app", "us-west-2"),
    ]
    assert known().of_values(HOME, HOME) == []


def test_a_value_lies_under_keys_of_its_own_account_else_of_a_third() -> None:
    """Nobody's value in another account lies under ours; keys of a third account are there for all."""
    assert known(OWN, OTHER).of_values(HOME, HOME) == [Keys((OWN,))]
    assert known(OWN, OTHER).of_values(THERE, HOME) == [Keys((OTHER,))]
    assert known(OWN, THIRD).of_values(THERE, HOME) == [Keys((THIRD,))]
    assert known(THIRD).of_values(HOME, HOME) == [Keys((THIRD,))]
    assert known(OWN).of_values(THERE, HOME) == []


def test_an_open_account_may_be_any() -> None:
    """With CloudFormation nobody has said whose keys are own."""
    home = Place("aws", ACCOUNT, "eu-west-1")
    assert known(OWN, "x").of_values(home, home) == [Keys(("arn:aws:kms:eu-west-1:${account}:key/x", OWN))]


def test_local_decryption_needs_a_key() -> None:
    """Under AWS managed keys only the service itself decrypts."""
    assert known(OWN).of_local(HOME, HOME) == [Keys((OWN,))]
    with pytest.raises(Unsaid, match="--key: `decrypt: local` needs a customer managed key in us-west-2"):
        known(OWN).of_local(WEST, HOME)


def test_ciphertexts_are_opened_under_what_is_allowed() -> None:
    """Only one key: in its region. Several: at home. None: none. Not said: what was said of values, else an error."""
    west = OWN.replace("eu-west-1", "us-west-2")
    assert known(OTHER, allowed=[west]).of_ciphertexts(HOME, what="x") == [Keys((west,))]
    assert known(allowed=[OWN, west, "alias/app"]).of_ciphertexts(HOME, what="x") == [
        Keys((OWN,)),
        alias("alias/app", "eu-west-1"),
    ]
    wild = "arn:aws:kms:*:111111111111:*"
    assert known(allowed=[wild]).of_ciphertexts(HOME, what="x") == [Keys(("arn:aws:kms:eu-west-1:111111111111:key/*",))]
    assert known(allowed=[]).of_ciphertexts(HOME, what="x") == []
    assert known(OWN).of_ciphertexts(HOME, what="x") == [Keys((OWN,))]
    with pytest.raises(Unsaid, match="--key: x may be under any key"):
        known().of_ciphertexts(HOME, what="x")


def test_a_message_names_its_keys() -> None:
    """Those that are allowed, or may be by an alias; unless the configuration says, those of the own account."""
    assert known().of_message([OWN, OTHER], HOME) == [Keys((OWN,))]
    assert known(allowed=[OTHER]).of_message([OWN, OTHER], HOME) == [Keys((OTHER,))]
    assert known(allowed=["alias/app"]).of_message([OWN, OTHER], HOME) == [Keys((OWN,))]
    assert known(allowed=["arn:aws:kms:*:222222222222:key/*"]).of_message([OWN, OTHER], HOME) == [Keys((OTHER,))]
    assert known(allowed=[]).of_message([OWN], HOME) == []


def test_the_app_may_use_all_that_is_allowed() -> None:
    """Wherever it is."""
    wild = "arn:aws:kms:*:222222222222:key/*"
    assert known(allowed=[OWN, wild]).of_app(HOME, what="x") == [Keys((wild, OWN))]
    assert known(allowed=["alias/app", OWN]).aliases(HOME) == [alias("alias/app", "eu-west-1")]
    assert known(OWN).aliases(HOME) == []


class TestOneKey:
    """From the key's own policy every resource is the key."""

    itself = (Keys(("*",)),)

    def test_values_of_its_account_and_region(self) -> None:
        """Of others only where it serves them all."""
        ring = OneKey(OTHER, THERE, None)
        assert ring.of_values(THERE, HOME) == ring.of_local(THERE, HOME) == self.itself
        assert ring.of_values(HOME, HOME) == ring.of_values(WEST, HOME) == ()
        assert OneKey(OTHER, THERE, None, is_central=True).of_values(HOME, HOME) == self.itself

    def test_what_is_allowed(self) -> None:
        """By its own name, be that an ARN or an alias; one that is to be made may be any of the place."""
        patterns = tuple(found for each in (OWN, "alias/app") if (found := parse_pattern(each)))
        by_alias = "arn:aws:kms:eu-west-1:111111111111:alias/app"
        own, named, new = (OneKey(name, HOME, patterns) for name in (OWN, by_alias, None))
        other, elsewhere = OneKey(OTHER, THERE, patterns), OneKey(f"{by_alias}x", HOME, patterns)
        for ring in (own, named, new):
            assert ring.of_ciphertexts(HOME, what="x") == ring.of_app(HOME, what="x") == self.itself
        for ring in (other, elsewhere):
            assert ring.of_ciphertexts(HOME, what="x") == ring.of_app(HOME, what="x") == ring.aliases(HOME) == ()
        assert (own.aliases(HOME), named.aliases(HOME), new.aliases(HOME)) == ((), self.itself, self.itself)
        assert own.of_message([OWN], HOME) == named.of_message([OTHER], HOME) == self.itself
        assert own.of_message([OTHER], HOME) == other.of_message([OTHER], HOME) == ()
        assert OneKey(OWN, HOME, None).of_ciphertexts(HOME, what="x") == self.itself
        assert OneKey(OWN, HOME, None).aliases(HOME) == ()
