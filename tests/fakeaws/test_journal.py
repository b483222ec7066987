"""The journal of requests."""

from sidecar.fakeaws.journal import KEPT, Entry, Journal, listed


def _entry(account: str, operation: str, charges: int = 0) -> Entry:
    return Entry(
        0.0, "ssm", operation, "eu-west-1", account, "arn", 200, "", ("/a",), with_decryption=False, kms_charges=charges
    )


def test_counts_by_account_and_operation() -> None:
    """Entries are counted by operation; one account's are forgotten alone."""
    journal = Journal()
    for entry in (_entry("1", "GetParameter", 2), _entry("2", "GetParameter"), _entry("1", "PutParameter")):
        journal.write(entry)
    assert journal.counted("1")["counts"] == {"ssm.GetParameter": 1, "ssm.PutParameter": 1}
    assert journal.counted("*") == {"counts": {"ssm.GetParameter": 2, "ssm.PutParameter": 1}, "kms_charges": 2}
    assert len(journal.of("*", "ssm", "GetParameter")) == 2
    assert (journal.of("1", "kms"), journal.counted("1", "kms")["counts"]) == ([], {})
    journal.forget("1")
    assert [entry["account"] for entry in listed(journal.of("*"))] == ["2"]
    assert journal.counted("*")["counts"] == {"ssm.GetParameter": 1}
    journal.forget("*")
    assert (journal.of("*"), journal.counted("*")["counts"]) == ([], {})


def test_counts_are_exact_beyond_what_is_kept() -> None:
    """Old entries make room for new ones; what was counted stays counted."""
    journal = Journal()
    for number in range(KEPT + 10):
        journal.write(_entry("1", f"Get{number % 2}", 1))
    assert len(journal.of("1")) == KEPT
    assert journal.counted("1")["kms_charges"] == KEPT + 10
    assert journal.counted("1")["counts"] == {"ssm.Get0": KEPT // 2 + 5, "ssm.Get1": KEPT // 2 + 5}
