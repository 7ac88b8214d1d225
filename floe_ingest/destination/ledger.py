"""The ledger of loads is the table: marks in its snapshots, and a record in its properties.

A snapshot's summary says which load made it. A property, set in the same commit, says the same of the
newest load of each pipeline, since summaries go with ``expire_snapshots`` and some catalogs show only
the newest snapshot. The state of the resources that feed the table rides along in both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from floe_ingest_hookspecs import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot

LOAD_ID = "floe-ingest.load-id"
RUN_ID = "floe-ingest.run-id"
PIPELINE = "floe-ingest.pipeline"
STATE = "floe-ingest.state"
VERSION = "floe-ingest.version"
ROWS = "floe-ingest.rows"
ROOT_SNAPSHOT = "floe-ingest.root-snapshot-id"

_STATE_IN_SUMMARY = 600
"""Characters. Snapshot summaries are kept for each snapshot, so only a small state goes there."""


@dataclass(frozen=True, slots=True)
class LoadMark:
    """What a commit says of the load that it belongs to.

    Arguments:
        load_id: dlt's load id.
        pipeline: the pipeline's name.
        run_id: names the logical execution; None outside the engine.
        state: the pipeline's state as dlt compresses it; None where it did not change.
        resource_state: the part of it that the table's rows brought forward, see ``ResourceState.packed``.
        root_snapshot: on a child table whose rows depend on the root's: the root's snapshot that they were
            planned against, see ``snapshot_key``.
        settled_to: on a root with child tables: what child rows of loads before this instant (milliseconds)
            had no root row are gone.
    """

    load_id: str
    pipeline: str
    run_id: str | None = None
    state: str | None = None
    resource_state: str | None = None
    root_snapshot: str | None = None
    settled_to: int | None = None

    def summary(self, rows: int) -> dict[str, str]:
        """Return the keys for the snapshot's summary.

        Arguments:
            rows: of the load; in a merge, the snapshot's own count holds rewritten rows as well.
        """
        keys = {LOAD_ID: self.load_id, PIPELINE: self.pipeline, VERSION: __version__, ROWS: str(rows)}
        if self.run_id:
            keys[RUN_ID] = self.run_id
        if self.resource_state is not None and len(self.resource_state) <= _STATE_IN_SUMMARY:
            keys[STATE] = self.resource_state
        if self.root_snapshot is not None:
            keys[ROOT_SNAPSHOT] = self.root_snapshot
        return keys

    def properties(self, metadata: TableMetadata, snapshot_id: int | None) -> dict[str, str]:
        """Return the table property that records this load; an unchanged state is carried over."""
        known = read_record(metadata, self.pipeline)
        state = self.state if self.state is not None else (known or {}).get("state")
        record: dict[str, Any] = {
            "load-id": self.load_id,
            "run-id": self.run_id,
            "snapshot-id": snapshot_id,
            "sequence-number": metadata.next_sequence_number(),
            "state": state,
        }
        if self.root_snapshot is not None:
            record["root-snapshot-id"] = self.root_snapshot
        if self.settled_to is not None:
            record["children-settled-to"] = self.settled_to
        return record_property(self.pipeline, record)


@dataclass(frozen=True, slots=True)
class FoundLoad:
    """A load that a table already holds.

    Arguments:
        snapshot_id: of the load's snapshot.
        rows, bytes: that it put in; 0 where its snapshot is expired.
        load_id: its load id; another one than was looked for where it was found by its run.
        root_snapshot: see ``LoadMark``.
    """

    snapshot_id: int | None
    rows: int
    bytes: int
    load_id: str
    root_snapshot: str | None = None


def _record_key(pipeline: str) -> str:
    return f"floe-ingest.loads.{pipeline}"


def snapshot_key(table: Table | None) -> str:
    """Return what tells two states of a table's rows apart: its snapshot's id, or that there is none."""
    snapshot_id = table.metadata.current_snapshot_id if table is not None else None
    return str(snapshot_id) if snapshot_id is not None else "none"


def record_property(pipeline: str, record: Mapping[str, Any]) -> dict[str, str]:
    """Return the table property that holds a record."""
    return {_record_key(pipeline): json.dumps(record)}


def read_record(metadata: TableMetadata, pipeline: str) -> dict[str, Any] | None:
    """Return what the table's property says of the newest load of a pipeline."""
    text = metadata.properties.get(_record_key(pipeline))
    return json.loads(text) if text else None


