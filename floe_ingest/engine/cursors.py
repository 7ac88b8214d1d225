"""Cursors: what a run reads of a resource, and from where the next one goes on.

Rows go through dlt's own ``incremental``. Bulk scans, and the Arrow tables of source types that yield such,
are kept to a window here. The last value lies in the resource's dlt state, so it travels in the commit of
the rows that it belongs to. Rows at the last value, or behind it by the lag, are read again, and compared
with the rows that the table holds there: what is there already is left out, what came late is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from floe_ingest.dataplane.windows import ArrowWindow, SeenCounts, Window, extreme, narrowed, unseen
from floe_ingest.errors import ConfigurationError, SchemaError, SourceConfigurationError
from floe_ingest_hookspecs import Cursor, CursorWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from floe_ingest.dataplane.connection import DataPlaneSettings
    from floe_ingest.dataplane.old_files import RowsFrom
    from floe_ingest.dataplane.scan import OpenScan
    from floe_ingest_hookspecs import SourceRequest

_STATE = "floe_ingest_cursors"


def cursor_window(request: SourceRequest, resource: str) -> CursorWindow | None:
    """Return the part of a resource that this run reads; None where all of it is read.

    A source calls it while the resource is read, before its first item, and may read that part alone.

    Arguments:
        request: the source's own.
        resource: the resource's name.
    """
    cursor = request.cursor_of(resource)
    return _window(cursor, _Held.of(cursor, resource).last) if cursor else None


def _window(cursor: Cursor, last: Any) -> CursorWindow:
    start = cursor.initial_value
    if last is not None:
        start = last if cursor.lag is None else _behind(last, cursor)
    return CursorWindow(cursor.field, start, cursor.end_value, cursor.order, cursor.nulls)


@dataclass(frozen=True, slots=True)
class _Held:
    """What the state holds of a cursor.

    Arguments:
        last: the last value of the loads before; None where none had one.
        loaded: whether there was a load before.
    """

    last: Any = None
    loaded: bool = False

    @classmethod
    def of(cls, cursor: Cursor, resource: str) -> _Held:
        import dlt

        if cursor.stateless:
            return cls()
        held = dlt.current.resource_state(resource).get(_STATE, {}).get(cursor.field)
        if held is None:
            return cls()
        value = held["last_value"]
        if isinstance(value, datetime):
            # dlt's state gives every time a zone.
            value = value.astimezone(UTC) if held["zone"] else value.replace(tzinfo=None)
        return cls(value, loaded=True)

    def advance(self, cursor: Cursor, resource: str, value: Any) -> None:
        import dlt

        better = max if cursor.order == "asc" else min
        values = [known for known in (self.last, value) if known is not None]
        newest = better(values) if values else None
        dlt.current.resource_state(resource).setdefault(_STATE, {})[cursor.field] = {
            "last_value": newest,
            "zone": isinstance(newest, datetime) and newest.tzinfo is not None,
        }


def _behind(last: Any, cursor: Cursor) -> Any:
    """Return the last value less the lag, but not before the initial value."""
    lag = cursor.lag or 0
    sign = -1 if cursor.order == "asc" else 1
    if isinstance(last, datetime):
        start: Any = last + sign * timedelta(seconds=lag)
    elif isinstance(last, date):
        start = last + sign * timedelta(days=lag)
    elif isinstance(last, Decimal):
        start = last + sign * Decimal(str(lag))
    elif isinstance(last, int | float):
        start = type(last)(last + sign * lag)
    else:
        raise SourceConfigurationError(
            f"cursor.lag: {cursor.field!r} holds {type(last).__name__}, which has no lag; leave it out"
        )
    first = _like(cursor.initial_value, last)
    if first is None:
        return start
    return max(start, first) if cursor.order == "asc" else min(start, first)


def _like(written: Any, sample: Any) -> Any:
    """Return a bound as the user wrote it, as a value of the column's own type."""
    if isinstance(sample, datetime):
        moment = datetime.fromisoformat(written) if isinstance(written, str) else written
        if moment is None:
            return None
        if not isinstance(moment, datetime):
            moment = datetime.combine(moment, time.min)
        if sample.tzinfo is None:
            return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if isinstance(sample, date):
        return date.fromisoformat(written[:10]) if isinstance(written, str) else written
    if isinstance(sample, int | float | Decimal) and written is not None:
        return type(sample)(written)
    return written


def within_range(request: SourceRequest, start: Any, end: Any) -> SourceRequest:
    """Return a request whose resources are read from ``start`` to ``end``, whatever was loaded before.

    Raises:
        ConfigurationError: it has no cursor_field.
    """

    def bound(cursor: Cursor) -> Cursor:
        nulls = "exclude" if cursor.nulls == "include" else cursor.nulls  # they are in no range
        return Cursor(cursor.field, start, end, nulls=nulls, stateless=True)

    own = {name: cursor and bound(cursor) for name, cursor in request.resource_cursors.items()}
    if request.cursor is None and not any(own.values()):
        raise ConfigurationError(
            f"Source {request.name!r} has no cursor_field, by which a range of it could be loaded."
        )
    return replace(request, cursor=request.cursor and bound(request.cursor), resource_cursors=own)


