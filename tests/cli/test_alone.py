import asyncio

import pytest

from sidecar.cli.alone import household
from sidecar.cli.configured import load_config
from sidecar.core.config.models import Config
from sidecar.core.errors import ConfigError
from sidecar.core.freshness import Fresh
from sidecar.core.refs import parse
from tests.aws_fixtures import AwsAccount


def configured(aws: AwsAccount, more: str = "") -> Config:
    """Configure the account as everybody's."""
    text = f"identities: {{default: {{region: {aws.region}, endpoint_url: '{aws.url}'}}}}\n{more}"
    return load_config(("sidecar.yaml", text), {})


async def test_reads_a_value_and_is_gone(aws: AwsAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the limiter, as the daemon would; nothing goes on when the block has ended."""
    for name, value in aws.env.items():
        monkeypatch.setenv(name, value)
    aws.put_secret("db", "one")
    async with household(configured(aws)) as house:
        resolver = house.engine.resolver
        deadline = asyncio.get_running_loop().time() + 20
        found = await resolver.get(resolver.open(parse("sm:db")), deadline)
        assert isinstance(found.lookup, Fresh)
        assert found.lookup.secret.plaintext.reveal() == b"one"
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_goes_wrong_in_the_block_comes_out_as_it_is(aws: AwsAccount) -> None:
    """Alone: a command tells it in one line."""
    with pytest.raises(ExceptionGroup) as got:
        async with household(configured(aws)):
            raise ConfigError([])
    assert isinstance(got.value.exceptions[0], ConfigError)
