"""Finds child rows whose root never came: a load died between its children's commits and its root's.

The same load, taken up in its working folder, goes on from there. Any other load has to take such rows out,
or children without a parent would stay.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from floe_ingest.destination.ledger import (
    LOAD_ID,
    PIPELINE,
    RUN_ID,
    ancestry,
    children_settled_to,
    read_record,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata

    from floe_ingest.destination.ledger import LoadMark

SAFE_AGE_SECONDS = 3600
"""A load of another run that is younger may still be on its way to its root's commit."""


@dataclass(frozen=True, slots=True)
class ChildLoad:
    """A load that a child table holds, as the snapshot that it made tells of it.

    Arguments:
        load_id, run_id, pipeline: of the load.
        sequence_number: of its snapshot.
        timestamp_ms: of its snapshot.
    """

    load_id: str
    run_id: str | None
    pipeline: str
    sequence_number: int
    timestamp_ms: int

    def is_of_run(self, mark: LoadMark) -> bool:
        """Return whether it is a try of the run that ``mark`` names."""
        return mark.run_id is not None and self.run_id == mark.run_id and self.pipeline == mark.pipeline


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Loads that a child table holds and that its root does not.

    Arguments:
        dead: so old that they will never reach the root.
        of_run: other tries of the run at hand. They lose once a try of that run is in the root.
        on_their_way: others, young enough to be running.
    """

    dead: tuple[ChildLoad, ...] = ()
    of_run: tuple[ChildLoad, ...] = ()
    on_their_way: tuple[ChildLoad, ...] = ()


def unfinished_loads(child: Table, root: Table | None, mark: LoadMark) -> Unfinished:
    """Return the loads that a child table holds and that its root never got, but for the load at hand.

    Arguments:
        child, root: freshly loaded; no root where its table does not exist yet.
        mark: the load at hand.
    """
    dead, of_run, on_their_way = [], [], []
    settled_to = children_settled_to(root.metadata) if root is not None else 0
    oldest = time.time() * 1000 - SAFE_AGE_SECONDS * 1000
    for load in _loads(child.metadata, settled_to):
        if load.load_id == mark.load_id or (root is not None and _reached(load, root)):
            continue
        if load.timestamp_ms < oldest:
            dead.append(load)
        elif load.is_of_run(mark):
            of_run.append(load)
        else:
            on_their_way.append(load)
    return Unfinished(tuple(dead), tuple(of_run), tuple(on_their_way))


def settled_to() -> int:
    """Return the instant (milliseconds) before which a load that is not in its root counts as dead."""
    return int((time.time() - SAFE_AGE_SECONDS) * 1000)


def files_of_loads(table: Table, load_ids: Collection[str]) -> list[DataFile]:
    """Return the data files that loads added and that are still in the table."""
    made = {
        snapshot.snapshot_id
        for snapshot in ancestry(table.metadata)
        if snapshot.summary is not None and snapshot.summary.additional_properties.get(LOAD_ID) in load_ids
    }
    current = table.current_snapshot()
    if current is None or not made:
        return []
    return [
        entry.data_file
        for manifest in current.manifests(table.io)
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
        if entry.snapshot_id in made and entry.data_file.content == 0
    ]


def files_since(table: Table, sequence_number: int) -> frozenset[str]:
    """Return the locations of the data files that came with a snapshot or after it."""
    current = table.current_snapshot()
    if current is None:
        return frozenset()
    return frozenset(
        entry.data_file.file_path
        for manifest in current.manifests(table.io)
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
        if (entry.sequence_number or 0) >= sequence_number
    )


def only_appended_since(table: Table, snapshot_id: int | None) -> bool:
    """Return whether each snapshot after a given one only added files."""
    from pyiceberg.table.snapshots import Operation

    for snapshot in ancestry(table.metadata):
        if snapshot.snapshot_id == snapshot_id:
            return True
        if snapshot.summary is None or snapshot.summary.operation != Operation.APPEND:
            return False
    return False


def _loads(metadata: TableMetadata, since_ms: int) -> Iterator[ChildLoad]:
    """Yield the loads whose snapshots are not older than ``since_ms``."""
    for snapshot in ancestry(metadata):
        if snapshot.timestamp_ms < since_ms:
            return
        summary = snapshot.summary.additional_properties if snapshot.summary else {}
        if LOAD_ID in summary:
            yield ChildLoad(
                summary[LOAD_ID],
                summary.get(RUN_ID),
                summary[PIPELINE],
                snapshot.sequence_number or 0,
                snapshot.timestamp_ms,
            )


def _reached(load: ChildLoad, root: Table) -> bool:
    """Return whether a load reached its root, or may have, as far as the root still tells."""
    record = read_record(root.metadata, load.pipeline)
    if record is not None and record["load-id"] == load.load_id:
        return True
    oldest = None
    for snapshot in ancestry(root.metadata):
        if (
            snapshot.summary is not None
            and snapshot.summary.additional_properties.get(LOAD_ID) == load.load_id
        ):
            return True
        oldest = snapshot
    # Some catalogs show only the newest snapshot, and without a parent: the sequence number tells.
    from_the_start = oldest is None or (
        oldest.parent_snapshot_id is None and (oldest.sequence_number or 0) <= 1
    )
    if from_the_start or (oldest is not None and oldest.timestamp_ms <= load.timestamp_ms):
        return False
    # Snapshots as old as this load are gone. A later load of its pipeline is no proof, but nothing is lost.
    return record is not None and float(record["load-id"]) > float(load.load_id)
