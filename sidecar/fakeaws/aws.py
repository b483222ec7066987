"""Answer each request as AWS would in the present weather, and write it into the journal."""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from sidecar.fakeaws import kms, materials, s3, secretsmanager, signing, ssm, stores, sts
from sidecar.fakeaws.journal import Entry, Journal
from sidecar.fakeaws.visit import Operation, Visit
from sidecar.fakeaws.weather import Fault, FaultKind, Subject, Weather, error_of, server_error
from sidecar.fakeaws.wire import (
    Answer,
    AwsError,
    Params,
    Request,
    error_answer,
    json_answer,
    parse_request,
    xml_answer,
)

_log = logging.getLogger(__name__)

PROXY_PAGE: Final = (
    b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in to the network.</body></html>"
)

_OPERATIONS: Final[dict[str, dict[str, Operation]]] = {
    "kms": {**kms.OPERATIONS, **materials.OPERATIONS, **signing.OPERATIONS},
    "secretsmanager": secretsmanager.OPERATIONS,
    "ssm": ssm.OPERATIONS,
}
_Guard = Callable[[Visit, Params], Params]
_GUARDS: Final[dict[str, Mapping[str, _Guard]]] = {"kms": kms.GUARDS, "secretsmanager": secretsmanager.GUARDS}

_QUOTAS: Final[dict[str, tuple[str, ...]]] = {
    "ssm.GetParameter": ("ssm.get",),
    "ssm.GetParameters": ("ssm.get",),
    "ssm.GetParametersByPath": ("ssm.get", "ssm.path"),
    "secretsmanager.GetSecretValue": ("sm.get",),
    "secretsmanager.DescribeSecret": ("sm.describe",),
    "secretsmanager.BatchGetSecretValue": ("sm.batch",),
    "secretsmanager.ListSecrets": ("sm.list",),
    # Charged where the key is used, since its kind decides which quota that is.
    **{f"kms.{operation}": () for operation in (*kms.OPERATIONS, *signing.CHARGED, "GenerateMac", "VerifyMac")},
}


def _names_asked(request: Request) -> tuple[str, ...]:
    if request.service == "ssm":
        return ssm.names_asked(request.params)
    if request.service == "secretsmanager":
        return secretsmanager.names_asked(request.params)
    if request.service == "s3":
        return s3.names_asked(request)
    named = (request.params.text(name) for name in ("KeyId", "RoleArn", "TableName"))
    return tuple(name for name in named if name)[:1]


