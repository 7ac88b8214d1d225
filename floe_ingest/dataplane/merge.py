"""Copy-on-write merges as SQL: which rows of a load go in, and which rows of old files go out.

A merge never touches a file without a match. The load's own rows are written once, deduplicated, and
those files become data files as they are; each old file with a match is rewritten without it. Joins and
sorts spill, so memory stays within the connection's limit whatever the sizes.

The semantics are those of dlt's merge strategies (https://dlthub.com/docs/general-usage/merge-loading).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from floe_ingest.dataplane.columns import Column, identifier, literal
from floe_ingest.dataplane.copy import (
    PARALLEL_FROM_BYTES,
    FileOptions,
    WrittenFile,
    available_columns,
    copy_to_parquet,
    numbered_rows,
    parquet_rows,
    paths_literal,
    projection,
)
from floe_ingest.dataplane.old_files import OldFiles
from floe_ingest.dataplane.partitions import FileLayout, copy_by_partition
from floe_ingest.errors import MergeKeyError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from duckdb import DuckDBPyConnection

    from floe_ingest.dataplane.merge_rule import MergeRule, Range, Strategy, Validity

_FILE = "__floe_file"
_PATH = "__floe_path"  # a table may have a column called filename
_ROW = "__floe_row"


@dataclass(frozen=True, slots=True)
class RootIds:
    """Which root rows a merge takes out and puts in, as files of one column ``id``.

    Arguments:
        gone: ids of old root rows that go out; no file where none does.
        kept: ids of the load's root rows that go in.
        repeated: ids that several root rows of the load have, with their ``count``; no file where none does.
    """

    gone: tuple[Path, ...] = ()
    kept: tuple[Path, ...] = ()
    repeated: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge wrote.

    Arguments:
        new: files that hold the load's rows.
        rewritten: files that hold what stays of the replaced ones.
        replaced: old files that go.
        rows: rows of the load that went in.
    """

    new: tuple[WrittenFile, ...] = ()
    rewritten: tuple[WrittenFile, ...] = ()
    replaced: tuple[Path, ...] = ()
    rows: int = 0