@dataclass(frozen=True, slots=True)
class CursorTarget:
    """What a cursor has to know of its table.

    Arguments:
        settings: how much of the machine DuckDB may take.
        seen: gives the rows of the table whose cursor is a value or lies beyond it, in some columns; with
            rows without a value if wished; None where there are none.
        leaves_out: whether rows that the table holds already are left out. Not so where a load has to hold
            all rows of a key, as with a merge key or scd2.
        folder: where such rows are kept while the load is read.
    """

    settings: DataPlaneSettings
    seen: Callable[[SeenRows], RowsFrom | None]
    leaves_out: Callable[[], bool]
    folder: Path


@dataclass(frozen=True, slots=True)
class SeenRows:
    """Rows of a table that a load may bring again.

    Arguments:
        column: the cursor's column in the table.
        start: the first value.
        greater: whether greater values count too, or smaller ones.
        nulls: whether rows without a value count too.
        columns: those to read, as far as the table has them.
    """

    column: str
    start: Any
    greater: bool
    nulls: bool
    columns: tuple[str, ...]


class CursorReading:
    """One resource's reading by its cursor, in one load.

    Arguments:
        cursor: how it is read.
        resource: its name.
        target: its table.
    """

    def __init__(self, cursor: Cursor, resource: str, target: CursorTarget) -> None:
        self._cursor = cursor
        self.resource = resource
        self._target = target
        self._begun: tuple[CursorWindow, _Held] | None = None
        self._arrow: ArrowWindow | None = None

    def _begin(self) -> tuple[CursorWindow, _Held]:
        """Return the window and the state as they were before the first item of this load."""
        if self._begun is None:
            held = _Held.of(self._cursor, self.resource)
            self._begun = _window(self._cursor, held.last), held
        return self._begun

    def scan(self, opened: OpenScan, origins: Mapping[str, str]) -> OpenScan:
        """Return a scan that keeps to the window, without rows that the table holds already.

        Arguments:
            opened: the whole.
            origins: the scan's column by its name in the table.
        """
        asked, held = self._begin()
        name = self._column(origins)
        asked = replace(asked, column=origins[name])
        window = Window(asked, opened.types[asked.column], held.last, opened.scan.origin)
        opened = narrowed(opened, window)
        seen = self._seen(name, tuple(origins))
        return opened if seen is None else unseen(opened, window, seen, origins)

    def landed(self, opened: OpenScan, files: Sequence[Path], origins: Mapping[str, str]) -> None:
        """Keep the last value of data files that a scan has written."""
        value = extreme(opened, files, self._column(origins), greatest=self._cursor.order == "asc")
        self._keep(value)

    def arrow(self, item: pa.Table, origins: Mapping[str, str]) -> pa.Table:
        """Return the new rows of an Arrow table, and keep their last value."""
        asked, held = self._begin()
        name = self._column(origins)
        if self._arrow is None:
            seen = self._seen(name, tuple(origins))
            counts = None if seen is None else SeenCounts(seen, origins, self._target.folder)
            column = replace(asked, column=origins[name])
            self._arrow = ArrowWindow(column, held.last, counts, self._target.settings)
        kept, value = self._arrow.keep(item, f"resource {self.resource}")
        self._keep(value)
        return kept

    def _keep(self, value: Any) -> None:
        if self._cursor.stateless:
            return
        allowed = isinstance(value, int | float | Decimal | str | date) and not isinstance(value, bool)
        if value is not None and not allowed:
            raise SchemaError(
                f"Column {self._cursor.field!r} is the cursor_field, and holds {type(value).__name__}, which "
                f"is no cursor. It may hold numbers, text, dates or timestamps."
            )
        _Held.of(self._cursor, self.resource).advance(self._cursor, self.resource, value)

    def _seen(self, name: str, columns: Iterable[str]) -> RowsFrom | None:
        asked, held = self._begin()
        if not held.loaded or not self._target.leaves_out():
            return None
        nulls = asked.nulls == "include"
        return self._target.seen(SeenRows(name, asked.start, asked.order == "asc", nulls, tuple(columns)))

    def _column(self, origins: Mapping[str, str]) -> str:
        """Return the cursor's column in the table.

        Raises:
            SourceConfigurationError: the source has no such column.
        """
        field = self._cursor.field
        for name, origin in origins.items():
            if origin == field:
                return name
        if field in origins:
            return field
        raise SourceConfigurationError(
            f"cursor_field: resource {self.resource!r} has no column {field!r}. "
            f"It has: {', '.join(origins.values())}"
        )
