"""Finds child rows whose root never came: a load died between its children's commits and its root's.

The same load, taken up in its working folder, goes on from there. Any other load has to take such rows out,
or children without a parent would stay.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from floe_ingest.destination.ledger import LOAD_ID, PIPELINE, ancestry, read_record

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

    from floe_ingest.destination.ledger import LoadMark

SAFE_AGE_SECONDS = 3600
"""A load of another run that is younger may still be on its way to its root's commit."""


def unfinished_load(child: Table, root: Table | None, mark: LoadMark) -> str | None:
    """Return the id of a load that the child table holds and that its root never got, or None.

    Arguments:
        child, root: freshly loaded; no root where its table does not exist yet.
        mark: the load at hand. Another load of the same run is a try that ended; a load of another run
            counts once it is older than ``SAFE_AGE_SECONDS``.
    """
    record = read_record(child.metadata, mark.pipeline)
    if record is None or record["load-id"] == mark.load_id or _is_settled(record["load-id"], root, mark):
        return None
    same_run = mark.run_id is not None and record["run-id"] == mark.run_id
    return str(record["load-id"]) if same_run or _age_seconds(child, record) > SAFE_AGE_SECONDS else None


def files_of_load(table: Table, load_id: str, pipeline: str) -> list[DataFile]:
    """Return the data files that a load added and that are still in the table."""
    made = {
        snapshot.snapshot_id
        for snapshot in ancestry(table.metadata)
        if snapshot.summary is not None
        and snapshot.summary.additional_properties.get(LOAD_ID) == load_id
        and snapshot.summary.additional_properties.get(PIPELINE) == pipeline
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


def _is_settled(load_id: str, root: Table | None, mark: LoadMark) -> bool:
    """Return whether a load reached its root, or a later one did, which looked after its remains."""
    if root is None:
        return False
    record = read_record(root.metadata, mark.pipeline)
    if record is not None and float(record["load-id"]) >= float(load_id):
        return True
    return any(
        snapshot.summary is not None and snapshot.summary.additional_properties.get(LOAD_ID) == load_id
        for snapshot in ancestry(root.metadata)
    )


def _age_seconds(table: Table, record: dict[str, Any]) -> float:
    made = table.metadata.snapshot_by_id(record["snapshot-id"]) if record["snapshot-id"] else None
    return time.time() - made.timestamp_ms / 1000 if made is not None else 0.0
