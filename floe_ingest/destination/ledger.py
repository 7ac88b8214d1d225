"""The ledger of loads is the table: marks in its snapshots, and a record in its properties.

A snapshot's summary says which load made it. A property, set in the same commit, says the same of the
recent loads of each pipeline, since summaries go with ``expire_snapshots`` and some catalogs show only
the newest snapshot. The state of the resources that feed the table rides along in both.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlt.common.destination.exceptions import DestinationTerminalException

from floe_ingest.destination.lineage import Lineage, ancestry
from floe_ingest_hookspecs import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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

_FORMAT = "1:"

_KEPT = 50
_KEPT_YOUNG = 1000
_YOUNG_SECONDS = 2 * 3600
"""How many loads of a pipeline a table's property tells of: the newest 50, and of those that are younger than
two hours up to 1,000. A load of a chain counts as dead after one hour, so that each is looked at in time."""


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

    def properties(
        self, before: TableMetadata | None, after: TableMetadata, snapshot_id: int | None
    ) -> dict[str, str]:
        """Return the table properties that record this load.

        An unchanged state is carried over. Loads that were rolled back leave the record: with a new snapshot
        on top, and the older ones expired, nothing would tell that they were.

        Arguments:
            before: the table as it is; None for a new one.
            after: the table with the load's snapshot in it.
            snapshot_id: of the load's snapshot; None for a new table without rows.
        """
        records = _without_rolled_back(before) if before is not None else {}
        known = records.get(self.pipeline) or (read_record(before, self.pipeline) if before else None) or {}
        kept, forgotten_to = _kept([self._recorded(after, snapshot_id), *_recent(known, self.pipeline)])
        record: dict[str, Any] = {
            "load-id": self.load_id,
            "snapshot-id": snapshot_id,
            "sequence-number": _last_number(after),
            "state": self.state if self.state is not None else known.get("state"),
            "recent": _pack(kept),
            "forgotten-to": max(forgotten_to, known.get("forgotten-to", 0)),
        }
        if self.settled_to is not None:
            record["children-settled-to"] = self.settled_to
        changed: dict[str, str] = {}
        for pipeline, told in {**records, self.pipeline: record}.items():
            changed |= record_property(pipeline, told)
        return changed

    def _recorded(self, metadata: TableMetadata, snapshot_id: int | None) -> RecordedLoad:
        snapshot = metadata.snapshot_by_id(snapshot_id) if snapshot_id is not None else None
        if snapshot is not None and (load := RecordedLoad.of(snapshot)) is not None:
            return load
        return RecordedLoad(
            self.load_id,
            self.run_id,
            self.pipeline,
            snapshot_id=None,
            sequence_number=_last_number(metadata),
            timestamp_ms=int(time.time() * 1000),
            rows=0,
            bytes=0,
            root_snapshot=self.root_snapshot,
            appended=True,
        )


@dataclass(frozen=True, slots=True)
class RecordedLoad:
    """A load that a table holds, as a snapshot of it tells or its property.

    Arguments:
        load_id, run_id, pipeline: of the load.
        snapshot_id: of the load's snapshot; None where it made a table without rows.
        sequence_number, timestamp_ms: of that snapshot.
        rows, bytes: that it put in.
        root_snapshot: see ``LoadMark``.
        appended: whether its snapshot only added files.
    """

    load_id: str
    run_id: str | None
    pipeline: str
    snapshot_id: int | None
    sequence_number: int
    timestamp_ms: int
    rows: int
    bytes: int
    root_snapshot: str | None
    appended: bool

    @classmethod
    def of(cls, snapshot: Snapshot) -> RecordedLoad | None:
        """Return the load that made a snapshot; None where it was none of ours."""
        from pyiceberg.table.snapshots import Operation

        if snapshot.summary is None or LOAD_ID not in snapshot.summary.additional_properties:
            return None
        summary = snapshot.summary.additional_properties
        return cls(
            summary[LOAD_ID],
            summary.get(RUN_ID),
            summary[PIPELINE],
            snapshot.snapshot_id,
            snapshot.sequence_number or 0,
            snapshot.timestamp_ms,
            int(summary.get(ROWS, summary.get("added-records", 0))),
            int(summary.get("added-files-size", 0)),
            summary.get(ROOT_SNAPSHOT),
            snapshot.summary.operation == Operation.APPEND,
        )

    def values(self) -> list[Any]:
        """Return its values in their order, but for the pipeline's name; the time since the load began."""
        return [
            self.load_id,
            self.run_id,
            self.snapshot_id,
            self.sequence_number,
            self.timestamp_ms - began_at(self.load_id),
            self.rows,
            self.bytes,
            self.root_snapshot,
            int(self.appended),
        ]

    @classmethod
    def of_values(cls, values: Sequence[Any], pipeline: str) -> RecordedLoad:
        """Return the load that has the ``values``."""
        load_id, run_id, snapshot_id, number, after_ms, rows, size, root_snapshot, appended = values
        return cls(
            load_id,
            run_id,
            pipeline,
            snapshot_id,
            number,
            began_at(load_id) + after_ms,
            rows,
            size,
            root_snapshot,
            bool(appended),
        )

    def is_of_run(self, mark: LoadMark) -> bool:
        """Return whether it is a try of the run that ``mark`` names."""
        return mark.run_id is not None and self.run_id == mark.run_id and self.pipeline == mark.pipeline


