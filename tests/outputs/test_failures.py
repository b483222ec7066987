import errno

from sidecar.outputs.failures import unwritten


def test_the_system_is_quoted_by_its_number_only() -> None:
    """Its own words for the error, not the exception's, which has a file name twice."""
    assert str(unwritten("/run/x", OSError(errno.ENOSPC, "canary"))) == "/run/x: No space left on device"
    assert str(unwritten("/run/x", OSError("canary"))) == "/run/x: OSError"
