"""Merges of several shapes, beside bare copy-on-write by pyarrow, pyiceberg's upsert and Spark."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scale
from bench.measuring import Command, Fresh
from bench.results import Target
from merging import PARTS, make_table, merge_bare, merge_ours, rows, with_versions
from services import programs
from workloads import open_lake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GROUP = "Merges"
_MILLION = scale.size(1_000_000, 20_000)
_NEW = _MILLION // 10
_MEMORY_LIMIT = 512
"""MB, the default of the option ``memory_limit``."""


def random_rows(count: int, picked: int) -> Iterator[pa.Table]:
    """Yield loads of ``picked`` ids without a pattern; every call yields the same ones."""
    import numpy as np

    for version in itertools.count(1):
        yield rows(np.random.default_rng(version).choice(count, picked, replace=False), version, count)


def new_rows(count: int, picked: int) -> Iterator[pa.Table]:
    """Yield loads of ids beyond all others."""
    for version in itertools.count(1):
        start = count + version * picked
        yield rows(range(start, start + picked), version, count)


def rows_of_one_partition(count: int, picked: int) -> Iterator[pa.Table]:
    """Yield loads of ids that are all in one partition."""
    import numpy as np

    for version in itertools.count(1):
        ids = np.random.default_rng(version).choice(count // PARTS, picked, replace=False)
        yield rows(ids, version, count)


_SHAPES: dict[str, tuple[str, Callable[[int, int], Iterator[pa.Table]], bool, str, int]] = {
    "random": ("random keys", random_rows, False, "upsert", _MILLION),
    "random-5M": ("random keys", random_rows, False, "upsert", 5 * _MILLION),
    "new": ("new keys", new_rows, False, "upsert", _MILLION),
    "one-partition": ("keys of one partition", rows_of_one_partition, True, "upsert", _MILLION),
    "delete-insert": ("random keys, delete-insert", random_rows, False, "delete-insert", _MILLION),
}


@pytest.mark.parametrize("shape", list(_SHAPES))
def test_against_the_limit(shape: str, side_by_side: Any, tmp_path: Path) -> None:
    """The limit reads each file, anti-joins it, and writes what stays; it knows no shapes."""
    name, loads, partitioned, strategy, count = _SHAPES[shape]
    picked = _NEW // 2 if partitioned else _NEW
    lake = tmp_path / "lake"
    catalog = open_lake(lake)
    for table in ("ours", "limit"):
        make_table(catalog, table, count, partitioned=partitioned)
    for_ours, for_limit = loads(count, picked), loads(count, picked)
    targets = {"random": 0.5, "random-5M": 0.4}
    threads = pa.cpu_count()
    pa.set_cpu_count(1)
    try:
        result = side_by_side(
            f"Merge, {name}: 100,000 into {'5' if count > _MILLION else '1'} million"
            if not partitioned
            else f"Merge, {name}: 50,000 into 1 million",
            {
                "ours": lambda: merge_ours(lake, next(for_ours), strategy),
                "limit": lambda: merge_bare(catalog, next(for_limit), "limit"),
            },
            rounds=5,
            warm=1,
            tables=lambda: {side: catalog.load_table(f"bronze.{side}") for side in ("ours", "limit")},
            targets=[Target(measure="wall", most=targets[shape], beside="limit")] if shape in targets else [],
        )
    finally:
        pa.set_cpu_count(threads)

    scale.check_at_most(result.ratio("ours", "limit"), 0.8 if shape in targets else 1.5)


def test_new_keys(side_by_side: Any, tmp_path: Path) -> None:
    """100,000 keys beyond all others, beside ten."""
    lake = tmp_path / "lake"
    make_table(open_lake(lake), "ours", _MILLION)
    many, few = new_rows(_MILLION, _NEW), new_rows(100 * _MILLION, 10)

    result = side_by_side(
        "Merge, new keys: 100,000 beside ten",
        {
            "100,000 keys": lambda: merge_ours(lake, next(many)),
            "ten keys": lambda: merge_ours(lake, next(few)),
        },
        rounds=5,
        warm=1,
        targets=[Target(measure="seconds more", most=0.3, side="100,000 keys", beside="ten keys")],
    )

    scale.check_at_most(result.ratio("100,000 keys", "ten keys", "CPU"), 3.5)


_HINTS: dict[str, dict[str, Any]] = {"scd2": {"merge_key": "id", "row_version": "version"}, "upsert": {}}


def test_scd2(side_by_side: Any, tmp_path: Path) -> None:
    """A tenth of the rows changed: their old versions are closed; beside an upsert of the same rows."""
    lakes = {name: tmp_path / name for name in ("scd2", "upsert")}
    changed = {name: random_rows(_MILLION, _NEW) for name in lakes}
    for name, lake in lakes.items():
        open_lake(lake)
        merge_ours(lake, with_versions(rows(range(_MILLION), 0, _MILLION)), name, **_HINTS[name])

    def merge(name: str) -> None:
        merge_ours(lakes[name], with_versions(next(changed[name])), name, **_HINTS[name])

    result = side_by_side(
        "Merge, scd2: 100,000 changed of 1 million, beside an upsert",
        {"scd2": lambda: merge("scd2"), "upsert": lambda: merge("upsert")},
        rounds=5,
    )

    table = open_lake(lakes["scd2"]).load_table("bronze.ours")
    active = table.scan(row_filter="_dlt_valid_to IS NULL").count()
    assert active == _MILLION
    assert table.scan().count() == _MILLION + scale.rounds(5) * _NEW
    scale.check_at_most(result.ratio("scd2", "upsert"), 4)


@pytest.mark.parametrize("picked", [10_000, 100_000], ids=["10k", "100k"])
def test_other_tools(picked: int, side_by_side: Any, child: Any, tmp_path: Path) -> None:
    """Each a process of its own, on a copy of the same table; pyiceberg's upsert makes two snapshots."""
    picked = picked * _MILLION // 1_000_000
    made = tmp_path / "made"
    make_table(open_lake(made), "ours", _MILLION)
    file = tmp_path / "new.parquet"
    pq.write_table(next(random_rows(_MILLION, picked)), file, row_group_size=100_000)
    lakes: dict[str, Path] = {}

    def on_a_copy(name: str, command: Callable[[Path], Command]) -> Fresh:
        def make() -> Command:
            lakes[name] = lake = tmp_path / name.replace(" ", "-")
            shutil.rmtree(lake, ignore_errors=True)
            make_table(open_lake(lake), "ours", _MILLION)
            return command(lake)

        return Fresh(make)

    packages, jars, java = programs.spark()
    script = str(_peers() / "spark_alone.py")

    def spark(lake: Path) -> Command:
        job = {
            "lake": str(lake),
            "catalog": f"sqlite:///{lake / 'catalog.db'}",
            "table": "bronze.ours",
            "file": str(file),
            "jars": ",".join(map(str, jars)),
            "primary_key": "id",
        }
        environment = {"PYTHONPATH": str(packages), "JAVA_HOME": str(java)}
        return Command((sys.executable, script, json.dumps(job)), lake, environment)

    targets = {
        10_000: [],
        100_000: [
            Target(measure="peak MB", most=400),
            Target(measure="alone", most=1 / 20, beside="pyiceberg upsert"),
            Target(measure="alone", most=1 / 15, beside="Spark MERGE INTO"),
        ],
    }
    result = side_by_side(
        f"Merge by other tools: {picked:,} random keys into {_MILLION:,} rows",
        {
            "ours": on_a_copy("ours", lambda lake: child("merge", file, lake)),
            "bare pyarrow": on_a_copy("bare", lambda lake: child("bare merge", file, lake)),
            "pyiceberg upsert": on_a_copy("upsert", lambda lake: child("pyiceberg upsert", file, lake)),
            "Spark MERGE INTO": on_a_copy("spark", spark),
        },
        rounds=3 if picked > 10_000 else 5,
        tables=lambda: {
            side: open_lake(lakes[name]).load_table("bronze.ours")
            for side, name in (
                ("ours", "ours"),
                ("bare pyarrow", "bare"),
                ("pyiceberg upsert", "upsert"),
                ("Spark MERGE INTO", "spark"),
            )
        },
        targets=targets.get(picked, []),
        missing={
            "DuckDB": "its extension has no MERGE without delete files",
            "dlt": "a merge of its own Iceberg tables is pyiceberg's upsert, 1,000 rows at a time",
        },
    )

    scale.check_at_most(result.ratio("ours", "pyiceberg upsert", "alone"), 0.4)


@pytest.mark.parametrize(
    ("count", "picked", "most"),
    [(1, 100_000, 400), (5, 100_000, 450), (5, 2_000_000, _MEMORY_LIMIT + 300)],
    ids=["100k into 1M", "100k into 5M", "2M into 5M"],
)
def test_memory(count: int, picked: int, most: int, side_by_side: Any, child: Any, tmp_path: Path) -> None:
    """Peaks of whole processes, in MB."""
    size, new = count * _MILLION, picked * _MILLION // 1_000_000
    file = tmp_path / "new.parquet"
    pq.write_table(next(random_rows(size, new)), file, row_group_size=100_000)
    lake = tmp_path / "lake"
    make_table(open_lake(lake), "ours", size)

    result = side_by_side(
        f"Merge, memory: {picked:,} random keys into {count} million rows",
        {"ours": child("merge", file, lake)},
        rounds=1,
        targets=[Target(measure="peak MB", most=most)],
    )

    assert open_lake(lake).load_table("bronze.ours").scan().count() == size
    scale.check_at_most(result.sides["ours"].peak_mb, most)


def _peers() -> Path:
    from pathlib import Path

    return Path(__file__).with_name("peers")
