"""An app that reads its password when it starts, and again when it has changed."""

import os

from sidecar.client import Client

secrets = Client(os.environ["SIDECAR_SOCKET"])
print("the password has", len(secrets.get("db-password")), "characters")
for _change in secrets.watch(["db-password"]):
    print("the password has changed, and has", len(secrets.get("db-password")), "characters")
