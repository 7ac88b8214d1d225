"""Loads one chain of tables: a root and the tables nested in it, children first, the root last.

The root's commit carries the state, and decides: until it is there, the load is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from dlt.common.destination.utils import resolve_merge_strategy
from dlt.common.schema.utils import get_nested_tables, get_root_table
from dlt.common.storages.load_package import ParsedLoadJobFileName, load_package_state

from floe_ingest.dataplane.merge import MergeRule, Strategy
from floe_ingest.destination.commit import TableCommit, TableLoad, TablePlan
from floe_ingest.destination.layout import LoadFile, load_arrow_schema
from floe_ingest.destination.ledger import LoadMark, find_load
from floe_ingest.destination.merging import ChildOf, merge_data_files, root_ids
from floe_ingest.destination.orphans import files_of_load, unfinished_load
from floe_ingest.destination.rules import merge_rule, root_key, row_id
from floe_ingest.destination.spec import Layout
from floe_ingest.destination.write import WriteTask, WrittenData, write_data_files
from floe_ingest.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dlt.common.destination.typing import PreparedTableSchema
    from dlt.common.schema import Schema
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

    from floe_ingest.dataplane.merge import RootIds
    from floe_ingest.destination.client import IcebergClient


@dataclass(frozen=True, slots=True)
class _Merge:
    """How one table of a chain is merged."""

    rule: MergeRule
    child: ChildOf | None = None


class ChainLoad:
    """One load into one chain.

    Arguments:
        client: dlt's client of this load.
        schema: dlt's schema of this load.
        load_id: dlt's load id.
        paths: the Parquet files of the chain's tables, named as dlt names jobs.
    """

    def __init__(self, client: IcebergClient, schema: Schema, load_id: str, paths: Sequence[str]) -> None:
        self._client = client
        self._schema = schema
        self._load_id = load_id
        self._files: dict[str, list[Path]] = {}
        for path in paths:
            self._files.setdefault(ParsedLoadJobFileName.parse(path).table_name, []).append(Path(path))
        for files in self._files.values():
            # dlt writes files one after the other, under random names: time alone tells their order.
            files.sort(key=lambda path: path.stat().st_mtime_ns)
        self._root = str(get_root_table(schema.tables, next(iter(self._files)))["name"])
        self._chain = [str(table["name"]) for table in get_nested_tables(schema.tables, self._root)]

    def commit(self) -> None:
        """Commit each table; tables that hold this load or run already are left as they are."""
        # A root alone is looked at by its own commit.
        if len(self._chain) > 1:
            root = self._load_table(self._root)
            if root is not None and find_load(root, self._mark()) is not None:
                return
        merges = self._merges()
        for name in reversed(self._chain):
            self._table_commit(name, merges.get(name)).run()

    def _load_table(self, name: str) -> Table | None:
        from pyiceberg.exceptions import NoSuchTableError

        try:
            return self._client.catalog.load_table((*self._client.namespace, name))
        except NoSuchTableError:
            return None

    def _mark(self, *, with_state: bool = False) -> LoadMark:
        client = self._client
        state = client.package_state() if with_state else None
        return LoadMark(self._load_id, client.pipeline_name, client.config.run_id, state)

    def _remains(self, child: Table) -> list[DataFile]:
        """Return the data files of a load whose root never came."""
        mark = self._mark()
        load_id = unfinished_load(child, self._load_table(self._root), mark)
        return files_of_load(child, load_id, mark.pipeline) if load_id is not None else []

    def _table_commit(self, name: str, merge: _Merge | None) -> TableCommit:
        client = self._client
        table = client.prepare_load_table(name)
        files = self._files.get(name, [])
        is_root = name == self._root
        disposition = cast('Literal["append", "replace", "merge"]', table["write_disposition"])
        if disposition == "merge" and merge is None:
            disposition = "append"  # without a key there is nothing to merge by; dlt does the same
        read = [LoadFile.read(path) for path in files]
        columns = load_arrow_schema(
            cast("dict[str, dict[str, Any]]", table["columns"]), client.arrow_columns(name), read
        )
        load = TableLoad(
            identifier=(*client.namespace, name),
            columns=columns,
            assumed=frozenset(columns.names).difference(*(file.with_values() for file in read)),
            disposition=disposition,
            mark=self._mark(with_state=is_root),
            is_root=is_root,
            has_files=bool(files),
            layout=Layout.from_hints(cast("Mapping[str, Any]", table)) if is_root else Layout(),
            remains=(lambda _table: []) if is_root else self._remains,
        )

        def write(plan: TablePlan) -> WrittenData:
            task = self._task(name, plan)
            if merge is None:
                return write_data_files(task)
            return merge_data_files(task, merge.rule, plan.table, merge.child)

        return TableCommit(client.catalog, load, write)

    def _task(self, name: str, plan: TablePlan) -> WriteTask:
        return WriteTask(
            inputs=tuple(self._files.get(name, [])),
            schema=plan.schema,
            table_location=plan.location,
            table_properties=plan.properties,
            io_properties=plan.io_properties,
            spec=plan.spec,
            sort_order=plan.sort_order,
            scratch=self._client.scratch(self._load_id),
            settings=self._client.settings(self._load_id),
        )

    # -- merges

    def _merges(self) -> Mapping[str, _Merge]:
        """Return how each table is merged; nothing for a chain that appends or replaces."""
        table = self._client.prepare_load_table(self._root)
        tables = self._schema.tables
        strategy = resolve_merge_strategy(tables, tables[self._root], self._client.capabilities)
        if strategy is None:
            return {}
        created_at = load_package_state()["state"]["created_at"]
        rule = merge_rule(cast("Mapping[str, Any]", table), cast("Strategy", strategy), created_at)
        if rule is None:
            return {}
        merges = {self._root: _Merge(rule)}
        if len(self._chain) > 1 and self._root in self._files:
            ids = None if strategy == "scd2" else self._root_ids(table, rule)
            for name in self._chain[1:]:
                merges[name] = self._child_merge(name, rule.strategy, ids)
        return merges

    def _root_ids(self, table: PreparedTableSchema, rule: MergeRule) -> RootIds:
        plan = self._table_commit(self._root, _Merge(rule)).plan()
        id_column = row_id(cast("Mapping[str, Any]", table))
        if id_column is None:
            raise SchemaError(f"Table {self._root} has nested tables and no row id to merge them by.")
        unfinished = any(
            child is not None and unfinished_load(child, plan.table, self._mark())
            for child in map(self._load_table, self._chain[1:])
        )
        task = self._task(self._root, plan)
        return root_ids(task, rule, plan.table, id_column, with_alive=unfinished)

    def _child_merge(self, name: str, strategy: Strategy, ids: RootIds | None) -> _Merge:
        table = cast("Mapping[str, Any]", self._client.prepare_load_table(name))
        id_column = row_id(table)
        by_id = (id_column,) if id_column else ()
        if ids is None:
            # Ids of child rows follow from the root's version, so what is there already need not go in.
            return _Merge(MergeRule("insert-only", primary_key=by_id))
        key = root_key(table, of_root=table.get("parent") == self._root)
        if key is None:
            raise SchemaError(f"Table {name} has no column that leads to its root row in {self._root}.")
        return _Merge(MergeRule(strategy, primary_key=by_id), ChildOf(key, ids))
