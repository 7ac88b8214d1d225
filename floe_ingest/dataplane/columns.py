"""Columns of a target, and the quoting of what goes into SQL text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def identifier(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text value for SQL, where a bound parameter is not allowed."""
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True, slots=True)
class FieldId:
    """The Iceberg field id of a column, with those of what is nested in it.

    Arguments:
        id: the column's own field id.
        nested: by name: fields of a struct, ``element`` of a list, ``key`` and ``value`` of a map.
    """

    id: int
    nested: Mapping[str, FieldId] = field(default_factory=dict)

    def sql(self) -> str:
        """Return this id as DuckDB's ``FIELD_IDS`` option writes it."""
        if not self.nested:
            return str(self.id)
        parts = [f"__duckdb_field_id: {self.id}"]
        parts += [f"{identifier(name)}: {child.sql()}" for name, child in self.nested.items()]
        return "{" + ", ".join(parts) + "}"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a data file.

    Arguments:
        name: its name in the table.
        type: the DuckDB type in which it is written; values are cast strictly.
        field_id: None where the table is not known yet: the file then has no ids, and is rewritten at
            the commit.
    """

    name: str
    type: str
    field_id: FieldId | None = None


def field_ids_option(columns: Iterable[Column]) -> str:
    """Return the ``FIELD_IDS`` option of a ``COPY``, or nothing where any column has no id."""
    parts = []
    for column in columns:
        if column.field_id is None:
            return ""
        parts.append(f"{identifier(column.name)}: {column.field_id.sql()}")
    return f"FIELD_IDS {{{', '.join(parts)}}}" if parts else ""
