"""Which snapshots lead to a table's current one, also where older ones are gone or were never shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot


def ancestry(metadata: TableMetadata) -> Iterator[Snapshot]:
    """Yield the snapshots that lead to the current one, newest first, as far as they are known."""
    by_id = {snapshot.snapshot_id: snapshot for snapshot in metadata.snapshots}
    snapshot = by_id.get(metadata.current_snapshot_id) if metadata.current_snapshot_id else None
    while snapshot is not None:
        yield snapshot
        parent = snapshot.parent_snapshot_id
        snapshot = by_id.get(parent) if parent is not None else None


@dataclass(frozen=True, slots=True)
class Lineage:
    """Which snapshots lead to a table's current one, looked up once for many questions.

    Arguments:
        version: the table's format version.
        ids: of the current snapshot and its ancestors, as far as they are known.
        first: the sequence number of the oldest of these.
        known, numbers: ids and sequence numbers of all snapshots that the table shows.
        parent: of the oldest one, where its own metadata is gone and a load on record made it: its id and
            sequence number.
    """

    version: int
    ids: frozenset[int]
    first: int
    known: frozenset[int]
    numbers: frozenset[int | None]
    parent: tuple[int, int] | None = None

    @classmethod
    def of(cls, metadata: TableMetadata, recorded: Callable[[], Mapping[int, int]]) -> Lineage:
        """Look a table's lineage up.

        Arguments:
            metadata: of the table.
            recorded: gives sequence numbers by snapshot id, as the record of loads has them; asked where the
                oldest snapshot's parent is gone.
        """
        chain = list(ancestry(metadata))
        return cls(
            metadata.format_version,
            frozenset(snapshot.snapshot_id for snapshot in chain),
            (chain[-1].sequence_number or 0) if chain else 0,
            frozenset(snapshot.snapshot_id for snapshot in metadata.snapshots),
            frozenset(snapshot.sequence_number for snapshot in metadata.snapshots),
            _parent(chain[-1], recorded) if chain else None,
        )

    @property
    def is_cut_off(self) -> bool:
        """Return whether snapshots that lead to the current one may be gone."""
        return self.first > 1

    def holds(self, snapshot_id: int | None, sequence_number: int) -> bool:
        """Return whether a snapshot is in the current one's ancestry, also where its own metadata is gone.

        Arguments:
            snapshot_id, sequence_number: of the snapshot; None where a load made a table without rows.
        """
        if snapshot_id is None:
            return True
        if not self.ids:
            return False
        if snapshot_id in self.ids:
            return True
        is_known = snapshot_id in self.known
        if self.version == 1:  # has no sequence numbers
            return not is_known
        if self.first <= sequence_number:
            return False  # the ancestry is known from before it on, and it is not in it
        if self.parent is not None and self.parent[1] <= sequence_number:
            return snapshot_id == self.parent[0]
        # The ancestry is cut off, since older snapshots are expired. Where this one is not, a tag may have
        # kept it, or it was rolled back: then nothing is missing between it and what was put in its place.
        between = range(sequence_number + 1, self.first)
        return not is_known or any(number not in self.numbers for number in between)


def _parent(oldest: Snapshot, recorded: Callable[[], Mapping[int, int]]) -> tuple[int, int] | None:
    parent = oldest.parent_snapshot_id
    if parent is None or (number := recorded().get(parent)) is None:
        return None
    return parent, number
