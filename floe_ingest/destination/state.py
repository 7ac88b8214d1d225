"""The pipeline's state, whose truth is in the tables: each resource's in the table that it feeds."""

from __future__ import annotations

import base64
import copy
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dlt.common.destination.client import StateInfo
from dlt.common.json import json as dlt_json
from dlt.common.versioned_state import compress_state, decompress_state
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.expressions import AlwaysTrue
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from floe_ingest.destination.catalogs import find_table
from floe_ingest.destination.ledger import (
    read_record,
    record_is_current,
    record_property,
    resource_state,
)
from floe_ingest.destination.staged import StagedTransaction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

    from floe_ingest.destination.ledger import LoadMark


# What the texts of most states have in common, with the engine's cursors and with dlt's; deflate then writes
# the rest alone. Part of the format "1:".
_COMMON = (
    b'{"v":1,"s":{"":{"":{"floe_ingest_cursors":{"id":{"last_value":"","zone":false}}}}}}'
    b'{"v":1,"s":{"":{"":{"incremental":{"id":{"initial_value":null,"last_value":"","unique_hashes":["],'
    b'"start_value":'
)
_FORMAT = "1:"


@dataclass(frozen=True, slots=True)
class ResourceState:
    """The state of the resource that feeds a table, as a snapshot's summary holds it.

    Summaries are kept for each snapshot, so it is small: without what belongs to the pipeline, and packed.

    Arguments:
        version: dlt's version of the state.
        states: by source and resource; None for a resource that had none.
    """

    version: int
    states: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, text: str, resource: str) -> ResourceState:
        """Return what a pipeline's state, as dlt compresses it, says of a resource."""
        state = decompress_state(text)
        return cls(
            state["_state_version"],
            {
                name: {resource: source.get("resources", {}).get(resource)}
                for name, source in state.get("sources", {}).items()
            },
        )

    def packed(self) -> str:
        """Return it as text: the format's number, and base85 of deflated JSON."""
        # Typed as dlt does it: cursors are timestamps, dates and decimals.
        document = dlt_json.typed_dumpb({"v": self.version, "s": self.states})
        deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=_COMMON)
        return _FORMAT + base64.b85encode(deflate.compress(document) + deflate.flush()).decode()

    @classmethod
    def unpack(cls, text: str) -> ResourceState:
        """Return what ``packed`` gave."""
        inflate = zlib.decompressobj(-zlib.MAX_WBITS, zdict=_COMMON)
        document = dlt_json.typed_loadb(inflate.decompress(base64.b85decode(text.removeprefix(_FORMAT))))
        return cls(document["v"], document["s"])

    def put_into(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return a pipeline's state with this in the place of what it has of the resource."""
        from dlt.pipeline.state_sync import generate_pipeline_state_version_hash

        changed = copy.deepcopy(dict(state))
        for source, resources in self.states.items():
            held = changed.setdefault("sources", {}).setdefault(source, {}).setdefault("resources", {})
            for name, value in resources.items():
                held.pop(name, None)
                if value is not None:
                    held[name] = value
        changed["_state_version"] = self.version
        changed["_version_hash"] = generate_pipeline_state_version_hash(changed)  # type: ignore[arg-type]
        return changed


def stored_state(table: Table, pipeline: str, *, is_emptied: bool = False) -> dict[str, Any] | None:
    """Return the state of a pipeline that a table's current snapshot stands for.

    That is what the record says, unless its snapshot was rolled back: then it is the record's with the
    resource as the newest snapshot that is left has it.

    Arguments:
        table: freshly loaded.
        pipeline: the pipeline's name.
        is_emptied: whether the load begins by taking out the table's rows, and the state of its resource.

    Raises:
        DestinationTerminalException: that snapshot is gone.
    """
    record = read_record(table.metadata, pipeline)
    if record is None or record["state"] is None:
        return None
    state: dict[str, Any] = dict(decompress_state(record["state"]))
    if is_emptied or record_is_current(table.metadata, record):
        return state
    held = resource_state(table.metadata, record, pipeline)
    return ResourceState.unpack(held).put_into(state) if held is not None else None


_retrying = retry(
    retry=retry_if_exception_type(CommitFailedException),
    wait=wait_random_exponential(multiplier=0.05, max=3),
    stop=stop_after_attempt(20),
    reraise=True,
)


@_retrying
def empty_table(catalog: Catalog, identifier: tuple[str, ...], pipeline: str) -> None:
    """Take all rows out of a table, and with them, in the same commit, the pipeline's state.

    Without it a run on another machine would go on after rows that are no longer there.
    """
    table = find_table(catalog, identifier)
    if table is None or table.current_snapshot() is None:
        return
    transaction = StagedTransaction(table)
    transaction.delete(delete_filter=AlwaysTrue())
    if record := read_record(table.metadata, pipeline):
        transaction.remove_properties(*record_property(pipeline, record))
    transaction.commit_transaction()


def keep_state(
    catalog: Catalog, namespace: tuple[str, ...], tables: Mapping[str, str], mark: LoadMark
) -> None:
    """Keep the state of resources whose state changed in a load and that brought no rows.

    Rows carry their state in their own commit. Where there were none, it goes into the record of the newest
    load of the table, which makes no snapshot.

    Arguments:
        catalog, namespace: of the tables.
        tables: the root table that each resource feeds.
        mark: the load, whose commits are all done; with its state.
    """
    if mark.state is None:
        return
    state = decompress_state(mark.state)
    resources = {name for source in state.get("sources", {}).values() for name in source.get("resources", {})}
    for resource in sorted(resources & set(tables)):
        _keep(catalog, (*namespace, tables[resource]), resource, mark, state)


def _keep(
    catalog: Catalog, identifier: tuple[str, ...], resource: str, mark: LoadMark, state: Mapping[str, Any]
) -> None:
    from pyiceberg.exceptions import NoSuchTableError
    from pyiceberg.table.update import AssertRefSnapshotId, SetPropertiesUpdate

    @_retrying
    def attempt() -> None:
        try:
            table = catalog.load_table(identifier)
        except NoSuchTableError:
            return  # made by the first load with rows
        record = read_record(table.metadata, mark.pipeline)
        if record is None or not _has_older_state(table, record, resource, mark, state):
            return
        properties = record_property(mark.pipeline, {**record, "state": mark.state})
        transaction = StagedTransaction(table)
        # A load that commits in between has a newer state.
        pinned = AssertRefSnapshotId(ref="main", snapshot_id=table.metadata.current_snapshot_id)
        transaction._stage((SetPropertiesUpdate(updates=properties),), (pinned,))  # noqa: SLF001
        transaction.commit_transaction()

    attempt()


def _has_older_state(
    table: Table, record: Mapping[str, Any], resource: str, mark: LoadMark, state: Mapping[str, Any]
) -> bool:
    if record["load-id"] == mark.load_id or not record_is_current(table.metadata, record):
        return False
    if record["state"] is None:
        return True
    held = decompress_state(record["state"])
    return _resource_states(held, resource) != _resource_states(state, resource)


def _resource_states(state: Mapping[str, Any], resource: str) -> dict[str, Any]:
    return {
        name: found
        for name, source in state.get("sources", {}).items()
        if (found := source.get("resources", {}).get(resource)) is not None
    }


def merge_states(
    states: Mapping[str, dict[str, Any] | None], resources: Mapping[str, str]
) -> StateInfo | None:
    """Merge the states that several root tables hold into the state that they prove together.

    The newest one is the base; but where a load committed one table and not another, each resource goes
    on from what *its* table holds. Where that takes something back, the version is lowered, so that a
    local state of the same version and with pending packages is not overwritten by it.

    Arguments:
        states: dlt's pipeline states by root table; None for a table that holds none, as one that a load
            never came to. Its resource starts anew, whatever other tables say of it.
        resources: the resource that feeds each root table.
    """
    from dlt.pipeline.state_sync import generate_pipeline_state_version_hash

    held = [state for state in states.values() if state is not None]
    if not held:
        return None
    newest = max(held, key=lambda state: int(state["_state_version"]))
    merged = copy.deepcopy(newest)
    changed = False
    for table, state in states.items():
        resource = resources.get(table)
        if resource is None or (state and state["_version_hash"] == newest["_version_hash"]):
            continue
        changed = _take_resource(merged, state or {}, resource) or changed
    if changed:
        merged["_state_version"] -= 1
        merged["_version_hash"] = generate_pipeline_state_version_hash(merged)  # type: ignore[arg-type]
    return StateInfo(
        version=merged["_state_version"],
        engine_version=merged["_state_engine_version"],
        pipeline_name=merged["pipeline_name"],
        state=compress_state(merged),  # type: ignore[arg-type]
        created_at=datetime.now(UTC),
        version_hash=merged["_version_hash"],
    )


def _take_resource(merged: dict[str, Any], held: Mapping[str, Any], resource: str) -> bool:
    """Put one resource's state as ``held`` has it into ``merged``; return whether that changed it."""
    changed = False
    for name, source in merged.get("sources", {}).items():
        resources = source.setdefault("resources", {})
        mine = held.get("sources", {}).get(name, {}).get("resources", {}).get(resource)
        if resources.get(resource) == mine:
            continue
        changed = True
        if mine is None:
            resources.pop(resource, None)
        else:
            resources[resource] = mine
    return changed
