"""A pyiceberg transaction for commits that are looked for, and that works out its staged metadata once.

PyIceberg removes the manifests of a commit that the catalog refused (409). Where a gateway had repeated the
request, that commit may be there. Here they go when the table has been looked at.

PyIceberg also copies the whole metadata, every snapshot in it included, each time ``table_metadata`` is read:
two dozen times for one append. A load would take longer with each load before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyiceberg.table import Table, Transaction

if TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.update import TableUpdate


class StagedTransaction(Transaction):
    """What ``table.transaction()`` gives, but for these two.

    Arguments:
        table: freshly loaded.
    """

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self._staged: tuple[TableMetadata, tuple[TableUpdate, ...], TableMetadata] | None = None
        self._refused: list[Any] = []

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

    def commit_transaction(self) -> Table:
        """Commit, and keep what was written for it in any case: see ``remove_manifests``."""
        # Without producers PyIceberg has nothing to remove, nor to retry.
        self._refused, self._snapshot_producers = self._snapshot_producers, []
        return super().commit_transaction()

    def remove_manifests(self) -> None:
        """Remove the manifests of a commit that was refused, and that is not in the table."""
        for producer in self._refused:
            producer._clean_all_uncommitted()  # noqa: SLF001 (what PyIceberg calls by itself)
        self._refused = []
