"""Reads a configured database: which relations, and by which reader each."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any

import structlog

from floe_ingest import (
    BulkScan,
    FoundResource,
    SourceCheck,
    SourceConfigurationError,
    cursor_window,
)
from floe_ingest_sources._resources import listed, source_of
from floe_ingest_sources._sql import literal, select_from
from floe_ingest_sources.sql_database import drivers, duckdb_file, generic, mysql, postgres, shards, sqlite
from floe_ingest_sources.sql_database.config import is_pattern
from floe_ingest_sources.sql_database.relation import Relation
from floe_ingest_sources.sql_database.streams import (
    by_arrow,
    by_driver,
    by_shards,
    by_sqlalchemy,
    in_bulk,
    speaking,
)
from floe_ingest_sources.sql_database.types import nan_guard
from floe_ingest_sources.sql_database.urls import ATTACHED, TIMEOUT_SECONDS, Database, database_of
from floe_ingest_sources.sql_database.windows import cursor_plan, narrow_statement, postgres_condition

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from dlt.common.schema.typing import TColumnSchema
    from sqlalchemy import Connection

    from floe_ingest import CursorWindow, SourceRequest
    from floe_ingest_sources.sql_database.config import SqlDatabaseConfig

_DIALECTS: dict[str, Any] = {
    "postgresql": postgres,
    "sqlite": sqlite,
    "mysql": mysql,
    "duckdb": duckdb_file,
    "other": generic,
}
_log = structlog.get_logger(__name__)


def build(request: SourceRequest) -> Any:
    """Return the dlt source of a request; see the hook."""
    config: SqlDatabaseConfig = request.config
    database = database_of(request)
    # One copy for all tables, so that they are of one moment too.
    read = cache(
        lambda: sqlite.at_rest(database, request.work_folder) if database.kind == "sqlite" else database
    )
    if config.query is not None:
        return source_of(request.name, [_resource(request, read, request.name)])
    names = config.names
    if names is None or config.patterns:
        with speaking(database, "listing its tables"), database.connect() as connection:
            names = _names(connection, database, config)
    return source_of(request.name, [_resource(request, read, name) for name in dict.fromkeys(names)])


def check(request: SourceRequest) -> SourceCheck:
    """Return what was found; see the hook."""
    config: SqlDatabaseConfig = request.config
    database = database_of(request)
    with speaking(database, "the check"), database.connect() as connection:
        if database.kind == "postgresql":
            postgres.bound(connection, TIMEOUT_SECONDS)
        if config.query is not None:
            names: tuple[str, ...] = (request.name,)
        else:
            names = _names(connection, database, config)
        found = tuple(_found(connection, database, config, name) for name in names)
    return SourceCheck(found, f"connected to {database.label}")


def _names(connection: Connection, database: Database, config: SqlDatabaseConfig) -> tuple[str, ...]:
    """Return the tables that are meant: those that are named, those that patterns match, or all."""
    if config.names is not None and not config.patterns:
        return config.names
    known = _all_tables(connection, database, config)
    if config.names is None:
        return tuple(known)
    found: list[str] = []
    for name in config.names:
        matching = [table for table in known if fnmatchcase(table, name.replace("[", "[[]"))]
        if is_pattern(name) and name not in known:
            if not matching:
                raise SourceConfigurationError(
                    f"tables: no table of {database.label} matches {name!r}. There are: {listed(known)}"
                )
            found += matching
        else:
            found.append(name)
    return tuple(dict.fromkeys(found))


def _all_tables(connection: Connection, database: Database, config: SqlDatabaseConfig) -> list[str]:
    names: list[str] = _DIALECTS[database.kind].table_names(
        connection, database, config.db_schema, views=False
    )
    if not names:
        raise SourceConfigurationError(
            f"{database.label} has no tables{f' in schema {config.db_schema}' if config.db_schema else ''}"
        )
    for field, value in (("columns", config.columns), ("where", config.where)):
        for table in value if isinstance(value, dict) else ():
            if table not in names:
                raise SourceConfigurationError(f"{field}: {database.label} has no table {table!r}")
    return names


def _resource(request: SourceRequest, database: Callable[[], Database], name: str) -> Any:
    import dlt

    def rows() -> Iterator[Any]:
        yield from _items(request, database(), name)

    return dlt.resource(rows, name=name)


def _items(request: SourceRequest, database: Database, name: str) -> Iterator[Any]:
    config: SqlDatabaseConfig = request.config
    window = cursor_window(request, name)
    with speaking(database, f"reading {name}"), database.connect() as connection:
        relation = _reflect(connection, database, config, name)
        _hint(relation, with_key=not request.primary_key)
        if window is not None:
            first = window.start == cursor.initial_value if (cursor := request.cursor_of(name)) else False
            relation = _narrowed(connection, database, relation, window, first=first)
        if database.kind == "sqlite":
            relation = sqlite.look_at_values(connection, relation)
        pieces, column = _split(connection, database, config, relation)
    # The connection is closed before another reader opens its own.
    if len(pieces) > 1:
        items = by_shards(pieces, column, database, config, lambda: _whole(database, config, relation))
    else:
        items = _whole(database, config, relation)
    yield from in_bulk(items, f"{relation.origin} of {database.label}")


def _split(
    connection: Connection, database: Database, config: SqlDatabaseConfig, relation: Relation
) -> tuple[tuple[Relation, ...], str]:
    """Return the shards that several connections read; none where one does, or DuckDB has several itself."""
    if config.shards in (None, 1) or _whole_is_parallel(database, config, relation):
        return (), ""
    if config.backend == "duckdb":
        if config.shards == "auto":
            return (), ""
        raise SourceConfigurationError(
            f"shards: backend: duckdb reads {relation.origin} over one connection; write backend: auto"
        )
    found, said = shards.split(connection, _DIALECTS[database.kind], config, relation)
    if config.shards == "auto" and len(found) < 2:
        reason = said if not found else f"column {said} has one value"
        _log.info("not split into shards", table=relation.name, database=database.label, reason=reason)
    return found, said


def _whole_is_parallel(database: Database, config: SqlDatabaseConfig, relation: Relation) -> bool:
    """Return whether DuckDB reads a relation by itself, over as many connections as there are shards."""
    if config.backend not in ("auto", "duckdb") or _reasons(database, relation):
        return False
    return _blocked(database, relation, ()) is None


def _whole(database: Database, config: SqlDatabaseConfig, relation: Relation) -> Generator[Any]:
    if config.backend == "arrow":
        yield from by_arrow(database, config, relation)
        return
    driver = drivers.chosen(config.backend, database, relation)
    if driver is not None:
        yield from by_driver(
            *driver, database, config, relation, lambda: _undriven(database, config, relation)
        )
    else:
        yield from _undriven(database, config, relation)


def _undriven(database: Database, config: SqlDatabaseConfig, relation: Relation) -> Iterator[Any]:
    """Read by DuckDB where it brings a relation exactly, and by SQLAlchemy elsewhere."""
    scan = _scan(database, config, relation)
    if scan is not None:
        yield scan
    else:
        yield from by_sqlalchemy(database, config, relation)


def _narrowed(
    connection: Connection, database: Database, relation: Relation, window: CursorWindow, *, first: bool
) -> Relation:
    """Return a relation of which the database itself gives the window alone, where it can."""
    if relation.plans:
        cursor_plan(relation, window)
    if database.kind == "postgresql":
        # A first load brings most of a table: its parallel reader is quicker than one that finds by index.
        if first and not relation.reasons():
            return relation
        return replace(relation, within=postgres_condition(connection, relation, window))
    if database.kind == "mysql" and relation.plans:
        return replace(relation, within=mysql.condition(connection, relation, window))
    if relation.statement is not None and relation.plans:
        return replace(relation, statement=narrow_statement(relation.statement, relation, window))
    return relation


def _reflect(connection: Connection, database: Database, config: SqlDatabaseConfig, name: str) -> Relation:
    if config.query is not None:
        return _reflect_query(connection, database, config.query, name)
    dialect = _DIALECTS[database.kind]
    relation: Relation = dialect.reflect_table(connection, database, config.db_schema, name)
    relation = replace(relation.with_columns(config.columns_of(name)), where=config.where_of(name))
    if relation.where is not None and database.kind != "other":
        with _as_configuration(database, f"where of {name}"):
            dialect.try_condition(connection, relation)
    if database.kind == "other":
        relation = replace(relation, statement=generic.statement_of(connection, relation, config.db_schema))
    return relation


def _reflect_query(connection: Connection, database: Database, query: str, name: str) -> Relation:
    import sqlalchemy

    if database.kind in ("mysql", "other"):
        # SQLAlchemy's text() takes `:word` for a parameter; here it is none.
        return Relation(name, "the query", query, statement=sqlalchemy.text(query.replace(":", r"\:")))
    with _as_configuration(database, "query"):
        relation: Relation = _DIALECTS[database.kind].reflect_query(connection, query, name)
    return relation.with_columns(None)


def _scan(database: Database, config: SqlDatabaseConfig, relation: Relation) -> BulkScan | None:
    """Return the scan that brings a relation exactly; None where SQLAlchemy reads it."""
    if database.kind == "duckdb":
        if config.backend not in ("auto", "duckdb"):
            raise SourceConfigurationError(
                f"backend: DuckDB itself reads {database.label}, not {config.backend}; write backend: auto"
            )
        return duckdb_file.scan(database, relation, _threads(config))
    if config.backend == "sqlalchemy":
        return None
    reasons = _reasons(database, relation)
    blocked = _blocked(database, relation, reasons)
    if blocked is not None:
        if config.backend == "duckdb":
            raise SourceConfigurationError(
                f"backend: duckdb cannot read {relation.origin} exactly ({blocked}); write backend: auto"
            )
        _log.info("read by SQLAlchemy", table=relation.name, database=database.label, reason=blocked)
        return None
    attach = (database.attachment(),)
    types = {plan.name: plan.kind for plan in relation.plans}
    origin = f"{relation.origin} of {database.label}"
    if not reasons:
        scanned = relation.scanned
        if database.kind == "postgresql" and (
            guard := nan_guard(list(relation.plans), relation.source, ATTACHED)
        ):
            scanned = f"{scanned} WHERE {guard}"
        select = select_from([plan.scan for plan in relation.plans], scanned)
        return BulkScan(select, types=types, attach=attach, threads=_threads(config), origin=origin)
    _log.info(
        "read by a query over one connection",
        table=relation.name,
        database=database.label,
        reason="; ".join(reasons),
    )
    select = select_from(
        [plan.received for plan in relation.plans], f"{database.query_function}({literal(ATTACHED)}, ?)"
    )
    windowed = relation.within is not None
    sent = f"{relation.bounded}{relation.sent()}"
    return BulkScan(select, (sent,), types=types, attach=attach, windowed=windowed, origin=origin)


def _reasons(database: Database, relation: Relation) -> tuple[str, ...]:
    """Return why DuckDB's own reading of a table is not taken."""
    if database.kind == "duckdb":
        return ()
    reasons = relation.reasons()
    if database.kind == "mysql":
        reasons += ("DuckDB's MySQL reader has one connection, and its own reading changes values",)
    if relation.where is not None:
        reasons += ("the condition is in the database's own dialect",)
    if relation.within is not None:
        reasons += ("the database finds by the cursor what is new",)
    return reasons


