from sidecar.fakeaws.messages import seal_message, unseal_message


def test_a_message_opens_with_its_data_key() -> None:
    """The data key goes through KMS with the parameter's context, both ways."""
    wrapped: dict[bytes, bytes] = {}
    contexts: list[dict[str, str]] = []

    def seal(data_key: bytes, context: object) -> bytes:
        assert isinstance(context, dict)
        contexts.append(dict(context))
        wrapped[b"wrapped"] = data_key
        return b"wrapped"

    message = seal_message(b"hello", "arn:aws:kms:eu-west-1:111122223333:key/1", {"PARAMETER_ARN": "arn"}, seal)
    assert message.startswith(b"\x02")
    assert unseal_message(message, lambda blob, _: wrapped[blob]) == b"hello"
    assert contexts == [{"PARAMETER_ARN": "arn"}]
