"""Catalogs whose answers to commits go wrong as told; the commits themselves are real."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException, ServiceUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import CommitTableResponse, Table

    _Base = Catalog
else:
    _Base = object


class Flaky(_Base):
    """Takes one fault from ``faults`` for each commit of a data table, and works well once there are none.

    - ``lost``: the commit is done, the answer is lost.
    - ``unknown``: the commit is not done, and neither is that known.
    - ``reset``: the commit is done, the connection breaks.
    - ``busy``: the commit is done, and the gateway says 503.
    - ``conflict``: the commit is refused.
    - ``repeated``: the commit is done; a gateway repeats it, and tells the conflict of the second time.
    - ``overtaken``: the commit is done, its answer is lost, and ``meanwhile`` is over before anybody looks.
    """

    faults: ClassVar[deque[str]] = deque()
    commits: ClassVar[list[str]] = []
    meanwhile: ClassVar[Callable[[], None]]

    def commit_table(self, table: Table, requirements: Any, updates: Any) -> CommitTableResponse:
        name = table.name()[-1]
        if name == "_dlt_meta":
            return super().commit_table(table, requirements, updates)
        fault = self.faults.popleft() if self.faults else ""
        self.commits.append(fault)
        if fault == "conflict":
            raise CommitFailedException("refused")
        if fault == "unknown":
            raise CommitStateUnknownException("504")
        response = super().commit_table(table, requirements, updates)
        if fault == "lost":
            raise CommitStateUnknownException("504")
        if fault == "overtaken":
            Flaky.meanwhile()
            raise CommitStateUnknownException("504")
        if fault == "repeated":
            raise CommitFailedException("409")
        if fault == "busy":
            raise ServiceUnavailableError("503")
        if fault == "reset":
            raise ConnectionResetError(104, "Connection reset by peer")
        return response


class FlakySqlCatalog(Flaky, SqlCatalog):
    """A SQL catalog whose answers go wrong."""


class FlakyRestCatalog(Flaky, RestCatalog):
    """A REST catalog whose answers go wrong."""
