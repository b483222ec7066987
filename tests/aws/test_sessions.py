import asyncio
import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from aiobotocore.credentials import AioCredentials
from aiohttp import web
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import NoCredentialsError
from prometheus_client import CollectorRegistry

from sidecar.aws import Aws
from sidecar.aws.errors import RoleRefused
from sidecar.aws.sessions import Endpoint, Login, Sessions, Wallet
from sidecar.core.config.models import IdentitySpec
from sidecar.core.config.types import LogFormat, LogLevel
from sidecar.core.errors import Failure, Unintelligible, Unreachable
from sidecar.core.ports import Decrypt, Route
from sidecar.core.refs import Ref, SourceKind, parse
from sidecar.fakeaws.certs import write_self_signed
from sidecar.fakeaws.control import running_fake
from sidecar.telemetry import Metrics
from sidecar.telemetry.logs import LEAST, set_up_logs
from tests.aws.conformance import value
from tests.aws.gates import OpenGate
from tests.aws.scripted import ScriptedAws
from tests.aws_fixtures import AwsAccount

DB = "/app/db"


def count_nothing(_service: str, _operation: str, _failure: Failure | None, _seconds: float) -> None:
    """Count nothing."""


def role(aws: AwsAccount, name: str = "reader") -> str:
    """Name a role of the account."""
    return f"arn:aws:iam::{aws.id}:role/{name}"


async def read(room: Aws, identity: str, gate: OpenGate) -> bytes:
    """Read the parameter as somebody."""
    ref = Ref(SourceKind.SSM, DB, identity=identity)
    answer = (await room.source(Route(SourceKind.SSM, identity)).fetch([ref], gate))[ref]
    if isinstance(answer, Exception):
        raise answer
    return value(answer)


