"""Answer AWS requests with whatever a test wrote down: what no honest fake would ever say."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from aiohttp import web

_of_s3 = {"GET": "GetObject", "HEAD": "HeadObject"}


@dataclass
class ScriptedAws:
    """Answers by operation, in order; the last one is given for ever."""

    url: str = ""
    script: dict[str, list[web.Response | bytes | dict[str, object]]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def say(self, operation: str, *answers: web.Response | bytes | dict[str, object]) -> None:
        """Write down what an operation answers: JSON, raw bytes with status 200, or a whole response."""
        self.script[operation] = list(answers)

    def error(self, code: str, message: str = "", *, status: int = 400, retry_after: str | None = None) -> web.Response:
        """Make an error answer as AWS's JSON services give it."""
        headers = {"Retry-After": retry_after} if retry_after else {}
        return web.json_response({"__type": code, "message": message}, status=status, headers=headers)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer as written."""
        body = await request.read()
        target = request.headers.get("X-Amz-Target", "")
        operation = target.rpartition(".")[2] or _of_s3.get(request.method) or parse_qs(body.decode())["Action"][0]
        self.asked.append((operation, json.loads(body) if target else {}))
        answers = self.script[operation]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, web.Response):
            return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        return web.Response(body=answer if isinstance(answer, bytes) else json.dumps(answer).encode())


@asynccontextmanager
async def scripted_aws() -> AsyncIterator[ScriptedAws]:
    """Serve a script until the block ends."""
    scripted = ScriptedAws()
    runner = web.ServerRunner(web.Server(scripted.answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    scripted.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield scripted
    finally:
        await runner.cleanup()
