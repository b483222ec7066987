"""Run helm as an operator does, and read what it renders."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.docs_markdown import ROOT

CHART: Final = ROOT / "helm" / "sidecar"
Manifest = Any  # as Kubernetes reads it
Values = Mapping[str, object]

IMAGE: Final[Values] = {"repository": "team/sidecar", "tag": "v1"}


@dataclass(frozen=True)
class Rendered:
    """What one rendering of a chart gave."""

    manifests: Sequence[Manifest]

    def one(self, kind: str) -> Manifest:
        """Give the only manifest of a kind."""
        (found,) = self.all(kind)
        return found

    def all(self, kind: str) -> list[Manifest]:
        """Give all manifests of a kind."""
        return [manifest for manifest in self.manifests if manifest["kind"] == kind]

    @property
    def pod(self) -> Manifest:
        """The spec of the workload's pod."""
        return self.template["spec"]

    @property
    def template(self) -> Manifest:
        """The template of the workload's pod, its metadata too."""
        (workload,) = self.all("Deployment") + self.all("Job")
        return workload["spec"]["template"]

    @property
    def sidecar(self) -> Manifest:
        """The sidecar's container."""
        (container,) = self.pod["initContainers"]
        return container

    @property
    def app(self) -> Manifest:
        """The app's container."""
        (container,) = self.pod["containers"]
        return container

    @property
    def config(self) -> Manifest:
        """The daemon's configuration."""
        maps = [each for each in self.all("ConfigMap") if "sidecar.yaml" in each["data"]]
        (found,) = maps
        return yaml.safe_load(found["data"]["sidecar.yaml"])


@dataclass(frozen=True)
class Helm:
    """The tool, with a folder for what it writes."""

    binary: Path
    folder: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it."""
        env = {"HOME": str(self.folder), "PATH": "/usr/bin:/bin", "HELM_NO_PLUGINS": "1"}
        return subprocess.run([self.binary, *arguments], capture_output=True, text=True, env=env, check=False)

    def template(self, values: Values, *, chart: Path = CHART) -> subprocess.CompletedProcess[str]:
        """Render a chart with these values."""
        file = self.folder / "values.yaml"
        file.write_text(yaml.safe_dump(dict(values)))
        return self.run("template", "shop", str(chart), "--namespace", "shop", "--values", str(file))

    def render(self, values: Values | None = None, *, chart: Path = CHART) -> Rendered:
        """Render a chart, this one with the sidecar's image named; it must succeed."""
        given = dict(values or {})
        done = self.template({"image": IMAGE, **given} if chart == CHART else given, chart=chart)
        assert done.returncode == 0, done.stderr
        return Rendered([each for each in yaml.safe_load_all(done.stdout) if each])

    def refuse(self, values: Values) -> str:
        """Render the chart, which must not succeed; give what it says."""
        done = self.template(values)
        assert done.returncode != 0, done.stdout
        return done.stderr
