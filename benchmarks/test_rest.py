"""REST pages of nested records into Iceberg: beside fetching the pages alone, and beside dlt's own way.

The server has its pages ready, and answers in less time than any API; so the same is measured with one that
needs ten milliseconds for a page of 100, as a near and quick one does.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import scale
from bench.results import Target
from bench.tables import table_below
from workloads import open_lake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GROUP = "REST pages"
_PAGE = 1000
_QUICK_API = {"size": 100, "wait": 0.01}
_PAGED = {"type": "page_number", "base_page": 1, "total_path": None, "has_more_path": "more"}

_SERVER = """
import json, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
records, size, wait = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])

def order(i):
    return {
        "id": i, "customer": f"customer {i % 997}", "total": i / 4, "paid": i % 3 == 0,
        "created_at": f"2024-01-{i % 28 + 1:02d}T08:00:00Z",
        "address": {"street": f"Main Street {i}", "city": "Bern", "position": {"lat": 46.9, "lon": 7.4}},
        "lines": [{"sku": f"s{i}-{n}", "quantity": n + 1, "price": n / 8} for n in range(3)],
    }

pages = []
for start in range(0, records, size):
    data = [order(i) for i in range(start, min(records, start + size))]
    pages.append(json.dumps({"data": data, "more": start + size < records}).encode())

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def do_GET(self):
        time.sleep(wait)
        body = pages[int(self.path.partition("page=")[2] or 1) - 1]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def orders() -> Callable[..., Any]:
    """Serve so many orders, ``size`` in a page, each after ``wait`` seconds, from a process of its own."""

    @contextmanager
    def serve(records: int, size: int = _PAGE, wait: float = 0.0) -> Iterator[str]:
        words = [sys.executable, "-c", _SERVER, str(records), str(size), str(wait)]
        server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()
            server.communicate()

    return serve


def _source(url: str) -> dict[str, Any]:
    return {
        "client": {"base_url": url, "paginator": dict(_PAGED)},
        "resources": [{"name": "orders", "endpoint": {"path": "orders", "data_selector": "data"}}],
    }


def _load(url: str, lake: Path, nested: str) -> Callable[[], None]:
    import floe_ingest

    config = floe_ingest.DltIngestionConfig(
        catalog_config={
            "name": "default",
            "type": "sql",
            "uri": f"sqlite:///{lake / 'catalog.db'}",
            "warehouse": lake.as_uri(),
        },
        sources=[
            {
                "name": f"shop_{nested}",
                "source_type": "rest_api",
                "source_config": {**_source(url), "nested": nested},
                "destination_table": f"bronze.{nested}_{{resource}}",
                "write_mode": "replace",
            }
        ],
    )

    def load() -> None:
        result = floe_ingest.run(config)
        assert result.success, result

    return load


def _fetch(url: str) -> Callable[[], None]:
    """Get the pages, over one connection, and parse each once to know whether there is another."""
    import orjson
    import requests

    def fetch() -> None:
        with requests.Session() as session:
            page = 1
            while orjson.loads(session.get(f"{url}/orders", params={"page": page}, timeout=60).content)[
                "more"
            ]:
                page += 1

    return fetch


def _bare_fetch(url: str, count: int) -> Callable[[], None]:
    """Get the pages and look at none."""
    import requests

    def fetch() -> None:
        with requests.Session() as session:
            for page in range(1, count + 1):
                assert session.get(f"{url}/orders", params={"page": page}, timeout=60).content

    return fetch


def _dlt_alone(url: str, folder: Path, table_format: Any = None) -> Callable[[], None]:
    """dlt's REST source through its own pipeline, into plain Parquet files or its own Iceberg tables."""
    import dlt
    from dlt.sources.rest_api import rest_api_source

    def load() -> None:
        pipeline = dlt.pipeline(
            f"rest_{table_format}",
            pipelines_dir=str(folder / "pipelines"),
            destination=dlt.destinations.filesystem(bucket_url=(folder / f"{table_format}").as_uri()),
            dataset_name="bronze",
        )
        source: Any = rest_api_source(_source(url))
        pipeline.run(
            source, write_disposition="replace", loader_file_format="parquet", table_format=table_format
        )

    return load


def test_native_against_fetching(orders: Callable[..., Any], side_by_side: Any, tmp_path: Path) -> None:
    """A server that has its pages ready."""
    count = scale.size(50_000, 5_000)
    with orders(count) as url:
        result = side_by_side(
            "REST, 50,000 nested records, ready in the server",
            {
                "ours": _load(url, tmp_path / "lake", "native"),
                "pages": _fetch(url),
                "pages, not parsed": _bare_fetch(url, count // _PAGE),
            },
            rounds=5,
            warm=1,
            targets=[Target(measure="wall", most=1.3, beside="pages, not parsed")],
        )
    table = open_lake(tmp_path / "lake").load_table("bronze.native_orders").scan().to_arrow()
    assert table.num_rows == count
    assert sum(map(len, table["lines"].to_pylist())) == 3 * count
    scale.check_at_most(result.ratio("ours", "pages"), 5.0)


def test_native_against_fetching_from_a_quick_api(
    orders: Callable[..., Any], side_by_side: Any, tmp_path: Path
) -> None:
    """A server that needs ten milliseconds for a page."""
    count = scale.size(50_000, 5_000)
    with orders(count, **_QUICK_API) as url:
        result = side_by_side(
            "REST, 50,000 nested records, 10 ms a page",
            {
                "ours": _load(url, tmp_path / "lake", "native"),
                "pages, not parsed": _bare_fetch(url, count // int(_QUICK_API["size"])),
            },
            rounds=5,
            warm=1,
            targets=[Target(measure="wall", most=1.3, beside="pages, not parsed")],
        )
    assert open_lake(tmp_path / "lake").load_table("bronze.native_orders").scan().count() == count
    scale.check_at_most(result.ratio("ours", "pages, not parsed"), 2.0)


def test_native_against_child_tables(orders: Callable[..., Any], side_by_side: Any, tmp_path: Path) -> None:
    """Child tables, the default, are dlt's normaliser's work."""
    count = scale.size(10_000, 1_000)
    with orders(count) as url:
        result = side_by_side(
            "REST, 10,000 nested records",
            {
                "child tables": _load(url, tmp_path / "lake", "tables"),
                "native": _load(url, tmp_path / "lake", "native"),
                "dlt": _dlt_alone(url, tmp_path / "dlt", "iceberg"),
                "dlt, plain Parquet": _dlt_alone(url, tmp_path / "dlt"),
            },
            rounds=5,
            warm=1,
            tables=lambda: {
                "child tables": open_lake(tmp_path / "lake").load_table("bronze.tables_orders"),
                "native": open_lake(tmp_path / "lake").load_table("bronze.native_orders"),
                "dlt": table_below(tmp_path / "dlt", "orders"),
            },
            columns={"id": "bigint", "customer": "varchar", "total": "double", "paid": "boolean"},
            targets=[Target(measure="wall", most=1.0, side="child tables", beside="dlt")],
        )
    lake = open_lake(tmp_path / "lake")
    assert lake.load_table("bronze.tables_orders__lines").scan().count() == 3 * count
    scale.check_at_most(result.ratio("child tables", "dlt"), 1.25)
    scale.check_at_most(result.ratio("native", "child tables"), 0.5)
