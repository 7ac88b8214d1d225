"""Loads one chain of tables: a root and the tables nested in it, children first, the root last.

The root's commit carries the state, and decides: until it is there, the load is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from dlt.common.destination.utils import resolve_merge_strategy
from dlt.common.schema.utils import get_nested_tables, get_root_table
from dlt.common.storages.load_package import ParsedLoadJobFileName, load_package_state
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from floe_ingest.dataplane.merge_rule import MergeRule, Strategy
from floe_ingest.destination.catalogs import find_table
from floe_ingest.destination.children import ChildTables
from floe_ingest.destination.commit import ATTEMPTS, RootMovedError, TableCommit, TableLoad, TablePlan
from floe_ingest.destination.evolution import TableContract
from floe_ingest.destination.foreign import listed
from floe_ingest.destination.layout import LoadFile, load_arrow_schema
from floe_ingest.destination.ledger import LoadMark, find_load, snapshot_key
from floe_ingest.destination.merging import ChildOf, merge_data_files, root_ids
from floe_ingest.destination.orphans import files_of_loads, only_appended_since, settled_to
from floe_ingest.destination.rules import key_columns, merge_rule, range_rule, root_key, row_id
from floe_ingest.destination.spec import Layout
from floe_ingest.destination.state import ResourceState
from floe_ingest.destination.write import WriteTask, WrittenData, write_data_files
from floe_ingest.errors import CommitConflictError, SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dlt.common.schema import Schema
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

    from floe_ingest.dataplane.merge import RootIds
    from floe_ingest.destination.client import IcebergClient


ChildMode = Literal["append", "replace", "follow", "first", "version"]
"""How the rows of child tables go in: ``append`` and ``replace`` all of them, as the root's; ``follow``
those of each root row of the load, in the place of what that row had; ``first`` those of root rows that are
new; ``version`` those of new versions of root rows, from which their ids follow."""


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
            files[:] = [file for path in files for file in listed(path, client.landing)]
        self._root = str(get_root_table(schema.tables, next(iter(self._files)))["name"])
        self._chain = [str(table["name"]) for table in get_nested_tables(schema.tables, self._root)]
        self._strategy, self._rule = self._how()
        prepared = client.prepare_load_table(self._root)
        self._disposition = cast('Literal["append", "replace", "merge"]', prepared["write_disposition"])
        if self._disposition == "merge" and self._rule is None:
            self._disposition = "append"  # without a key there is nothing to merge by; dlt does the same
        if (rule := range_rule(cast("Mapping[str, Any]", prepared), client.config.run_id)) is not None:
            self._strategy, self._rule, self._disposition = rule.strategy, rule, "merge"
        self._mode = self._child_mode()

    def _child_mode(self) -> ChildMode:
        if self._disposition != "merge" or self._rule is None:
            return "replace" if self._disposition == "replace" else "append"
        if self._rule.validity is None:
            return "first" if self._strategy == "insert-only" else "follow"
        id_column = row_id(cast("Mapping[str, Any]", self._client.prepare_load_table(self._root)))
        return "version" if id_column == self._rule.validity.row_version else "first"

    def _how(self) -> tuple[str | None, MergeRule | None]:
        """Return the merge strategy and the rule of the root; None for a chain that appends or replaces."""
        table = self._client.prepare_load_table(self._root)
        tables = self._schema.tables
        strategy = resolve_merge_strategy(tables, tables[self._root], self._client.capabilities)
        if strategy is None:
            return None, None
        created_at = load_package_state()["state"]["created_at"]
        rule = merge_rule(cast("Mapping[str, Any]", table), cast("Strategy", strategy), created_at)
        return (strategy, rule) if rule is not None else (None, None)

    def commit(self) -> None:
        """Commit each table; tables that hold this load or run already are left as they are.

        Child tables are planned against a state of the root. Where the root has another one by the time of
        its own commit, since another load was quicker, all are planned anew.

        Raises:
            CommitConflictError: the root changed under every attempt.
        """
        if len(self._chain) == 1:  # a root alone is looked at by its own commit
            self._root_commit(self._merges(None, None).get(self._root), None).run()
            return
        try:
            for attempt in Retrying(
                retry=retry_if_exception_type(RootMovedError),
                wait=wait_random_exponential(multiplier=0.05, max=3),
                stop=stop_after_attempt(ATTEMPTS),
                reraise=True,
            ):
                with attempt:
                    self._commit_chain()
        except RootMovedError as error:
            raise CommitConflictError(f"{error}, in {ATTEMPTS} attempts. Run again.") from error

    def _commit_chain(self) -> None:
        root = self._load_table(self._root)
        children = ChildTables(self._client, self._root, self._chain[1:], self._mark(), self._task)
        unfinished = children.unfinished(root)
        if root is not None and self._is_committed(root, children):
            children.remove_lost(root, unfinished, by_file=self._by_file)
            return
        if self._disposition != "replace":
            children.remove_dead(root, unfinished, by_file=self._by_file)
        planned_on = snapshot_key(root)
        merges = self._merges(root, planned_on)
        for name in reversed(self._chain[1:]):
            self._child_commit(name, children.table(name), merges.get(name), planned_on).run()
        self._root_commit(merges.get(self._root), planned_on).run()
        if any(found.of_run for found in unfinished.values()):
            children.remove_lost(self._load_table(self._root), unfinished, by_file=self._by_file)

    def _is_committed(self, root: Table, children: ChildTables) -> bool:
        """Return whether the root holds this load, or its run.

        A try of the same run may be in the root while this one has taken its child rows out: then this one
        has to finish, and takes the place of the other.
        """
        found = find_load(root, self._mark())
        if found is None:
            return False
        return found.load_id == self._load_id or self._adds_only() or not children.hold_load()

    @property
    def _by_file(self) -> bool:
        """Whether the files that a try adds to a child table hold rows that no other one relies on."""
        return self._mode in ("append", "first")

    def _adds_only(self) -> bool:
        """Return whether a load of this chain takes no child rows out."""
        return self._mode in ("append", "first", "version")

    def _load_table(self, name: str) -> Table | None:
        return find_table(self._client.catalog, (*self._client.namespace, name))

    def _mark(self) -> LoadMark:
        return LoadMark(self._load_id, self._client.pipeline_name, self._client.config.run_id)

    def _root_commit(self, merge: _Merge | None, planned_on: str | None) -> TableCommit:
        table = self._client.prepare_load_table(self._root)
        state = self._client.package_state()
        resource = table.get("resource")
        mark = replace(
            self._mark(),
            state=state,
            resource_state=ResourceState.of(state, resource).packed() if state and resource else None,
            settled_to=settled_to() if planned_on is not None else None,
        )
        load = replace(
            self._table_load(self._root, merge),
            mark=mark,
            is_root=True,
            layout=Layout.from_hints(cast("Mapping[str, Any]", table)),
            planned_on=planned_on,
            # Where another try of the run is in the root, child tables are to be looked at as well.
            is_done=None if planned_on is None else self._is_this_load,
        )
        return self._table_commit(load, merge)

    def _is_this_load(self, root: Table) -> bool:
        return find_load(root, self._mark(), by_run=False) is not None

    def _child_commit(
        self, name: str, known: Table | None, merge: _Merge | None, planned_on: str
    ) -> TableCommit:
        def state(table: Table | None) -> Literal["absent", "there", "stale"]:
            found = find_load(table, self._mark(), by_run=False) if table is not None else None
            if table is None or found is None:
                return "absent"
            if self._mode == "version":
                return "there"
            if self._mode == "append":
                return "there" if only_appended_since(table, found) else "stale"
            return "there" if found.root_snapshot == planned_on else "stale"

        appends = self._mode == "append"
        if appends and state(known) == "stale":
            # Others have rewritten the table meanwhile: the rows may be there, all or in part.
            appends, merge = False, _Merge(MergeRule("upsert", primary_key=self._row_ids(name)))

        def is_done(table: Table) -> bool:
            now = state(table)
            if appends and now == "stale":
                raise RootMovedError(f"Table {name} changed while it was loaded")
            return now == "there"

        depends = self._mode in ("replace", "follow", "first")
        load = replace(
            self._table_load(name, merge),
            mark=replace(self._mark(), root_snapshot=planned_on if depends else None),
            remains=self._own_files if self._mode == "first" else lambda _table: [],
            is_done=is_done,
        )
        return self._table_commit(load, merge)

    def _own_files(self, child: Table) -> list[DataFile]:
        return files_of_loads(child, {self._load_id})

    def _table_load(self, name: str, merge: _Merge | None) -> TableLoad:
        client = self._client
        table = client.prepare_load_table(name)
        files = self._files.get(name, [])
        disposition = self._disposition
        if merge is not None:
            disposition = "merge"
        read = [LoadFile.read(path) for path in files]
        columns = load_arrow_schema(
            cast("dict[str, dict[str, Any]]", table["columns"]), client.arrow_columns(name), read
        )
        return TableLoad(
            identifier=(*client.namespace, name),
            columns=columns,
            assumed=frozenset(columns.names).difference(*(file.with_values() for file in read)),
            disposition=disposition,
            mark=self._mark(),
            is_root=False,
            has_files=bool(files),
            contract=self._contract(name),
            pinned=key_columns(cast("Mapping[str, Any]", table)),
        )

    def _contract(self, name: str) -> TableContract:
        modes = self._schema.resolve_contract_settings_for_table(name)
        return TableContract(modes["columns"] or "evolve", modes["data_type"] or "evolve")

    def _table_commit(self, load: TableLoad, merge: _Merge | None) -> TableCommit:
        name = load.identifier[-1]

        def write(plan: TablePlan) -> WrittenData:
            task = self._task(plan, self._files.get(name, ()))
            if merge is None:
                return write_data_files(task)
            return merge_data_files(task, merge.rule, plan.table, merge.child)

        return TableCommit(self._client.catalog, load, write)

    def _task(self, plan: TablePlan, inputs: Sequence[Path] = ()) -> WriteTask:
        return WriteTask(
            inputs=tuple(inputs),
            schema=plan.schema,
            table_location=plan.location,
            table_properties=plan.properties,
            io=plan.io,
            spec=plan.spec,
            sort_order=plan.sort_order,
            renames=plan.renames,
            scratch=self._client.scratch(self._load_id),
            settings=self._client.settings(self._load_id),
        )

    # -- merges

    def _merges(self, root: Table | None, planned_on: str | None) -> Mapping[str, _Merge]:
        """Return how each table is merged; nothing for a chain that appends or replaces."""
        if self._rule is None:
            return {}
        merges = {self._root: _Merge(self._rule)}
        if planned_on is not None and self._root in self._files:
            ids = None if self._mode == "version" else self._root_ids(root, self._rule)
            strategy = "insert-only" if self._mode == "first" else self._rule.strategy
            for name in self._chain[1:]:
                merges[name] = self._child_merge(name, strategy, ids)
        return merges

    def _root_ids(self, root: Table | None, rule: MergeRule) -> RootIds:
        plan = self._root_commit(_Merge(rule), None).plan(root)
        id_column = row_id(cast("Mapping[str, Any]", self._client.prepare_load_table(self._root)))
        if id_column is None:
            raise SchemaError(f"Table {self._root} has nested tables and no row id to merge them by.")
        return root_ids(self._task(plan, self._files[self._root]), rule, root, id_column)

    def _row_ids(self, name: str) -> tuple[str, ...]:
        id_column = row_id(cast("Mapping[str, Any]", self._client.prepare_load_table(name)))
        return (id_column,) if id_column else ()

    def _child_merge(self, name: str, strategy: Strategy, ids: RootIds | None) -> _Merge:
        by_id = self._row_ids(name)
        if ids is None:
            # Ids of child rows follow from the root's version, so what is there already need not go in.
            return _Merge(MergeRule("insert-only", primary_key=by_id))
        table = cast("Mapping[str, Any]", self._client.prepare_load_table(name))
        key = root_key(table, of_root=table.get("parent") == self._root)
        if key is None:
            raise SchemaError(f"Table {name} has no column that leads to its root row in {self._root}.")
        return _Merge(MergeRule(strategy, primary_key=by_id), ChildOf(key, ids))
