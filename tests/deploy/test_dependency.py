"""The chart as a library: another chart's pod takes the sidecar in."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from kubernetes_validate.utils import validate

import sidecar
from tests.deploy.charts import CHART, IMAGE, Helm, Rendered, Values

WORKLOAD = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata:
      labels:
        app: app
        {{- include "sidecar.podLabels" .Subcharts.SCOPE | nindent 8 }}
      annotations:
        {{- include "sidecar.podAnnotations" .Subcharts.SCOPE | nindent 8 }}
    spec:
      {{- include "sidecar.podSpec" .Subcharts.SCOPE | nindent 6 }}
      securityContext:
        {{- include "sidecar.podSecurityContext" .Subcharts.SCOPE | nindent 8 }}
      initContainers:
        {{- include "sidecar.container" .Subcharts.SCOPE | nindent 8 }}
      containers:
        - name: app
          image: team/app:v3
          env:
            {{- include "sidecar.env" .Subcharts.SCOPE | nindent 12 }}
          volumeMounts:
            {{- include "sidecar.volumeMounts" .Subcharts.SCOPE | nindent 12 }}
      volumes:
        {{- include "sidecar.volumes" .Subcharts.SCOPE | nindent 8 }}
"""


def chart_of_an_app(helm: Helm, *, alias: str | None = None) -> Path:
    """Write a chart that depends on this one, and have helm fetch it."""
    folder = helm.folder / "app"
    (folder / "templates").mkdir(parents=True)
    dependency = {"name": "sidecar", "version": sidecar.__version__, "repository": f"file://{CHART}"}
    dependency |= {"alias": alias} if alias else {"condition": "sidecar.enabled"}
    described = {"apiVersion": "v2", "name": "app", "version": "1.0.0", "dependencies": [dependency]}
    (folder / "Chart.yaml").write_text(yaml.safe_dump(described))
    (folder / "templates" / "app.yaml").write_text(WORKLOAD.replace("SCOPE", alias or "sidecar"))
    done = helm.run("dependency", "update", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def rendered(helm: Helm) -> Rendered:
    """Render such a chart, with values for both."""
    values: Values = {
        "sidecar": {
            "enabled": True,
            "image": IMAGE,
            "config": {"secrets": {"db": "sm:prod/db"}},
            "serviceAccount": {"roleArn": "arn:aws:iam::111111111111:role/app"},
            "podMonitor": {"enabled": True},
            "prometheusRule": {"enabled": True},
        }
    }
    return helm.render(values, chart=chart_of_an_app(helm))


def test_the_pod_has_it(rendered: Rendered) -> None:
    """Container, volumes, mounts, groups and account, and no example beside the app."""
    assert rendered.one("Deployment")["metadata"]["name"] == "app"
    assert rendered.sidecar["image"] == "team/sidecar:v1"
    assert rendered.sidecar["restartPolicy"] == "Always"
    assert rendered.app["volumeMounts"][0]["readOnly"] is True
    assert rendered.pod["securityContext"]["supplementalGroups"] == [2000]
    assert rendered.pod["serviceAccountName"] == rendered.one("ServiceAccount")["metadata"]["name"]


def test_what_is_around_it_comes_along(rendered: Rendered) -> None:
    """Configuration, role, monitoring; names and labels agree."""
    (config,) = rendered.all("ConfigMap")
    assert rendered.config["secrets"] == {"db": "sm:prod/db"}
    assert rendered.pod["volumes"][1]["configMap"]["name"] == config["metadata"]["name"]
    selector = rendered.one("PodMonitor")["spec"]["selector"]["matchLabels"]
    assert selector.items() <= rendered.template["metadata"]["labels"].items()
    assert rendered.one("PrometheusRule")["spec"]["groups"]


@pytest.mark.parametrize("version", ["1.29", "1.37"])
def test_kubernetes_takes_it(rendered: Rendered, version: str) -> None:
    """All of it, strictly."""
    checked = [each for each in rendered.manifests if "monitoring" not in each["apiVersion"]]
    assert [validate(each, version, strict=True) for each in checked] == [version] * len(checked)


def test_under_another_name(helm: Helm) -> None:
    """An alias is the name of values and scope."""
    rendered = helm.render({"secrets": {"image": IMAGE}}, chart=chart_of_an_app(helm, alias="secrets"))
    assert rendered.sidecar["image"] == "team/sidecar:v1"


def test_a_slip_is_refused_there_too(helm: Helm) -> None:
    """The schema is the chart's own."""
    done = helm.template({"sidecar": {"image": IMAGE, "usr": 1}}, chart=chart_of_an_app(helm))
    assert "additional properties 'usr' not allowed" in done.stderr


@pytest.mark.parametrize("missing", ["repository", "tag"])
def test_the_image_must_be_named_there_too(helm: Helm, missing: str) -> None:
    """It says which value is missing."""
    image = {key: value for key, value in IMAGE.items() if key != missing}
    done = helm.template({"sidecar": {"image": image}}, chart=chart_of_an_app(helm))
    assert f"image.{missing} is missing" in done.stderr


def test_the_chart_can_be_packaged(helm: Helm) -> None:
    """With its alerts and its dashboard, which templates read."""
    done = helm.run("package", str(CHART), "--destination", str(helm.folder))
    assert done.returncode == 0, done.stderr
    assert {"sidecar/files/alerts.yaml", "sidecar/files/dashboard.json"} <= set(
        _listed(helm.folder / f"sidecar-{sidecar.__version__}.tgz")
    )


def _listed(archive: Path) -> Sequence[str]:
    return subprocess.run(["tar", "tzf", archive], capture_output=True, text=True, check=True).stdout.splitlines()
