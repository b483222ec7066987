"""docs/kubernetes.md and helm/README.md: what they tell to write is taken, what they list is what there is."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.charts import CHART, IMAGE, Helm
from tests.deploy.queries import ALERTED
from tests.docs_markdown import ROOT, Block, Page, code, doc
from tests.e2e.processes import PROGRAM, environment

KUBERNETES = doc("kubernetes.md")
README = Page(ROOT / "helm" / "README.md")
VALUES = [block for block in KUBERNETES.blocks if block.mark == "values"]


@pytest.mark.parametrize("block", VALUES, ids=["first", "monitoring"])
def test_values_are_taken(helm: Helm, block: Block) -> None:
    """Pasted, each renders."""
    assert helm.render(yaml.safe_load(block.text)).sidecar["image"] == "team/sidecar:0.1.0"


def test_the_template_is_one(helm: Helm) -> None:
    """Pasted into a chart that depends on this one."""
    (block,) = [block for block in KUBERNETES.blocks if block.mark == "template"]
    folder = helm.folder / "shop"
    (folder / "templates").mkdir(parents=True)
    head = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\nspec:\n  template:\n"
    (folder / "templates" / "shop.yaml").write_text(head + block.text)
    chart = {"apiVersion": "v2", "name": "shop", "version": "1.0.0"}
    (told,) = [block for block in KUBERNETES.blocks if block.text.startswith("dependencies:")]
    dependencies = yaml.safe_load(told.text)["dependencies"]
    dependencies[0]["repository"] = f"file://{CHART}"
    (folder / "Chart.yaml").write_text(yaml.safe_dump({**chart, "dependencies": dependencies}))
    assert helm.run("dependency", "update", str(folder)).returncode == 0
    rendered = helm.render({"sidecar": {"image": IMAGE}}, chart=folder)
    assert rendered.sidecar["restartPolicy"] == "Always"
    assert rendered.app["volumeMounts"][0]["name"] == "sidecar"


def test_the_plan_says_what_is_shown_and_fits_into_the_budget(helm: Helm, tmp_path: Path) -> None:
    """The number of the example is the program's own, and the probe waits for longer."""
    values = yaml.safe_load(VALUES[0].text)
    command, shown = re.findall(
        r"^\$ (sidecar plan .+) \| jq .start_seconds\n([0-9.]+)$", KUBERNETES.text, re.MULTILINE
    )[0]
    (tmp_path / "sidecar.yaml").write_text(yaml.safe_dump(values["config"]))
    done = subprocess.run(
        [PROGRAM, *command.split()[1:]], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    planned = json.loads(done.stdout)["start_seconds"]
    assert planned == float(shown)
    probe = helm.render({**values, "startup": {"planSeconds": planned}}).sidecar["startupProbe"]
    assert probe["failureThreshold"] * probe["periodSeconds"] >= 60 + 2 * planned


def test_every_alert_is_listed() -> None:
    """With when it fires."""
    assert [code(row[0])[0] for row in KUBERNETES.rows("alert", "fires when")] == [alert for alert, _ in ALERTED]


def test_every_value_is_listed() -> None:
    """In the order of values.yaml."""
    told = [code(row[0])[0] for row in README.rows("value", "for")]
    assert told == list(yaml.safe_load((CHART / "values.yaml").read_text()))


def test_every_template_is_listed() -> None:
    """Those for others."""
    defined = re.findall(r'define "(.+?)"', (CHART / "templates" / "_sidecar.tpl").read_text())
    assert sorted(code(row[0])[0] for row in README.rows("template", "gives")) == sorted(defined)
