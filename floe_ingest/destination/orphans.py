"""Finds child rows whose root never came: a load died between its children's commits and its root's.

The same load, taken up in its working folder, goes on from there. Any other load has to take such rows out,
or children without a parent would stay.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from floe_ingest.destination.ledger import children_settled_to, is_forgotten, loads_of
from floe_ingest.destination.lineage import ancestry

if TYPE_CHECKING:
    from collections.abc import Collection

    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

    from floe_ingest.destination.ledger import LoadMark, RecordedLoad

SAFE_AGE_SECONDS = 3600
"""A load of another run that is younger may still be on its way to its root's commit."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Loads that a child table holds and that its root does not.

    Arguments:
        dead: so old that they will never reach the root.
        of_run: other tries of the run at hand. They lose once a try of that run is in the root.
        on_their_way: others, young enough to be running.
    """

    dead: tuple[RecordedLoad, ...] = ()
    of_run: tuple[RecordedLoad, ...] = ()
    on_their_way: tuple[RecordedLoad, ...] = ()


def unfinished_loads(child: Table, root: Table | None, mark: LoadMark) -> Unfinished:
    """Return the loads that a child table holds and that its root never got, but for the load at hand.

    Arguments:
        child, root: freshly loaded; no root where its table does not exist yet.
        mark: the load at hand.
    """
    dead, of_run, on_their_way = [], [], []
    settled_to, done = 0, {mark.load_id}
    if root is not None:
        settled_to = children_settled_to(root.metadata)
        done |= {load.load_id for load in loads_of(root.metadata)}
    oldest = time.time() * 1000 - SAFE_AGE_SECONDS * 1000
    for load in loads_of(child.metadata):
        if load.timestamp_ms < settled_to or load.load_id in done:
            continue
        # Where the root tells of such old loads no more, it may have held this one. Nothing is lost then.
        if root is not None and is_forgotten(root.metadata, load.pipeline, load.timestamp_ms):
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
    made = {load.snapshot_id for load in loads_of(table.metadata) if load.load_id in load_ids}
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


def only_appended_since(table: Table, load: RecordedLoad) -> bool:
    """Return whether each snapshot after a load's only added files, as far as is known."""
    from pyiceberg.table.snapshots import Operation

    oldest = None
    for snapshot in ancestry(table.metadata):
        if snapshot.snapshot_id == load.snapshot_id:
            return True
        if snapshot.summary is None or snapshot.summary.operation != Operation.APPEND:
            return False
        oldest = snapshot
    if oldest is None or oldest.sequence_number is None or table.metadata.format_version == 1:
        return False
    # The snapshots in between are gone. Each has a number, and the loads on record have to account for it.
    appended = {found.sequence_number for found in loads_of(table.metadata) if found.appended}
    return all(number in appended for number in range(load.sequence_number + 1, oldest.sequence_number))
