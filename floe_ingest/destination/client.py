"""dlt's job client on an Iceberg catalog: storage, schemas, state, and the jobs of a load."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from dlt.common import logger
from dlt.common.configuration.container import Container
from dlt.common.destination.client import JobClientBase, StateInfo, StorageSchemaInfo, WithStateSync
from dlt.common.destination.exceptions import (
    DestinationTerminalException,
    DestinationTransientException,
    DestinationUndefinedEntity,
)
from dlt.common.json import json as dlt_json
from dlt.common.pipeline import PipelineContext
from dlt.common.storages.load_package import load_package_state
from dlt.destinations.job_impl import ReferenceFollowupJobRequest

from floe_ingest.dataplane.connection import DataPlaneSettings
from floe_ingest.destination.catalogs import embedded_catalog, ensure_namespace, open_catalog
from floe_ingest.destination.foreign import LANDING
from floe_ingest.destination.jobs import ChainCommitJob, FileJob, InternalTableJob
from floe_ingest.destination.ledger import LoadMark
from floe_ingest.destination.meta import MetaTable, StoredSchema
from floe_ingest.destination.state import empty_table, keep_state, merge_states, stored_state
from floe_ingest.errors import CatalogConnectionError, IngestionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    import pyarrow as pa
    from dlt.common.destination import DestinationCapabilitiesContext
    from dlt.common.destination.client import FollowupJobRequest, LoadJob
    from dlt.common.destination.typing import PreparedTableSchema
    from dlt.common.schema import Schema, TSchemaTables
    from dlt.common.storages.load_package import LoadJobInfo
    from pyiceberg.catalog import Catalog

    from floe_ingest.destination.factory import IcebergConfiguration

_INTERNAL_TABLES = frozenset({"_dlt_pipeline_state", "_dlt_loads", "_dlt_version"})


class IcebergClient(JobClientBase, WithStateSync):
    """Loads packages of one dlt schema into one namespace of a catalog."""

    config: IcebergConfiguration

    def __init__(
        self, schema: Schema, config: IcebergConfiguration, capabilities: DestinationCapabilitiesContext
    ) -> None:
        super().__init__(schema, config, capabilities)
        self.namespace: tuple[str, ...] = tuple(config.normalize_dataset_name(schema).split("."))

    @property
    def catalog(self) -> Catalog:
        """The catalog, opened at first use.

        Raises:
            DestinationTransientException, DestinationTerminalException: it cannot be opened; the cause
                says why.
        """
        properties = self.config.catalog_properties or _configured(self.config.catalog_name)
        try:
            return open_catalog(self.config.catalog_name, properties)
        except CatalogConnectionError as error:
            raise DestinationTransientException(str(error)) from error
        except IngestionError as error:
            raise DestinationTerminalException(str(error)) from error

    @property
    def meta(self) -> MetaTable:
        """Where dlt's schemas are kept."""
        return MetaTable(self.catalog, self.namespace)

    @property
    def pipeline_name(self) -> str:
        """The name of the running pipeline."""
        # Not dlt.current.pipeline(), which resolves dlt's whole configuration each time.
        return str(Container()[PipelineContext].pipeline().pipeline_name)

    def scratch(self, load_id: str) -> Path:
        """Return the load's own folder for files on their way. ``complete_load`` removes it."""
        return Path(self.config.scratch_folder or tempfile.gettempdir()) / f"floe-ingest-{load_id}"

    @property
    def landing(self) -> Path | None:
        """Where files wait that a load names by a list; None where no scratch folder was given."""
        return Path(self.config.scratch_folder) / LANDING if self.config.scratch_folder else None

    def settings(self, load_id: str) -> DataPlaneSettings:
        """Return how much of the machine this load may take."""
        return DataPlaneSettings(
            memory_limit=self.config.memory_limit, spill_folder=self.scratch(load_id) / "spill"
        )

    def package_state(self) -> str | None:
        """Return the pipeline state of the package being loaded, as dlt compresses it, if it changed."""
        document = load_package_state()["state"].get("pipeline_state")
        return str(document["state"]) if document else None

    def arrow_columns(self, table_name: str) -> pa.Schema:
        """Return dlt's columns of a table as an Arrow schema."""
        from dlt.common.libs.pyarrow import columns_to_arrow

        return columns_to_arrow(self.prepare_load_table(table_name)["columns"], self.capabilities, "UTC")

    # -- storage

    def initialize_storage(self, truncate_tables: Iterable[str] | None = None) -> None:
        """Create the namespace, and empty tables as dlt's ``refresh="drop_data"`` asks for.

        dlt does so once for a package, before its first job. Tables that are replaced stay as they are until
        the commit, which takes the old rows out.
        """
        for depth in range(1, len(self.namespace) + 1):
            ensure_namespace(self.catalog, self.namespace[:depth])
        names = [
            name
            for name in truncate_tables or ()
            if self.prepare_load_table(name)["write_disposition"] != "replace"
        ]
        # Roots first: with a root goes the cursor, so that whatever comes in between, rows come again.
        for name in sorted(names, key=lambda name: name.count("__")):
            empty_table(self.catalog, (*self.namespace, name), self.pipeline_name)

    def is_storage_initialized(self) -> bool:
        """Return whether the namespace exists."""
        return bool(self.catalog.namespace_exists(self.namespace))

    def drop_storage(self) -> None:
        """Drop every table of the namespace, and the namespace."""
        if self.is_storage_initialized():
            for identifier in self.catalog.list_tables(self.namespace):
                self.catalog.drop_table(identifier)
            self.catalog.drop_namespace(self.namespace)

    def drop_tables(self, *tables: str, delete_schema: bool = True) -> None:  # noqa: ARG002
        """Drop tables, as dlt's ``refresh`` asks for. ``delete_schema`` needs nothing: one is kept."""
        from pyiceberg.exceptions import NoSuchTableError

        for table in tables:
            try:
                self.catalog.drop_table((*self.namespace, table))
            except NoSuchTableError:
                logger.info(f"Table {table} was to be dropped and does not exist")

    def should_truncate_table_before_load(self, table_name: str) -> bool:  # noqa: ARG002
        """Return False: a replace is atomic, in the commit."""
        return False

    # -- schema and state

    def update_stored_schema(
        self,
        only_tables: Iterable[str] | None = None,
        expected_update: TSchemaTables | None = None,
        force: bool = False,
    ) -> TSchemaTables | None:
        """Store dlt's schema. The tables themselves change in the commit of their rows."""
        update = super().update_stored_schema(only_tables, expected_update, force)  # type: ignore[arg-type]
        roots = {
            name
            for name, table in self.schema.tables.items()
            if name not in _INTERNAL_TABLES and not table.get("parent")
        }
        self.meta.store(
            StoredSchema(
                version_hash=self.schema.stored_version_hash,
                schema_name=self.schema.name,
                version=self.schema.version,
                engine_version=self.schema.ENGINE_VERSION,
                inserted_at=datetime.now(UTC).isoformat(),
                schema=dlt_json.dumps(self.schema.to_dict()),
            ),
            self.pipeline_name,
            roots,
        )
        return update

    def get_stored_schema(self, schema_name: str | None = None) -> StorageSchemaInfo | None:
        """Return the running pipeline's schema of this name, or the newest of any pipeline."""
        running = self.pipeline_name if Container()[PipelineContext].is_active() else None
        return _schema_info(self.meta.schema(schema_name, running))

    def get_stored_schema_by_hash(self, version_hash: str) -> StorageSchemaInfo | None:  # type: ignore[override]
        """Return the schema with this hash."""
        return _schema_info(self.meta.schema_by_hash(version_hash))

    def get_stored_state(self, pipeline_name: str) -> StateInfo | None:
        """Return the pipeline's state, each resource's from the table that it feeds.

        Raises:
            DestinationUndefinedEntity: nothing was ever loaded into this namespace.
            DestinationTerminalException: nobody can tell any more where a resource stopped.
        """
        from pyiceberg.exceptions import NoSuchTableError

        meta = self.meta
        if meta.properties() is None:
            raise DestinationUndefinedEntity(f"Namespace {'.'.join(self.namespace)} holds no loads")
        context = Container()[PipelineContext]
        # A reader of a dataset runs no pipeline, and asking for one would make it.
        running = context.pipeline() if context.is_active() else None
        is_emptied = getattr(running, "refresh", None) is not None
        states: dict[str, dict[str, Any] | None] = {}
        for table in meta.root_tables(pipeline_name):
            try:
                found = self.catalog.load_table((*self.namespace, table))
                states[table] = stored_state(found, pipeline_name, is_emptied=is_emptied)
            except NoSuchTableError:
                states[table] = None
        # Which resource feeds which table matters only where there is something to merge.
        resources = meta.resources_of_tables(pipeline_name) if len(states) > 1 else {}
        return merge_states(states, resources)

    # -- jobs

    def create_load_job(
        self,
        table: PreparedTableSchema,
        file_path: str,
        load_id: str,  # noqa: ARG002
        restore: bool = False,  # noqa: ARG002
    ) -> LoadJob:
        """Return the job for one file of a package."""
        if ReferenceFollowupJobRequest.is_reference_job(file_path):
            return ChainCommitJob(file_path)
        if table["name"] in _INTERNAL_TABLES:
            return InternalTableJob(file_path)
        return FileJob(file_path)

    def create_table_chain_completed_followup_jobs(
        self,
        table_chain: Sequence[PreparedTableSchema],
        completed_table_chain_jobs: Sequence[LoadJobInfo] | None = None,
    ) -> list[FollowupJobRequest]:
        """Return the commit job of a chain whose files are all there."""
        if table_chain[0]["name"] in _INTERNAL_TABLES or not completed_table_chain_jobs:
            return []
        paths = [
            job.file_path for job in completed_table_chain_jobs if job.job_file_info.file_format == "parquet"
        ]
        return [ReferenceFollowupJobRequest(Path(paths[0]).name, paths)] if paths else []

    def complete_load(self, load_id: str) -> None:
        """Keep state that no commit of rows carried, and remove the load's scratch folder."""
        if (text := self.package_state()) is not None:
            fed = {
                str(table["resource"]): name
                for name, table in self.schema.tables.items()
                if table.get("resource") and name not in _INTERNAL_TABLES
            }
            mark = LoadMark(load_id, self.pipeline_name, self.config.run_id, text)
            keep_state(self.catalog, self.namespace, fed, mark)
        shutil.rmtree(self.scratch(load_id), ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Keep the catalog open: it is shared by the jobs of a load."""


def _schema_info(stored: StoredSchema | None) -> StorageSchemaInfo | None:
    if stored is None:
        return None
    return StorageSchemaInfo(
        version_hash=stored.version_hash,
        schema_name=stored.schema_name,
        version=stored.version,
        engine_version=stored.engine_version,
        inserted_at=datetime.fromisoformat(stored.inserted_at),
        schema=stored.schema,
    )


def _configured(name: str) -> dict[str, str]:
    """Return what opens a catalog that was given no properties: PyIceberg's own, or the embedded one."""
    from pyiceberg.utils.config import Config

    return {} if Config().get_catalog_config(name) else embedded_catalog(Path.cwd())
