import json
from pathlib import Path

import pytest

from sidecar.cli.plan import page, region_in
from sidecar.planning.plan import Wishes, build_plan
from tests.cli.conftest import Invoke
from tests.planning.configured import configured, secrets

PARAMETERS = f"secrets:\n{secrets('ssm:/p', 20)}\nidentities: {{default: {{region: eu-west-1}}}}\n"
NO_FURTHER = "intervals lengthen no further, which is over"
INCREASE = "aws service-quotas request-service-quota-increase"
SECRETS = PARAMETERS.replace("ssm:/p", "sm:s")


def test_what_fits_ends_well(invoke: Invoke, folder: Path) -> None:
    """One daemon with twenty secrets: requests, dollars, quotas, a start in no time."""
    (folder / "sidecar.yaml").write_text(SECRETS)
    result = invoke("plan")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "1 copy, polling 20 secrets"
    assert lines[3].split() == ["secretsmanager", "BatchGetSecretValue", "0.0417", "1", "0.00"]
    assert lines[4].split() == ["secretsmanager", "DescribeSecret", "239", "0", "0.87"]
    assert lines[5] == "kms Decrypt (by AWS for us)         0.833       20        0.00"
    assert lines[6] == "239 requests an hour, $0.87 a month by list prices of 2026-11-01."
    assert lines[9].split() == [
        "sm.describe",
        "default",
        "eu-west-1",
        "40,000",
        "4,000",
        "0.0664",
        "0.00%",
        "0",
        "0.0s",
    ]
    assert lines[13] == "A cold start of 1 copy takes about 0.0s."


def test_what_does_not_fit_says_how_to_raise_it(invoke: Invoke, folder: Path) -> None:
    """The last lines are a command for the shell; the exit code is for scripts."""
    (folder / "sidecar.yaml").write_text(PARAMETERS + "quotas: {limits: {kms.symmetric: 200, ssm.get: 1000}}")
    result = invoke("plan", "--pods", "400")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-2:] == [
        "kms.symmetric in eu-west-1: 333 a second would suffice. AWS looks at the request first, so ask in time.",
        f"  {INCREASE} --region eu-west-1 --service-code kms --quota-code L-6E3AF000 --desired-value 333",
    ]
    assert invoke("plan", "--pods", "400", "--start-within", "1m").exit_code == 0


def test_for_programs(invoke: Invoke, folder: Path) -> None:
    """Numbers without rounding, and the command."""
    (folder / "sidecar.yaml").write_text(PARAMETERS)
    result = invoke("plan", "--pods", "1000", "--json")
    plan = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (plan["pods"], plan["secrets"], plan["fits"], plan["budget"]) == (1000, 20, False, None)
    assert plan["requests_per_hour"] == pytest.approx(24_000)
    quota = plan["quotas"][0]
    assert (quota["quota"], quota["part_of_limit"]) == ("ssm.get", pytest.approx(1 / 6))
    assert quota["command"].startswith("aws ssm update-service-setting --region eu-west-1")
    assert plan["quotas"][1]["command"] is None


@pytest.mark.parametrize(
    ("budget", "code", "line"),
    [
        ("$1/month", 0, ": within its budget of $1.00."),
        ("$0.5/month", 0, ", $0.50 with intervals 1.75 times as long: within its budget of $0.50."),
        (
            "$0.001/month",
            1,
            f", $0.002 with intervals 288.00 times as long: {NO_FURTHER} its budget of $0.001.",
        ),
    ],
)
def test_a_budget(invoke: Invoke, folder: Path, budget: str, code: int, line: str) -> None:
    """What it does to the intervals; one that cannot be kept fails."""
    (folder / "sidecar.yaml").write_text(SECRETS + f"quotas: {{budget: {budget}}}")
    result = invoke("plan")
    assert f"Each copy costs $0.87 a month as configured{line}" in result.stdout.splitlines()
    assert result.exit_code == code
    assert json.loads(invoke("plan", "--json").stdout)["budget"]["kept"] is (code == 0)


def test_trees_are_as_large_as_one_says(invoke: Invoke, folder: Path) -> None:
    """Nobody knows beforehand what lies below a path."""
    (folder / "sidecar.yaml").write_text("trees: {app: ssm:/app/}")
    assert invoke("plan").stdout.startswith("1 copy, polling 0 secrets and 1 tree of 10 parameters\n")
    assert json.loads(invoke("plan", "--json", "--tree-size", "95").stdout)["operations"][1]["at_start"] == 10


def test_a_bad_configuration_is_told_as_ever(invoke: Invoke, folder: Path) -> None:
    """With all problems, and exit code 2."""
    (folder / "sidecar.yaml").write_text("quotas: {budget: 5}")
    result = invoke("plan")
    assert result.exit_code == 2
    assert "quotas.budget: want dollars a month, more than none, such as $5/month, got 5" in result.stderr


def test_the_region_is_the_identitys_or_the_environments() -> None:
    """As the daemon finds it, but without asking the machine; where it is not known AWS's lowest limits count."""
    config = configured("secrets: {a: ssm:/a}\nidentities: {dr: {region: us-west-2}}")
    region_of = region_in(config, {"AWS_DEFAULT_REGION": "eu-north-1"})
    assert (region_of("dr"), region_of("default")) == ("us-west-2", "eu-north-1")
    lines = list(page(build_plan(config, region_in(config, {}), Wishes())))
    assert "kms.symmetric  default  ?       10,000" in "\n".join(lines)
