"""Give helm and promtool to the tests; in CI what is missing fails, elsewhere it is skipped with the reason."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

from tests.deploy.charts import Helm
from tests.deploy.layer import NotFetchedError, helm_binary


def missing(what: str) -> NoReturn:
    """Skip a test, or fail it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def _helm_binary() -> Path:
    try:
        return helm_binary()
    except NotFetchedError as error:
        missing(f"helm cannot be fetched: {error}")


@pytest.fixture
def helm(_helm_binary: Path, tmp_path: Path) -> Helm:
    """Give helm."""
    return Helm(_helm_binary, tmp_path)


@pytest.fixture(scope="session")
def promtool() -> str:
    """Give promtool, which Debian's package prometheus brings."""
    return shutil.which("promtool") or missing("promtool is not installed: apt-get install prometheus")


@pytest.fixture(scope="session")
def jq() -> str:
    """Give jq, which the queries of the docs are for."""
    return shutil.which("jq") or missing("jq is not installed: apt-get install jq")


@pytest.fixture(scope="session")
def systemd_analyze() -> str:
    """Give systemd-analyze, which Debian's package systemd brings."""
    return shutil.which("systemd-analyze") or missing("systemd-analyze is not installed: apt-get install systemd")


@pytest.fixture(scope="session")
def docker_compose() -> str:
    """Give docker-compose, which Debian's package of this name brings."""
    return shutil.which("docker-compose") or missing("docker-compose is not installed: apt-get install docker-compose")
