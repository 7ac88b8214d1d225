"""Writes the quickstart's database and files: an SQLite database, and a CSV, a JSONL and a Parquet file.

The data depends on the seed alone. By itself:

    python examples/quickstart/make_data.py some-folder
"""

from __future__ import annotations

import argparse
import csv
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from bookshop import OPENING, SEED, Bookshop, build_bookshop, seeded, timestamp

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

STOCK_MOVEMENTS = 20_000
PAGE_VIEWS = 6_000
RATINGS = 3_000

WAREHOUSES = (
    ("LEJ1", "Leipzig Süd", "DE", "2012-03-01", 8_450.5, True),
    ("UTR1", "Utrecht", "NL", "2016-09-15", 5_120.0, True),
    ("LYS2", "Lyon Est", "FR", "2019-01-07", 3_975.25, False),
    ("TRN1", "Torino Nord", "IT", "2023-06-30", 2_210.75, False),
)
INVENTORY_SCHEMA = """
CREATE TABLE warehouses (
    code          TEXT    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    country       TEXT    NOT NULL,
    opened_on     DATE    NOT NULL,
    floor_area_m2 REAL    NOT NULL,
    is_automated  BOOLEAN NOT NULL
);
CREATE TABLE stock_movements (
    movement_id    INTEGER        NOT NULL PRIMARY KEY,
    warehouse_code TEXT           NOT NULL REFERENCES warehouses (code),
    sku            TEXT           NOT NULL,
    quantity       INTEGER        NOT NULL,
    unit_cost      DECIMAL(10, 2) NOT NULL,
    weight_kg      REAL           NOT NULL,
    is_return      BOOLEAN        NOT NULL,
    moved_on       DATE           NOT NULL,
    recorded_at    TIMESTAMP      NOT NULL,
    note           TEXT
);
"""
NOTES = (None, None, None, "counted twice", "box damaged", "für die Buchmesse")
REFERRERS = (None, None, "https://search.example", "https://newsletter.example/issue/7")


@dataclass(frozen=True, slots=True)
class QuickstartData:
    """Where the data was written."""

    database: Path
    price_list: Path
    page_views: Path
    ratings: Path


def write_data(folder: Path, shop: Bookshop, *, seed: int = SEED) -> QuickstartData:
    """Write ``inventory.db`` and ``files/`` into a folder.

    Arguments:
        folder: is made where it does not exist. What an earlier call wrote is replaced.
        shop: whose books and customers the data is about.
        seed: the same seed gives the same rows.

    Raises:
        OSError: the folder cannot be written.
    """
    files = folder / "files"
    files.mkdir(parents=True, exist_ok=True)
    data = QuickstartData(
        folder / "inventory.db",
        files / "price_list.csv",
        files / "page_views.jsonl",
        files / "ratings.parquet",
    )
    write_inventory(data.database, shop, seeded(seed, "inventory"))
    write_price_list(data.price_list, shop, seeded(seed, "price list"))
    write_page_views(data.page_views, shop, seeded(seed, "page views"))
    write_ratings(data.ratings, shop, seeded(seed, "ratings"))
    return data


def write_inventory(path: Path, shop: Bookshop, rng: random.Random) -> None:
    """Write the warehouse database: two tables with the column types that databases have."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(INVENTORY_SCHEMA)
        connection.executemany("INSERT INTO warehouses VALUES (?, ?, ?, ?, ?, ?)", WAREHOUSES)
        connection.executemany(
            "INSERT INTO stock_movements VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _stock_movements(shop, rng)
        )


def _stock_movements(shop: Bookshop, rng: random.Random) -> Iterator[tuple[object, ...]]:
    recorded = datetime(2024, 11, 1, 6, 0, tzinfo=UTC)
    for number in range(1, STOCK_MOVEMENTS + 1):
        recorded += timedelta(seconds=rng.randrange(1, 1_500), microseconds=rng.randrange(1_000_000))
        is_return = rng.random() < 0.04
        incoming = is_return or rng.random() < 0.35
        yield (
            number,
            rng.choice(WAREHOUSES)[0],
            rng.choice(shop.products)["sku"],
            rng.randrange(1, 3) if is_return else rng.randrange(4, 60) if incoming else -rng.randrange(1, 24),
            # SQLite keeps a DECIMAL as a float; the cents come back exactly at the declared scale.
            rng.randrange(310, 2_450) / 100,
            rng.randrange(120, 1_900) / 1_000,
            is_return,
            recorded.date().isoformat(),
            recorded.strftime("%Y-%m-%d %H:%M:%S.%f"),
            rng.choice(NOTES),
        )


def write_price_list(path: Path, shop: Bookshop, rng: random.Random) -> None:
    """Write the price list as CSV: titles with commas, quotes and letters beyond ASCII."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["sku", "title", "author", "list_price", "valid_from", "in_print"])
        for book in shop.products:
            valid_from = date(2025, 1, 1) + timedelta(days=rng.randrange(180))
            in_print = "true" if rng.random() < 0.9 else "false"
            writer.writerow(
                [book["sku"], book["title"], book["author"], book["price"], valid_from.isoformat(), in_print]
            )


def write_page_views(path: Path, shop: Bookshop, rng: random.Random) -> None:
    """Write the web site's page views as JSON lines."""
    viewed = OPENING + timedelta(days=150)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for number in range(1, PAGE_VIEWS + 1):
            viewed += timedelta(seconds=rng.randrange(1, 90))
            view = {
                "view_id": number,
                "session": f"{rng.getrandbits(64):016x}",
                "path": f"/books/{rng.choice(shop.products)['sku']}",
                "referrer": rng.choice(REFERRERS),
                "device": rng.choice(("phone", "phone", "desktop", "tablet")),
                "seconds_on_page": round(rng.uniform(0.5, 240), 2),
                "viewed_at": timestamp(viewed),
            }
            file.write(json.dumps(view, ensure_ascii=False) + "\n")


def write_ratings(path: Path, shop: Bookshop, rng: random.Random) -> None:
    """Write the customers' ratings as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            pa.field("rating_id", pa.int64(), nullable=False),
            pa.field("sku", pa.string()),
            pa.field("customer_id", pa.int64()),
            pa.field("stars", pa.int32()),
            pa.field("helpful_share", pa.decimal128(4, 3)),
            pa.field("rated_at", pa.timestamp("us", tz="UTC")),
            pa.field("verified", pa.bool_()),
        ]
    )
    rated = OPENING + timedelta(days=130)
    rows = []
    for number in range(1, RATINGS + 1):
        rated += timedelta(seconds=rng.randrange(1, 3_600))
        rows.append(
            {
                "rating_id": number,
                "sku": rng.choice(shop.products)["sku"],
                "customer_id": rng.choice(shop.customers)["customer_id"],
                "stars": rng.choice((1, 2, 3, 4, 4, 5, 5, 5)),
                "helpful_share": Decimal(rng.randrange(1_001)) / 1_000 if rng.random() < 0.7 else None,
                "rated_at": rated,
                "verified": rng.random() < 0.8,
            }
        )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def main() -> int:
    """Write the data into the folder given on the command line."""
    parser = argparse.ArgumentParser(description="Write the quickstart's database and files.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the generated data (default: {SEED})")
    arguments = parser.parse_args()
    write_data(arguments.folder, build_bookshop(seed=arguments.seed), seed=arguments.seed)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