class Merge:
    """One merge of one table's load, on a connection of its own.

    Arguments:
        connection: from ``connect``.
        columns: the table's columns, with field ids.
        folder: where files are written.
        options: how files are written.
        layout: how rows are spread over files and ordered in them.
    """

    def __init__(
        self,
        connection: DuckDBPyConnection,
        columns: Sequence[Column],
        folder: Path,
        options: FileOptions,
        layout: FileLayout,
    ) -> None:
        self._connection = connection
        self._columns = columns
        self._folder = folder
        self._options = options
        self._layout = layout
        self._names = ", ".join(identifier(column.name) for column in columns)
        self._staged: tuple[WrittenFile, ...] = ()
        self._load_bytes = 0
        self._has_old = False
        self._old = OldFiles()

    def read_load(
        self, inputs: Sequence[Path], rule: MergeRule, renames: Mapping[str, str | None] | None = None
    ) -> None:
        """Stage the load: its rows in the table's columns, one a key. The relation ``load`` reads them.

        Arguments:
            inputs: Parquet files in the order of the load.
            rule: says what a key is, and which of several rows is kept.
            renames: see ``projection``.

        Raises:
            MergeKeyError: rows have NULL in a key column.
        """
        if inputs:
            self._stage(inputs, rule, renames or {})
        self._connection.execute(f"CREATE TEMP VIEW load AS SELECT {self._names} FROM {self._staged_rows()}")

    def _stage(self, inputs: Sequence[Path], rule: MergeRule, renames: Mapping[str, str | None]) -> None:
        paths = paths_literal(inputs)
        relation, number = numbered_rows(self._connection, inputs, f"filename = '{_PATH}'")
        columns = projection(self._columns, available_columns(self._connection, relation), renames)
        self._connection.execute(
            f"CREATE TEMP VIEW every_row AS SELECT {columns}, "
            f"list_position({paths}, {_PATH}) AS {_FILE}, {number} AS {_ROW} FROM {relation}"
        )
        self._refuse_null_keys(rule)
        self._load_bytes = sum(path.stat().st_size for path in inputs)
        options = replace(self._options, parallel=self._load_bytes >= PARALLEL_FROM_BYTES)
        winners = _winners(rule, self._names)
        self._staged = tuple(copy_to_parquet(self._connection, winners, self._columns, self._folder, options))

    def read_old(self, old: OldFiles) -> None:
        """Make the relation ``old`` over the table's files that may hold a match."""
        self._old = old
        self._has_old = bool(old)
        if old:
            rows = old.query(self._connection, self._columns, _FILE)
            self._connection.execute(f"CREATE TEMP VIEW old AS {rows}")

    def bounds(self, column: str) -> tuple[Any, Any]:
        """Return the least and the greatest value of a column of the load; None where it has none."""
        name = identifier(column)
        row = self._connection.execute(f"SELECT min({name}), max({name}) FROM load").fetchone()
        return (row[0], row[1]) if row else (None, None)

    def ends_of(self, within: Range) -> tuple[Any, Any]:
        """Return the ends of a range as values of the column's own type."""
        kind = next(column.type for column in self._columns if column.name == within.column)
        ends = f"SELECT CAST({literal(within.start)} AS {kind}), CAST({literal(within.end)} AS {kind})"
        row = self._connection.execute(ends).fetchone()
        return (row[0], row[1]) if row else (None, None)

    def run(self, rule: MergeRule) -> Merged:
        """Merge ``load`` into ``old``."""
        if rule.strategy == "scd2":
            return self._version(rule)
        if rule.strategy == "insert-only":
            return self._insert_only(rule)
        return self._replace_matches(rule)

    def root_ids(self, rule: MergeRule, id_column: str) -> RootIds:
        """Write the ids of root rows that a merge by ``rule`` takes out and puts in, for the children."""
        name = identifier(id_column)
        nothing = "SELECT NULL::VARCHAR AS id LIMIT 0"
        gone = nothing
        going_in = _alive(rule)
        if rule.strategy == "scd2":
            going_in = f"NOT {self._known_version(rule)}"
        elif rule.strategy == "insert-only":
            going_in += self._not_there(rule)
        elif self._has_old:
            gone = f"SELECT o.{name} AS id FROM old AS o WHERE {_matches(rule)}"
        kept = f"SELECT l.{name} AS id FROM load AS l WHERE {going_in}"
        several = f"SELECT {name} AS id, count(*) AS count FROM every_row GROUP BY ALL HAVING count(*) > 1"
        columns = [Column("id", "VARCHAR"), Column("count", "BIGINT")]
        repeated = self._write_ids(several, columns) if self._staged else ()
        return RootIds(self._write_ids(gone), self._write_ids(kept), repeated)

    def refuse_mixed_children(self, root_key: str, row_id: str, repeated: Sequence[Path]) -> None:
        """Refuse child rows of root rows that share an id, unless each root row brought the same ones.

        Ids of root rows can follow from their key, and those of child rows from these: what several rows of
        one key brought could not be told apart, and the last root row would get a mixture.

        Arguments:
            root_key, row_id: the child's columns of the root row's id and of its own.
            repeated: see ``RootIds``.

        Raises:
            MergeKeyError: says of how many root rows.
        """
        if not repeated or not self._staged:
            return
        root, own = identifier(root_key), identifier(row_id)
        rows = (
            f"SELECT {root} AS root, count(*) AS count, count(DISTINCT hash({self._names})) AS kinds "
            f"FROM every_row GROUP BY {root}, {own}"
        )
        mixed = (
            f"SELECT count(DISTINCT rows.root) FROM ({rows}) AS rows "
            f"JOIN {parquet_rows(repeated, united=False)} AS ids ON ids.id = rows.root "
            f"WHERE rows.count <> ids.count OR rows.kinds > 1"
        )
        found = self._connection.execute(mixed).fetchone()
        if found and found[0]:
            raise MergeKeyError(
                f"{found[0]:,} key{'s are' if found[0] != 1 else ' is'} in the load more than once with "
                f"nested rows that differ. They share ids, so that those of the last row cannot be told "
                f"from the others. Leave duplicates out in the source, or merge by delete-insert."
            )

    def run_child(self, root_key: str, ids: RootIds, strategy: Strategy) -> Merged:
        """Merge the rows of a child table: those of roots that go out, and of roots that come in."""
        key = identifier(root_key)
        # Ids that follow from a key are the same before and after, so rows of an earlier try go as well.
        # Not so where the first one wins: they may be those of another load that is quicker to its root.
        keeps = strategy == "insert-only"
        out = f"{_among(ids.gone, f'o.{key}')} OR {_among(ids.kept, f'o.{key}')}"
        touched, rewritten = ((), ()) if keeps else self._take_out(f"({out})")
        new: tuple[WrittenFile, ...] = ()
        if self._staged:
            kept = _among(ids.kept, f"l.{key}")
            new = self._write(f"SELECT {self._names} FROM load AS l WHERE {kept}", self._load_bytes)
        return Merged(new, rewritten, touched, sum(file.rows for file in new))

    def without_parent(self, parent_key: str, parents: Sequence[Path], spared: Collection[Path]) -> Merged:
        """Take out the rows of a child table that no parent row has.

        Arguments:
            parent_key: the child's column that holds the parent row's id.
            parents: files of one column ``id``, those of all parent rows.
            spared: old files whose rows stay in any case.
        """
        key = f"o.{identifier(parent_key)}"
        out = f"{key} IS NOT NULL AND NOT {_among(parents, key)}"
        if spared:
            out += f" AND NOT list_contains({paths_literal(tuple(spared))}, o.{_FILE})"
        touched, rewritten = self._take_out(f"({out})")
        return Merged(rewritten=rewritten, replaced=touched)

    def ids(self, column: str) -> tuple[Path, ...]:
        """Write a column of all old rows into files of one column ``id``."""
        nothing = "SELECT NULL::VARCHAR AS id LIMIT 0"
        everything = f"SELECT o.{identifier(column)} AS id FROM old AS o"
        return self._write_ids(everything if self._has_old else nothing)

    # -- strategies

    def _replace_matches(self, rule: MergeRule) -> Merged:
        """Upsert and delete-insert: old rows with a match go, the load's rows go in."""
        touched, rewritten = self._take_out(_matches(rule))
        new = self._staged
        if rule.hard_delete is not None or self._layout:
            new = self._write(f"SELECT {self._names} FROM load AS l WHERE {_alive(rule)}", self._load_bytes)
        return Merged(new, rewritten, touched, sum(file.rows for file in new))

    def _insert_only(self, rule: MergeRule) -> Merged:
        """Rows whose key is new go in; nothing else changes."""
        new = self._staged
        if self._has_old or rule.hard_delete is not None or self._layout:
            condition = _alive(rule) + self._not_there(rule)
            new = self._write(f"SELECT {self._names} FROM load AS l WHERE {condition}", self._load_bytes)
        return Merged(new=new, rows=sum(file.rows for file in new))

    def _version(self, rule: MergeRule) -> Merged:
        """scd2: versions that the load does not have end, and versions that are new begin."""
        validity = _validity(rule)
        end = identifier(validity.valid_to)
        boundary, active = self._instant(validity.boundary), self._instant(validity.active)
        gone = f"{self._is_active(validity)} AND NOT EXISTS ({_same_version(validity)})"
        if rule.merge_key:
            gone += f" AND EXISTS (SELECT 1 FROM load AS l WHERE {_equal(rule.merge_key)})"
        ended = self._with({validity.valid_to: f"CASE WHEN {gone} THEN {boundary} ELSE o.{end} END"}, "o")
        touched = self._touched(gone)
        rewritten = self._rewrite(touched, ended, "true")
        begun = self._with({validity.valid_from: boundary, validity.valid_to: active}, "l")
        known = self._known_version(rule)
        new = self._write(f"SELECT {begun} FROM load AS l WHERE NOT {known}", self._load_bytes)
        return Merged(new, rewritten, touched, sum(file.rows for file in new))

    # -- pieces

    def _known_version(self, rule: MergeRule) -> str:
        validity = _validity(rule)
        if not self._has_old:
            return "false"
        version = identifier(validity.row_version)
        is_active = self._is_active(validity)
        return f"EXISTS (SELECT 1 FROM old AS o WHERE {is_active} AND o.{version} = l.{version})"

    def _is_active(self, validity: Validity) -> str:
        end = f"o.{identifier(validity.valid_to)}"
        return f"{end} IS NULL" if validity.active is None else f"{end} = {self._instant(validity.active)}"

    def _instant(self, text: str | None) -> str:
        return "NULL" if text is None else f"CAST({literal(text)} AS TIMESTAMPTZ)"

    def _not_there(self, rule: MergeRule) -> str:
        if not self._has_old:
            return ""
        keys = rule.primary_key or rule.merge_key
        return f" AND NOT EXISTS (SELECT 1 FROM old AS o WHERE {_equal(keys)})"

    def _with(self, values: dict[str, str], alias: str) -> str:
        """Return the ``SELECT`` list of all columns, some with other values."""
        return ", ".join(
            f"CAST({values[column.name]} AS {column.type}) AS {identifier(column.name)}"
            if column.name in values
            else f"{alias}.{identifier(column.name)}"
            for column in self._columns
        )

    def _take_out(self, condition: str) -> tuple[tuple[Path, ...], tuple[WrittenFile, ...]]:
        """Rewrite the files that hold rows with ``condition`` without those rows."""
        touched = self._touched(condition)
        return touched, self._rewrite(touched, self._names, f"NOT ({condition})")

    def _touched(self, condition: str) -> tuple[Path, ...]:
        if not self._has_old:
            return ()
        rows = self._connection.execute(f"SELECT DISTINCT {_FILE} FROM old AS o WHERE {condition}").fetchall()
        return tuple(sorted(Path(name) for (name,) in rows))

    def _rewrite(self, touched: Sequence[Path], select: str, condition: str) -> tuple[WrittenFile, ...]:
        if not touched:
            return ()
        rows = self._old.only(touched).query(self._connection, self._columns, _FILE)
        query = f"SELECT {select} FROM ({rows}) AS o WHERE {condition}"
        return self._write(query, sum(path.stat().st_size for path in touched))

    def _write(self, select: str, size: int) -> tuple[WrittenFile, ...]:
        """Write rows that were read from ``size`` bytes of files."""
        options = replace(self._options, parallel=size >= PARALLEL_FROM_BYTES)
        return tuple(
            copy_by_partition(self._connection, select, self._columns, self._layout, self._folder, options)
        )

    def _write_ids(
        self, select: str, columns: Sequence[Column] = (Column("id", "VARCHAR"),)
    ) -> tuple[Path, ...]:
        options = FileOptions(compression="lz4_raw", parallel=False)
        files = copy_to_parquet(self._connection, select, columns, self._folder, options)
        return tuple(file.path for file in files)

    def _staged_rows(self) -> str:
        if self._staged:
            return parquet_rows([file.path for file in self._staged], united=False)
        nothing = ", ".join(f"CAST(NULL AS {c.type}) AS {identifier(c.name)}" for c in self._columns)
        return f"(SELECT {nothing} LIMIT 0)"

    def _refuse_null_keys(self, rule: MergeRule) -> None:
        keys = () if rule.strategy == "scd2" else rule.primary_key
        if not keys:
            return
        is_null = " OR ".join(f"{identifier(key)} IS NULL" for key in keys)
        row = self._connection.execute(f"SELECT count(*) FROM every_row WHERE {is_null}").fetchone()
        count = row[0] if row else 0
        if count:
            raise MergeKeyError(
                f"{count:,} row{'s have' if count != 1 else ' has'} no value in the key {', '.join(keys)}, "
                f"so they cannot be merged. Leave them out in the source, or choose another primary_key."
            )


