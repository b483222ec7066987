"""A server on a Unix socket that says what it is told to, and remembers what it was asked."""

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from http import HTTPStatus
from pathlib import Path


def answer(
    content: object,
    status: int = 200,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Write an HTTP response; what is no bytes is written as JSON."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {content_type}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def problem(status: int, detail: str, mend: str = "", **members: object) -> bytes:
    """Write a response as the daemon tells of problems."""
    return answer(
        {"title": "Problem", "status": status, "detail": detail, "mend": mend, **members},
        status,
        "application/problem+json",
    )


def events(text: str) -> bytes:
    """Write a response of server-sent events that ends after these."""
    return f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n{text}".encode()


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came in."""

    line: str
    headers: Message
    body: bytes


@dataclass(slots=True)
class Peer:
    """What to answer, request by request (the last answer goes on), and what was asked."""

    path: Path
    answers: list[bytes] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    routes: Mapping[str, bytes] = field(default_factory=dict)  # by target; comes before `answers`
    _came: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, count: int) -> None:
        """Return once so many requests have come."""
        with self._came:
            self._came.wait_for(lambda: len(self.asked) >= count)

    def serve(self, listener: socket.socket) -> None:
        """Answer one connection after the other until the socket is shut down."""
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(ConnectionError):
                    self._serve_one(connection)

    def _serve_one(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            line = stream.readline().decode().rstrip()
            head = b"".join(iter(stream.readline, b"\r\n"))
            headers = BytesParser().parsebytes(head)
            body = stream.read(int(headers.get("Content-Length", 0)))
        with self._came:
            self.asked.append(Asked(line, headers, body))
            self._came.notify_all()
        target = line.split(" ")[1]
        if target in self.routes:
            connection.sendall(self.routes[target])
        else:
            connection.sendall(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])


@contextmanager
def listening(path: Path, *answers: bytes, routes: Mapping[str, bytes] | None = None) -> Iterator[Peer]:
    """Answer at `path` for the length of the block."""
    peer = Peer(path, list(answers), routes=routes or {})
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=peer.serve, args=(listener,))
        thread.start()
        try:
            yield peer
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            path.unlink()
