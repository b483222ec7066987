"""What the chart would run, runs: the real daemon on the configuration that was rendered."""

import json
import socket
from http.client import HTTPConnection
from pathlib import Path

from sidecar.client import UnixConnection
from tests.aws_fixtures import AwsAccount
from tests.deploy.charts import Helm
from tests.e2e.processes import BOUND, environment, read_answer, send, short_folder, spawn


def free_port() -> int:
    """Give a port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_from_values_to_a_value_read(helm: Helm, aws: AwsAccount) -> None:
    """The probes find what they ask for, and the app finds its value where its environment says."""
    aws.put_secret("prod/db", json.dumps({"password": "made-up-password"}))
    with short_folder() as folder:
        values = {
            "config": {"secrets": {"db-password": "sm:prod/db#password"}},
            "socket": {"path": str(folder), "group": None},
            "ops": {"port": free_port()},
        }
        rendered = helm.render(values)
        (text,) = [each["data"]["sidecar.yaml"] for each in rendered.all("ConfigMap")]
        (folder / "sidecar.yaml").write_text(text)
        daemon = spawn(folder, environment(aws))
        try:
            daemon.wait_for("daemon_ready")
            port = rendered.sidecar["ports"][0]["containerPort"]
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert _probe(port, rendered.sidecar[probe]["httpGet"]["path"]) == 200
            env = {each["name"]: each["value"] for each in rendered.app["env"]}
            assert _value(Path(env["SIDECAR_SOCKET"]), "db-password") == b"made-up-password"
        finally:
            daemon.close()
            assert daemon.process.stderr is not None
            daemon.process.stderr.close()


def _probe(port: int, path: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=BOUND)
    try:
        connection.request("GET", path)
        return read_answer(connection).status
    finally:
        connection.close()


def _value(path: Path, name: str) -> bytes:
    connection = UnixConnection(str(path), BOUND)
    try:
        send(connection, "GET", f"/v1/values/{name}")
        return read_answer(connection).body
    finally:
        connection.close()