def began_at(load_id: str) -> int:
    """Return when a load began, in milliseconds: dlt's load ids are the seconds."""
    return int(float(load_id) * 1000)


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
    """Return what the table's property says of the newest loads of a pipeline."""
    text = metadata.properties.get(_record_key(pipeline))
    return json.loads(text) if text else None


def children_settled_to(metadata: TableMetadata) -> int:
    """Return up to which instant (milliseconds) child rows without a root row were looked after."""
    return max((record.get("children-settled-to", 0) for record in _records(metadata).values()), default=0)


def loads_of(metadata: TableMetadata) -> list[RecordedLoad]:
    """Return the loads that a table holds, newest first, as far as its snapshots and its properties tell.

    A load that was rolled back is not among them. A load of a child table may have made several snapshots.
    """
    made = (RecordedLoad.of(snapshot) for snapshot in ancestry(metadata))
    found = {load.snapshot_id: load for load in made if load is not None}
    lineage = _lineage(metadata)
    recorded = [
        load
        for pipeline, record in _records(metadata).items()
        for load in _recent(record, pipeline)
        if load.snapshot_id not in found and lineage.holds(load.snapshot_id, load.sequence_number)
    ]
    loads = [*found.values(), *recorded]
    return sorted(loads, key=lambda load: (load.sequence_number, load.timestamp_ms), reverse=True)


def find_load(table: Table, mark: LoadMark, *, by_run: bool = True) -> RecordedLoad | None:
    """Return the load of this mark if the table holds it: by load id, or by run id and pipeline.

    A load that was rolled back does not count.

    Arguments:
        table: freshly loaded.
        mark: what to look for.
        by_run: whether a snapshot of the same run counts too. False for child tables, whose rows
            belong to the root rows of one load and to no other.
    """
    for load in loads_of(table.metadata):
        if load.load_id == mark.load_id or (by_run and load.is_of_run(mark)):
            return load
    return None


def was_committed(table: Table, mark: LoadMark) -> bool:
    """Return whether any snapshot of a table, rolled back or not, is of this load."""
    record = read_record(table.metadata, mark.pipeline) or {}
    if record.get("load-id") == mark.load_id:
        return True
    loads = [RecordedLoad.of(snapshot) for snapshot in table.snapshots()]
    loads += _recent(record, mark.pipeline)
    return any(load is not None and load.load_id == mark.load_id for load in loads)


def is_forgotten(metadata: TableMetadata, pipeline: str, instant_ms: float) -> bool:
    """Return whether a table may have held a load of a pipeline at an instant, and tell of it no more.

    Arguments:
        metadata: of the table.
        pipeline: the pipeline's name.
        instant_ms: an instant not after the load's commit, in milliseconds.
    """
    record = read_record(metadata, pipeline)
    if record is None or record.get("forgotten-to", 0) < instant_ms:
        return False
    oldest = None
    for oldest in ancestry(metadata):
        if oldest.timestamp_ms <= instant_ms:
            return False
    # Some catalogs show only the newest snapshot, and without a parent: the sequence number tells.
    first = 0 if metadata.format_version == 1 else 1
    return (
        oldest is None or oldest.parent_snapshot_id is not None or (oldest.sequence_number or first) > first
    )


