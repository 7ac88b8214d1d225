"""Shards of a table over a real MariaDB: each row once, in one view, and writers wait for a moment alone."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pymysql
import pytest
from services.databases import LOGIN, PASSWORD
from sources_support import items_of, landed, left_open, request_for
from structlog.testing import capture_logs

from floe_ingest import SourceConfigurationError, SourceConnectionError
from floe_ingest_sources import sql_database
from floe_ingest_sources.sql_database import SqlDatabaseConfig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from services.together import Services

ROWS = 20_000
OTHERS = f"SELECT id FROM information_schema.processlist WHERE user = '{LOGIN}' AND id <> connection_id()"
ACCOUNTS = (
    "CREATE TABLE accounts (id bigint PRIMARY KEY, day date, money decimal(20,2)) ENGINE InnoDB",
    f"INSERT INTO accounts SELECT seq, '2024-01-01' + INTERVAL seq DIV 100 DAY, 10 FROM seq_1_to_{ROWS}",
    "ANALYZE TABLE accounts",
)


@pytest.fixture
def bank(services: Services) -> Iterator[Any]:
    """A connection to a database of its own; no other may be left open."""
    server = services.mariadb
    connection = connected(server.port)
    execute(connection, "DROP DATABASE shop", "CREATE DATABASE shop CHARACTER SET utf8mb4", "USE shop")
    yield connection
    others = left_open(lambda: execute(connection, OTHERS))
    connection.close()
    assert not others


def connected(port: int) -> Any:
    return pymysql.connect(
        host="127.0.0.1", port=port, user=LOGIN, password=PASSWORD, database="shop", autocommit=True
    )


def execute(connection: Any, *statements: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())


def read(services: Services, tmp_path: Path, **config: Any) -> Any:
    full = SqlDatabaseConfig.model_validate({"url": services.mariadb.url(), **config})
    return sql_database.floe_ingest_build_source(request_for("sql_database", full, tmp_path))


@contextmanager
def transfers(port: int) -> Iterator[list[int]]:
    """Move money from one account to another, as often as it goes; yield a list with an item for each."""
    done: list[int] = []
    stopped = Event()

    def work() -> None:
        connection = connected(port)
        while not stopped.is_set():
            low, high = len(done) % (ROWS // 2) + 1, ROWS - len(done) % (ROWS // 2)
            execute(
                connection,
                "START TRANSACTION",
                f"UPDATE accounts SET money = money - 1000 WHERE id = {low}",
                f"UPDATE accounts SET money = money + 1000 WHERE id = {high}",
                "COMMIT",
            )
            done.append(low)
        connection.close()

    thread = Thread(target=work)
    thread.start()
    try:
        yield done
    finally:
        stopped.set()
        thread.join()


@pytest.mark.parametrize("backend", ["auto", "connectorx", "sqlalchemy"])
def test_shards_have_each_row_once_in_one_view(
    bank: Any, services: Services, tmp_path: Path, backend: str
) -> None:
    execute(bank, *ACCOUNTS)
    config = {"table": "accounts", "shards": 3, "backend": backend, "batch_rows": 500}
    with transfers(services.mariadb.port) as done, capture_logs() as logs:
        for _ in range(3):
            before = len(done)
            table = landed(read(services, tmp_path, **config))["accounts"]
            assert len(done) > before  # money was moved while it was read
            assert sorted(table["id"].to_pylist()) == list(range(1, ROWS + 1))
            assert sum(table["money"].to_pylist()) == 10 * ROWS
    reader = "SQLAlchemy" if backend == "sqlalchemy" else "ConnectorX"
    assert {(entry["event"], entry["reason"]) for entry in logs} == {
        (f"read by {reader} in 3 shards", "by ranges of id")
    }


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("bigint", "seq"),
        ("bigint", "IF(seq < 1900, seq, seq * 1000000000000)"),
        ("bigint unsigned", "18446744073709551615 - seq"),
        ("decimal(20,3)", "seq / 1000"),
        ("date", "'2024-01-01' + INTERVAL seq DAY"),
        ("datetime(6)", "'2024-01-01' + INTERVAL seq * 1000001 MICROSECOND"),
        ("timestamp(6) NULL", "'2024-01-01' + INTERVAL seq HOUR"),
        ("int", "7"),
        ("int", "NULL"),
    ],
)
@pytest.mark.parametrize("indexed", [True, False])
def test_every_kind_of_column_splits(
    bank: Any, services: Services, tmp_path: Path, kind: str, values: str, indexed: bool
) -> None:
    execute(
        bank,
        f"CREATE TABLE `ev%ery` (id int, `k %` {kind}, n int)",
        f"INSERT INTO `ev%ery` SELECT seq, {values}, 1 FROM seq_1_to_2000",
        "INSERT INTO `ev%ery` VALUES (2001, NULL, 1)",
        "CREATE INDEX k ON `ev%ery` (`k %`)" if indexed else "SELECT 1",
    )
    config: dict[str, Any] = {"table": "ev%ery", "shards": 4, "shard_column": "k %", "where": "n % 2 = 1"}
    table = landed(read(services, tmp_path, **config))["ev%ery"]
    assert sorted(table["id"].to_pylist()) == list(range(1, 2002))


def test_what_cannot_be_split(bank: Any, services: Services, tmp_path: Path) -> None:
    execute(
        bank,
        "CREATE TABLE old (id int PRIMARY KEY) ENGINE Aria",
        "INSERT INTO old VALUES (1)",
        "CREATE VIEW seen AS SELECT * FROM old",
    )
    for table in ("old", "seen"):
        config: dict[str, Any] = {"table": table, "shard_column": "id"}
        with pytest.raises(SourceConfigurationError, match="only a table of InnoDB has consistent snapshots"):
            landed(read(services, tmp_path, **config, shards=2))
        with capture_logs() as logs:
            assert landed(read(services, tmp_path, **config, shards="auto"))[table].num_rows == 1
        assert [entry["event"] for entry in logs] == ["not split into shards", "read by ConnectorX"]


def test_a_long_write_transaction_is_not_waited_for_for_long(
    bank: Any, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(bank, *ACCOUNTS)
    monkeypatch.setattr("floe_ingest_sources.sql_database.shards.ROWS_OF_A_SHARD", 1000)
    monkeypatch.setattr("floe_ingest_sources.sql_database.views._LOCK_SECONDS", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    writer = connected(services.mariadb.port)
    execute(writer, "START TRANSACTION", "UPDATE accounts SET money = 0 WHERE id = 1")
    with pytest.raises(SourceConnectionError, match="Lock wait timeout exceeded"):
        landed(read(services, tmp_path, table="accounts", shards=2))
    with capture_logs() as logs:
        table = landed(read(services, tmp_path, table="accounts", shards="auto"))["accounts"]
    assert sum(table["money"].to_pylist()) == 10 * ROWS
    assert [entry["event"] for entry in logs] == [
        "read by ConnectorX in 2 shards",
        "reading by shards failed; one reader is taken",
        "read by ConnectorX",
    ]
    writer.rollback()
    writer.close()


def test_without_the_privilege_to_lock_auto_takes_one_reader(
    bank: Any, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(
        bank,
        *ACCOUNTS,
        "CREATE OR REPLACE USER reader@'127.0.0.1'",
        "GRANT SELECT ON shop.* TO reader@'127.0.0.1'",
    )
    monkeypatch.setattr("floe_ingest_sources.sql_database.shards.ROWS_OF_A_SHARD", 1000)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    url = services.mariadb.url(user="reader", password=None)
    with capture_logs() as logs:
        table = landed(read(services, tmp_path, url=url, table="accounts", shards="auto"))["accounts"]
    assert table.num_rows == ROWS
    assert "Access denied" in logs[1]["reason"]


def test_a_reader_that_is_given_up_leaves_no_connection(
    bank: Any, services: Services, tmp_path: Path
) -> None:
    execute(bank, *ACCOUNTS)
    items = items_of(read(services, tmp_path, table="accounts", shards=3, batch_rows=100))
    next(items)
    items.close()  # the fixture fails if a connection is left
