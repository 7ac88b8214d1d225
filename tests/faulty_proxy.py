"""An HTTP proxy before a real server: it answers wrong, late or not at all, as told."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

RESET = 0
GARBAGE = 200
_OF_THE_CONNECTION = ("transfer-encoding", "content-length", "connection", "date", "server")


@dataclass(frozen=True)
class Fault:
    """What one request meets.

    Arguments:
        status: of the answer; ``RESET`` breaks the connection, ``GARBAGE`` is success with a broken body.
        done: whether the server gets the request all the same, before the answer goes wrong.
        delay_seconds: before the answer.
    """

    status: int
    done: bool = False
    delay_seconds: float = 0.0


@dataclass
class FaultyProxy:
    """A running proxy.

    Arguments:
        uri: where it listens.
        matching: the requests that meet faults, as ``METHOD /path``.
        faults: one for each of the next matching requests.
        is_gone: no request is answered at all while it is set.
        met: matching requests that met a fault.
    """

    uri: str
    matching: re.Pattern[str] = re.compile("")
    faults: deque[Fault] = field(default_factory=deque)
    is_gone: threading.Event = field(default_factory=threading.Event)
    met: list[str] = field(default_factory=list)

    def fault(self, request: str) -> Fault | None:
        """Return what a request meets."""
        if self.is_gone.is_set():
            return Fault(RESET)
        if self.faults and self.matching.search(request):
            self.met.append(request)
            return self.faults.popleft()
        return None


@contextmanager
def faulty_proxy(upstream: str) -> Iterator[FaultyProxy]:
    """Run a proxy before the server at the address ``upstream``."""
    server = urlsplit(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = proxy.fault(f"{self.command} {self.path}")
            if fault is None or fault.done:
                status, headers, answer = self.ask(body)
            if fault is not None:
                time.sleep(fault.delay_seconds)
                if fault.status == RESET:
                    self.close_connection = True
                    self.connection.close()
                    return
                status, headers = fault.status, {"Content-Type": "application/json"}
                told = {"error": {"message": "injected", "type": "Injected", "code": status}}
                answer = b'{"metadata' if status == GARBAGE else json.dumps(told).encode()
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in (
                    "transfer-encoding",
                    "content-length",
                    "connection",
                    "date",
                    "server",
                ):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer)

        def ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection(str(server.hostname), server.port, timeout=60)
            headers = {
                name: value for name, value in self.headers.items() if name.lower() != "accept-encoding"
            }
            connection.request(self.command, self.path, body or None, headers)
            response = connection.getresponse()
            answer = response.read()
            connection.close()
            return response.status, dict(response.getheaders()), answer

        do_GET = do_POST = do_HEAD = do_DELETE = do_PUT = handle_any  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    proxy = FaultyProxy(f"http://127.0.0.1:{listener.server_address[1]}")
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        listener.shutdown()
        listener.server_close()
