"""The write step of a merge: plans which data files can hold a match, and has the data plane merge them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from floe_ingest.dataplane.connection import connect
from floe_ingest.dataplane.merge import Merge, RootIds
from floe_ingest.dataplane.old_files import OldFiles
from floe_ingest.destination.adopt import has_names_of
from floe_ingest.destination.layout import table_columns
from floe_ingest.destination.local_files import fetch, has_equality_deletes
from floe_ingest.destination.write import WriteTask, WrittenData, file_options, publish_files
from floe_ingest.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from duckdb import DuckDBPyConnection
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table

    from floe_ingest.dataplane.merge_rule import MergeRule

_DELETES = (
    "Table {table} has {kind}, which cannot be merged yet. Compact it first, for example by Spark's "
    "rewrite_data_files."
)


@dataclass(frozen=True, slots=True)
class ChildOf:
    """Ties a child table's merge to what happens to its root rows.

    Arguments:
        root_key: the child's column that holds the root row's id.
        ids: the root rows that go out, and those that come in.
    """

    root_key: str
    ids: RootIds


def merge_data_files(
    task: WriteTask, rule: MergeRule, table: Table | None, child: ChildOf | None
) -> WrittenData:
    """Merge a load's files with a table's data files.

    Arguments:
        task: the load, and the table as it will be.
        rule: how rows meet.
        table: the table as it is; None for a new one.
        child: for a child table, whose rows follow their roots; ``rule`` then says only which of several
            child rows with one id is kept.

    Returns:
        New data files, and those that they replace.

    Raises:
        MergeKeyError: rows have no key.
        SchemaError: the table has delete files, which are not merged yet.
    """
    with connect(task.settings, ordered=bool(task.layout.order)) as connection:
        merge = _merge(connection, task)
        merge.read_load(task.inputs, rule, task.renames)
        if child and rule.primary_key:
            merge.refuse_mixed_children(child.root_key, rule.primary_key[0], child.ids.repeated)
        bounds = {} if child else _bounds(merge, rule)
        old = _Old.find(table, task.schema, _filter(task, bounds, table), task.scratch)
        merge.read_old(old.files)
        merged = merge.run_child(child.root_key, child.ids, rule.strategy) if child else merge.run(rule)
    written = publish_files(task, [*merged.new, *merged.rewritten])
    replaced = tuple(old.data_files[path] for path in merged.replaced)
    return WrittenData(written.data_files, merged.rows, written.bytes, replaced)


def root_ids(task: WriteTask, rule: MergeRule, table: Table | None, id_column: str) -> RootIds:
    """Return which root rows a merge will take out and put in, without writing any.

    Arguments: see ``merge_data_files``; ``id_column`` is the root's row id.
    """
    with connect(task.settings, ordered=bool(task.layout.order)) as connection:
        merge = _merge(connection, task)
        merge.read_load(task.inputs, rule, task.renames)
        row_filter = _filter(task, _bounds(merge, rule), table)
        merge.read_old(_Old.find(table, task.schema, row_filter, task.scratch).files)
        return merge.root_ids(rule, id_column)


def all_ids(task: WriteTask, table: Table | None, id_column: str) -> tuple[Path, ...]:
    """Return files of one column ``id``: a column of all rows of a table."""
    from pyiceberg.expressions import AlwaysTrue

    with connect(task.settings) as connection:
        merge = _merge(connection, task)
        merge.read_old(_Old.find(table, task.schema, AlwaysTrue(), task.scratch).files)
        return merge.ids(id_column)


def without_parent(
    task: WriteTask, table: Table, parent_key: str, parents: Sequence[Path], spared: Collection[str]
) -> WrittenData:
    """Rewrite the files of a child table that hold rows without a parent row.

    Arguments:
        task: the table, and where to write.
        table: freshly loaded.
        parent_key: the child's column that holds the parent row's id.
        parents: from ``all_ids`` of the parent table.
        spared: locations of data files that stay as they are.
    """
    from pyiceberg.expressions import AlwaysTrue

    with connect(task.settings, ordered=bool(task.layout.order)) as connection:
        merge = _merge(connection, task)
        old = _Old.find(table, task.schema, AlwaysTrue(), task.scratch)
        merge.read_old(old.files)
        stay = [path for path, file in old.data_files.items() if file.file_path in spared]
        merged = merge.without_parent(parent_key, parents, stay)
    written = publish_files(task, merged.rewritten)
    replaced = tuple(old.data_files[path] for path in merged.replaced)
    return WrittenData(written.data_files, 0, written.bytes, replaced)


def _merge(connection: DuckDBPyConnection, task: WriteTask) -> Merge:
    columns, options = table_columns(task.schema), file_options(task.table_properties)
    return Merge(connection, columns, task.scratch, options, task.layout)


@dataclass(frozen=True, slots=True)
class _Old:
    """Data files that may hold matches, where they can be read locally."""

    files: OldFiles
    data_files: Mapping[Path, DataFile]

    @classmethod
    def find(cls, table: Table | None, schema: Schema, row_filter: BooleanExpression, scratch: Path) -> _Old:
        if table is None or table.current_snapshot() is None:
            return cls(OldFiles(), {})
        if has_equality_deletes(table):
            raise SchemaError(_DELETES.format(table=".".join(table.name()), kind="equality deletes"))
        found: dict[Path, DataFile] = {}
        for task in table.scan(row_filter=row_filter).plan_files():
            if task.delete_files:
                raise SchemaError(_DELETES.format(table=".".join(table.name()), kind="delete files"))
            found[fetch(table, task.file, scratch)] = task.file
        by_id = tuple(path for path in found if not has_names_of(path, schema))
        by_name = tuple(path for path in found if path not in set(by_id))
        return cls(OldFiles(by_name, by_id), found)


def _prunable(rule: MergeRule) -> tuple[str, ...]:
    """Return the columns by whose bounds in the load old files can be left unread.

    A row of one merge key and another primary key matches as well, so with both none will do.
    """
    if rule.strategy == "scd2":
        return ()
    if rule.primary_key and rule.merge_key and rule.merge_key != rule.primary_key:
        return ()
    return rule.primary_key or rule.merge_key


def _bounds(merge: Merge, rule: MergeRule) -> dict[str, tuple[Any, Any]]:
    """Return, by column, the least and the greatest value that an old row with a match can have."""
    if rule.within is None:
        return {key: merge.bounds(key) for key in _prunable(rule)}
    return {} if rule.primary_key else {rule.within.column: merge.ends_of(rule.within)}


def _filter(task: WriteTask, bounds: Mapping[str, tuple[Any, Any]], table: Table | None) -> BooleanExpression:
    from pyiceberg.expressions import AlwaysTrue, And, GreaterThanOrEqual, LessThanOrEqual
    from pyiceberg.types import DoubleType, FloatType, UUIDType

    specs = table.specs().values() if table is not None else ()
    partitioned_by = {field.source_id for spec in specs for field in spec.fields}
    row_filter: BooleanExpression = AlwaysTrue()
    for column, (least, greatest) in bounds.items():
        field = task.schema.find_field(column)
        if least is None or isinstance(field.field_type, DoubleType | FloatType):  # a NaN is in no range
            continue
        if isinstance(field.field_type, UUIDType) and field.field_id in partitioned_by:
            continue  # PyIceberg 0.12 compares such partitions with bytes, and fails
        within = And(
            GreaterThanOrEqual(term=column, value=least), LessThanOrEqual(term=column, value=greatest)
        )
        row_filter = And(row_filter, within)
    return row_filter