def _among(files: Sequence[Path], value: str) -> str:
    """Return the condition under which a value is one of the ids in files."""
    if not files:
        return "false"
    return f"EXISTS (SELECT 1 FROM {parquet_rows(files, united=False)} AS ids WHERE ids.id = {value})"


def _winners(rule: MergeRule, names: str) -> str:
    """Return the query for the rows of a load, one a key."""
    keys = (rule.validity.row_version,) if rule.validity else rule.primary_key
    if not keys:
        return f"SELECT {names} FROM every_row"
    order = [f"{_FILE} DESC", f"{_ROW} DESC"]
    if rule.dedup_sort:
        column, direction = rule.dedup_sort
        order.insert(0, f"{identifier(column)} {direction.upper()} NULLS LAST")
    partition = ", ".join(identifier(key) for key in keys)
    rank = f"row_number() OVER (PARTITION BY {partition} ORDER BY {', '.join(order)})"
    return f"SELECT {names} FROM every_row QUALIFY {rank} = 1"


def _matches(rule: MergeRule) -> str:
    """Return the condition under which an old row ``o`` has a match in the load."""
    keys = [keys for keys in (rule.primary_key, rule.merge_key) if keys]
    exists = [f"EXISTS (SELECT 1 FROM load AS l WHERE {_equal(key)})" for key in dict.fromkeys(keys)]
    if rule.within is not None:
        name = f"o.{identifier(rule.within.column)}"
        # A literal takes the type of the column that it is compared with.
        exists.append(
            f"coalesce({name} >= {literal(rule.within.start)} AND {name} < {literal(rule.within.end)}, false)"
        )
    return "(" + " OR ".join(exists) + ")" if exists else "false"


def _equal(keys: Sequence[str]) -> str:
    return " AND ".join(f"o.{identifier(key)} = l.{identifier(key)}" for key in keys)


def _same_version(validity: Validity) -> str:
    version = identifier(validity.row_version)
    return f"SELECT 1 FROM load AS l WHERE l.{version} = o.{version}"


def _alive(rule: MergeRule) -> str:
    """Return the condition under which a row ``l`` of the load is not a deletion."""
    if rule.hard_delete is None:
        return "true"
    column, is_bool = rule.hard_delete
    name = f"l.{identifier(column)}"
    return f"({name} IS NULL OR NOT {name})" if is_bool else f"{name} IS NULL"


def _validity(rule: MergeRule) -> Validity:
    if rule.validity is None:
        raise ValueError("scd2 needs validity columns")
    return rule.validity