def children_settled_to(metadata: TableMetadata) -> int:
    """Return up to which instant (milliseconds) child rows without a root row were looked after."""
    prefix = _record_key("")
    records = [json.loads(text) for key, text in metadata.properties.items() if key.startswith(prefix)]
    return max((record.get("children-settled-to", 0) for record in records), default=0)


def ancestry(metadata: TableMetadata) -> Iterator[Snapshot]:
    """Yield the snapshots that lead to the current one, newest first, as far as they are known."""
    by_id = {snapshot.snapshot_id: snapshot for snapshot in metadata.snapshots}
    snapshot = by_id.get(metadata.current_snapshot_id) if metadata.current_snapshot_id else None
    while snapshot is not None:
        yield snapshot
        parent = snapshot.parent_snapshot_id
        snapshot = by_id.get(parent) if parent is not None else None


def find_load(table: Table, mark: LoadMark, *, by_run: bool = True) -> FoundLoad | None:
    """Return the load of this mark if the table holds it: by load id, or by run id and pipeline.

    A load that was rolled back does not count.

    Arguments:
        table: freshly loaded.
        mark: what to look for.
        by_run: whether a snapshot of the same run counts too. False for child tables, whose rows
            belong to the root rows of one load and to no other.
    """
    metadata = table.metadata
    for snapshot in ancestry(metadata):
        summary = snapshot.summary.additional_properties if snapshot.summary else {}
        if _is_same(mark, summary.get(LOAD_ID), summary.get(RUN_ID), summary.get(PIPELINE), by_run=by_run):
            return FoundLoad(
                snapshot.snapshot_id,
                int(summary.get(ROWS, summary.get("added-records", 0))),
                int(summary.get("added-files-size", 0)),
                summary[LOAD_ID],
                summary.get(ROOT_SNAPSHOT),
            )
    record = read_record(metadata, mark.pipeline)
    if (
        record
        and _is_same(mark, record["load-id"], record["run-id"], mark.pipeline, by_run=by_run)
        and record_is_current(metadata, record)
    ):
        return FoundLoad(record["snapshot-id"], 0, 0, record["load-id"], record.get("root-snapshot-id"))
    return None


def was_committed(table: Table, mark: LoadMark) -> bool:
    """Return whether any snapshot of a table, rolled back or not, is of this load."""
    record = read_record(table.metadata, mark.pipeline)
    if record is not None and record["load-id"] == mark.load_id:
        return True
    summaries = [snapshot.summary.additional_properties for snapshot in table.snapshots() if snapshot.summary]
    return any(summary.get(LOAD_ID) == mark.load_id for summary in summaries)


def record_is_current(metadata: TableMetadata, record: Mapping[str, Any]) -> bool:
    """Return whether the snapshot of a record still counts, that is, was not rolled back.

    Where its snapshot is known, the ancestry decides. Where it is not (expired, or the catalog shows
    only the newest), a rolled-back table shows by a current sequence number below the record's.
    """
    snapshot_id = record["snapshot-id"]
    if snapshot_id is None:
        return True
    if any(snapshot.snapshot_id == snapshot_id for snapshot in metadata.snapshots):
        return any(snapshot.snapshot_id == snapshot_id for snapshot in ancestry(metadata))
    current = metadata.current_snapshot()
    if current is None:
        return False
    return (current.sequence_number or 0) >= int(record["sequence-number"])


def _is_same(
    mark: LoadMark, load_id: str | None, run_id: str | None, pipeline: str | None, *, by_run: bool
) -> bool:
    if load_id == mark.load_id:
        return True
    return by_run and mark.run_id is not None and run_id == mark.run_id and pipeline == mark.pipeline
