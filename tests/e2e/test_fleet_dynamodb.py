"""A fleet whose leases are in DynamoDB: daemons find it, lose it, and serve all the while."""

from tests.aws.test_dynamodb import TABLE, create_table
from tests.aws_fixtures import AwsAccount
from tests.e2e.conftest import Start

FLEET = {"store": f"dynamodb://{TABLE}", "name": "prod"}
BUSY = {"refresh": "1s"}
"""Polling so often that a lease is always wanted."""


def test_a_table_is_found_lost_and_found_again(aws: AwsAccount, start: Start) -> None:
    """Each is told once, with a reason; values are fetched and served whatever the table does."""
    create_table(aws)
    aws.put_parameter("/p", "one")
    daemon = start(secrets={"p": "ssm:/p"}, cache=BUSY, fleet=FLEET)
    daemon.wait_for("fleet_store_found")
    assert daemon.value("p").body == b"one"
    aws.client("dynamodb").delete_table(TableName=TABLE)
    why = daemon.wait_for("fleet_store_lost")["why"]
    assert why == f"table {TABLE}: there is none in {aws.region} (deploy/cloudformation)"
    aws.put_parameter("/p", "two")
    daemon.until("p", lambda answer: answer.body == b"two")
    so_far = len(daemon.log.all)
    create_table(aws)
    assert daemon.wait_for_next(so_far, "fleet_store_found")["alone_seconds"] >= 0
    assert daemon.end() == 0
