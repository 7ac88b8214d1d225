"""What a user writes as ``source_config`` of a ``sql_database`` source."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, model_validator

Backend = Literal["auto", "duckdb", "adbc", "connectorx", "arrow", "sqlalchemy"]


class SqlDatabaseConfig(BaseModel):
    """Tables, or one query, of a database. Without ``table``, ``tables`` and ``query``: all its tables.

    Example:
        >>> SqlDatabaseConfig(url="sqlite:///shop.db", tables=["orders"]).backend
        'auto'
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True)

    url: SecretStr = Field(
        validation_alias=AliasChoices("url", "credentials"),
        description="An SQLAlchemy URL. A relative path of an SQLite or DuckDB file is "
        "relative to the configuration file. "
        "May also be written `credentials`.",
        examples=["postgresql://user:${PASSWORD}@host:5432/shop", "sqlite:///shop.db"],
    )
    table: str | None = Field(
        default=None, min_length=1, description="The one table to load, or a view.", examples=["orders"]
    )
    tables: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="The tables to load: exact names, also of views, and patterns of tables with * and ?. "
        "A resource for each, called so.",
        examples=[["orders", "customers"], ["sales_*"]],
    )
    query: str | None = Field(
        default=None,
        min_length=1,
        description="One SELECT in the database's own dialect, instead of tables. Its resource is called "
        "as the source.",
        examples=["SELECT id, total::numeric(12,2) AS total FROM orders"],
    )
    db_schema: str | None = Field(
        default=None,
        alias="schema",
        min_length=1,
        description="The schema of the tables; the connection's default schema if not given.",
        examples=["sales"],
    )
    columns: tuple[str, ...] | dict[str, tuple[str, ...]] | None = Field(
        default=None,
        min_length=1,
        description="The columns to read: a list for one table, or a list for each table. All if not given.",
        examples=[["id", "total"], {"orders": ["id", "total"]}],
    )
    where: str | dict[str, str] | None = Field(
        default=None,
        min_length=1,
        description="A condition in the database's own dialect: for one table, or for each table.",
        examples=["status <> 'draft'"],
    )
    backend: Backend = Field(
        default="auto",
        description="What reads. auto takes the quickest reader that brings every value exactly: DuckDB for "
        "SQLite, PostgreSQL and its own files, ConnectorX for MariaDB and MySQL, SQLAlchemy otherwise. arrow "
        "is the Arrow fetch of the drivers of SQL Server and Oracle.",
    )
    shards: Literal["auto"] | Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Connections that read a table side by side, in one view of the database. `auto`: by the "
        "table's size and the cores, and one where it cannot be split.",
        examples=["auto", 4],
    )
    shard_column: str | None = Field(
        default=None,
        min_length=1,
        description="The number, date or timestamp by whose ranges tables are split; the first column of the "
        "primary key if not given.",
        examples=["id"],
    )
    statement_timeout: int | None = Field(
        default=None,
        ge=1,
        description="Seconds that a statement may run: of PostgreSQL, MySQL and MariaDB.",
        examples=[600],
    )
    batch_rows: int = Field(
        default=100_000, ge=1, description="Rows of a batch, where SQLAlchemy, ConnectorX or ADBC reads."
    )

    @model_validator(mode="before")
    @classmethod
    def _one_of_the_aliases(cls, data: Any) -> Any:
        if isinstance(data, dict) and "url" in data and "credentials" in data:
            raise ValueError("url and credentials mean the same; write one of them")
        return data

    @model_validator(mode="after")
    def _what_to_read(self) -> Self:
        given = [name for name in ("table", "tables", "query") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other; write one of table, tables, query")
        if self.query is not None:
            for name, value in (("schema", self.db_schema), ("columns", self.columns), ("where", self.where)):
                if value is not None:
                    raise ValueError(f"{name} is for tables; write it into the query")
        if self.shard_column is not None and self.shards is None:
            raise ValueError("shard_column has no effect without shards; write shards: auto")
        for name, value in (("columns", self.columns), ("where", self.where)):
            self._check_per_table(name, value)
        return self

    def _check_per_table(self, name: str, value: object) -> None:
        if value is None:
            return
        if not isinstance(value, dict):
            if self.names is None or self.patterns or len(self.names) != 1:
                raise ValueError(
                    f"{name} is for one table, and there are several; write {name}: {{table: ...}} for each"
                )
            return
        for table in value:
            if self.names is not None and not self.patterns and table not in self.names:
                raise ValueError(
                    f"{name} is for table {table!r}, which is not read; read are {', '.join(self.names)}"
                )

    @property
    def names(self) -> tuple[str, ...] | None:
        """The tables by name; None for a query, and where all tables are meant."""
        return (self.table,) if self.table is not None else self.tables

    @property
    def patterns(self) -> bool:
        """Whether ``tables`` holds a pattern, so that the database must tell which tables are meant."""
        return any(is_pattern(name) for name in self.tables or ())

    def columns_of(self, table: str) -> tuple[str, ...] | None:
        """Return the columns to read of a table; None for all."""
        return self.columns.get(table) if isinstance(self.columns, dict) else self.columns

    def where_of(self, table: str) -> str | None:
        """Return the condition on a table; None for all rows."""
        return self.where.get(table) if isinstance(self.where, dict) else self.where


def is_pattern(name: str) -> bool:
    """Return whether a name of ``tables`` is a pattern."""
    return any(sign in name for sign in "*?")
