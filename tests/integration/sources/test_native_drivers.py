"""SQL Server and Oracle: what can be tested of them without a server."""

from __future__ import annotations

import datetime as dt
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from sources_support import landed, request_for

from floe_ingest import (
    CursorWindow,
    MissingPackageError,
    SchemaError,
    SourceConfigurationError,
    SourceConnectionError,
)
from floe_ingest_sources import sql_database
from floe_ingest_sources.sql_database import SqlDatabaseConfig, native
from floe_ingest_sources.sql_database.drivers import exact
from floe_ingest_sources.sql_database.relation import Relation
from floe_ingest_sources.sql_database.types import ColumnPlan
from floe_ingest_sources.sql_database.urls import database_of
from floe_ingest_sources.sql_database.windows import narrow_statement

if TYPE_CHECKING:
    from pathlib import Path

    from floe_ingest import SourceRequest

ORACLE = "oracle://loader:s3cret@127.0.0.1:1/?service_name=shop"


def request(tmp_path: Path, url: str, **config: Any) -> SourceRequest:
    full = SqlDatabaseConfig.model_validate({"url": url, "table": "orders", **config})
    return request_for("sql_database", full, tmp_path)


def relation(**kinds: str) -> Relation:
    import sqlalchemy

    columns = [sqlalchemy.column(name) for name in kinds]
    statement = sqlalchemy.select(*columns).select_from(sqlalchemy.table("orders", *columns))
    plans = tuple(ColumnPlan(name, kind, "", "", "") for name, kind in kinds.items())
    return Relation("orders", "table orders", "orders", plans, statement=statement)


@pytest.mark.parametrize(
    ("url", "module", "pip"),
    [
        ("mssql://sa:s3cret@127.0.0.1/shop", "mssql_python", "pip install mssql-python"),
        (ORACLE, "oracledb", "pip install oracledb"),
    ],
)
@pytest.mark.parametrize("backend", ["auto", "arrow"])
def test_a_missing_driver_is_named_with_its_pip_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, module: str, pip: str, backend: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingPackageError, match=pip) as caught:
        landed(sql_database.floe_ingest_build_source(request(tmp_path, url, backend=backend)))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("backend", ["auto", "arrow"])
def test_a_server_that_does_not_answer_is_a_connection_error(tmp_path: Path, backend: str) -> None:
    asked = request(tmp_path, ORACLE, backend=backend)
    with pytest.raises(
        SourceConnectionError, match=r"Oracle database .* cannot be opened: DPY-6005"
    ) as caught:
        landed(sql_database.floe_ingest_build_source(asked))
    assert "s3cret" not in str(caught.value)
    with pytest.raises(SourceConnectionError, match="cannot be opened"):
        sql_database.floe_ingest_check_source(asked)


@pytest.mark.parametrize(
    ("url", "kinds", "words"),
    [
        ("mysql://u@h/d", {"id": "BIGINT"}, "it is for SQL Server and Oracle"),
        ("mssql+pyodbc://u@h/d", {"id": "BIGINT"}, r"begin the URL by mssql\+mssqlpython://"),
        (ORACLE, {}, "only the values of a query tell its types"),
        (ORACLE, {"id": "BIGINT", "n": "DECIMAL(38,9)", "z": "TIMESTAMPTZ"}, "the types of n, z leave open"),
    ],
)
def test_what_it_cannot_read_is_refused(tmp_path: Path, url: str, kinds: dict[str, str], words: str) -> None:
    with pytest.raises(SourceConfigurationError, match=f"backend: arrow cannot read table orders.*{words}"):
        native.check_serves(database_of(request(tmp_path, url)), relation(**kinds))


def test_the_select_that_is_sent_has_its_bounds_as_parameters() -> None:
    import sqlalchemy
    from sqlalchemy.dialects import mssql, oracle

    asked = relation(id="BIGINT", at="TIMESTAMP")
    moment = dt.datetime(2024, 1, 2, 3, 4, 5)
    narrow = narrow_statement(asked.statement, asked, CursorWindow("at", start=moment))
    for dialect, mark in (
        (oracle.dialect(), ":param_1"),
        (mssql.dialect(paramstyle="pyformat"), "%(param_1)s"),
    ):
        with sqlalchemy.create_engine("sqlite://").connect() as connection:
            connection.dialect = dialect  # nothing is sent: the statement is compiled alone
            text, parameters = native.statement_of(
                connection, Relation("orders", "", "", asked.plans, statement=narrow)
            )
        assert mark in text
        assert list(parameters.values()) == [moment]


def test_batches_are_cast_strictly() -> None:
    asked = relation(id="BIGINT", total="DECIMAL(10,2)", name="VARCHAR", at="TIMESTAMP")
    moment = dt.datetime(2024, 1, 2, 3, 4, 5)
    batch = pa.record_batch(
        {
            "ID": pa.array([1], pa.int32()),
            "TOTAL": pa.array([Decimal("1.250")], pa.decimal128(38, 3)),
            "NAME": pa.array(["é"], pa.large_string()),
            "AT": pa.array([moment], pa.timestamp("ns")),
        }
    )
    assert exact(batch, asked).to_pylist() == [{"id": 1, "total": Decimal("1.25"), "name": "é", "at": moment}]
    for wrong in (pa.array([Decimal("1.255")]), pa.array([1.25], pa.float64())):
        with pytest.raises(SchemaError, match="total"):
            exact(
                pa.record_batch([batch["ID"], wrong, batch["NAME"], batch["AT"]], batch.schema.names), asked
            )


def test_a_frame_of_the_oracle_driver_is_arrow() -> None:
    import oracledb

    frame = oracledb.from_arrow(pa.table({"ID": pa.array([1, 2], pa.int64())}))
    assert pa.table(frame).to_pydict() == {"ID": [1, 2]}
