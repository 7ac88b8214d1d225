"""dlt's load jobs: nothing for a file, and one commit for a chain of tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from dlt.common.destination.client import HasFollowupJobs, RunnableLoadJob
from dlt.common.destination.exceptions import DestinationTerminalException
from dlt.common.exceptions import TerminalException
from dlt.destinations.job_impl import ReferenceFollowupJobRequest

from floe_ingest.destination.chains import ChainLoad
from floe_ingest.telemetry import current_context, within_context

if TYPE_CHECKING:
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

    def __init__(self, file_path: str) -> None:
        super().__init__(file_path)
        # dlt makes jobs in the thread of the load, and runs them in others.
        self._context = current_context()

    def run(self) -> None:
        """Commit each table.

        Raises:
            DestinationTerminalException: with the cause. dlt would try other errors again, five times
                and at once; here retries belong to the commit, and beyond it to the caller.
        """
        client = cast("IcebergClient", self._job_client)
        paths = ReferenceFollowupJobRequest.resolve_references(self._file_path)
        try:
            with within_context(self._context):
                ChainLoad(client, self._schema, self._load_id, paths).commit()
        except TerminalException:
            raise
        except Exception as error:
            raise DestinationTerminalException(str(error)) from error
