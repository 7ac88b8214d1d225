"""How the rows of a load meet the rows of a table: what a merge goes by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Strategy = Literal["upsert", "delete-insert", "insert-only", "scd2"]


@dataclass(frozen=True, slots=True)
class Validity:
    """The validity columns of ``scd2``.

    Arguments:
        valid_from, valid_to: names of the two columns.
        row_version: the column that tells versions of rows apart.
        boundary: the instant at which old versions end and new ones begin, as SQL timestamp text.
        active: what ``valid_to`` holds in active rows, as SQL timestamp text; None for NULL.
    """

    valid_from: str
    valid_to: str
    row_version: str
    boundary: str
    active: str | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """Values of one column, from ``start`` up to ``end``, which is left out; both as SQL text."""

    column: str
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class MergeRule:
    """How the rows of a load meet the rows of a table.

    Arguments:
        strategy: see dlt.
        primary_key: identifies a row; of several in one load, one is kept.
        merge_key: with ``delete-insert``, old rows that share it go as well; with ``scd2``, only old
            versions that share it can end.
        hard_delete: the column that marks rows to delete, and whether it is a truth value; otherwise
            any value deletes.
        dedup_sort: the column, and the direction, by which the first of several rows with one key is
            kept. Without it, the last seen is.
        validity: for ``scd2``.
        within: old rows in this range go as well: the load holds all that there is of it.
    """

    strategy: Strategy
    primary_key: tuple[str, ...] = ()
    merge_key: tuple[str, ...] = ()
    hard_delete: tuple[str, bool] | None = None
    dedup_sort: tuple[str, Literal["asc", "desc"]] | None = None
    validity: Validity | None = None
    within: Range | None = None
