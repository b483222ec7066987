"""A fleet whose leases are in Redis: real daemons find it, share it, lose it, and serve all the while."""

from pathlib import Path

from tests.aws_fixtures import AwsAccount
from tests.e2e.conftest import Start
from tests.e2e.processes import Daemon, environment, running, short_folder
from tests.fleet.servers import running_redis

BUSY = {"p": "ssm:/p"} | {name: f"sm:{name}" for name in "abcd"}
"""Looked at each second, some lease is always wanted: who needs none is not heard of for a minute."""


def members(daemon: Daemon) -> int:
    """Count the daemons that one of them sees in its fleet."""
    return int(daemon.get("/v1/status").json["fleet"]["members"])


def test_two_daemons_share_lose_and_find(aws: AwsAccount, start: Start, folder: Path) -> None:
    """Each tells it once; values follow AWS whatever the store does; nobody is told its password."""
    aws.put_parameter("/p", "one")
    for name in "abcd":
        aws.put_secret(name, "one")
    (folder / "password").write_text("hunter2")
    with running_redis(folder, "--requirepass", "hunter2") as redis, short_folder() as elsewhere:
        fleet = {"store": redis.url, "name": "prod", "password": {"file": str(folder / "password")}}
        sections: dict[str, object] = {"secrets": BUSY, "cache": {"refresh": "1s"}, "fleet": fleet}
        one = start(**sections)
        with running(elsewhere, sections, environment(aws)) as other:
            for daemon in (one, other):
                daemon.wait_for("fleet_store_found")
                assert daemon.value("p").body == b"one"
            labels = {"account": aws.id, "region": aws.region, "quota": "ssm.get"}
            assert one.metrics().total("sidecar_fleet_leases", **labels) <= 0.8 * 40
            assert one.get("/v1/status").json["fleet"]["connected"]
            redis.stop()
            assert one.wait_for("fleet_store_lost")["why"] == "no connection"
            aws.put_parameter("/p", "two")
            one.until("p", lambda answer: answer.body == b"two")
            so_far = len(one.log.all)
            redis.start()
            assert one.wait_for_next(so_far, "fleet_store_found")["alone_seconds"] >= 0
            one.until("p", lambda _: members(one) == 2)
            assert other.end() == 0
            one.until("p", lambda _: members(one) == 1)
            assert one.end() == 0
        assert "hunter2" not in one.log.text + other.log.text
