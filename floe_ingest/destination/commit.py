"""The commit step: data files and state become one snapshot of one table. The one place that decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from floe_ingest.destination.catalogs import find_table, stage_table
from floe_ingest.destination.evolution import TableContract
from floe_ingest.destination.layout import add_columns, check_names
from floe_ingest.destination.ledger import (
    VERSION,
    LoadMark,
    began_at,
    find_load,
    is_forgotten,
    snapshot_key,
    was_committed,
)
from floe_ingest.destination.spec import FORMAT_VERSION, WRITABLE_VERSIONS, Layout
from floe_ingest.destination.staged import StagedTransaction
from floe_ingest.destination.variants import Resolved, resolve
from floe_ingest.destination.write import WrittenData, remove_data_files
from floe_ingest.errors import CatalogAccessError, CommitConflictError, SchemaError, StorageError
from floe_ingest.telemetry import Events, span
from floe_ingest_hookspecs import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.sorting import SortOrder

    from floe_ingest.telemetry import Traced

ATTEMPTS = 30


class RootMovedError(Exception):
    """The root table changed after its child tables were planned against it: plan them anew."""


class _LookAgainError(Exception):
    """The table changed between the look at it and the commit, or the commit's answer was lost."""


@dataclass(frozen=True, slots=True)
class TableLoad:
    """One load into one table.

    Arguments:
        identifier: namespace and table name.
        columns: the load's columns.
        disposition: ``append`` adds rows, ``replace`` puts them in the place of all rows, ``merge`` puts
            them in the place of some.
        mark: what the snapshot says of the load; None for a commit that is none, such as a clean-up.
        assumed: columns without a value in this load, whose type is a guess; the table's own type, where it
            has the column, is better.
        contract: what happens to new nested fields, and to a column whose type the table's cannot hold.
        pinned: columns by which rows are merged; those of the layout are as well.
        layout: partition spec, sort order and properties that the load asks for.
        remains: gives data files of an earlier try, which go in the same commit.
        is_root: whether the table is the root of its chain: it carries state, and a run id counts.
        has_files: whether the load holds files for this table.
        is_done: says whether the table holds the load; by default, whether it holds its mark.
        planned_on: what the root's children were planned against, see ``snapshot_key``; None where that
            does not matter.
    """

    identifier: tuple[str, ...]
    columns: pa.Schema
    disposition: Literal["append", "replace", "merge"]
    mark: LoadMark | None
    is_root: bool
    has_files: bool
    assumed: frozenset[str] = frozenset()
    contract: TableContract = field(default_factory=TableContract)
    pinned: frozenset[str] = frozenset()
    layout: Layout = field(default_factory=Layout)
    remains: Callable[[Table], list[DataFile]] = field(default=lambda _table: [])
    is_done: Callable[[Table], bool] | None = None
    planned_on: str | None = None

    @property
    def name(self) -> str:
        """The table's full name."""
        return ".".join(self.identifier)

    @property
    def creates_table(self) -> bool:
        """Whether a table is made for a load without rows: its columns are known, and it is asked for."""
        return self.is_root and self.disposition == "append"

    def holds(self, table: Table) -> bool:
        """Return whether a freshly loaded table holds this load."""
        if self.is_done is not None:
            return self.is_done(table)
        return self.mark is not None and find_load(table, self.mark, by_run=self.is_root) is not None

    def summary(self, rows: int) -> dict[str, str]:
        """Return the keys of the snapshot's summary."""
        return self.mark.summary(rows) if self.mark is not None else {VERSION: __version__}

    def columns_for(self, known: Sequence[str]) -> pa.Schema:
        """Return the columns that say something about a table which has the ``known`` ones."""
        import pyarrow as pa

        skipped = self.assumed & set(known)
        return pa.schema([field for field in self.columns if field.name not in skipped])


@dataclass(frozen=True, slots=True)
class TablePlan:
    """A table as it will be after the commit, and as it is: what the write step needs to know of it.

    Arguments:
        schema, location, properties, spec, sort_order: of the table as it will be.
        io: how its storage is reached.
        table: the table as it is; None for a new one.
        renames: columns of the load that have another name in the table, or None where they are left out.
    """

    schema: Schema
    location: str
    properties: dict[str, str]
    io: FileIO = field(repr=False)
    spec: PartitionSpec
    sort_order: SortOrder
    table: Table | None
    renames: Mapping[str, str | None] = field(default_factory=dict)


