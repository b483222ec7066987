"""deploy/compose.yaml: what docker-compose makes of it, and its programs, run as it says but without containers."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.accounts import SystemAccounts
from sidecar.client import SOCKET
from sidecar.core.config.loading import load
from sidecar.fakeaws.control import parse_start
from tests.deploy.charts import CHART
from tests.docs_markdown import ROOT
from tests.e2e.processes import environment, short_folder, spawn, spawned

FILE = ROOT / "deploy/compose.yaml"
FOLDER = ROOT / "deploy/compose"
SERVICES: dict[str, Any] = yaml.safe_load(FILE.read_text())["services"]
OURS = ("app", "aws", "sidecar")
IMAGES = {
    "SIDECAR_IMAGE": "team/sidecar:0.1.0",
    "SIDECAR_DEV_IMAGE": "team/sidecar:0.1.0-dev",
    "PROMETHEUS_IMAGE": "team/prometheus:v3",
    "GRAFANA_IMAGE": "team/grafana:v12",
}

Mount = tuple[Path, str, bool]


def mounts(service: str) -> list[Mount]:
    """Give what of the repository a service sees: its place here and there, and whether it may change it."""
    parts = [each.split(":") for each in SERVICES[service].get("volumes", []) if each.startswith(".")]
    return [((FILE.parent / here).resolve(), there, mode != ["ro"]) for here, there, *mode in parts]


def configured(docker_compose: str, images: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Have docker-compose read it."""
    environ = {name: value for name, value in os.environ.items() if name not in IMAGES} | images
    command = [docker_compose, "--file", str(FILE), "config", "--quiet"]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


class TestFile:
    """What it says."""

    def test_compose_takes_it(self, docker_compose: str) -> None:
        """Without a word."""
        done = configured(docker_compose, IMAGES)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    @pytest.mark.parametrize("name", IMAGES)
    def test_every_image_must_be_named(self, docker_compose: str, name: str) -> None:
        """What is missing is told; nothing is taken from anywhere by itself."""
        done = configured(docker_compose, {other: image for other, image in IMAGES.items() if other != name})
        assert done.returncode != 0
        assert re.search(rf"\$\{{{name}:\?name .*?\}}", done.stderr)

    @pytest.mark.parametrize("service", SERVICES)
    def test_nothing_is_open_to_the_network(self, service: str) -> None:
        """Ports are this machine's own, images are variables without a default, what is mounted is there to be read."""
        assert [port for port in SERVICES[service].get("ports", []) if not port.startswith("127.0.0.1:")] == []
        assert re.fullmatch(r"\$\{\w+_IMAGE:\?name [^}]+\}", SERVICES[service]["image"])
        assert [here for here, _, writable in mounts(service) if writable or not here.exists()] == []

    @pytest.mark.parametrize("service", OURS)
    def test_ours_may_next_to_nothing(self, service: str) -> None:
        """As the image promises that it can."""
        told = SERVICES[service]
        assert (told["read_only"], told["cap_drop"]) == (True, ["ALL"])
        assert told["security_opt"] == ["no-new-privileges:true"]

    def test_the_app_cannot_put_another_socket_in_the_place(self) -> None:
        """It connects where the sidecar listens, and may not write there."""
        assert "socket:/run/sidecar:ro" in SERVICES["app"]["volumes"]
        assert "socket:/run/sidecar" in SERVICES["sidecar"]["volumes"]
        assert SERVICES["app"]["environment"]["SIDECAR_SOCKET"] == SOCKET

    def test_each_waits_for_what_it_needs(self) -> None:
        """The app until all its secrets are held."""
        assert SERVICES["app"]["depends_on"] == {"sidecar": {"condition": "service_healthy"}}
        assert SERVICES["sidecar"]["depends_on"] == {"aws": {"condition": "service_healthy"}}
        assert "healthcheck" not in SERVICES["sidecar"]  # the image has one


