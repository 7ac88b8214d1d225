"""The quickstart, run for real: its API, its generated data, and the whole example end to end."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

QUICKSTART = Path(__file__).resolve().parents[2] / "examples" / "quickstart"

MODULES = ("bookshop", "make_data", "quickstart", "rest_server")


@pytest.fixture(autouse=True)
def _modules_on_path(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The example's modules import each other by their plain names, as a script's folder lets them."""
    monkeypatch.syspath_prepend(str(QUICKSTART))
    yield
    for name in MODULES:
        sys.modules.pop(name, None)


def get(url: str) -> Any:
    with urlopen(url, timeout=10) as response:  # noqa: S310 - the loopback server of this test
        return json.load(response)


def get_error(url: str) -> tuple[int, str]:
    with pytest.raises(HTTPError) as caught:
        get(url)
    with caught.value as response:
        return response.code, json.load(response)["error"]


def follow(url: str | None) -> list[dict[str, Any]]:
    pages = []
    while url is not None:
        pages.append(get(url))
        url = pages[-1]["next"]
    return pages


class TestServer:
    @pytest.mark.parametrize("collection", ["products", "customers", "orders"])
    def test_following_next_gives_every_record_once_and_in_order(self, collection: str) -> None:
        from bookshop import build_bookshop
        from rest_server import serving

        shop = build_bookshop(customers=130, orders=301)
        with serving(shop) as url:
            pages = follow(f"{url}/{collection}?per_page=20")

        records = list(getattr(shop, collection))
        assert [record for page in pages for record in page["data"]] == records
        assert [page["page"] for page in pages] == list(range(1, -(-len(records) // 20) + 1))
        assert {page["pages"] for page in pages} == {len(pages)}
        assert {page["total"] for page in pages} == {len(records)}

    def test_an_exact_multiple_has_no_empty_last_page(self) -> None:
        from bookshop import build_bookshop
        from rest_server import serving

        with serving(build_bookshop(customers=100, orders=0)) as url:
            assert [len(page["data"]) for page in follow(f"{url}/customers")] == [50, 50]
            assert [page["data"] for page in follow(f"{url}/orders")] == [[]]

    def test_orders_are_nested_and_their_prices_are_text(self) -> None:
        from bookshop import build_bookshop
        from rest_server import serving

        with serving(build_bookshop(customers=3, orders=5)) as url:
            order = get(f"{url}/orders?page=1&per_page=1")["data"][0]

        assert set(order["shipping_address"]) == {"street", "postcode", "city", "country"}
        assert order["lines"]
        assert all(Decimal(line["unit_price"]) > 0 and line["quantity"] > 0 for line in order["lines"])

    def test_what_it_cannot_answer_is_an_error_that_says_what_works(self) -> None:
        from bookshop import build_bookshop
        from rest_server import serving

        with serving(build_bookshop(customers=60, orders=0)) as url:
            assert get_error(f"{url}/books") == (
                404,
                "There is no /books; there are /customers, /orders, /products",
            )
            assert get_error(f"{url}/customers?page=3") == (400, "page must be a number from 1 to 2, got '3'")
            assert get_error(f"{url}/customers?page=") == (400, "page must be a number from 1 to 2, got ''")
            status, message = get_error(f"{url}/customers?per_page=5000")
            assert (status, message) == (400, "per_page must be a number from 1 to 200, got '5000'")
            assert get(f"{url}/")["collections"] == ["/customers", "/orders", "/products"]

    def test_the_port_is_free_again_afterwards(self) -> None:
        from bookshop import build_bookshop
        from rest_server import serving

        shop = build_bookshop(customers=1, orders=0)
        with serving(shop) as url:
            port = int(url.rsplit(":", 1)[1])
        with serving(shop, port) as again:
            assert get(f"{again}/customers")["total"] == 1

    def test_a_taken_port_is_said_in_one_line(self) -> None:
        from bookshop import build_bookshop
        from rest_server import serving

        with serving(build_bookshop(customers=1, orders=0)) as url:
            port = url.rsplit(":", 1)[1]
            finished = subprocess.run(
                [sys.executable, str(QUICKSTART / "rest_server.py"), "--port", port],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        assert finished.returncode == 1
        assert finished.stderr.startswith(f"Port {port} cannot be opened on 127.0.0.1: ")
        assert finished.stderr.count("\n") == 1


def content_digest(folder: Path) -> str:
    """One digest over every row of what ``make_data`` writes."""
    digest = hashlib.sha256()
    with closing(sqlite3.connect(folder / "inventory.db")) as connection:
        for statement in connection.iterdump():
            digest.update(statement.encode())
    for name in ("price_list.csv", "page_views.jsonl"):
        digest.update((folder / "files" / name).read_bytes())
    digest.update(repr(pq.read_table(folder / "files" / "ratings.parquet").to_pylist()).encode())
    return digest.hexdigest()


class TestData:
    def test_two_processes_write_the_same_rows(self, tmp_path: Path) -> None:
        for hash_seed in ("1", "2"):
            subprocess.run(
                [sys.executable, str(QUICKSTART / "make_data.py"), str(tmp_path / hash_seed)],
                env={**os.environ, "PYTHONHASHSEED": hash_seed},
                timeout=120,
                check=True,
            )
        assert content_digest(tmp_path / "1") == content_digest(tmp_path / "2")

    def test_another_seed_gives_other_rows(self, tmp_path: Path) -> None:
        from bookshop import build_bookshop
        from make_data import write_data

        shop = build_bookshop()
        write_data(tmp_path / "a", shop)
        write_data(tmp_path / "b", shop, seed=8)
        assert content_digest(tmp_path / "a") != content_digest(tmp_path / "b")
        assert build_bookshop(seed=8) != shop
        assert build_bookshop() == shop

    def test_writing_twice_into_one_folder_replaces(self, tmp_path: Path) -> None:
        from bookshop import build_bookshop
        from make_data import write_data

        write_data(tmp_path, build_bookshop())
        first = content_digest(tmp_path)
        write_data(tmp_path, build_bookshop())
        assert content_digest(tmp_path) == first

    def test_the_data_refers_to_the_shop(self, tmp_path: Path) -> None:
        from bookshop import build_bookshop
        from make_data import RATINGS, STOCK_MOVEMENTS, WAREHOUSES, write_data

        shop = build_bookshop()
        data = write_data(tmp_path, shop)
        skus = {book["sku"] for book in shop.products}
        with closing(sqlite3.connect(data.database)) as connection:
            assert {row[0] for row in connection.execute("SELECT sku FROM stock_movements")} == skus
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
            counts = connection.execute(
                "SELECT (SELECT count(*) FROM warehouses), (SELECT count(*) FROM stock_movements)"
            ).fetchone()
        assert counts == (len(WAREHOUSES), STOCK_MOVEMENTS)
        ratings = pq.read_table(data.ratings)
        assert ratings.num_rows == RATINGS
        assert set(ratings["sku"].to_pylist()) <= skus
        assert set(ratings["customer_id"].to_pylist()) <= {person["customer_id"] for person in shop.customers}


class TestFolder:
    def test_a_folder_that_is_not_the_quickstarts_own_is_left_alone(self, tmp_path: Path) -> None:
        kept = tmp_path / "thesis.txt"
        kept.write_text("years of work")
        finished = run_script("--out", str(tmp_path))
        assert finished.returncode == 2
        assert (
            f"{tmp_path.resolve()} is not empty and not a quickstart's; give another --out" in finished.stderr
        )
        assert "Traceback" not in finished.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
        assert kept.read_text() == "years of work"

    def test_a_file_is_no_folder(self, tmp_path: Path) -> None:
        path = tmp_path / "out"
        path.write_text("")
        finished = run_script("--out", str(path))
        assert finished.returncode == 2
        assert f"{path.resolve()} is a file; --out needs a folder" in finished.stderr

    def test_an_earlier_quickstarts_folder_is_made_afresh(self, tmp_path: Path) -> None:
        from quickstart import prepare_folder

        folder = prepare_folder(tmp_path / "deep" / "out")
        (folder / "warehouse").mkdir()
        (folder / "warehouse" / "catalog.db").write_text("old")
        again = prepare_folder(tmp_path / "deep" / "out")
        assert again == folder
        assert [path.name for path in again.iterdir()] == [".quickstart"]


def run_script(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(QUICKSTART / "quickstart.py"), *arguments],
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "160", **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def finished_quickstart(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The whole example, run twice into one folder, since a second run has to work as the first did."""
    folder = tmp_path_factory.mktemp("quickstart") / "out"
    for _ in range(2):
        finished = run_script("--out", str(folder))
        assert finished.returncode == 0, finished.stdout + finished.stderr
    return folder, finished


def read_table(folder: Path, table: str) -> pa.Table:
    from quickstart import open_catalog

    return open_catalog(folder).load_table(table).scan().to_arrow()


class TestWholeQuickstart:
    """One run of the script, then the tables against what they were loaded from."""

    def test_every_table_holds_what_its_source_holds(
        self, finished_quickstart: tuple[Path, subprocess.CompletedProcess[str]]
    ) -> None:
        from bookshop import build_bookshop
        from make_data import PAGE_VIEWS, RATINGS, STOCK_MOVEMENTS, WAREHOUSES

        folder, _ = finished_quickstart
        shop = build_bookshop()
        expected = {
            "shop.products": len(shop.products),
            "shop.customers": len(shop.customers),
            "shop.orders": len(shop.orders),
            "shop.orders__lines": sum(len(order["lines"]) for order in shop.orders),
            "stock.warehouses": len(WAREHOUSES),
            "stock.stock_movements": STOCK_MOVEMENTS,
            "files.price_list": len(shop.products),
            "files.page_views": PAGE_VIEWS,
            "files.ratings": RATINGS,
        }
        assert {table: read_table(folder, table).num_rows for table in expected} == expected

    def test_one_load_is_one_snapshot(
        self, finished_quickstart: tuple[Path, subprocess.CompletedProcess[str]]
    ) -> None:
        from quickstart import open_catalog

        folder, _ = finished_quickstart
        catalog = open_catalog(folder)
        for name in ("shop.orders", "shop.orders__lines", "stock.stock_movements", "files.page_views"):
            snapshots = catalog.load_table(name).metadata.snapshots
            assert len(snapshots) == 1, name
            assert "floe-ingest.load-id" in (snapshots[0].summary or {}), name

    def test_database_rows_arrive_exactly(
        self, finished_quickstart: tuple[Path, subprocess.CompletedProcess[str]]
    ) -> None:
        folder, _ = finished_quickstart
        with closing(sqlite3.connect(folder / "inventory.db")) as connection:
            source = connection.execute(
                "SELECT movement_id, warehouse_code, sku, quantity, printf('%.2f', unit_cost), weight_kg, "
                "is_return, moved_on, recorded_at, note FROM stock_movements ORDER BY movement_id"
            ).fetchall()
        table = read_table(folder, "stock.stock_movements").sort_by("movement_id")
        landed = [
            (
                row["movement_id"],
                row["warehouse_code"],
                row["sku"],
                row["quantity"],
                str(row["unit_cost"]),
                row["weight_kg"],
                int(row["is_return"]),
                row["moved_on"].isoformat(),
                row["recorded_at"].strftime("%Y-%m-%d %H:%M:%S.%f"),
                row["note"],
            )
            for row in table.to_pylist()
        ]
        assert table.schema.field("unit_cost").type == pa.decimal128(10, 2)
        assert landed == source

    def test_files_arrive_exactly(
        self, finished_quickstart: tuple[Path, subprocess.CompletedProcess[str]]
    ) -> None:
        from bookshop import timestamp

        folder, _ = finished_quickstart
        source = pq.read_table(folder / "files" / "ratings.parquet").sort_by("rating_id").to_pylist()
        columns = list(source[0])
        landed = read_table(folder, "files.ratings").sort_by("rating_id").select(columns).to_pylist()
        assert landed == source

        with (folder / "files" / "page_views.jsonl").open(encoding="utf-8") as file:
            views = [json.loads(line) for line in file]
        landed_views = read_table(folder, "files.page_views").sort_by("view_id").to_pylist()
        assert [
            {key: timestamp(view[key]) if key == "viewed_at" else view[key] for key in views[0]}
            for view in landed_views
        ] == views

        with (folder / "files" / "price_list.csv").open(encoding="utf-8", newline="") as text:
            prices = list(csv.DictReader(text))
        landed_prices = read_table(folder, "files.price_list").sort_by("sku")
        assert landed_prices.schema.field("list_price").type == pa.decimal128(10, 2)
        assert landed_prices.schema.field("in_print").type == pa.bool_()
        assert landed_prices.schema.field("valid_from").type == pa.date32()
        assert [
            {key: str(row[key]).lower() if key == "in_print" else str(row[key]) for key in prices[0]}
            for row in landed_prices.to_pylist()
        ] == prices

    def test_the_query_gives_the_revenue_that_the_api_served(
        self, finished_quickstart: tuple[Path, subprocess.CompletedProcess[str]]
    ) -> None:
        from bookshop import build_bookshop
        from quickstart import REVENUE_BY_COUNTRY, open_catalog, run_report

        folder, finished = finished_quickstart
        orders: Counter[str] = Counter()
        books: Counter[str] = Counter()
        revenue: dict[str, Decimal] = {}
        for order in build_bookshop().orders:
            if order["status"] != "cancelled":
                country = order["shipping_address"]["country"]
                orders[country] += 1
                books[country] += sum(line["quantity"] for line in order["lines"])
                revenue[country] = revenue.get(country, Decimal(0)) + sum(
                    (line["quantity"] * Decimal(line["unit_price"]) for line in order["lines"]), Decimal(0)
                )

        columns, rows = run_report(REVENUE_BY_COUNTRY, open_catalog(folder))

        assert columns == ["country", "orders", "books", "revenue"]
        assert rows == [
            (country, orders[country], books[country], amount)
            for country, amount in sorted(revenue.items(), key=lambda item: item[1], reverse=True)
        ]
        for country, amount in revenue.items():
            assert any(country in line and f"{amount:,}" in line for line in finished.stdout.splitlines()), (
                country
            )

    def test_it_says_what_to_try_next_and_leaves_nothing_elsewhere(
        self, finished_quickstart: tuple[Path, subprocess.CompletedProcess[str]]
    ) -> None:
        folder, finished = finished_quickstart
        assert "rest_server.py" in finished.stdout
        assert "check " in finished.stdout
        assert "Best sellers" in finished.stdout
        assert [path.name for path in folder.parent.iterdir()] == ["out"]


def test_the_configuration_names_no_machine_and_no_secret() -> None:
    document = yaml.safe_load((QUICKSTART / "ingest.yaml").read_text(encoding="utf-8"))
    assert [source["name"] for source in document["sources"]] == ["shop", "stock", "files"]
    assert document["sources"][0]["source_config"]["client"]["base_url"] == "${QUICKSTART_API}"
    assert document["sources"][1]["source_config"]["url"] == "sqlite:///inventory.db"
    assert document["sources"][2]["source_config"]["path"] == "files"


def test_a_failed_load_is_the_scripts_exit_code(tmp_path: Path) -> None:
    """The command's own exit code comes through: here the limit on plugins leaves no source types."""
    finished = run_script("--out", str(tmp_path / "out"), FLOE_INGEST_PLUGINS="")
    assert finished.returncode == 2
    assert "rest_api" in finished.stderr
    assert "Revenue by country" not in finished.stdout