class TableCommit:
    """Commits one load into one table: looks for it first, and again whenever the outcome is open.

    Arguments:
        catalog: an open catalog.
        load: what to commit.
        write: the write step; called with the plan, again only if the plan changed.
    """

    def __init__(self, catalog: Catalog, load: TableLoad, write: Callable[[TablePlan], WrittenData]) -> None:
        self._catalog = catalog
        self._load = load
        self._write = write
        self._plan: TablePlan | None = None
        self._written: WrittenData | None = None
        self._outcome_open = False
        self._refused: list[Transaction] = []
        self._resolved = Resolved(load.columns)
        self._changes: tuple[str, ...] = ()

    def run(self) -> None:
        """Commit, or find that the table already holds this load.

        Raises:
            CommitConflictError: the table changed under every attempt, or has forgotten such old loads.
            RootMovedError: the table is not what its children were planned against.
            SchemaError: the load does not fit the table. Nothing was written.
            StorageError: a disk is full, or a folder cannot be written.
        """
        mark = self._load.mark
        attributes = {"ingestion.destination_table": self._load.name}
        if mark is not None:
            attributes |= {
                "ingestion.pipeline_name": mark.pipeline,
                "ingestion.load_id": mark.load_id,
            }
        with span("commit", attributes) as traced:
            self._commit(traced)

    def _commit(self, traced: Traced) -> None:
        attempts = Retrying(
            retry=retry_if_exception_type(_LookAgainError),
            wait=wait_random_exponential(multiplier=0.05, max=3),
            stop=stop_after_attempt(ATTEMPTS),
            before_sleep=lambda state: traced.event("commit.retry", attempt=state.attempt_number),
            reraise=True,
        )
        try:
            for attempt in attempts:
                with attempt:
                    self._attempt(traced)
        except _LookAgainError as error:
            self._discard()
            raise CommitConflictError(
                f"Table {self._load.name} could not be committed in {ATTEMPTS} attempts: {error.__cause__}. "
                f"Run again: what is already committed is skipped."
            ) from error
        except BaseException:
            self._discard()
            raise

    def plan(self, table: Table | None) -> TablePlan:
        """Return what a commit to the table, as it was loaded, would write. Commits nothing."""
        return self._plan_of(self._begin(table), table)

    def _attempt(self, traced: Traced) -> None:
        from pyiceberg.exceptions import CommitFailedException, TableAlreadyExistsError, ValidationException

        table = self._existing()
        self._settle_refused(table)
        if table is not None and self._load.holds(table):
            self._discard()
            return
        self._check_known(table)
        if self._load.planned_on is not None and snapshot_key(table) != self._load.planned_on:
            raise RootMovedError(f"Table {self._load.name} changed while its nested tables were loaded")
        if table is None and not self._load.has_files and not self._load.creates_table:
            return
        transaction = self._begin(table)
        snapshot_id = self._fill(transaction, table)
        # Before the commit, which brings the table object up to date.
        after = transaction.table_metadata.schema()
        changes = schema_changes(table.schema(), after) if table is not None else ""
        try:
            transaction.commit_transaction()
        except (CommitFailedException, TableAlreadyExistsError, ValidationException) as error:
            self._refused.append(transaction)
            raise _LookAgainError from error
        except Exception as error:
            # Unless the catalog has said no, the commit may have landed. The next attempt looks for it; a
            # commit that lands later still finds that the ref has moved on, and fails.
            self._outcome_open = self._outcome_open or not _is_refusal(error)
            if (storage := StorageError.of(error)) is not None:
                raise storage from error
            if _is_lost_answer(error):
                raise _LookAgainError from error
            raise
        self._tell(traced, snapshot_id, changes)
        self._written = None
        for change in self._changes:
            self._events.info("table layout changed", table=self._load.name, change=change)

    def _check_known(self, table: Table | None) -> None:
        """Refuse a load of which nobody can tell any more whether the table holds it."""
        mark = self._load.mark
        if mark is None or table is None:
            return
        if is_forgotten(table.metadata, mark.pipeline, began_at(mark.load_id)):
            raise CommitConflictError(
                f"Table {self._load.name} may hold load {mark.load_id} of pipeline {mark.pipeline} already: "
                f"more loads came after it than the table keeps on record, and the snapshots of that time "
                f"are gone. Compare the table with the source, drop the package that was left in the working "
                f"folder (dlt pipeline {mark.pipeline} abort-packages), and run again."
            )

    def _tell(self, traced: Traced, snapshot_id: int | None, changes: str) -> None:
        """Tell what was committed, and how the table's columns changed."""
        written = self._written
        traced.set("ingestion.rows_loaded", written.rows if written else 0)
        files = written.data_files if written else ()
        traced.set("ingestion.bytes_written", sum(file.file_size_in_bytes for file in files))
        if snapshot_id is not None:
            traced.set("ingestion.snapshot_id", snapshot_id)
        if changes:
            self._events.info("schema of a table has changed", table=self._load.name, changes=changes)

    @property
    def _events(self) -> Events:
        mark = self._load.mark
        return Events(pipeline=mark.pipeline, run_id=mark.run_id) if mark is not None else Events()

    def _existing(self) -> Table | None:
        table = find_table(self._catalog, self._load.identifier)
        if table is None:
            return None
        # pyiceberg would rebase a failed append onto whatever came in between, without looking whether
        # that was this very load. In memory alone, its own retries are turned off.
        properties = {**table.metadata.properties, "commit.retry.num-retries": "0"}
        table.metadata = table.metadata.model_copy(update={"properties": properties})
        return table

    def _begin(self, table: Table | None) -> Transaction:
        """Start a transaction, with the load's columns and layout in it."""
        known = table.schema().column_names if table is not None else []
        self._load.layout.check([*self._load.columns.names, *known], self._load.name)
        transaction = self._begin_table(table)
        changes = self._load.layout.apply(transaction)
        self._changes = changes if table is not None else ()
        return transaction

    def _begin_table(self, table: Table | None) -> Transaction:
        from pyiceberg.exceptions import TableAlreadyExistsError

        if table is None:
            self._resolved = Resolved(self._load.columns)
            check_names(self._load.columns.names, self._load.name)
            try:
                version = self._load.layout.format_version
                properties = {FORMAT_VERSION: str(version)} if version else {}
                arguments = {"schema": self._load.columns, "properties": properties}
                return stage_table(self._catalog, self._load.identifier, arguments)
            except TableAlreadyExistsError as error:
                raise _LookAgainError from error
        if (version := table.metadata.format_version) not in WRITABLE_VERSIONS:
            raise SchemaError(
                f"Table {self._load.name} has format version {version}, which PyIceberg does not write "
                f"yet. Load into another table."
            )
        columns = self._load.columns_for(table.schema().column_names)
        self._resolved = resolve(
            table.schema(),
            columns,
            self._load.name,
            self._load.contract,
            pinned=self._load.pinned | self._load.layout.columns,
            empty=self._load.assumed,
        )
        transaction = StagedTransaction(table)
        add_columns(transaction, self._resolved.columns)
        return transaction

    def _fill(self, transaction: Transaction, table: Table | None) -> int | None:
        """Put data files, snapshot and record into a transaction; return the snapshot's id, if any."""
        load = self._load
        written = self._write_once(transaction, table)
        old = list(written.replaced)
        if table is not None and load.disposition == "replace":
            old = _data_files(table)
        elif table is not None:
            old += load.remains(table)
        snapshot_id = None
        if written.data_files or old:
            update = transaction.update_snapshot(snapshot_properties=load.summary(written.rows))
            producer = update.overwrite() if old else update.fast_append()
            with producer:
                for data_file in old:
                    producer.delete_data_file(data_file)
                for data_file in written.data_files:
                    producer.append_data_file(data_file)
            snapshot_id = producer.snapshot_id
        if load.mark is not None and (snapshot_id is not None or table is None):
            before = table.metadata if table is not None else None
            properties = load.mark.properties(before, transaction.table_metadata, snapshot_id)
            transaction.set_properties(properties)
        return snapshot_id

    def _write_once(self, transaction: Transaction, table: Table | None) -> WrittenData:
        """Write, unless an earlier attempt did and the files are still right.

        A merge is written anew each time: it depends on the rows that others committed meanwhile.
        """
        plan = self._plan_of(transaction, table)
        merges = self._load.disposition == "merge"
        if self._written is not None and not merges and _same_layout(self._plan, plan):
            return self._written
        self._discard()
        self._plan = plan
        wanted = self._load.has_files or merges
        self._written = self._write(plan) if wanted else WrittenData((), 0, 0)
        return self._written

    def _plan_of(self, transaction: Transaction, table: Table | None) -> TablePlan:
        metadata = transaction.table_metadata
        return TablePlan(
            metadata.schema(),
            metadata.location,
            dict(metadata.properties),
            transaction._table.io,  # noqa: SLF001 (a staged table has no other door)
            metadata.spec(),
            metadata.sort_order(),
            table,
            self._resolved.renames,
        )

    def _discard(self) -> None:
        """Remove data files that were written and will not be committed.

        After a lost answer they stay: a snapshot may reference them.
        """
        if self._refused:
            try:
                table = find_table(self._catalog, self._load.identifier)
            except Exception:  # noqa: BLE001 (a catalog that cannot be asked proves nothing)
                self._outcome_open = True
            else:
                self._settle_refused(table)
        if self._written is not None and self._plan is not None and not self._outcome_open:
            remove_data_files(self._plan.io, self._written.data_files)
        self._written = None

    def _settle_refused(self, table: Table | None) -> None:
        """Find out whether a refused commit is there all the same; remove its manifests if it is not.

        A gateway that repeats a request answers with the conflict of the second one.

        Arguments:
            table: loaded after the refusal.
        """
        mark = self._load.mark
        if self._refused and (mark is None or (table is not None and was_committed(table, mark))):
            self._outcome_open = True
        elif self._refused:
            for transaction in self._refused:
                if isinstance(transaction, StagedTransaction):
                    transaction.remove_manifests()
        self._refused.clear()


