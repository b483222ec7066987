"""Plaintext has one door."""

import copy
import pickle
from collections.abc import Callable

import pytest

from sidecar.core.secret import Plaintext

CANARY = b"canary-hunter2"


@pytest.mark.parametrize("shown", [repr, str, "{}".format, "{!r:>40}".format, "{:x^30}".format, "%s".__mod__])
def test_no_way_of_printing_shows_the_bytes(shown: Callable[[Plaintext], str]) -> None:
    """Whatever reaches a repr or a format reaches a log."""
    assert "canary" not in shown(Plaintext(CANARY))


def test_reveal_is_the_door() -> None:
    """And gives the very bytes."""
    assert Plaintext(CANARY).reveal() is CANARY


@pytest.mark.parametrize("leak", [pickle.dumps, copy.copy, copy.deepcopy, hash, Plaintext(CANARY).__eq__])
def test_what_could_leak_is_refused(leak: Callable[[Plaintext], object]) -> None:
    """No pickle, copy, hash or equality."""
    with pytest.raises(TypeError) as refused:
        leak(Plaintext(CANARY))
    assert "canary" not in str(refused.value)