@dataclass(slots=True)
class Aws:
    """All accounts of the fake, their weather and what was asked of them."""

    dice: random.Random
    weather: Weather = field(default_factory=Weather)
    tokens: sts.Tokens = field(default_factory=sts.Tokens)
    journal: Journal = field(default_factory=Journal)

    async def serve(
        self, headers: dict[str, str], body: bytes, method: str = "POST", target: str = "/"
    ) -> Answer | None:
        """Answer one request; None = close the connection without an answer."""
        try:
            request = parse_request(headers, body, method, target)
        except AwsError as error:
            return error_answer("", error, self.request_id())
        subject = self._subject(request)
        fault = self.weather.strike(subject)
        if wait := self.weather.latency + (fault.seconds if fault else 0.0):
            await asyncio.sleep(wait)
        visit = self.visit(request, subject)
        answer = self._answer(request, visit, subject, fault)
        if answer is not None and request.service == "s3" and answer.body is not PROXY_PAGE:
            answer = self._as_s3_sends_it(request, answer)
        self._note(request, visit, subject, answer)
        return answer

    def _as_s3_sends_it(self, request: Request, answer: Answer) -> Answer:
        """Leave S3's mark, and the body away where only a head was asked for: then not even an error has one."""
        headers = {**answer.headers, "x-amz-request-id": self.request_id()}
        body = b"" if request.method == "HEAD" else answer.body
        return replace(answer, headers=headers, body=body)

    def request_id(self) -> str:
        """Return an id as AWS gives each request."""
        return str(UUID(int=self.dice.getrandbits(128)))

    def _subject(self, request: Request) -> Subject:
        caller = self.tokens.caller_of(request.access_key)
        return Subject(caller, request.service, request.operation, request.region, _names_asked(request))

    def visit(self, request: Request, subject: Subject) -> Visit:
        """Begin to carry a request through the fake."""
        clock = asyncio.get_running_loop().time
        return Visit(subject.caller, request.service, request.operation, request.region, self.weather, clock, self.dice)

    def _answer(self, request: Request, visit: Visit, subject: Subject, fault: Fault | None) -> Answer | None:
        if fault is not None and fault.kind is FaultKind.OUTAGE:
            return None
        if fault is not None and fault.kind is FaultKind.HTML_200:
            return Answer(200, PROXY_PAGE, "text/html")
        try:
            self._admit(request, visit, subject, fault)
            return self._perform(request, visit)
        except AwsError as error:
            return error_answer(request.service, error, self.request_id())
        except (stores.ServiceException, stores.JsonRESTError) as error:
            return error_answer(request.service, stores.as_aws_error(error), self.request_id())
        except Exception as error:  # noqa: BLE001 -- a slip in the fake or in moto is a 500, as it would be at AWS
            # No traceback: it may quote values.
            _log.error("%s.%s failed: %s", request.service, request.operation, type(error).__name__)
            return error_answer(request.service, server_error(request.service), self.request_id())

    def _admit(self, request: Request, visit: Visit, subject: Subject, fault: Fault | None) -> None:
        """Raise whatever keeps the request from being performed, in AWS's own order."""
        if request.service not in stores.SERVICES:
            known = ", ".join(sorted(stores.SERVICES))
            raise AwsError("UnknownOperationException", f"The fake serves {known}; not {request.service}", 404)
        if fault is not None and fault.kind is not FaultKind.SLOW:
            raise error_of(fault, subject)
        misfortune = self.weather.misfortune(request.service, self.dice.random)
        if misfortune is not None:
            raise misfortune
        own = f"{request.service}.{request.operation}"
        for quota in _QUOTAS.get(own, (own,)):
            visit.charge(quota)
        self.tokens.check(request.access_key, request.service, sts.utc_now())
        stores.check_region(request.region)

    def _perform(self, request: Request, visit: Visit) -> Answer:
        if request.service == "sts":
            return self._perform_sts(request, visit)
        if request.service == "s3":
            return s3.perform(visit, request)
        operation = _OPERATIONS.get(request.service, {}).get(request.operation)
        if operation is not None:
            return json_answer(operation(visit, request.params))
        guard = _GUARDS.get(request.service, {}).get(request.operation)
        if guard is not None:
            return stores.ask_moto(request, visit.account, guard(visit, request.params))
        visit.demand(f"{request.service}:{request.operation}", *(_names_asked(request) or ("*",)))
        return stores.ask_moto(request, visit.account, request.params)

    def _perform_sts(self, request: Request, visit: Visit) -> Answer:
        visit.demand(f"sts:{request.operation}", *(_names_asked(request) or ("*",)))
        if request.operation == "GetCallerIdentity":
            return xml_answer(request.operation, sts.caller_identity_xml(visit.caller), self.request_id())
        if request.operation == "AssumeRole":
            given = self.tokens.assume(visit.caller, request.params, sts.utc_now)
            return xml_answer(request.operation, sts.assume_role_xml(given), self.request_id())
        return stores.ask_moto(request, visit.account, request.params)

    def _note(self, request: Request, visit: Visit, subject: Subject, answer: Answer | None) -> None:
        entry = Entry(
            at=sts.utc_now().timestamp(),
            service=request.service,
            operation=request.operation,
            region=request.region,
            account=visit.account,
            identity=visit.caller.arn,
            status=answer.status if answer else 0,
            error=answer.error if answer else "",
            names=subject.names,
            with_decryption=request.params.flag("WithDecryption"),
            kms_charges=visit.kms_charges,
        )
        self.journal.write(entry)