def schema_changes(old: Schema, new: Schema) -> str:
    """Return how a table's columns changed, as "phone: new string, id: int becomes long"; empty if not."""
    known = {column.name: column.field_type for column in old.fields}
    changes = []
    for column in new.fields:
        if column.name not in known:
            changes.append(f"{column.name}: new {column.field_type}")
        elif known[column.name] != column.field_type:
            changes.append(f"{column.name}: {known[column.name]} becomes {column.field_type}")
    return ", ".join(changes)


def _is_refusal(error: Exception) -> bool:
    """Return whether an error of a commit says that the catalog did not make it."""
    from pyiceberg.exceptions import BadRequestError, ForbiddenError, NoSuchTableError, UnauthorizedError

    refusals = (BadRequestError, CatalogAccessError, ForbiddenError, NoSuchTableError, UnauthorizedError)
    return isinstance(error, refusals)


def _is_lost_answer(error: Exception) -> bool:
    """Return whether an error of a commit leaves open what became of it, as failing networks do."""
    from pydantic import ValidationError
    from pyiceberg.exceptions import (
        CommitStateUnknownException,
        ServerError,
        ServiceUnavailableError,
        TooManyRequestsError,
    )
    from sqlalchemy.exc import DBAPIError

    servers = (CommitStateUnknownException, ServerError, ServiceUnavailableError, TooManyRequestsError)
    # An answer that was cut off is no document.
    return isinstance(error, (*servers, DBAPIError, OSError, ValidationError))


def _same_layout(left: TablePlan | None, right: TablePlan) -> bool:
    return (
        left is not None
        and left.location == right.location
        and left.schema.fields == right.schema.fields
        and left.spec == right.spec
        and left.sort_order == right.sort_order
        and left.renames == right.renames
    )


def _data_files(table: Table) -> list[Any]:
    snapshot = table.current_snapshot()
    if snapshot is None:
        return []
    return [
        entry.data_file
        for manifest in snapshot.manifests(table.io)
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
        if entry.data_file.content == 0
    ]
