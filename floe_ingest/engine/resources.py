"""Prepares what a plugin built: one dlt source, its resources aimed at their tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from floe_ingest.config import parse_partition, parse_sort
from floe_ingest.engine.contracts import Contract
from floe_ingest.engine.row_cursors import check_cursor, range_hint, read_rows_by
from floe_ingest.engine.row_versions import make_versions
from floe_ingest.errors import ConfigurationError, PluginLoadError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from dlt.common.schema.typing import TColumnSchema
    from dlt.extract import DltResource, DltSource

    from floe_ingest.config import ResourceConfig, SourceConfig
    from floe_ingest.engine.bulk import BulkLanding
    from floe_ingest.plugins import PluginInfo
    from floe_ingest_hookspecs import Cursor

    Landing = Callable[[str, DltResource, Contract, Cursor | None, Callable[[], object]], BulkLanding]

RANGE_HINT = "x-floe-ingest-range"
_PLACEHOLDER = "{resource}"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a source's resources go.

    Arguments:
        namespace: dotted.
        pattern: the table's name, or a pattern with ``{resource}``.
    """

    namespace: str
    pattern: str

    @classmethod
    def parse(cls, destination_table: str) -> Destination:
        """Split ``namespace.table``; the namespace may have several levels."""
        namespace, _, pattern = destination_table.rpartition(".")
        return cls(namespace, pattern)

    def table_of(self, resource: str) -> str:
        """Return the table of a resource, before dlt normalises the name."""
        return self.pattern.replace(_PLACEHOLDER, resource)


def as_source(built: Any, name: str, plugin: PluginInfo | str) -> DltSource:
    """Return what a ``build_source`` hook gave as one dlt source.

    Arguments:
        built: what it gave.
        name: of the source.
        plugin: whose hook that was.

    Raises:
        PluginLoadError: it is neither a source, a resource nor a list of resources.
    """
    from dlt.common.schema import Schema
    from dlt.extract import DltResource, DltSource

    if isinstance(built, DltSource):
        return built
    resources = list(built) if isinstance(built, list | tuple) else [built]
    if not resources or not all(isinstance(resource, DltResource) for resource in resources):
        raise PluginLoadError(
            f"Plugin {plugin}: floe_ingest_build_source returned an object of type {type(built).__name__} "
            f"for source {name!r}; it must return a dlt source, a resource or a list of resources."
        )
    return DltSource(Schema(_schema_name(name)), name, resources)


def _schema_name(name: str) -> str:
    from dlt.common.schema.utils import normalize_schema_name

    return normalize_schema_name(name)


def loaded_resources(source: DltSource) -> Mapping[str, DltResource]:
    """Return the selected resources that load into tables of their own."""
    return {name: resource for name, resource in source.resources.selected.items() if resource.selected}


def selected(source: DltSource, names: Collection[str]) -> DltSource:
    """Return a source of which these resources alone are loaded.

    Raises:
        ConfigurationError: it has no such resource.
    """
    unknown = sorted(set(names) - set(source.resources))
    if unknown:
        raise ConfigurationError(
            f"Source {source.name!r} has no resource {unknown[0]!r}, which was selected. "
            f"It has: {', '.join(sorted(source.resources)) or 'none'}."
        )
    return source.with_resources(*names)


def check_tables(source: DltSource, config: SourceConfig, destination: Destination) -> None:
    """Check that each resource has a table of its own, and that the configuration names none in vain.

    Raises:
        ConfigurationError: several resources would share one table, or ``resources`` names one that
            the source does not have.
    """
    names = sorted(loaded_resources(source))
    if len(names) > 1 and _PLACEHOLDER not in destination.pattern:
        raise ConfigurationError(
            f"Source {config.name!r} has {len(names)} resources ({', '.join(names[:8])}"
            f"{', …' if len(names) > 8 else ''}), and destination_table {config.destination_table!r} names "
            f"one table. Write {destination.namespace}.{destination.pattern}_{_PLACEHOLDER}, or select one "
            f"resource."
        )
    unknown = sorted(set(config.resources) - set(source.resources))
    if unknown:
        raise ConfigurationError(
            f"Source {config.name!r} has no resource {unknown[0]!r}, which its `resources` names. "
            f"It has: {', '.join(sorted(source.resources)) or 'none'}."
        )


