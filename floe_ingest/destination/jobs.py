"""dlt's load jobs: nothing for a file, and one commit for a chain of tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from dlt.common.destination.client import HasFollowupJobs, RunnableLoadJob
from dlt.common.destination.exceptions import DestinationTerminalException
from dlt.common.exceptions import TerminalException
from dlt.common.schema.utils import get_nested_tables, get_root_table
from dlt.common.storages.load_package import ParsedLoadJobFileName
from dlt.destinations.job_impl import ReferenceFollowupJobRequest

from floe_ingest.destination.commit import TableCommit, TableLoad, TablePlan
from floe_ingest.destination.layout import load_arrow_schema
from floe_ingest.destination.ledger import LoadMark, find_load
from floe_ingest.destination.write import WriteTask, WrittenData, write_data_files

if TYPE_CHECKING:
    import pyarrow as pa

    from floe_ingest.destination.client import IcebergClient


class FileJob(RunnableLoadJob, HasFollowupJobs):
    """A file of a load. It does nothing by itself: the commit of its table chain takes it."""

    def run(self) -> None:
        """Do nothing."""


class InternalTableJob(RunnableLoadJob):
    """A file of one of dlt's own tables. State travels in the root table's commit instead."""

    def run(self) -> None:
        """Do nothing."""


class ChainCommitJob(RunnableLoadJob):
    """Writes and commits the tables of one chain: children first, the root with the state last."""

    def run(self) -> None:
        """Commit each table.

        Raises:
            DestinationTerminalException: with the cause. dlt would try other errors again, five times
                and at once; here retries belong to the commit, and beyond it to the caller.
        """
        try:
            self._commit_chain()
        except TerminalException:
            raise
        except Exception as error:
            raise DestinationTerminalException(str(error)) from error

    def _commit_chain(self) -> None:
        files: dict[str, list[Path]] = {}
        for path in ReferenceFollowupJobRequest.resolve_references(self._file_path):
            files.setdefault(ParsedLoadJobFileName.parse(path).table_name, []).append(Path(path))
        root = str(get_root_table(self._schema.tables, next(iter(files)))["name"])
        chain = [str(table["name"]) for table in get_nested_tables(self._schema.tables, root)]
        if self._is_loaded(root):
            return
        for name in reversed(chain):
            self._commit_table(name, files.get(name, []), is_root=name == root)

    def _is_loaded(self, root: str) -> bool:
        """Return whether the root holds this load or run, so that children must not get it again."""
        from pyiceberg.exceptions import NoSuchTableError

        client = cast("IcebergClient", self._job_client)
        try:
            table = client.catalog.load_table((*client.namespace, root))
        except NoSuchTableError:
            return False
        mark = LoadMark(self._load_id, client.pipeline_name, client.config.run_id)
        return find_load(table, mark) is not None

    def _commit_table(self, name: str, files: list[Path], *, is_root: bool) -> None:
        client = cast("IcebergClient", self._job_client)
        table = client.prepare_load_table(name)
        disposition = cast('Literal["append", "replace"]', table["write_disposition"])
        if not files and not is_root and disposition == "append":
            return
        load = TableLoad(
            identifier=(*client.namespace, name),
            columns=load_arrow_schema(
                cast("dict[str, dict[str, Any]]", table["columns"]),
                client.arrow_columns(name),
                [_read_schema(path) for path in files],
            ),
            disposition=disposition,
            mark=LoadMark(
                load_id=self._load_id,
                pipeline=client.pipeline_name,
                run_id=client.config.run_id,
                state=client.package_state() if is_root else None,
            ),
            is_root=is_root,
            has_files=bool(files),
        )

        def write(plan: TablePlan) -> WrittenData:
            return write_data_files(
                WriteTask(
                    inputs=tuple(files),
                    schema=plan.schema,
                    table_location=plan.location,
                    table_properties=plan.properties,
                    io_properties=plan.io_properties,
                    scratch=client.scratch(self._load_id),
                    settings=client.settings(self._load_id),
                )
            )

        TableCommit(client.catalog, load, write).run()


def _read_schema(path: Path) -> pa.Schema:
    import pyarrow.parquet as pq

    return pq.read_schema(path)
