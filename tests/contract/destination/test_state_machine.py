"""Random sequences of loads, crashes, foreign commits, rollbacks and expiry, against a model in plain Python.

A crash is an error at an edge of our own step; the load is then run again, in its working folder or, under
its run id, in a new one.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import dlt
import pytest
from conftest import Lake
from crash_points import InjectedError, crash_at
from dlt.pipeline.exceptions import PipelineStepFailed
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import floe_ingest
from floe_ingest.destination.catalogs import close_catalogs

Row = dict[str, Any]

ROWS = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(0, 12), "v": st.integers(0, 99)}, optional={"w": st.integers(0, 9)}
    ),
    min_size=1,
    max_size=8,
)
ORDERS = st.lists(
    st.tuples(st.integers(0, 4), st.lists(st.integers(0, 9), max_size=3)), min_size=1, max_size=4
)
DELETES = st.lists(st.booleans(), min_size=8, max_size=8)
POINTS = st.sampled_from(
    ["", "", "before-write", "after-write", "before-commit", "after-commit", "before-done"]
)


class Loads(RuleBasedStateMachine):
    """One table, its model, and what may happen to it."""

    @initialize()
    def start(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="loads-"))
        self.lake = Lake(self.home / "lake")
        self.folder = self.home / "work"
        self.runs = 0
        self.model: list[Row] = []
        self.history: dict[int, list[Row]] = {}
        self.has_table = False
        self.versions: list[tuple[tuple[int, int], bool]] = []
        self.orders: list[tuple[int, list[int]]] = []

    def teardown(self) -> None:
        close_catalogs()
        shutil.rmtree(self.home, ignore_errors=True)

    # -- loads

    def load(self, rows: list[Row], disposition: Any, point: str, *, new_machine: bool, **hints: Any) -> None:
        self.run_with_crash(rows, disposition, point, new_machine=new_machine, **hints)
        self.has_table = True
        snapshot = self.lake.table("bronze.items").current_snapshot()
        if snapshot is not None:
            self.history[snapshot.snapshot_id] = [dict(row) for row in self.model]

    def run_with_crash(
        self, rows: list[Row], disposition: Any, point: str, *, new_machine: bool, **hints: Any
    ) -> None:
        self.runs += 1
        run_id = f"run-{self.runs}"
        if point:
            with crash_at(point), pytest.raises((PipelineStepFailed, InjectedError)):
                self.run(rows, disposition, run_id, **hints)
            if new_machine:
                self.folder = self.home / f"work-{self.runs}"
        self.run(rows, disposition, run_id, **hints)

    def run(
        self, rows: list[Row], disposition: Any, run_id: str, *, name: str = "items", **hints: Any
    ) -> None:
        pipeline = dlt.pipeline(
            "shop",
            destination=floe_ingest.iceberg(**self.lake.properties, run_id=run_id),
            dataset_name="bronze",
            pipelines_dir=str(self.folder),
        )
        pipeline.run(
            dlt.resource(
                rows,
                name=name,
                write_disposition=disposition,
                primary_key=None if name == "versions" else "id",
                **hints,
            ),
        )

    @rule(rows=ROWS, point=POINTS, new_machine=st.booleans())
    def append(self, rows: list[Row], point: str, new_machine: bool) -> None:
        self.model += rows
        self.load(rows, "append", point, new_machine=new_machine)

    @rule(rows=ROWS, point=POINTS, new_machine=st.booleans())
    def replace(self, rows: list[Row], point: str, new_machine: bool) -> None:
        self.model = list(rows)
        self.load(rows, "replace", point, new_machine=new_machine)

    @rule(
        rows=ROWS,
        point=POINTS,
        new_machine=st.booleans(),
        strategy=st.sampled_from(["upsert", "delete-insert"]),
    )
    def merge(self, rows: list[Row], point: str, new_machine: bool, strategy: str) -> None:
        winners = {row["id"]: row for row in rows}
        self.model = [row for row in self.model if row["id"] not in winners] + list(winners.values())
        disposition = {"disposition": "merge", "strategy": strategy}
        self.load(rows, disposition, point, new_machine=new_machine)

    @rule(rows=ROWS, point=POINTS, new_machine=st.booleans())
    def insert_only(self, rows: list[Row], point: str, new_machine: bool) -> None:
        known = {row["id"] for row in self.model}
        self.model += [row for key, row in {row["id"]: row for row in rows}.items() if key not in known]
        disposition = {"disposition": "merge", "strategy": "insert-only"}
        self.load(rows, disposition, point, new_machine=new_machine)

    @rule(rows=ROWS, gone=DELETES, point=POINTS, new_machine=st.booleans())
    def merge_with_deletes(self, rows: list[Row], gone: list[bool], point: str, new_machine: bool) -> None:
        marked = [row | {"gone": mark} for row, mark in zip(rows, gone, strict=False)]
        winners = {row["id"]: row for row in marked}
        self.model = [row for row in self.model if row["id"] not in winners]
        self.model += [row for row in winners.values() if not row["gone"]]
        self.load(
            marked,
            {"disposition": "merge", "strategy": "upsert"},
            point,
            new_machine=new_machine,
            columns={"gone": {"hard_delete": True, "data_type": "bool"}},
        )

    @rule(keys=st.lists(st.integers(0, 3), min_size=1, max_size=4), point=POINTS, new_machine=st.booleans())
    def version(self, keys: list[int], point: str, new_machine: bool) -> None:
        """scd2, in a table of its own: rows (id, v), of which those in the load are the ones that hold."""
        now = {(key % 2, key) for key in keys}
        held = {version for version, ended in self.versions if not ended}
        self.versions = [(version, ended or version not in now) for version, ended in self.versions]
        self.versions += [(version, False) for version in now - held]
        rows = [{"id": id_, "v": v} for id_, v in sorted(now)]
        disposition = {"disposition": "merge", "strategy": "scd2"}
        self.run_with_crash(rows, disposition, point, new_machine=new_machine, name="versions")

    @rule(
        orders=ORDERS,
        how=st.sampled_from(["append", "replace", "upsert", "delete-insert", "insert-only"]),
        point=POINTS,
        new_machine=st.booleans(),
    )
    def nested(self, orders: list[tuple[int, list[int]]], how: str, point: str, new_machine: bool) -> None:
        """Orders with lines, which go into a table of their own."""
        if how in ("upsert", "insert-only"):
            orders = list(dict(orders).items())  # two of one key with other lines are refused
        if how == "append":
            self.orders = [*self.orders, *orders]
        elif how == "replace":
            self.orders = orders
        else:
            known = {key for key, _ in self.orders}
            winners = {key: lines for key, lines in orders if how != "insert-only" or key not in known}
            kept = [(key, lines) for key, lines in self.orders if key not in winners]
            self.orders = [*kept, *winners.items()]
        rows = [{"id": key, "lines": [{"n": n} for n in lines]} for key, lines in orders]
        merges = how not in ("append", "replace")
        disposition = {"disposition": "merge", "strategy": how} if merges else how
        self.run_with_crash(rows, disposition, point, new_machine=new_machine, name="orders")

    # -- what others do

    @precondition(lambda self: self.has_table)
    @rule(key=st.integers(0, 12))
    def foreign_append(self, key: int) -> None:
        table = self.lake.table("bronze.items")
        import pyarrow as pa

        schema = table.schema().as_arrow()
        row: Row = {"id": key, "v": -1}
        table.append(pa.Table.from_pylist([row], schema=schema))
        self.model.append(row)
        snapshot = self.lake.table("bronze.items").current_snapshot()
        assert snapshot is not None
        self.history[snapshot.snapshot_id] = [dict(row) for row in self.model]

    @precondition(lambda self: self.has_table)
    @rule()
    def rollback(self) -> None:
        table = self.lake.table("bronze.items")
        current = table.current_snapshot()
        parent = current.parent_snapshot_id if current is not None else None
        if parent is None or parent not in self.history or table.snapshot_by_id(parent) is None:
            return
        table.manage_snapshots().rollback_to_snapshot(parent).commit()
        self.model = [dict(row) for row in self.history[parent]]

    @precondition(lambda self: self.has_table)
    @rule()
    def expire(self) -> None:
        table = self.lake.table("bronze.items")
        old = [snapshot.snapshot_id for snapshot in table.snapshots()]
        current = table.current_snapshot()
        if current is not None and len(old) > 1:
            old.remove(current.snapshot_id)
            table.maintenance.expire_snapshots().by_ids(old).commit()

    @invariant()
    def table_equals_model(self) -> None:
        if not getattr(self, "has_table", False):
            return
        found = self.lake.duckdb("bronze.items").to_pylist()

        def comparable(rows: list[Row]) -> list[tuple[int, int, int]]:
            return sorted((row["id"], row["v"], -1 if row.get("w") is None else row["w"]) for row in rows)

        assert comparable(found) == comparable(self.model)

    @invariant()
    def versions_equal_model(self) -> None:
        if not getattr(self, "versions", None):
            return
        found = self.lake.duckdb("bronze.versions").to_pylist()
        assert sorted(((row["id"], row["v"]), row["_dlt_valid_to"] is not None) for row in found) == sorted(
            self.versions
        )

    @invariant()
    def orders_equal_model(self) -> None:
        if not getattr(self, "orders", None):
            return
        roots = {row["_dlt_id"]: (row["id"], []) for row in self.lake.duckdb("bronze.orders").to_pylist()}
        lines = []
        if self.lake.catalog().table_exists("bronze.orders__lines"):
            lines = self.lake.duckdb("bronze.orders__lines").to_pylist()
        for line in lines:
            roots[line["_dlt_parent_id"]][1].append(line["n"])  # no line is without its order
        assert sorted((key, sorted(held)) for key, held in roots.values()) == sorted(
            (key, sorted(held)) for key, held in self.orders
        )


TestLoads = pytest.mark.timeout(600)(Loads.TestCase)
TestLoads.settings = settings(
    max_examples=12,
    stateful_step_count=9,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
