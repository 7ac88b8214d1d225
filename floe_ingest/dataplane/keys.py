"""Counts keys that are there twice, and keys that are missing, whatever the number of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from floe_ingest.dataplane.columns import identifier
from floe_ingest.dataplane.connection import connect

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

    from floe_ingest.dataplane.connection import DataPlaneSettings

_PART = "floe_part"
_KEYS = "floe_keys"


@dataclass(frozen=True, slots=True)
class KeyCounts:
    """What rows hold in the columns of a key.

    Arguments:
        rows: all rows.
        duplicates: rows whose key another row has.
        nulls: rows in which a column of the key has no value.
    """

    rows: int
    duplicates: int
    nulls: int


def count_keys(parts: Iterable[pa.Table], columns: Sequence[str], settings: DataPlaneSettings) -> KeyCounts:
    """Count the keys of rows that come in parts, of which one at a time is held as Arrow.

    Arguments:
        parts: tables that have the columns, all of the same types.
        columns: of the key; one at least.
        settings: see ``connect``.
    """
    names = ", ".join(identifier(column) for column in columns)
    missing = " OR ".join(f"{identifier(column)} IS NULL" for column in columns)
    with connect(settings) as connection:
        there = False
        for part in parts:
            connection.register(_PART, part)
            into = f"INSERT INTO {_KEYS}" if there else f"CREATE TEMP TABLE {_KEYS} AS"
            connection.execute(f"{into} SELECT {names} FROM {_PART}")
            connection.unregister(_PART)
            there = True
        if not there:
            return KeyCounts(0, 0, 0)
        found = connection.execute(
            f"SELECT coalesce(sum(n), 0)::BIGINT, coalesce(sum(n) FILTER (n > 1), 0)::BIGINT, "
            f"coalesce(sum(n) FILTER ({missing}), 0)::BIGINT "
            f"FROM (SELECT {names}, count(*) AS n FROM {_KEYS} GROUP BY ALL)"
        ).fetchone()
    rows, duplicates, nulls = found or (0, 0, 0)
    return KeyCounts(rows, duplicates, nulls)