class TestMonitoring:
    """Prometheus and Grafana."""

    def test_rules_and_dashboard_have_one_copy(self) -> None:
        """The chart's."""
        seen = {here for service in SERVICES for here, _, _ in mounts(service)}
        assert {CHART / "files/alerts.yaml", CHART / "files/dashboard.json"} <= seen

    def test_prometheus_takes_its_configuration(self, promtool: str, tmp_path: Path) -> None:
        """With the rules, where they are mounted."""
        for here, there, _ in mounts("prometheus"):
            assert Path(there).parent == Path("/etc/prometheus")
            shutil.copy(here, tmp_path / Path(there).name)
        command = [promtool, "check", "config", str(tmp_path / "prometheus.yaml")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "rules found" in done.stdout

    def test_it_asks_where_the_sidecar_answers(self) -> None:
        """On the port that the configuration opens."""
        told = yaml.safe_load((FOLDER / "prometheus/prometheus.yaml").read_text())
        config = load(
            file=("sidecar.yaml", (FOLDER / "sidecar/sidecar.yaml").read_text()),
            environ={},
            accounts=SystemAccounts(),
        )
        assert config.listen.ops
        assert config.listen.ops.host == "0.0.0.0"
        assert told["scrape_configs"][0]["static_configs"] == [{"targets": [f"sidecar:{config.listen.ops.port}"]}]

    def test_grafana_finds_both(self) -> None:
        """Prometheus by its service's name, the dashboard where it is mounted."""
        source = yaml.safe_load((FOLDER / "grafana/datasources/prometheus.yaml").read_text())["datasources"][0]
        provider = yaml.safe_load((FOLDER / "grafana/dashboards/sidecar.yaml").read_text())["providers"][0]
        dashboard = next(there for here, there, _ in mounts("grafana") if here.name == "dashboard.json")
        assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
        assert provider["options"]["path"] == str(Path(dashboard).parent)
        assert SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == dashboard


def program(service: str, **places: str) -> list[str]:
    """Give the command line of a service, with other places in it."""
    told = SERVICES[service]
    words = [*told["entrypoint"], *told.get("command", [])]
    for there, here in ({"python": sys.executable} | places).items():
        words = [re.sub(rf"^{re.escape(there)}\b", here, word) for word in words]
    return words


def test_it_runs() -> None:
    """The app reads its password from the sidecar, that one from the fake AWS; an edit of the seed reaches the app."""
    with short_folder() as folder:
        shutil.copytree(FOLDER / "aws", folder / "seed")
        shutil.copytree(FOLDER / "app", folder / "app")
        shutil.copy(FOLDER / "sidecar/sidecar.yaml", folder)
        fake = program("aws", **{"0.0.0.0": "127.0.0.1", "4566": "0", "/seed": str(folder / "seed")})
        with spawned(fake, environment(), folder) as (_, told, _complaints):
            url = parse_start(told.wait_for(lambda line: "url" in line).encode()).url
            listen = {"SIDECAR_LISTEN__UNIX__PATH": str(folder / "s"), "SIDECAR_LISTEN__OPS": "127.0.0.1:0"}
            as_told = SERVICES["sidecar"]["environment"] | {"AWS_ENDPOINT_URL": url}
            daemon = spawn(folder, environment() | as_told | listen)
            try:
                daemon.wait_for("daemon_ready")
                assert daemon.value("shop/log-level").body == b"info"
                assert_the_app_is_told(folder)
            finally:
                daemon.close()
                assert daemon.process.stderr is not None
                daemon.process.stderr.close()


def assert_the_app_is_told(folder: Path) -> None:
    """Run it, and edit the seed as people do."""
    app = program("app", **{"/app": str(folder / "app")})
    with spawned(app, environment(SIDECAR_SOCKET=str(folder / "s")), folder) as (_, said, _log):
        said.wait_for(lambda line: line == "the password has 21 characters")
        seed = folder / "seed/seed.yaml"
        seed.write_text(seed.read_text().replace("made-up-password-0001", "made-up-password-two"))
        said.wait_for(lambda line: line == "the password has changed, and has 20 characters")
