"""The journal of requests."""

from sidecar.fakeaws.journal import Entry, Journal, counted, listed


def _entry(account: str, operation: str, charges: int = 0) -> Entry:
    return Entry(
        0.0, "ssm", operation, "eu-west-1", account, "arn", 200, "", ("/a",), with_decryption=False, kms_charges=charges
    )


def test_counts_by_account_and_operation() -> None:
    """Entries are counted by operation; one account's are forgotten alone."""
    journal = Journal()
    journal.entries.extend([_entry("1", "GetParameter", 2), _entry("2", "GetParameter"), _entry("1", "PutParameter")])
    assert counted(journal.of("1"))["counts"] == {"ssm.GetParameter": 1, "ssm.PutParameter": 1}
    assert listed(journal.of("*"))["kms_charges"] == 2
    assert len(journal.of("*", "ssm", "GetParameter")) == 2
    assert journal.of("1", "kms") == []
    journal.forget("1")
    assert [entry.account for entry in journal.of("*")] == ["2"]
    journal.forget("*")
    assert journal.of("*") == []
