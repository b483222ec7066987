"""Speak to AWS: the only room that imports aiobotocore. Implements the ports, turns AWS's errors into ours.

Must not cache, retry or pace: every request goes through the Gate it is handed.
"""

from sidecar.aws.routes import Aws
from sidecar.aws.sessions import counting

__all__ = ["Aws", "counting"]
