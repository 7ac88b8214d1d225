"""Keys that are there twice or missing, counted over parts."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from floe_ingest.dataplane.connection import DataPlaneSettings
from floe_ingest.dataplane.keys import KeyCounts, count_keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        ([], KeyCounts(0, 0, 0)),
        ([(1, "a"), (1, "b"), (2, "a")], KeyCounts(3, 0, 0)),
        ([(1, "a"), (2, "a"), (1, "a"), (1, "a")], KeyCounts(4, 3, 0)),
        ([(1, None), (None, "a"), (None, "a"), (3, "c")], KeyCounts(4, 2, 3)),
    ],
)
@pytest.mark.parametrize("parts", [1, 3])
def test_keys_of_two_columns(rows: list[tuple[int, str]], counts: KeyCounts, parts: int) -> None:
    schema = pa.schema({"the key": pa.int64(), 'quo"ted': pa.string(), "other": pa.string()})
    values = [
        {"the key": number, 'quo"ted': text, "other": str(at)} for at, (number, text) in enumerate(rows)
    ]
    tables = [pa.Table.from_pylist(values[at::parts], schema) for at in range(parts)]
    assert count_keys(iter(tables), ["the key", 'quo"ted'], DataPlaneSettings()) == counts


def test_without_any_part_there_is_no_row() -> None:
    assert count_keys([], ["id"], DataPlaneSettings()) == KeyCounts(0, 0, 0)


def test_keys_that_do_not_fit_into_memory(tmp_path: Path) -> None:
    """Two million keys of 36 bytes in 64 MB: they are spilled, and none is lost."""
    rows, part = 2_000_000, 250_000
    suffix = "-" * 29

    def tables() -> Iterator[pa.Table]:
        for first in range(0, rows, part):
            numbers = pa.array(range(first, first + part)).cast(pa.string())
            text = pc.binary_join_element_wise(numbers, suffix, "")
            yield pa.table({"id": text})

    settings = DataPlaneSettings("64MB", tmp_path)
    again = pa.table({"id": [f"0{suffix}", f"999999{suffix}"]})
    assert count_keys(chain(tables(), [again]), ["id"], settings) == KeyCounts(rows + 2, 4, 0)