def _threads(config: SqlDatabaseConfig) -> int | None:
    return config.shards if isinstance(config.shards, int) else None


def _blocked(database: Database, relation: Relation, reasons: tuple[str, ...]) -> str | None:
    """Return why DuckDB does not read a relation at all; None if it does."""
    if (blocked := database.why_not_duckdb()) is not None:
        return blocked
    if database.kind == "sqlite":
        return "; ".join(reasons) or None
    if relation.statement is not None:
        return "only the values of a query tell its types here"
    if relation.bounded is None:
        return "statement_timeout holds for SQLAlchemy's connections alone here"
    return None


def _hint(relation: Relation, *, with_key: bool) -> None:
    """Give the resource what the database says of its columns, known only now that it is read.

    That is their comments, and the table's primary key unless the resource has one.
    """
    import dlt

    if not any(relation.comments.values()) and not (with_key and relation.primary_key):
        return
    resource = dlt.current.source().resources[dlt.current.resource_name()]
    normalize = dlt.current.source_schema().naming.normalize_identifier
    comments: dict[str, TColumnSchema] = {
        normalize(name): {"name": normalize(name), "description": text}
        for name, text in relation.comments.items()
        if text and any(plan.name == name for plan in relation.plans)
    }
    if comments:
        resource.apply_hints(columns=comments)
    columns = resource.compute_table_schema().get("columns", {})
    if not with_key or not relation.primary_key or any(c.get("primary_key") for c in columns.values()):
        return
    # DuckDB writes every column as optional, and dlt takes a key for required otherwise.
    nullable: dict[str, TColumnSchema] = {
        name: {"name": name, "nullable": True} for name in relation.primary_key
    }
    resource.apply_hints(primary_key=list(relation.primary_key), columns=nullable)


def _found(connection: Connection, database: Database, config: SqlDatabaseConfig, name: str) -> FoundResource:
    relation = _reflect(connection, database, config, name)
    rows = relation.estimated_rows
    if database.kind == "sqlite":
        rows = sqlite.count_rows(connection, relation)
    return FoundResource(name, tuple(plan.name for plan in relation.plans), rows, relation.origin.split()[0])


@contextmanager
def _as_configuration(database: Database, key: str) -> Iterator[None]:
    """Turn what a database says of a user's own SQL into an error about the configuration."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        raise SourceConfigurationError(
            f"{key}: {database.label} refuses it: {database.without_secrets(error)}"
        ) from error