def aim(
    source: DltSource,
    config: SourceConfig,
    destination: Destination,
    landing: Landing | None,
    *,
    cursor_of: Callable[[str], Cursor | None],
    known_tables: Collection[str],
    full_refresh: bool,
    run_id: str,
) -> None:
    """Give each resource its table and hints. What the user did not write stays as the source has it.

    Arguments:
        source: changed in place.
        config: the source's configuration.
        destination: where it goes.
        landing: makes the step that lands bulk scans into a table; None for a type without any.
        cursor_of: gives a resource's cursor, where the configuration has one.
        known_tables: tables that have been loaded before.
        full_refresh: whether every table is replaced.
        run_id: of this run.
    """
    _check_ranges({name: cursor_of(name) for name in loaded_resources(source)}, config)
    for name, resource in source.resources.items():
        table = source.schema.naming.normalize_table_identifier(destination.table_of(name))
        options = config.options_for(name)
        hints = _hints(options, resource)
        if layout := _layout_hints(options, source.schema.naming.normalize_identifier):
            hints["additional_table_hints"] = layout
        if full_refresh:
            hints["write_disposition"] = "replace"
        contract = Contract.of(options.schema_contract)
        by_dlt: dict[str, Any] = {}
        if options.schema_contract is not None:
            by_dlt["schema_contract"] = contract.for_dlt(is_known=table in known_tables)
        if landing is None:
            hints |= by_dlt
        cursor = cursor_of(name)
        if cursor is not None and cursor.stateless:
            # As replace, dlt gives the destination a file also where the range holds no row. Written as a
            # mapping, it does not forget the resource's state.
            by_key = options.write_mode == "merge" or (options.write_mode is None and merges(resource))
            hints["write_disposition"] = {"disposition": "replace", "strategy": "truncate-and-insert"}
            hint = range_hint(cursor, run_id, source.schema.naming.normalize_identifier, by_key=by_key)
            layout[RANGE_HINT] = hint
            hints["additional_table_hints"] = layout
        resource.apply_hints(table_name=table, **hints)
        if RANGE_HINT in layout:
            _put_into_schema(resource, source)
        if cursor is not None and not full_refresh:
            check_cursor(cursor, resource)
        if landing is not None:
            _allow_null_keys(resource)
            hand_to_dlt = partial(resource.apply_hints, **by_dlt)
            resource.add_step(landing(table, resource, contract, cursor, hand_to_dlt))
            continue
        if cursor is not None:
            read_rows_by(cursor, resource)
        make_versions(resource)


def _put_into_schema(resource: DltResource, source: DltSource) -> None:
    """Let dlt know a resource's hints also where it gives no row: an empty file then stands for it."""
    from dlt.common.schema.utils import normalize_table_identifiers

    table = resource.compute_table_schema()
    source.schema.update_table(normalize_table_identifiers(table, source.schema.naming))


def _check_ranges(cursors: Mapping[str, Cursor | None], config: SourceConfig) -> None:
    """Check that where one resource is read in a range, all are."""
    if any(cursor is not None and cursor.stateless for cursor in cursors.values()):
        without = sorted(name for name, cursor in cursors.items() if cursor is None)
        if without:
            raise ConfigurationError(
                f"Resource {without[0]!r} of source {config.name!r} has no cursor_field, by which a range "
                f"of it could be loaded. Give it one, or load it as a source of its own."
            )


def _hints(options: ResourceConfig, resource: DltResource) -> dict[str, Any]:
    hints: dict[str, Any] = {}
    if options.write_mode is not None:
        hints["write_disposition"] = options.write_mode
    if options.write_mode == "merge":
        hints["write_disposition"] = {"disposition": "merge", "strategy": options.merge_strategy or "upsert"}
    elif options.merge_strategy is not None:
        if options.write_mode is not None or not merges(resource):
            raise ConfigurationError(
                f"Resource {resource.name!r} has merge_strategy {options.merge_strategy!r}, which counts "
                f"with write_mode merge alone. Write write_mode: merge, or leave merge_strategy out."
            )
        hints["write_disposition"] = {"disposition": "merge", "strategy": options.merge_strategy}
    if options.primary_key is not None:
        hints["primary_key"] = list(options.primary_key)
    return hints


def _layout_hints(options: ResourceConfig, normalize: Callable[[str], str]) -> dict[str, Any]:
    """Return partition spec, sort order and properties as the destination reads them from dlt's tables."""
    hints: dict[str, Any] = {}
    if options.partition_by is not None:
        hints["x-iceberg-partition"] = [
            {
                "transform": field.transform,
                "source_column": normalize(field.column),
                **({"param_value": field.width} if field.width is not None else {}),
            }
            for field in map(parse_partition, options.partition_by)
        ]
    if options.sort_by is not None:
        hints["x-iceberg-sort"] = [
            {"column": normalize(field.column), "descending": field.direction == "desc"}
            for field in map(parse_sort, options.sort_by)
        ]
    if options.table_properties is not None:
        hints["x-iceberg-table-properties"] = dict(options.table_properties)
    return hints


def merges(resource: DltResource) -> bool:
    """Return whether a resource's rows are merged into its table."""
    return resource.compute_table_schema().get("write_disposition") == "merge"


def key_columns(resource: DltResource) -> frozenset[str]:
    """Return the columns by which a resource's rows are merged."""
    columns = resource.compute_table_schema().get("columns", {})
    return frozenset(
        name for name, column in columns.items() if column.get("primary_key") or column.get("merge_key")
    )


def leaves_out_seen(resource: DltResource) -> bool:
    """Return whether rows that the table holds already need not be loaded again.

    Under a merge key, or in scd2, a load has to hold all rows of a key.
    """
    table = resource.compute_table_schema()
    if table.get("write_disposition") != "merge":
        return table.get("write_disposition") != "replace"
    strategy = dict(table).get("x-merge-strategy", "delete-insert")
    has_merge_key = any(column.get("merge_key") for column in table.get("columns", {}).values())
    return strategy in ("upsert", "insert-only") or (strategy == "delete-insert" and not has_merge_key)


def _allow_null_keys(resource: DltResource) -> None:
    """Let key columns be optional: DuckDB writes every column so, and dlt would rewrite each file."""
    keys = resource.compute_table_schema().get("columns", {})
    nullable: dict[str, TColumnSchema] = {
        name: {"name": name, "nullable": True} for name, column in keys.items() if column.get("primary_key")
    }
    if nullable:
        resource.apply_hints(columns=nullable)
