from sidecar.planning.gathering import Gathering, Use, camel
from sidecar.planning.keyrings import Keys
from sidecar.planning.places import Place
from sidecar.planning.purposes import Purpose
from sidecar.planning.statements import Condition, Grant

HOME = Place("aws", "111111111111", "eu-west-1")


def test_one_statement_for_each_purpose() -> None:
    """Whatever order things were found in, the policy is the same."""
    one, other = Gathering(HOME), Gathering(HOME)
    for found, names in ((one, "abc"), (other, "cba")):
        found.read(Purpose.DISCOVER_QUOTAS, ("servicequotas:ListServiceQuotas",), "*")
        for name in names:
            found.read(Purpose.READ_SECRETS, ("secretsmanager:GetSecretValue",), name)
    assert one.grants() == other.grants()
    assert [(grant.sid, grant.resources) for grant in one.grants()] == [
        ("ReadSecrets", ("a", "b", "c")),
        ("DiscoverQuotas", ("*",)),
    ]


def test_uses_share_a_statement_where_all_but_the_context_is_the_same() -> None:
    """Other keys or conditions are another statement, with a name that says so, or a number."""
    found = Gathering(HOME)
    keys, more = Keys(("k",)), Keys(("k/*",), (Condition("Null", "x", ("true",)),))
    for use in (Use(Purpose.DECRYPT_SECRETS, keys, context="c"), Use(Purpose.DECRYPT_SECRETS, more, context="c")):
        found.use(use, ["b", "a"])
        found.use(use, ["c*"])
    found.use(Use(Purpose.OPEN_CIPHERTEXTS, keys))
    found.use(Use(Purpose.OPEN_CIPHERTEXTS, Keys(("l",))))
    decrypt, by_alias, open_one, open_other = found.grants()
    assert decrypt.conditions == (Condition("StringLike", "c", ("a", "b", "c*")),)
    assert (by_alias.sid, len(by_alias.conditions)) == ("DecryptSecretsByAlias", 2)
    assert (open_one.sid, open_other.sid) == ("OpenCiphertexts", "OpenCiphertexts2")


def test_values_without_wildcards_are_compared_as_they_are() -> None:
    """So nobody reads more into them."""
    found = Gathering(HOME)
    found.use(Use(Purpose.DECRYPT_PARAMETERS, Keys(("k",)), context="c"), ["arn:a"])
    assert found.grants()[0].conditions == (Condition("StringEquals", "c", ("arn:a",)),)


def test_another_place_is_named() -> None:
    """By its region, by its account, or both."""
    found = Gathering(HOME)
    assert found.hint(HOME) == ""
    assert found.hint(Place("aws", "222222222222", "us-west-2")) == "InUsWest2Of222222222222"


def test_names_become_parts_of_a_sid() -> None:
    """Letters and digits."""
    assert camel("billing-dr.eu_1") == "BillingDrEu1"
    assert camel("é") == ""


def test_notes_come_once() -> None:
    """In the order in which they were made."""
    found = Gathering(HOME)
    for text in "bab":
        found.note(text)
    found.add(Purpose.ASSUME_ROLES, Grant("AssumeRolesAsX", ("sts:AssumeRole",), ("r",)))
    assert list(found.notes) == ["b", "a"]
    assert found.grants()[0].sid == "AssumeRolesAsX"
