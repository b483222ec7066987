"""List what is served on each listener: the tables by which requests are routed and the OpenAPI document is written."""

from typing import Final

from sidecar.api import kms, watch
from sidecar.api.answers import Answer, json_answer
from sidecar.api.asks import Ask
from sidecar.api.health import serve_healthz, serve_metrics, serve_readyz, serve_status
from sidecar.api.openapi import openapi_document
from sidecar.api.refresh import serve_refresh
from sidecar.api.routing import Parameter, Route
from sidecar.api.services import Services
from sidecar.api.values import serve_resolve, serve_secret, serve_secrets, serve_value, serve_values
from sidecar.telemetry import HttpRoute

_CONDITIONS: Final = ("If-None-Match", "Prefer")
_VALUE_REFUSALS: Final = (400, 403, 404, 422, 429, 502, 503, 504)
_KMS_REFUSALS: Final = (400, 403, 413, 429, 502, 503, 504)
_METRICS: Final = ("text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0")


async def serve_openapi(_services: Services, _ask: Ask) -> Answer:
    """Answer with the description of all that is served on the Unix socket."""
    return json_answer(openapi_document(UNIX))


OPS: Final = (
    Route("GET", HttpRoute.HEALTHZ, serve_healthz, "Whether the loop turns and the poller moves.", refusals=(503,)),
    Route("GET", HttpRoute.READYZ, serve_readyz, "Whether every required secret is held.", refusals=(503,)),
    Route("GET", HttpRoute.METRICS, serve_metrics, "All series, for Prometheus.", content_types=_METRICS),
)
"""To strangers on the network: never a value, never a reference."""

UNIX: Final = (
    Route(
        "GET",
        HttpRoute.VALUE,
        serve_value,
        "The bytes of one value.",
        (Parameter("previous", "1: the version before the current one.", values=("0", "1")),),
        headers=_CONDITIONS,
        content_types=("application/json", "text/plain; charset=utf-8", "application/octet-stream"),
        refusals=(304, *_VALUE_REFUSALS),
    ),
    Route(
        "GET",
        HttpRoute.VALUES,
        serve_values,
        "Several values of one moment, by name.",
        (Parameter("name", "Each name that is wanted.", required=True, repeated=True),),
        headers=_CONDITIONS,
        refusals=(304, *_VALUE_REFUSALS),
    ),
    Route(
        "GET",
        HttpRoute.SECRET,
        serve_secret,
        "One value and what is known of it.",
        headers=_CONDITIONS,
        refusals=(304, *_VALUE_REFUSALS),
    ),
    Route("GET", HttpRoute.SECRETS, serve_secrets, "What is known of all that the caller may see, without values."),
    Route(
        "GET",
        HttpRoute.RESOLVE,
        serve_resolve,
        "The value behind a reference, declared or not, and what is known of it.",
        (Parameter("ref", "The reference, in any spelling.", required=True),),
        headers=_CONDITIONS,
        refusals=(304, *_VALUE_REFUSALS),
    ),
    Route(
        "GET",
        HttpRoute.WATCH,
        watch.serve_watch,
        "Server-sent events, one `change` for each new version.",
        (
            Parameter("name", "Each name to watch; none means all that the caller may see.", repeated=True),
            Parameter("values", "1: with the values.", values=("0", "1")),
        ),
        headers=("Last-Event-ID",),
        content_types=(watch.CONTENT_TYPE,),
        refusals=(400, 403, 404),
    ),
    Route(
        "POST",
        HttpRoute.REFRESH,
        serve_refresh,
        "Check values now, each at most once in `cache.min_refresh`.",
        headers=("Prefer",),
        refusals=(400, 403, 404, 413),
        body="Refresh",
    ),
    *(
        Route(
            "POST",
            f"/v1/kms/{operation}",
            serve,
            summary,
            headers=("Prefer",),
            refusals=_KMS_REFUSALS,
            body=shape,
            most_body=kms.MOST_BODY_BYTES,
            counted_as=HttpRoute.KMS,
        )
        for operation, serve, shape, summary in kms.POSTED
    ),
    Route(
        "GET",
        "/v1/kms/public-key",
        kms.serve_public_key,
        "The public key of a pair, fetched once.",
        (Parameter("key_id", "The key's id or ARN, an alias or its ARN.", required=True),),
        headers=("Prefer",),
        refusals=_KMS_REFUSALS,
        counted_as=HttpRoute.KMS,
    ),
    Route("GET", HttpRoute.STATUS, serve_status, "How the daemon and the caller's secrets stand."),
    *OPS,
    Route("GET", HttpRoute.OPENAPI, serve_openapi, "This description."),
)
"""To programs on this machine."""
