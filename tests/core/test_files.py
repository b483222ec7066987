from sidecar.core.files import FileReading, FileState


def test_a_reading_says_how_a_file_stands() -> None:
    """States are the words of the metric's label."""
    reading = FileReading("/run/x", FileState.PENDING, None, "db: it is not held yet", "")
    assert (str(reading.state), reading.written_at) == ("pending", None)
