"""A real HTTP server on loopback that answers as a test says, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Asked:
    """One request, as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    at: float
    connection: int


@dataclass(frozen=True)
class Answer:
    """One answer. ``cut`` sends the header and half of the body, and hangs up."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False

    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Api:
    """The server. ``routes`` gives an answer by path; of a list of answers the last one stays."""

    url: str = ""
    routes: dict[str, Callable[[Asked], Answer] | list[Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    most_at_once: int = 0
    _at_once: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: Asked) -> Answer:
        with self._lock:
            self.asked.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            route = self.routes.get(request.path)
            if route is None:
                return Answer({"error": "no such path"}, 404)
            if callable(route):
                return route(request)
            return route.pop(0) if len(route) > 1 else route[0]
        finally:
            with self._lock:
                self._at_once -= 1

    def paths(self) -> list[str]:
        return [request.path for request in self.asked]


@contextmanager
def serving() -> Iterator[Api]:
    """Run the server for as long as the context lasts."""
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Without it the kernel holds the body back until the header is acknowledged.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            request = Asked(
                self.command,
                parts.path,
                {name: values[0] for name, values in parse_qs(parts.query).items()},
                dict(self.headers.items()),
                self.rfile.read(length),
                time.monotonic(),
                self.client_address[1],
            )
            answer = api.answer(request)
            content = answer.content()
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if answer.cut else content)
            if answer.cut:
                self.close_connection = True

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that hangs up is no news."""

    server = Server(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def pages(
    records: list[Any], size: int, *, fail: dict[int, list[Answer]] | None = None
) -> Callable[[Asked], Answer]:
    """Serve records by ``?page=N``, counted from 1; ``fail`` gives the first answers of a page."""
    failures = fail or {}

    def respond(request: Asked) -> Answer:
        page = int(request.query.get("page", "1"))
        if failures.get(page):
            return failures[page].pop(0) if len(failures[page]) > 1 else failures[page][0]
        since = request.query.get("since")
        chosen = [record for record in records if since is None or record["at"] >= since]
        part = chosen[(page - 1) * size : page * size]
        return Answer({"data": part, "more": page * size < len(chosen)})

    return respond