def resource_state(metadata: TableMetadata, record: Mapping[str, Any], pipeline: str) -> str | None:
    """Return the state of a table's resource, packed, as the loads that were not rolled back left it.

    Arguments:
        metadata: of the table.
        record: of the pipeline, whose newest load was rolled back.
        pipeline: the pipeline's name.

    Raises:
        DestinationTerminalException: the snapshot that had it is gone.
    """
    if found := _newest_state(metadata, pipeline) or record.get("resource-state"):
        return str(found)
    lineage = _lineage(metadata)
    held = (lineage.holds(load.snapshot_id, load.sequence_number) for load in _recent(record, pipeline))
    if lineage.is_cut_off and "rolled-back" not in record and any(held):
        raise DestinationTerminalException(
            f"The newest load of pipeline {pipeline!r} was rolled back, and the snapshot that says where the "
            f"one before it stopped is expired: wherever the next load went on, rows could be missing or "
            f"doubled. Load the table anew: floe-ingest run --full-refresh, or drop it first."
        )
    return None


def _newest_state(metadata: TableMetadata, pipeline: str) -> str | None:
    for snapshot in ancestry(metadata):
        summary = snapshot.summary.additional_properties if snapshot.summary else {}
        if summary.get(PIPELINE) == pipeline and STATE in summary:
            return str(summary[STATE])
    return None


def record_is_current(metadata: TableMetadata, record: Mapping[str, Any]) -> bool:
    """Return whether the snapshot of a record still counts, that is, was not rolled back."""
    return _is_current(_lineage(metadata), record)


def _is_current(lineage: Lineage, record: Mapping[str, Any]) -> bool:
    if record.get("rolled-back"):
        return False
    return lineage.holds(record["snapshot-id"], record["sequence-number"])


def _lineage(metadata: TableMetadata) -> Lineage:
    def numbers() -> dict[int, int]:
        return {
            load.snapshot_id: load.sequence_number
            for pipeline, record in _records(metadata).items()
            for load in _recent(record, pipeline)
            if load.snapshot_id is not None
        }

    return Lineage.of(metadata, numbers)


def _last_number(metadata: TableMetadata) -> int:
    """Return the newest snapshot's sequence number; 0 in format version 1, which has none."""
    return 0 if metadata.format_version == 1 else metadata.last_sequence_number


def _records(metadata: TableMetadata) -> dict[str, dict[str, Any]]:
    prefix = _record_key("")
    return {
        key.removeprefix(prefix): json.loads(text)
        for key, text in metadata.properties.items()
        if key.startswith(prefix)
    }


def _recent(record: Mapping[str, Any], pipeline: str) -> list[RecordedLoad]:
    """Return the loads of a record, newest first, from what ``_pack`` gave."""
    text = record.get("recent")
    if not text:
        return []
    packed = base64.b85decode(text.removeprefix(_FORMAT))
    columns = json.loads(zlib.decompress(packed, wbits=-zlib.MAX_WBITS))
    return [RecordedLoad.of_values(values, pipeline) for values in zip(*columns, strict=True)]


def _pack(loads: Sequence[RecordedLoad]) -> str:
    """Return loads as text: the format's number, and base85 of deflated JSON with a list for each value."""
    columns = list(zip(*(load.values() for load in loads), strict=True))
    document = json.dumps(columns, separators=(",", ":")).encode()
    return _FORMAT + base64.b85encode(zlib.compress(document, 9, wbits=-zlib.MAX_WBITS)).decode()


def _kept(loads: Sequence[RecordedLoad]) -> tuple[list[RecordedLoad], int]:
    """Return which loads of a pipeline, newest first, stay on record, and the instant of the last to go."""
    young = (time.time() - _YOUNG_SECONDS) * 1000
    kept: list[RecordedLoad] = []
    forgotten_to = 0
    for number, load in enumerate(loads):
        if number < _KEPT or (number < _KEPT_YOUNG and load.timestamp_ms > young):
            kept.append(load)
        else:
            forgotten_to = max(forgotten_to, load.timestamp_ms)
    return kept, forgotten_to


def _without_rolled_back(metadata: TableMetadata) -> dict[str, dict[str, Any]]:
    """Return the records that name a rolled-back load, changed so that they do no more, by pipeline."""
    lineage = _lineage(metadata)
    changed = {}
    for pipeline, record in _records(metadata).items():
        recent = _recent(record, pipeline)
        left = [load for load in recent if lineage.holds(load.snapshot_id, load.sequence_number)]
        gone: dict[str, Any] = {} if _is_current(lineage, record) else {"rolled-back": True}
        if gone and "rolled-back" not in record and (state := _newest_state(metadata, pipeline)):
            gone["resource-state"] = state
        if len(left) < len(recent) or (gone and "rolled-back" not in record):
            changed[pipeline] = {**record, **gone, "recent": _pack(left)}
    return changed
