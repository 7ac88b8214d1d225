"""Incremental reading: by which column, and from where to where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

NullCursors = Literal["raise", "include", "exclude"]


@dataclass(frozen=True, slots=True)
class Cursor:
    """By which column a resource is read in parts, as the user wrote it.

    Arguments:
        field: the column, or for rows a JSON path, as the source calls it.
        initial_value: where the first load begins; None begins at the first row.
        end_value: where every load ends, itself left out; None reads to the last row.
        lag: how far behind the last value a load begins, so that rows which come late are found. In seconds
            for timestamps, in days for dates, else in the column's own unit.
        order: ``asc`` where new rows have greater values, ``desc`` where they have smaller ones.
        nulls: what becomes of rows without a value: the load fails, they are loaded, they are left out.
        stateless: whether this run reads from ``initial_value`` to ``end_value`` whatever was loaded before.

    Raises:
        ValueError: the field is empty, or a stateless cursor lacks a bound.
    """

    field: str
    initial_value: Any = None
    end_value: Any = None
    lag: float | None = None
    order: Literal["asc", "desc"] = "asc"
    nulls: NullCursors = "raise"
    stateless: bool = False

    def __post_init__(self) -> None:
        if not self.field.strip():
            raise ValueError("Cursor.field must name a column")
        if self.stateless and (self.initial_value is None or self.end_value is None):
            raise ValueError("A stateless Cursor needs initial_value and end_value")


@dataclass(frozen=True, slots=True)
class CursorWindow:
    """The part of a resource that a run reads. A source may read more: the engine keeps to the window.

    Arguments:
        column: the column, as the source calls it.
        start: the first value, itself included; None begins at the first row. After the first load it has
            the column's own type in the table: a timestamp without a zone has none here either.
        end: the last value, itself left out; None reads to the last row.
        order: ``asc`` or ``desc``; ``start`` is then the greatest value.
        nulls: whether rows without a value are wanted: with ``raise`` the engine has to see them.
    """

    column: str
    start: Any = None
    end: Any = None
    order: Literal["asc", "desc"] = "asc"
    nulls: NullCursors = "raise"

    def bounds(self) -> tuple[tuple[Literal[">=", ">", "<=", "<"], Any], ...]:
        """Return what holds for values in the window, as operators of SQL with their right sides.

        Example:
            >>> CursorWindow("id", start=7).bounds()
            (('>=', 7),)
            >>> CursorWindow("id", start=7, end=3, order="desc").bounds()
            (('<=', 7), ('>', 3))
        """
        first: Literal[">=", "<="] = ">=" if self.order == "asc" else "<="
        last: Literal["<", ">"] = "<" if self.order == "asc" else ">"
        found: list[tuple[Literal[">=", ">", "<=", "<"], Any]] = []
        if self.start is not None:
            found.append((first, self.start))
        if self.end is not None:
            found.append((last, self.end))
        return tuple(found)