class TestRoles:
    """Assumed roles."""

    async def test_a_role_is_assumed_once(
        self, aws: AwsAccount, metrics: Metrics, registry: CollectorRegistry, gate: OpenGate
    ) -> None:
        """Two identities with one role share a session, whatever is asked; and it is counted."""
        aws.put_parameter(DB, "x")
        aws.client("ssm", "us-east-1").put_parameter(Name=DB, Value="y", Type="String")
        arn = role(aws)
        aws.fake.role(arn, external_id="told")
        spec = IdentitySpec(region="eu-west-1", endpoint_url=aws.url, role_arn=arn, external_id="told")
        identities = {"near": spec, "far": spec.model_copy(update={"region": "us-east-1"})}
        async with Aws(identities, {}, metrics) as room:
            assert await read(room, "near", gate) == b"x"
            assert await read(room, "far", gate) == b"y"
            assert await read(room, "near", gate) == b"x"
        assert aws.fake.counts()["sts.AssumeRole"] == 1
        counted = {"service": "sts", "operation": "AssumeRole", "outcome": "ok"}
        assert registry.get_sample_value("sidecar_aws_requests_total", counted) == 1
        readers = {request.identity for request in aws.fake.requests("ssm", "GetParameters")}
        assert all("assumed-role/reader/sidecar-" in reader for reader in readers)

    async def test_it_is_assumed_again_before_its_end(self, aws: AwsAccount, metrics: Metrics, gate: OpenGate) -> None:
        """Credentials that end soon are renewed first; nobody sees them expire."""
        aws.put_parameter(DB, "x")
        aws.fake.role(role(aws), session_seconds=60)
        spec = IdentitySpec(region="eu-west-1", endpoint_url=aws.url, role_arn=role(aws))
        async with Aws({"near": spec}, {}, metrics) as room:
            for _ in range(3):
                assert await read(room, "near", gate) == b"x"
        assert aws.fake.counts()["sts.AssumeRole"] >= 3

    async def test_it_is_assumed_again_when_aws_calls_it_expired(
        self, aws: AwsAccount, metrics: Metrics, gate: OpenGate
    ) -> None:
        """An expired token is transient, and the next request has another."""
        aws.put_parameter(DB, "x")
        spec = IdentitySpec(region="eu-west-1", endpoint_url=aws.url, role_arn=role(aws))
        async with Aws({"near": spec}, {}, metrics) as room:
            await read(room, "near", gate)
            aws.fake.fault("expired-token", service="ssm", count=1)
            with pytest.raises(Unreachable):
                await read(room, "near", gate)
            assert await read(room, "near", gate) == b"x"
        assert aws.fake.counts()["sts.AssumeRole"] == 2

    async def test_another_regions_sts_stands_in(
        self, aws: AwsAccount, metrics: Metrics, registry: CollectorRegistry, gate: OpenGate
    ) -> None:
        """With STS down in one region, the role is assumed in another in which it is used: failover needs it."""
        aws.client("ssm", "us-east-1").put_parameter(Name=DB, Value="y", Type="String")
        spec = IdentitySpec(region="eu-west-1", endpoint_url=aws.url, role_arn=role(aws))
        identities = {"near": spec, "far": spec.model_copy(update={"region": "us-east-1"})}
        aws.fake.fault("outage", region="eu-west-1")
        async with Aws(identities, {}, metrics) as room:
            room.region("near")
            assert await read(room, "far", gate) == b"y"
        for outcome in ("error", "ok"):
            counted = {"service": "sts", "operation": "AssumeRole", "outcome": outcome}
            assert registry.get_sample_value("sidecar_aws_requests_total", counted) == 1

    async def test_a_refused_assumption_is_counted(
        self, aws: AwsAccount, metrics: Metrics, registry: CollectorRegistry, gate: OpenGate
    ) -> None:
        """Each request for credentials is counted with how it ended."""
        aws.fake.fault("access-denied", service="sts")
        spec = IdentitySpec(region="eu-west-1", endpoint_url=aws.url, role_arn=role(aws))
        async with Aws({"near": spec}, {}, metrics) as room:
            for _ in range(2):
                with pytest.raises(Exception, match="AWS refuses"):
                    await read(room, "near", gate)
        counted = {"service": "sts", "operation": "AssumeRole", "outcome": "denied"}
        assert registry.get_sample_value("sidecar_aws_requests_total", counted) == 2

    async def test_a_refused_role_is_no_fault_of_the_values(
        self, aws: AwsAccount, metrics: Metrics, gate: OpenGate
    ) -> None:
        """No batch is taken apart to find the one to blame, no way of asking is given up: one request tells."""
        aws.fake.fault("access-denied", service="sts")
        spec = IdentitySpec(region="eu-west-1", endpoint_url=aws.url, role_arn=role(aws))
        async with Aws({"near": spec}, {}, metrics) as room:
            for kind, decrypt in (
                (SourceKind.SSM, Decrypt.AWS),
                (SourceKind.SSM, Decrypt.LOCAL),
                (SourceKind.SM, Decrypt.AWS),
            ):
                source, asked = room.source(Route(kind, "near", decrypt)), len(gate.calls)
                refs = [Ref(kind, f"/app/{number}", identity="near") for number in range(9)]
                for answer in (await source.fetch(refs, gate)).values():
                    assert isinstance(answer, RoleRefused)
                    assert "sts AssumeRole" in str(answer)
                assert len(gate.calls) == asked + 1
            probed = (await room.source(Route(SourceKind.SM, "near")).probe(refs[:1], gate))[refs[0]]
            assert isinstance(probed, RoleRefused)
            assert gate.operations[-2:] == ["BatchGetSecretValue", "DescribeSecret"]
            aws.fake.clear()
            await source.fetch(refs, gate)
        assert "BatchGetSecretValue" in gate.operations[4:]

    async def test_the_roles_own_source_is_read_anew(
        self,
        aws: AwsAccount,
        metrics: Metrics,
        gate: OpenGate,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        """When the credentials that assume the role have expired, the file that has new ones is read again."""
        aws.put_parameter(DB, "x")
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        file = tmp_path / "credentials"
        text = "[default]\naws_access_key_id={}\naws_secret_access_key=x\n"
        file.write_text(text.format("AKIASTALE"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
        aws.fake.of("*").fault("expired-token", identity="AKIASTALE", count=1)
        spec = IdentitySpec(region="eu-west-1", endpoint_url=aws.url, role_arn=role(aws))
        async with Aws({"near": spec}, {}, metrics) as room:
            with pytest.raises(Unreachable, match="invalid or expired"):
                await read(room, "near", gate)
            file.write_text(text.format(aws.id))
            assert await read(room, "near", gate) == b"x"

    async def test_an_odd_answer_of_sts_is_transient(
        self, script: ScriptedAws, metrics: Metrics, gate: OpenGate
    ) -> None:
        """An AssumeRole that brings no credentials is Unintelligible."""
        script.say("AssumeRole", b"<AssumeRoleResponse><AssumeRoleResult/></AssumeRoleResponse>")
        spec = IdentitySpec(region="eu-west-1", endpoint_url=script.url, role_arn="arn:aws:iam::111111111111:role/x")
        async with Aws({"near": spec}, {}, metrics) as room:
            with pytest.raises(Unintelligible):
                await read(room, "near", gate)

    async def test_many_at_once_cost_one_assumption(self, aws: AwsAccount, metrics: Metrics, gate: OpenGate) -> None:
        """A cold start of many requests builds one client and looks for credentials once."""
        aws.put_parameter(DB, "x")
        spec = IdentitySpec(region="eu-west-1", endpoint_url=aws.url, role_arn=role(aws))
        async with Aws({"near": spec}, {}, metrics) as room, asyncio.TaskGroup() as tasks:
            for _ in range(5):
                tasks.create_task(read(room, "near", gate))
        assert aws.fake.counts() == {"ssm.GetParameters": 5, "ssm.PutParameter": 1, "sts.AssumeRole": 1}


async def test_only_useless_credentials_are_forgotten() -> None:
    """Of many requests that failed with the old credentials, the last does not throw the new ones away."""
    looks = iter([AioCredentials("old", "x"), AioCredentials("new", "x"), AioCredentials("newer", "x")])

    async def look() -> AioCredentials:
        return next(looks)

    wallet = Wallet(look)
    assert (await wallet.get_frozen_credentials()).access_key == "old"
    old = wallet.held
    for _ in range(2):
        wallet.forget(old)
        assert (await wallet.get_frozen_credentials()).access_key == "new"
    wallet.forget(None)  # the request began before there were any
    assert (await wallet.get_frozen_credentials()).access_key == "newer"


@pytest.mark.parametrize("failure", [RuntimeError("down"), None])
async def test_a_look_in_vain_is_one_for_all_who_waited(failure: Exception | None) -> None:
    """A chain that finds nothing is not walked once for each request; who comes later walks it again."""
    looks, go = [0], asyncio.Event()

    async def look() -> AioCredentials | None:
        looks[0] += 1
        await go.wait()
        if failure:
            raise failure
        return None

    async def ask() -> None:
        with pytest.raises(type(failure) if failure else NoCredentialsError):
            await wallet.get_frozen_credentials()

    wallet = Wallet(look)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(5):
            tasks.create_task(ask())
        await asyncio.sleep(0)
        go.set()
    assert looks == [1]
    await ask()
    assert looks == [2]


class TestWebIdentity:
    """A pod's service account."""

    GIVEN = (
        b'<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        b"<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>AKIAPOD</AccessKeyId>"
        b"<SecretAccessKey>made-up</SecretAccessKey><SessionToken>made-up</SessionToken>"
        b"<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser>"
        b"<Arn>arn:aws:sts::111111111111:assumed-role/pod/x</Arn><AssumedRoleId>x:x</AssumedRoleId>"
        b"</AssumedRoleUser></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    )

    async def test_a_token_that_comes_late_is_found(
        self, script: ScriptedAws, metrics: Metrics, gate: OpenGate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Without its file it is Unreachable; once projected, the token is changed for credentials."""
        token = tmp_path / "token"
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::111111111111:role/pod")
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", script.url)
        script.say("AssumeRoleWithWebIdentity", self.GIVEN)
        script.say("GetParameters", {"Parameters": [], "InvalidParameters": [DB]})
        async with Aws({"pod": IdentitySpec(region="eu-west-1", endpoint_url=script.url)}, {}, metrics) as room:
            with pytest.raises(Unreachable, match="file"):
                await read(room, "pod", gate)
            token.write_text("projected")
            with pytest.raises(Exception, match="knows no such parameter"):
                await read(room, "pod", gate)
        assert [operation for operation, _ in script.asked] == ["AssumeRoleWithWebIdentity", "GetParameters"]


class Stopped(Exception):
    """A request was about to be sent."""


def stop(*, request: AWSPreparedRequest, **_: object) -> None:
    """Send nothing, and tell where it would have gone."""
    raise Stopped(request.url)


class TestClients:
    """Connections."""

    async def test_one_client_for_each_endpoint(self) -> None:
        """Clients are made once, and FIPS, dual stack and region choose the host."""
        login = Login(None, None, None, None)
        async with Sessions(count_nothing) as sessions:
            plain = await sessions.client(Endpoint(login, "ssm", "eu-west-1", use_fips=False, use_dualstack=False))
            again = await sessions.client(Endpoint(login, "ssm", "eu-west-1", use_fips=False, use_dualstack=False))
            fips = await sessions.client(Endpoint(login, "ssm", "us-east-1", use_fips=True, use_dualstack=False))
            dual = await sessions.client(Endpoint(login, "kms", "eu-west-1", use_fips=False, use_dualstack=True))
            token = await sessions.client(Endpoint(login, "sts", "eu-west-1", use_fips=False, use_dualstack=False))
        assert plain is again
        assert [client.meta.endpoint_url for client in (plain, fips, dual, token)] == [
            "https://ssm.eu-west-1.amazonaws.com",
            "https://ssm-fips.us-east-1.amazonaws.com",
            "https://kms.eu-west-1.api.aws",
            "https://sts.eu-west-1.amazonaws.com",
        ]

    @pytest.mark.parametrize(
        ("spec", "environ", "url"),
        [
            ({}, {}, "https://my-bucket.s3.eu-west-1.amazonaws.com/a%20b"),
            ({"region": "us-east-1"}, {}, "https://my-bucket.s3.us-east-1.amazonaws.com/a%20b"),
            (
                {"region": "us-east-1", "use_fips": True},
                {},
                "https://my-bucket.s3-fips.us-east-1.amazonaws.com/a%20b",
            ),
            ({"use_dualstack": True}, {}, "https://my-bucket.s3.dualstack.eu-west-1.amazonaws.com/a%20b"),
            ({"endpoint_url": "http://fake:4566"}, {}, "http://fake:4566/my-bucket/a%20b"),
            ({}, {"AWS_ENDPOINT_URL": "http://fake:4566"}, "http://fake:4566/my-bucket/a%20b"),
            ({}, {"AWS_ENDPOINT_URL_S3": "http://fake:4566"}, "http://fake:4566/my-bucket/a%20b"),
        ],
    )
    async def test_a_bucket_is_in_the_host_at_aws_and_in_the_path_elsewhere(
        self, monkeypatch: pytest.MonkeyPatch, spec: dict[str, object], environ: dict[str, str], url: str
    ) -> None:
        """A fake or a private endpoint has no host for each bucket."""
        for name, endpoint in environ.items():
            monkeypatch.setenv(name, endpoint)
        told = IdentitySpec.model_validate({"region": "eu-west-1", **spec})
        login = Login(None, None, None, told.endpoint_url)
        place = Endpoint(login, "s3", str(told.region), use_fips=told.use_fips, use_dualstack=told.use_dualstack)
        async with Sessions(count_nothing) as sessions:
            sessions.introduce(place)
            client = await sessions.client(place)
            client.meta.events.register("before-send.s3", stop)
            with pytest.raises(Stopped) as stopped:
                await client.head_object(Bucket="my-bucket", Key="a b")
        assert str(stopped.value) == url

    async def test_redirections_lead_nowhere(self, script: ScriptedAws, scripted_room: Aws, gate: OpenGate) -> None:
        """What was signed for one host, and may carry a key, is not sent to another."""
        script.say("GetCallerIdentity", web.Response(status=403))
        for status in (301, 302, 307, 308):
            script.say("GetObject", web.Response(status=status, headers={"Location": f"{script.url}/elsewhere"}))
            script.asked.clear()
            ref = parse("s3://bucket/key")
            answer = (await scripted_room.source(Route(SourceKind.S3, "default")).fetch([ref], gate))[ref]
            assert isinstance(answer, Failure)
            assert [operation for operation, _ in script.asked if operation == "GetObject"] == ["GetObject"]

    async def test_after_the_end_nothing_is_opened(self) -> None:
        """Who still asks when a reload closed the sessions leaves nothing open; a client in the making is closed."""
        endpoint = Endpoint(Login(None, None, None, None), "ssm", "eu-west-1", use_fips=False, use_dualstack=False)
        sessions = Sessions(count_nothing)
        async with asyncio.TaskGroup() as tasks:
            made = tasks.create_task(sessions.client(endpoint))
            await asyncio.sleep(0)
            await sessions.__aexit__()
        assert made.result().meta.endpoint_url == "https://ssm.eu-west-1.amazonaws.com"
        with pytest.raises(Unreachable, match="replaced"):
            await sessions.client(endpoint)

    async def test_speaks_tls(
        self, metrics: Metrics, gate: OpenGate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """An endpoint whose certificate is trusted is read; one that is not is Unreachable, with a mend."""
        cert, key = write_self_signed(tmp_path)
        with running_fake(["--tls-cert", str(cert), "--tls-key", str(key)]) as fake:
            spec = IdentitySpec(region="eu-west-1", endpoint_url=fake.url)
            async with Aws({"default": spec}, {}, metrics) as room:
                with pytest.raises(Unreachable, match="TLS failed") as caught:
                    await read(room, "default", gate)
                assert "AWS_CA_BUNDLE" in caught.value.mend
            monkeypatch.setenv("AWS_CA_BUNDLE", str(cert))
            async with Aws({"default": spec}, {}, metrics) as room:
                with pytest.raises(Exception, match="knows no such parameter"):
                    await read(room, "default", gate)

    async def test_the_proxys_own_error_is_no_answer_of_awss(
        self, script: ScriptedAws, scripted_room: Aws, gate: OpenGate
    ) -> None:
        """A 407 in HTML is transient."""
        script.say("GetParameters", web.Response(status=407, text="<html>proxy</html>"))
        with pytest.raises(Exception, match="not one of AWS's"):
            await read(scripted_room, "default", gate)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Write the log at its most talkative here, and put everything back as it was."""
    root, hook, lines = logging.getLogger(), sys.unraisablehook, io.StringIO()
    handlers, levels = root.handlers, {name: logging.getLogger(name).level for name in LEAST}
    set_up_logs(LogLevel.DEBUG, LogFormat.JSON, lines)
    yield lines
    root.handlers, sys.unraisablehook = handlers, hook
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


async def test_no_plaintext_is_logged(aws: AwsAccount, metrics: Metrics, gate: OpenGate, log: io.StringIO) -> None:
    """At DEBUG, with everything that the SDK has to say, no value and no credential is in the log."""
    aws.put_parameter(DB, "canary-8c1e")
    spec = IdentitySpec(region="eu-west-1", endpoint_url=aws.url, role_arn=role(aws))
    async with Aws({"near": spec}, {}, metrics) as room:
        assert await read(room, "near", gate) == b"canary-8c1e"
        aws.fake.fault("500", count=1)
        with pytest.raises(Unreachable):
            await read(room, "near", gate)
    assert "canary-8c1e" not in log.getvalue()
    assert "made-up" not in log.getvalue()
