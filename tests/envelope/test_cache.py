from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.config.models import DataKeyCache
from sidecar.core.ports import DataKey
from sidecar.core.secret import Plaintext
from sidecar.envelope.cache import MOST, OpeningId, OpeningKeys, SealingId, SealingKeys, is_off
from tests.core.strategies import quick

ASKED = SealingId("default", "alias/app", (("a", "1"),), "x")
KEY = DataKey("arn", Plaintext(b"k"), b"blob")
LIMITS = DataKeyCache(max_age=10.0, max_bytes=100, max_messages=3)


def test_a_data_key_serves_so_many_messages() -> None:
    """The first one included; then there is none."""
    keys = SealingKeys()
    assert keys.take(ASKED, 1, LIMITS, 0.0) is None
    keys.put(ASKED, KEY, 1, 0.0)
    assert [keys.take(ASKED, 1, LIMITS, 0.0) for _ in range(3)] == [KEY, KEY, None]
    assert keys.take(ASKED, 1, LIMITS, 0.0) is None


def test_a_data_key_serves_so_many_bytes_and_so_long() -> None:
    """A message that would be too much for it gets another."""
    keys = SealingKeys()
    keys.put(ASKED, KEY, 60, 0.0)
    assert keys.take(ASKED, 41, LIMITS, 0.0) is None
    keys.put(ASKED, KEY, 60, 0.0)
    assert keys.take(ASKED, 40, LIMITS, 9.9) is KEY
    assert keys.take(ASKED, 0, LIMITS, 10.0) is None


def test_other_contexts_have_other_data_keys() -> None:
    """As have other identities, keys and algorithms."""
    keys = SealingKeys()
    keys.put(ASKED, KEY, 1, 0.0)
    for other in (
        SealingId("dr", "alias/app", (("a", "1"),), "x"),
        SealingId("default", "alias/b", (("a", "1"),), "x"),
        SealingId("default", "alias/app", (), "x"),
        SealingId("default", "alias/app", (("a", "1"),), "y"),
    ):
        assert keys.take(other, 1, LIMITS, 0.0) is None


@given(st.sampled_from(["max_age", "max_bytes", "max_messages"]))
@quick
def test_any_limit_of_zero_switches_it_off(limit: str) -> None:
    """And nothing held is used any more."""
    limits = LIMITS.model_copy(update={limit: 0})
    keys = SealingKeys()
    keys.put(ASKED, KEY, 0, 0.0)
    assert is_off(limits)
    assert not is_off(LIMITS)
    assert keys.take(ASKED, 0, limits, 0.0) is None


def test_a_decrypted_data_key_serves_so_long() -> None:
    """By its encrypted form and context."""
    keys, asked = OpeningKeys(), OpeningId("default", "arn", b"blob", ())
    assert keys.get(asked, 10.0, 0.0) is None
    keys.put(asked, KEY.plaintext, 0.0)
    assert keys.get(asked, 10.0, 9.9) is KEY.plaintext
    assert keys.get(OpeningId("default", "arn", b"blob", (("a", "1"),)), 10.0, 0.0) is None
    assert keys.get(asked, 10.0, 10.0) is None


def test_only_so_many_are_kept() -> None:
    """Whoever sends ever new contexts or data keys does not fill the memory; the oldest goes."""
    sealing, opening = SealingKeys(), OpeningKeys()
    for number in range(MOST + 1):
        sealing.put(SealingId("d", str(number), (), "x"), KEY, 1, 0.0)
        opening.put(OpeningId("d", str(number), b"", ()), KEY.plaintext, 0.0)
    assert sealing.take(SealingId("d", "0", (), "x"), 1, LIMITS, 0.0) is None
    assert opening.get(OpeningId("d", "0", b"", ()), 10.0, 0.0) is None
    assert sealing.take(SealingId("d", "1", (), "x"), 1, LIMITS, 0.0) is KEY
    assert opening.get(OpeningId("d", "1", b"", ()), 10.0, 0.0) is KEY.plaintext


@given(st.floats(0, 30), st.sampled_from([LIMITS, LIMITS.model_copy(update={"max_bytes": 0})]))
@quick
def test_what_may_not_serve_any_more_is_forgotten(now: float, limits: DataKeyCache) -> None:
    """Pruned or not makes no difference to who asks, only to what lies in memory."""
    sealing, opening = SealingKeys(), OpeningKeys()
    asked = OpeningId("default", "arn", b"blob", ())
    sealing.put(ASKED, KEY, 1, 0.0)
    opening.put(asked, KEY.plaintext, 0.0)
    sealing.prune(limits, now)
    opening.prune(limits, now)
    serves = now < limits.max_age and not is_off(limits)
    assert (bool(sealing), bool(opening)) == (serves, serves)


def test_a_data_key_that_is_used_up_is_forgotten() -> None:
    """By as many messages as it may encrypt."""
    keys = SealingKeys()
    keys.put(ASKED, KEY, 1, 0.0)
    for _ in range(2):
        keys.prune(LIMITS, 0.0)
        assert keys.take(ASKED, 1, LIMITS, 0.0) is KEY
    keys.prune(LIMITS, 0.0)
    assert not keys
