"""Where a column is cut into shards."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_ingest_sources.sql_database.shards import balanced_bounds


def sizes(values: list[Any], bounds: list[Any]) -> list[int]:
    places = [0, *(bisect_left(values, bound) for bound in bounds), len(values)]
    return [end - start for start, end in pairwise(places)]


def bounds_of(values: list[Any], count: int) -> list[Any]:
    def rows_between(start: Any, end: Any) -> int:
        return bisect_left(values, end) - bisect_left(values, start)

    return balanced_bounds(values[0], values[-1], count, rows_between)


@pytest.mark.parametrize("count", [2, 3, 8])
@pytest.mark.parametrize(
    "values",
    [
        list(range(10_000)),
        [*range(10_000), 10**15],
        [-(10**18), *range(10_000), *range(5 * 10**9, 5 * 10**9 + 10_000)],
        [n**3 for n in range(10_000)],
        [Decimal(n) / 1000 for n in range(10_000)],
        [dt.date(2000, 1, 1) + dt.timedelta(days=n) for n in range(8_000)],
        [dt.datetime(2000, 1, 1) + dt.timedelta(seconds=n) for n in range(10_000)],
    ],
    ids=["even", "far off", "two heaps", "skewed", "decimals", "dates", "times"],
)
def test_shards_have_about_as_many_rows(values: list[Any], count: int) -> None:
    found = sizes(values, bounds_of(values, count))
    assert len(found) == count
    assert max(found) <= 1.5 * len(values) / count


def test_a_value_that_most_rows_have_takes_one_shard() -> None:
    values = [*range(100), *[100] * 10_000, *range(101, 200)]
    bounds = bounds_of(values, 4)
    assert max(sizes(values, bounds)) < 10_100
    assert bounds == sorted(set(bounds))


def test_without_estimates_the_pieces_are_equally_wide() -> None:
    assert balanced_bounds(0, 1024, 4, lambda *_: 500) == [256, 512, 768]


@given(st.lists(st.integers(-(10**20), 10**20), min_size=1, max_size=60), st.integers(2, 9))
def test_bounds_are_inner_values_in_order(values: list[int], count: int) -> None:
    values.sort()
    bounds = bounds_of(values, count)
    assert bounds == sorted(set(bounds))
    assert len(bounds) < count
    assert all(values[0] < bound < values[-1] for bound in bounds)
    assert sum(sizes(values, bounds)) == len(values)
