"""The built-in source of REST APIs passes the kit that third parties get; the API is a server on loopback."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from floe_ingest import ErrorCategory
from floe_ingest.testing import SourceContract

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PAGE = 1000


class _Handler(BaseHTTPRequestHandler):
    """Pages of ``server.rows``: ``/orders?page=1``; ``/teapot`` refuses, ``/busy`` is never ready."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        status = {"/teapot": 403, "/busy": 503}.get(address.path, 200)
        page = int(parse_qs(address.query).get("page", ["0"])[0])
        rows = self.server.rows[page * PAGE : (page + 1) * PAGE]  # type: ignore[attr-defined]
        body = json.dumps(rows if status == 200 else {"error": status}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.requirement("FR-077")
class TestRestApi(SourceContract):
    source_type = "rest_api"
    cursor_field: ClassVar[str | None] = "id"
    big_rows: ClassVar[int] = 5_000
    server: Any

    @pytest.fixture(autouse=True)
    def _serve(self) -> Iterator[None]:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.server.rows = []
        thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield
        self.server.shutdown()
        self.server.server_close()
        thread.join()

    def settings(self, path: str = "orders") -> dict[str, Any]:
        paginator = {
            "type": "page_number",
            "base_page": 0,
            "total_path": None,
            "stop_after_empty_page": True,
        }
        return {
            "client": {
                "base_url": f"http://127.0.0.1:{self.server.server_port}/",
                "auth": {"type": "bearer", "token": "a-t0ken-of-the-test"},
                "paginator": paginator,
            },
            "resources": [{"name": "orders", "endpoint": {"path": path}}],
        }

    def make_source(self, folder: Path) -> dict[str, Any]:
        self.server.rows = list(self.expected()["orders"])
        return self.settings()

    def expected(self) -> dict[str, list[dict[str, Any]]]:
        return {"orders": [{"id": 1, "city": "Bern", "price": 1.5}, {"id": 2, "city": "Chur", "price": 2.5}]}

    def add_rows(self, folder: Path) -> dict[str, list[dict[str, Any]]]:
        added = [{"id": 3, "city": "Thun", "price": 3.5}]
        self.server.rows = [*self.server.rows, *added]
        return {"orders": added}

    def make_empty(self, folder: Path) -> dict[str, Any]:
        return self.settings()

    def make_big(self, folder: Path, rows: int) -> dict[str, Any]:
        self.server.rows = [{"id": number, "city": "Bern", "price": number / 2} for number in range(rows)]
        return self.settings()

    def make_broken(self, folder: Path) -> Mapping[str, tuple[dict[str, Any], ErrorCategory]]:
        return {
            "no permission": (self.settings("teapot"), ErrorCategory.PERMANENT),
            "not available": (self.settings("busy"), ErrorCategory.TRANSIENT),
        }

    def make_unreachable(self, folder: Path) -> dict[str, Any]:
        settings = self.settings()
        settings["client"]["base_url"] = "http://127.0.0.1:1/"
        return settings
