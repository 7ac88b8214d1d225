"""Rows that cannot be read: told with file, line and reason, and kept in a table beside the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

_log = structlog.get_logger(__name__)

SUFFIX = "__rejected"
"""What the table of rejected rows is called, after the table of the others."""

_AT_ONCE = 50_000


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that cannot be read.

    Arguments:
        file: path or URL of its file.
        line: on which it begins, counted from 1.
        reason: why.
        text: the row as it stands there.
    """

    file: str
    line: int
    reason: str
    text: str


class Rejects:
    """Collects the rejected rows of one resource.

    Arguments:
        table: gives the resource's table, when rows are handed over.
    """

    def __init__(self, table: Callable[[], str]) -> None:
        self._table = table
        self._rows: list[Rejected] = []

    def add(self, rows: Iterable[Rejected]) -> None:
        """Keep rows for the table."""
        self._rows += rows

    def items(self) -> Iterator[Any]:
        """Yield what dlt loads into the table of rejected rows."""
        import dlt

        if not self._rows:
            return
        table = self._table() + SUFFIX
        _log.warning("rows were skipped", rows=len(self._rows), table=table, first=_told(self._rows[0]))
        hints = dlt.mark.make_hints(
            table_name=table,
            write_disposition="append",
            primary_key="",
            merge_key="",
            columns={},
            schema_contract="evolve",
        )
        for start in range(0, len(self._rows), _AT_ONCE):
            rows = _arrow(self._rows[start : start + _AT_ONCE])
            yield dlt.mark.with_hints(rows, hints, create_table_variant=True)
        self._rows.clear()


def _told(row: Rejected) -> str:
    return f"{row.file}, line {row.line}: {row.reason}"


def _arrow(rows: list[Rejected]) -> pa.Table:
    import pyarrow as pa

    return pa.table(
        {
            "file": pa.array([row.file for row in rows], pa.string()),
            "line": pa.array([row.line for row in rows], pa.int64()),
            "reason": pa.array([row.reason for row in rows], pa.string()),
            "text": pa.array([row.text for row in rows], pa.string()),
        }
    )
