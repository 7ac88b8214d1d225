"""A pyiceberg transaction that works out its staged metadata once, and not at every look at it.

pyiceberg copies the whole metadata, every snapshot in it included, each time ``table_metadata`` is read:
two dozen times for one append. A load would take longer with each load before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyiceberg.table import Table, Transaction

if TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.update import TableUpdate


class StagedTransaction(Transaction):
    """What ``table.transaction()`` gives, but for that one cost.

    Arguments:
        table: freshly loaded.
    """

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self._staged: tuple[TableMetadata, tuple[TableUpdate, ...], TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        """The table's metadata with the staged updates; the same object until either changes."""
        base, updates = self._table.metadata, self._updates
        if not updates:
            return base
        # Both are replaced, never changed in place, so identity tells whether the answer still holds.
        if self._staged is None or self._staged[0] is not base or self._staged[1] is not updates:
            self._staged = (base, updates, super().table_metadata)
        return self._staged[2]
