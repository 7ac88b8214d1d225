"""Loads by other tools, side by side: each a process of its own, start included, into a new table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import scale
from bench.results import Target
from drivers import COLUMNS
from peering import Peers
from services.catalogs import iceberg_rest
from sqlalchemy.engine import make_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bench.measuring import Command

GROUP = "Loads beside other tools, whole processes"
_ROUNDS = 5
_NAMES = {"parquet": "Parquet", "csv": "CSV", "jsonl": "JSON lines"}


@pytest.fixture(scope="session")
def rest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    warehouse = tmp_path_factory.mktemp("rest")
    with iceberg_rest(warehouse=warehouse) as server:
        yield server.uri, warehouse


@pytest.fixture
def peers(rest: tuple[str, Path], tmp_path: Path) -> Peers:
    return Peers(tmp_path, *rest)


def file_source(file: Path) -> dict[str, Any]:
    return {
        "source_type": "filesystem",
        "source_config": {"path": str(file.parent), "file_glob": file.name},
        "write_mode": "append",
    }


def add_limit(peers: Peers, child: Callable[..., Command], kind: str, what: object) -> None:
    def make(lake: Path, _table: str) -> Command:
        return child(kind, what, lake)

    peers.add("limit", make)


def measure(peers: Peers, side_by_side: Any, title: str, targets: list[Target]) -> Any:
    works = peers.works(COLUMNS)
    return side_by_side(
        title,
        works,
        rounds=_ROUNDS,
        tables=peers.tables,
        columns=COLUMNS,
        targets=targets,
        missing=peers.missing,
    )


@pytest.mark.parametrize("kind", list(_NAMES))
def test_files(
    kind: str,
    lineitem: Path,
    as_text: Callable[[Path, str], Path],
    peers: Peers,
    side_by_side: Any,
    child: Any,
) -> None:
    """1.2 million rows; dlt by its best way, Arrow, since its default takes minutes."""
    file = lineitem if kind == "parquet" else as_text(lineitem, kind)
    job = {"file": str(file)}
    peers.add_ours(file_source(file))
    add_limit(peers, child, "limit" if kind == "parquet" else "text limit", file)
    peers.add_script("DuckDB", "duckdb_alone", job)
    peers.add_script("dlt, Arrow", "dlt_alone", {**job, "way": "arrow"})
    peers.add_script("dlt-iceberg, Arrow", "dlt_iceberg_alone", {**job, "way": "arrow"}, python="dlt-iceberg")
    peers.add_script("Daft", "daft_alone", job, python="daft")
    peers.add_script("Polars", "polars_alone", job, python="polars")
    peers.add_script("Ray", "ray_alone", job, python="ray")
    peers.add_spark(job)

    targets = [Target(measure="peak MB", most=450)]
    result = measure(peers, side_by_side, f"{_NAMES[kind]} by other tools, 1.2 million rows", targets)

    scale.check_at_most(result.ratio("ours", "limit"), 3)
    scale.check_at_most(result.sides["ours"].peak_mb, 400 if kind == "parquet" else 500)


@pytest.mark.parametrize("kind", list(_NAMES))
def test_small_files_by_default_dlt(
    kind: str,
    lineitem_slice: Callable[[int], Path],
    as_text: Callable[[Path, str], Path],
    peers: Peers,
    side_by_side: Any,
) -> None:
    """20,000 rows: dlt's own reader of files makes a Python object of each row."""
    parquet = lineitem_slice(scale.size(20_000, 2_000))
    file = parquet if kind == "parquet" else as_text(parquet, kind)
    peers.missing.clear()
    peers.add_ours(file_source(file))
    peers.add_script("dlt, default", "dlt_alone", {"file": str(file), "way": "default"}, python="dlt")

    result = measure(peers, side_by_side, f"{_NAMES[kind]} by dlt's default, 20,000 rows", [])

    if "dlt, default" in result.sides:
        scale.check_at_most(result.ratio("ours", "dlt, default"), 1)


