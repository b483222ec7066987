import json
from pathlib import Path

from tests.cli.conftest import Invoke

SHIPPED = Path(__file__).parents[2] / "docs" / "sidecar.schema.json"


def test_the_schema_is_the_one_that_ships(invoke: Invoke) -> None:
    """What is printed is byte for byte what the repository has."""
    result = invoke("config", "schema")
    assert result.exit_code == 0
    assert result.stdout == SHIPPED.read_text("utf-8")
    assert json.loads(result.stdout)["title"] == "sidecar.yaml"
