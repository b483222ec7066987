"""docs/laptop.md: its own AWS, by the profile and the configuration that it shows; tests/test_docs.py runs the rest."""

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

from tests.aws_fixtures import AwsAccount
from tests.deploy.test_compose import IMAGES
from tests.docs_markdown import doc
from tests.e2e.processes import BOUND, PROGRAM, Lines, environment, short_folder

PAGE = doc("laptop.md")
TOKEN = "made-up-sign-in"


def block(mark: str) -> str:
    """Give an example of the page."""
    return next(block.text for block in PAGE.blocks if block.mark == mark)


@contextmanager
def portal(account: AwsAccount) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Be where a sign-in is changed for credentials; give its address, and whose were asked for."""
    asked: list[tuple[str, str]] = []
    until = datetime.now(UTC) + timedelta(hours=1)

    class Portal(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            assert self.headers["x-amz-sso_bearer_token"] == TOKEN
            asked.append((query["account_id"][0], query["role_name"][0]))
            keys = {"accessKeyId": account.id, "secretAccessKey": "made-up", "sessionToken": "made-up"}
            body = json.dumps({"roleCredentials": keys | {"expiration": int(until.timestamp() * 1000)}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Portal) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def sign_in(home: Path, session: str) -> None:
    """Leave what `aws sso login` leaves behind."""
    cache = home / ".aws/sso/cache"
    cache.mkdir(parents=True)
    until = (datetime.now(UTC) + timedelta(hours=8)).strftime("%Y-%m-%dT%H:%M:%SZ")
    (cache / f"{hashlib.sha1(session.encode()).hexdigest()}.json").write_text(
        json.dumps({"accessToken": TOKEN, "expiresAt": until})
    )


def test_single_sign_on_to_a_value_read(aws: AwsAccount) -> None:
    """A sign-in that comes after the start is found; then the value is there."""
    aws.put_secret("dev/db", json.dumps({"password": "made-up-password"}))
    with short_folder() as home, portal(aws) as (address, asked):
        (home / ".aws").mkdir()
        (home / ".aws/config").write_text(block("profile"))
        (home / "sidecar.yaml").write_text(block("config"))
        environ = environment(HOME=str(home), AWS_ENDPOINT_URL=aws.fake.url, AWS_ENDPOINT_URL_SSO=address)
        del environ["AWS_CONFIG_FILE"], environ["AWS_SHARED_CREDENTIALS_FILE"]
        environ |= {"SIDECAR_LISTEN__OPS": "127.0.0.1:0", "SIDECAR_LOG__FORMAT": "json"}
        with subprocess.Popen([PROGRAM, "run"], cwd=home, env=environ, stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            log = Lines(process.stderr)
            try:
                told = json.loads(log.wait_for(lambda line: '"check_failed"' in line))
                assert "aws sso login" in told["mend"]
                sign_in(home, "work")
                log.wait_for(lambda line: '"daemon_ready"' in line)
                done = subprocess.run(
                    [PROGRAM, "get", "db-password"],
                    cwd=home,
                    env=environ,
                    capture_output=True,
                    check=False,
                    timeout=BOUND,
                )
                assert done.stdout.strip() == b"made-up-password"
            finally:
                process.terminate()
                log.join()
        assert set(asked) == {("111111111111", "SecretsReader")}


def test_the_images_of_compose_are_named() -> None:
    """Each variable that it wants is exported."""
    assert set(re.findall(r"\b([A-Z_]+_IMAGE)=", PAGE.text)) == set(IMAGES)
