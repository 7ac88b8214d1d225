"""A small HTTP API over the bookshop, as the quickstart's REST source: JSON, paged, on the loopback.

``GET /customers?page=1&per_page=50`` answers ``{"data": [...], "page": 1, "pages": 9, "next": URL or
null}``; ``/orders`` and ``/products`` do likewise, and ``/`` lists them. An order holds an address (an
object) and its lines (a list of objects).

Run it by itself to point a configuration of your own at it:

    python examples/quickstart/rest_server.py --port 8642
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import parse_qs, urlencode, urlsplit

from bookshop import SEED, Bookshop, Record, build_bookshop

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"
DEFAULT_PER_PAGE = 50
MAX_PER_PAGE = 200


class BadRequestError(ValueError):
    """A query parameter is not what the API takes; the text goes to the client."""


class BookshopServer(ThreadingHTTPServer):
    """Serves one bookshop.

    Arguments:
        shop: what is served.
        port: the port on the loopback; 0 takes a free one.

    Raises:
        OSError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, shop: Bookshop, port: int = 0) -> None:
        self.collections: dict[str, tuple[Record, ...]] = {
            "/customers": shop.customers,
            "/orders": shop.orders,
            "/products": shop.products,
        }
        super().__init__((HOST, port), BookshopHandler)

    @property
    def url(self) -> str:
        """The address to write as ``base_url``, without a slash at the end."""
        return f"http://{HOST}:{self.server_address[1]}"


class BookshopHandler(BaseHTTPRequestHandler):
    """Answers GET requests with one page of a collection."""

    server: BookshopServer
    protocol_version = "HTTP/1.1"
    server_version = "Bookshop"
    timeout: ClassVar[float] = 30

    def do_GET(self) -> None:
        """Answer with a page, the list of collections, or an error that says what would work."""
        address = urlsplit(self.path)
        path = address.path.rstrip("/")
        if not path:
            self._answer(HTTPStatus.OK, {"collections": sorted(self.server.collections)})
        elif path not in self.server.collections:
            known = ", ".join(sorted(self.server.collections))
            self._answer(HTTPStatus.NOT_FOUND, {"error": f"There is no {path}; there are {known}"})
        else:
            try:
                self._answer(HTTPStatus.OK, self._page(path, address.query))
            except BadRequestError as error:
                self._answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Write nothing: the terminal belongs to the program that reads this API."""

    def _page(self, path: str, query: str) -> Record:
        records = self.server.collections[path]
        per_page = _number(query, "per_page", default=DEFAULT_PER_PAGE, highest=MAX_PER_PAGE)
        pages = max(1, -(-len(records) // per_page))
        page = _number(query, "page", default=1, highest=pages)
        following = urlencode({"page": page + 1, "per_page": per_page})
        return {
            "data": records[(page - 1) * per_page : page * per_page],
            "page": page,
            "pages": pages,
            "total": len(records),
            "next": f"{self.server.url}{path}?{following}" if page < pages else None,
        }

    def _answer(self, status: HTTPStatus, document: Record) -> None:
        body = json.dumps(document, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _number(query: str, name: str, *, default: int, highest: int) -> int:
    given = parse_qs(query, keep_blank_values=True).get(name)
    if given is None:
        return default
    text = given[-1]
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= highest):
        raise BadRequestError(f"{name} must be a number from 1 to {highest}, got {text!r}")
    return int(text)


@contextmanager
def serving(shop: Bookshop, port: int = 0) -> Iterator[str]:
    """Serve a bookshop from a thread of its own while the block runs.

    Arguments:
        shop: what is served.
        port: the port on the loopback; 0 takes a free one.

    Yields:
        The base URL.

    Raises:
        OSError: the port is taken.
    """
    with BookshopServer(shop, port) as server:
        thread = Thread(target=server.serve_forever, name="bookshop-api", daemon=True)
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            thread.join()


def main() -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Serve the quickstart's bookshop as a JSON API.")
    parser.add_argument("--port", type=int, default=8642, help="0 takes a free port (default: 8642)")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the generated data (default: {SEED})")
    arguments = parser.parse_args()
    try:
        server = BookshopServer(build_bookshop(seed=arguments.seed), arguments.port)
    except (OSError, OverflowError) as error:
        print(f"Port {arguments.port} cannot be opened on {HOST}: {error}", file=sys.stderr)
        return 1
    with server:
        print(f"Serving the bookshop at {server.url} (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
