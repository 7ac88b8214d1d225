"""The child tables of a chain, seen from outside a load: which loads they hold that their root does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from floe_ingest.destination.catalogs import find_table
from floe_ingest.destination.commit import TableCommit, TableLoad, TablePlan
from floe_ingest.destination.ledger import find_load
from floe_ingest.destination.merging import all_ids, without_parent
from floe_ingest.destination.orphans import Unfinished, files_of_loads, files_since, unfinished_loads
from floe_ingest.destination.rules import columns_with, row_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pyiceberg.table import Table

    from floe_ingest.destination.client import IcebergClient
    from floe_ingest.destination.ledger import LoadMark, RecordedLoad
    from floe_ingest.destination.write import WriteTask, WrittenData


class ChildTables:
    """The child tables of one chain, as one look at them found them.

    Arguments:
        client: dlt's, of the load at hand.
        root: the root table's name.
        names: the child tables' names, parents first.
        mark: the load at hand.
        task: makes a write task without inputs.
    """

    def __init__(
        self,
        client: IcebergClient,
        root: str,
        names: Sequence[str],
        mark: LoadMark,
        task: Callable[[TablePlan], WriteTask],
    ) -> None:
        self._client = client
        self._root = root
        self._mark = mark
        self._task = task
        self._tables = {name: table for name in names if (table := self._load_table(name)) is not None}

    def table(self, name: str) -> Table | None:
        """Return a child table; None where it does not exist yet."""
        return self._tables.get(name)

    def hold_load(self) -> bool:
        """Return whether any child table holds the load at hand."""
        return any(find_load(table, self._mark, by_run=False) for table in self._tables.values())

    def unfinished(self, root: Table | None) -> Mapping[str, Unfinished]:
        """Return the loads that each child table holds and that its root does not."""
        return {name: unfinished_loads(table, root, self._mark) for name, table in self._tables.items()}

    def remove_dead(self, root: Table | None, found: Mapping[str, Unfinished], *, by_file: bool) -> None:
        """Remove rows of loads that died too long ago to reach their root ever.

        Arguments:
            root: freshly loaded.
            found: from ``unfinished``.
            by_file: whether such loads only added files, so that these can go as they are.
        """
        if any(loads.dead for loads in found.values()):
            for name, loads in found.items():
                # What the load at hand and younger ones have put in waits for its root rows.
                waiting = [*loads.of_run, *loads.on_their_way, *self._own(name)]
                self._remove(root, name, loads.dead, waiting, by_file=by_file)

    def remove_lost(self, root: Table | None, found: Mapping[str, Unfinished], *, by_file: bool) -> None:
        """Remove rows of other tries of the run, once one try of it is in the root.

        Arguments: see ``remove_dead``.
        """
        for name, loads in found.items():
            of_run = [load for load in (*loads.of_run, *self._own(name)) if not self._is_in(root, load)]
            if of_run:
                self._remove(root, name, of_run, loads.on_their_way, by_file=by_file)

    def _own(self, name: str) -> list[RecordedLoad]:
        found = find_load(self._tables[name], self._mark, by_run=False)
        return [found] if found is not None else []

    def _is_in(self, root: Table | None, load: RecordedLoad) -> bool:
        if root is None:
            return False
        found = find_load(root, self._mark)
        return found is not None and found.load_id == load.load_id

    def _remove(
        self,
        root: Table | None,
        name: str,
        gone: Sequence[RecordedLoad],
        waiting: Sequence[RecordedLoad],
        *,
        by_file: bool,
    ) -> None:
        ids = {load.load_id for load in gone}

        def write(plan: TablePlan) -> WrittenData:
            from floe_ingest.destination.write import WrittenData

            table = plan.table
            if table is None:
                return WrittenData((), 0, 0)
            if by_file:
                return WrittenData((), 0, 0, tuple(files_of_loads(table, ids)))
            spared = (
                files_since(table, min(load.sequence_number for load in waiting)) if waiting else frozenset()
            )
            key, parents = self._parents(root, name)
            if parents is None:
                return WrittenData((), 0, 0)
            return without_parent(self._task(plan), table, key, parents, spared)

        import pyarrow as pa

        load = TableLoad(
            identifier=(*self._client.namespace, name),
            columns=pa.schema([]),
            disposition="merge",
            mark=None,
            is_root=False,
            has_files=False,
        )
        TableCommit(self._client.catalog, load, write).run()

    def _parents(self, root: Table | None, name: str) -> tuple[str, tuple[Path, ...] | None]:
        """Return the column that leads to the parent row, and the ids of all parent rows if they have any."""
        table = cast("Mapping[str, Any]", self._client.prepare_load_table(name))
        by_root = columns_with(table, "root_key")
        parent = self._root if by_root else str(table["parent"])
        [key] = by_root or columns_with(table, "parent_key")
        found = root if parent == self._root else self._load_table(parent)
        id_column = row_id(cast("Mapping[str, Any]", self._client.prepare_load_table(parent)))
        if id_column is None:
            return key, None
        if found is None:
            return key, ()
        return key, all_ids(self._task(_plan_of(found)), found, id_column)

    def _load_table(self, name: str) -> Table | None:
        return find_table(self._client.catalog, (*self._client.namespace, name))


def _plan_of(table: Table) -> TablePlan:
    metadata = table.metadata
    return TablePlan(
        metadata.schema(),
        metadata.location,
        dict(metadata.properties),
        table.io,
        metadata.spec(),
        metadata.sort_order(),
        table,
    )