_SCANNERS = {"postgresql": "postgres_scanner", "mariadb": "mysql_scanner", "sqlite": "sqlite_scanner"}
_DATABASES = {"postgresql": "PostgreSQL", "mariadb": "MariaDB", "sqlite": "SQLite"}


def attachment(url: str) -> str:
    """Return what DuckDB's scanners are told of a database."""
    parts = make_url(url)
    if parts.get_backend_name() == "sqlite":
        return str(parts.database)
    name = "dbname" if parts.get_backend_name() == "postgresql" else "database"
    words = [f"host={parts.host}", f"port={parts.port}", f"user={parts.username}", f"{name}={parts.database}"]
    if parts.password:
        quoted = str(parts.password).replace("\\", "\\\\").replace('"', '\\"').replace("'", "''")
        words.append(f'password="{quoted}"')
    return " ".join(words)


def plain_url(url: str) -> str:
    """Return a URL as ConnectorX, and what builds on it, takes it."""
    parts = make_url(url)
    shown = parts.set(drivername=parts.get_backend_name()).render_as_string(hide_password=False)
    return shown.replace("sqlite:///", "sqlite://").replace(" ", "%20")


@pytest.mark.parametrize("database", list(_DATABASES))
def test_databases(
    database: str, request: pytest.FixtureRequest, peers: Peers, side_by_side: Any, child: Any
) -> None:
    """1.2 million rows; dlt by its fast backends."""
    url = request.getfixturevalue(database)
    peers.add_ours(
        {
            "source_type": "sql_database",
            "source_config": {"url": url, "table": "lineitem", "shards": "auto"},
            "write_mode": "append",
        }
    )
    add_limit(peers, child, "database limit", url)
    scanner = {"scanner": _SCANNERS[database], "attach": attachment(url)}
    peers.add_script("DuckDB", "duckdb_alone", {"url": url, **scanner})
    peers.add_script("dlt, connectorx", "dlt_alone", {"url": url, "way": "connectorx"})
    peers.add_script("dlt, pyarrow", "dlt_alone", {"url": url, "way": "pyarrow"})
    job = {"url": url, "way": "connectorx"}
    peers.add_script("dlt-iceberg, connectorx", "dlt_iceberg_alone", job, python="dlt-iceberg")
    peers.add_script("Daft", "daft_alone", {"url": plain_url(url)}, python="daft")
    peers.add_script("Polars", "polars_alone", {"url": plain_url(url)}, python="polars")
    peers.missing["Ray"] = "reads databases as Python rows"
    peers.missing["Spark"] = "needs a JDBC driver of each database; one thread reads a table"

    title = f"{_DATABASES[database]} by other tools, 1.2 million rows"
    result = measure(peers, side_by_side, title, [Target(measure="peak MB", most=450)])

    scale.check_at_most(result.ratio("ours", "limit"), 3)


def test_ten_rows(lineitem_slice: Callable[[int], Path], peers: Peers, side_by_side: Any, child: Any) -> None:
    """What each tool's process costs, whatever it loads."""
    file = lineitem_slice(10)
    job = {"file": str(file)}
    peers.add_ours(file_source(file))
    add_limit(peers, child, "limit", file)
    peers.add_script("DuckDB", "duckdb_alone", job)
    peers.add_script("dlt, default", "dlt_alone", {**job, "way": "default"}, python="dlt")
    peers.add_script("dlt-iceberg, Arrow", "dlt_iceberg_alone", {**job, "way": "arrow"}, python="dlt-iceberg")
    peers.add_script("Daft", "daft_alone", job, python="daft")
    peers.add_script("Polars", "polars_alone", job, python="polars")

    result = measure(peers, side_by_side, "Ten rows by other tools", [])

    if "dlt, default" in result.sides:
        scale.check_at_most(result.ratio("ours", "dlt, default"), 1.2)
