"""The quickstart: makes data, serves an API, loads everything into Iceberg tables, and queries them.

It runs the real command, ``floe-ingest run ingest.yaml``, as you would. Everything it writes lies in one
folder, ``examples/quickstart/.out`` unless ``--out`` says otherwise, and is made afresh each time.

    make quickstart
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bookshop import build_bookshop
from make_data import write_data
from rest_server import serving

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from rich.console import Console

HERE = Path(__file__).resolve().parent
MARKER = ".quickstart"
"""Tells that a folder is the quickstart's own, which it may delete."""


class QuickstartError(Exception):
    """The quickstart cannot begin; the text says what to change."""


@dataclass(frozen=True, slots=True)
class Report:
    """A query over loaded tables.

    Arguments:
        title: what it tells.
        tables: the Iceberg table behind each name in the query.
        query: DuckDB SQL.
    """

    title: str
    tables: dict[str, str]
    query: str


REVENUE_BY_COUNTRY = Report(
    title="Revenue by country (REST API)",
    tables={"orders": "shop.orders", "lines": "shop.orders__lines"},
    query="""
        SELECT orders.shipping_address__country AS country,
               count(DISTINCT orders.order_id) AS orders,
               sum(lines.quantity)::BIGINT AS books,
               sum(lines.quantity * lines.unit_price::DECIMAL(10, 2)) AS revenue
        FROM orders JOIN lines ON lines._dlt_parent_id = orders._dlt_id
        WHERE orders.status <> 'cancelled'
        GROUP BY ALL ORDER BY revenue DESC
    """,
)
BEST_SELLERS = Report(
    title="Best sellers, from API, database and files",
    tables={
        "prices": "files.price_list",
        "lines": "shop.orders__lines",
        "movements": "stock.stock_movements",
        "ratings": "files.ratings",
    },
    query="""
        WITH sold AS (SELECT sku, sum(quantity)::BIGINT AS sold FROM lines GROUP BY sku),
             stock AS (SELECT sku, sum(quantity)::BIGINT AS in_stock FROM movements GROUP BY sku),
             rated AS (SELECT sku, round(avg(stars), 2) AS stars FROM ratings GROUP BY sku)
        SELECT prices.title, prices.list_price, sold.sold, stock.in_stock, rated.stars
        FROM prices JOIN sold USING (sku) JOIN stock USING (sku) JOIN rated USING (sku)
        ORDER BY sold.sold DESC, prices.title LIMIT 8
    """,
)


def prepare_folder(folder: Path) -> Path:
    """Make the folder, empty but for its marker, and return it as an absolute path.

    Raises:
        QuickstartError: it holds something that no quickstart put there; nothing is deleted then.
    """
    folder = folder.resolve()
    if folder.exists():
        if not folder.is_dir():
            raise QuickstartError(f"{folder} is a file; --out needs a folder")
        if any(folder.iterdir()) and not (folder / MARKER).is_file():
            raise QuickstartError(f"{folder} is not empty and not a quickstart's; give another --out")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARKER).touch()
    return folder


def run_command(config: Path, api: str) -> int:
    """Run ``floe-ingest run`` on a configuration, its output going where ours goes; return its exit code.

    Raises:
        QuickstartError: floe-ingest is not installed in this Python environment.
    """
    command = shutil.which("floe-ingest", path=sysconfig.get_path("scripts"))
    if command is None:
        raise QuickstartError(f"floe-ingest is not installed for {sys.executable}; try: make quickstart")
    finished = subprocess.run(
        [command, "run", str(config)],
        env={**os.environ, "QUICKSTART_API": api},
        cwd=config.parent,
        check=False,
    )
    return finished.returncode


def open_catalog(folder: Path) -> Catalog:
    """Open the default catalog of a configuration in this folder, as any other Iceberg reader would."""
    from pyiceberg.catalog import load_catalog

    warehouse = folder / "warehouse"
    return load_catalog(
        "default", type="sql", uri=f"sqlite:///{warehouse / 'catalog.db'}", warehouse=warehouse.as_uri()
    )


def run_report(report: Report, catalog: Catalog) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Run a report's query in DuckDB over what pyiceberg reads; return the columns' names and the rows."""
    import duckdb

    with duckdb.connect() as connection:
        for name, table in report.tables.items():
            connection.register(name, catalog.load_table(table).scan().to_arrow())
        result = connection.execute(report.query)
        return [column[0] for column in result.description or ()], result.fetchall()


def print_report(console: Console, title: str, columns: list[str], rows: list[tuple[Any, ...]]) -> None:
    """Print a report's rows as a table, numbers to the right."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for position, column in enumerate(columns):
        text = any(isinstance(row[position], str) for row in rows)
        table.add_column(column.replace("_", " "), justify="left" if text else "right")
    for row in rows:
        table.add_row(*(value if isinstance(value, str) else f"{value:,}" for value in row))
    console.print(table)


def shown(path: str | Path) -> str:
    """Return a path as one would type it in a shell here: relative where it is below this folder."""
    relative = os.path.relpath(path)
    return shlex.quote(str(path) if relative.startswith(os.pardir) else relative)


def print_next_steps(console: Console, config: Path) -> None:
    """Say what to do with what is there now."""
    command = shown(Path(sysconfig.get_path("scripts")) / "floe-ingest")
    console.print("\nThe tables are plain Iceberg; any reader opens them. To go on:")
    for purpose, line in (
        (
            "serve the API again, in another terminal",
            f"{shown(sys.executable)} {shown(HERE / 'rest_server.py')}",
        ),
        ("tell where it is", "export QUICKSTART_API=http://127.0.0.1:8642"),
        ("look at every source without loading", f"{command} check {shown(config)}"),
        ("change the configuration and load one source", f"{command} run {shown(config)} --source files"),
    ):
        console.print(f"  # {purpose}", style="dim", highlight=False, soft_wrap=True)
        console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)


def run_quickstart(folder: Path, console: Console) -> int:
    """Run the whole example in a folder; return the exit code of ``floe-ingest run``."""
    folder = prepare_folder(folder)
    shop = build_bookshop()
    console.print(f"Writing a database and files to {shown(folder)}", soft_wrap=True)
    write_data(folder, shop)
    config = Path(shutil.copy(HERE / "ingest.yaml", folder))
    with serving(shop) as api:
        console.print(f"Serving the bookshop's API at {api}")
        console.print(f"$ floe-ingest run {shown(config)}", style="bold", soft_wrap=True)
        exit_code = run_command(config, api)
    if exit_code:
        return exit_code
    catalog = open_catalog(folder)
    for report in (REVENUE_BY_COUNTRY, BEST_SELLERS):
        print_report(console, report.title, *run_report(report, catalog))
    print_next_steps(console, config)
    return 0


def main() -> int:
    """Read the command line and run; 0 where everything was loaded."""
    from rich.console import Console

    parser = argparse.ArgumentParser(description="Load a bookshop into Iceberg tables and query them.")
    parser.add_argument(
        "--out", type=Path, default=HERE / ".out", help="where everything goes (default: beside this script)"
    )
    arguments = parser.parse_args()
    try:
        return run_quickstart(arguments.out, Console())
    except QuickstartError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
