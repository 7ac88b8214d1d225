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
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

RESET = 0
GARBAGE = 200
CUT = 1
AS_IT_IS = 2
_OF_THE_CONNECTION = ("transfer-encoding", "content-length", "connection", "date", "server")


@dataclass(frozen=True)
class Fault:
    """What one request meets.

    Arguments:
        status: of the answer; ``RESET`` breaks the connection, ``GARBAGE`` is success with a broken body,
            ``CUT`` breaks the connection in the middle of the body, ``AS_IT_IS`` changes nothing.
        done: whether the server gets the request all the same, before the answer goes wrong.
        delay_seconds: before the answer.
        then_gone: whether the server is gone from this answer on.
    """

    status: int
    done: bool = False
    delay_seconds: float = 0.0
    then_gone: bool = False


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


class _Handler(BaseHTTPRequestHandler):
    """Passes requests on, but for those that meet a fault; subclasses say from where to where."""

    proxy: FaultyProxy
    upstream: SplitResult
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        body = self.body()
        fault = self.proxy.fault(f"{self.command} {self.path}")
        if fault is None or fault.done or fault.status in (CUT, AS_IT_IS):
            status, headers, answer = self.ask(body)
        if fault is not None:
            time.sleep(fault.delay_seconds)
            if fault.then_gone:
                self.proxy.is_gone.set()
            if fault.status == RESET:
                self.close_connection = True
                self.connection.close()
                return
        if fault is not None and fault.status not in (CUT, AS_IT_IS):
            status, headers = fault.status, {"Content-Type": "application/json"}
            told = {"error": {"message": "injected", "type": "Injected", "code": status}}
            answer = b'{"metadata' if status == GARBAGE else json.dumps(told).encode()
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in _OF_THE_CONNECTION:
                self.send_header(name, value)
        length = headers.get("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(answer)))
        self.end_headers()
        if fault is not None and fault.status == CUT:
            answer = answer[: len(answer) // 2]
            self.close_connection = True
        if self.command != "HEAD":
            self.wfile.write(answer)

    def body(self) -> bytes:
        """Read the body of a request, which may come in chunks; those of S3 go on as they are."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        del self.headers["Transfer-Encoding"]
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            continue
        return b"".join(parts)

    def ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(str(self.upstream.hostname), self.upstream.port, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "accept-encoding"}
        connection.request(self.command, self.path, body or None, headers)
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        return response.status, dict(response.getheaders()), answer

    do_GET = do_POST = do_HEAD = do_DELETE = do_PUT = handle_any  # noqa: N815

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def faulty_proxy(upstream: str) -> Iterator[FaultyProxy]:
    """Run a proxy before the server at the address ``upstream``."""

    class Handler(_Handler):
        pass

    Handler.upstream = urlsplit(upstream)
    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    proxy = FaultyProxy(f"http://127.0.0.1:{listener.server_address[1]}")
    Handler.proxy = proxy
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        listener.shutdown()
        listener.server_close()
