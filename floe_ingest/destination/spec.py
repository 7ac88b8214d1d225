"""Partition spec, sort order and properties of a table: what dlt's hints ask for, and what the table has.

The hints are those of dlt's own ``iceberg_adapter``, and one more for the sort order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

from floe_ingest.dataplane.copy import SortTerm
from floe_ingest.dataplane.partitions import PartitionTerm
from floe_ingest.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.table import Transaction
    from pyiceberg.table.sorting import SortOrder
    from pyiceberg.transforms import Transform
    from pyiceberg.typedef import Record

PARTITION_HINT = "x-iceberg-partition"
SORT_HINT = "x-iceberg-sort"
PROPERTIES_HINT = "x-iceberg-table-properties"
FORMAT_VERSION = "format-version"
WRITABLE_VERSIONS = (1, 2)
"""Iceberg's format versions that PyIceberg 0.12 writes."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a load asks of its table. None, or no property, leaves the table as it is.

    Arguments:
        partition: the fields of the partition spec.
        sort: the fields of the sort order.
        properties: table properties.
        format_version: of Iceberg.
    """

    partition: tuple[PartitionTerm, ...] | None = None
    sort: tuple[SortTerm, ...] | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    format_version: int | None = None

    @classmethod
    def from_hints(cls, table: Mapping[str, Any]) -> Layout:
        """Read the hints of a dlt table.

        Raises:
            SchemaError: the format version cannot be written.
        """
        partition, sort = table.get(PARTITION_HINT), table.get(SORT_HINT)
        properties = dict(table.get(PROPERTIES_HINT) or {})
        return cls(
            None
            if partition is None
            else tuple(
                PartitionTerm(hint["transform"], hint["source_column"], hint.get("param_value") or 0)
                for hint in partition
            ),
            None
            if sort is None
            else tuple(
                SortTerm(hint["column"], hint["descending"], nulls_first=not hint["descending"])
                for hint in sort
            ),
            properties,
            _version(properties.pop(FORMAT_VERSION, None), str(table["name"])),
        )

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are named."""
        partition = [term.column for term in self.partition or ()]
        return frozenset([*partition, *(term.column for term in self.sort or ())])

    def check(self, columns: Sequence[str], table: str) -> None:
        """Check that the columns that are named are there.

        Raises:
            SchemaError: one is not.
        """
        named = [(term.column, "partition_by") for term in self.partition or ()]
        named += [(term.column, "sort_by") for term in self.sort or ()]
        for column, option in named:
            if column not in columns:
                raise SchemaError(
                    f"{option} of table {table} names {column!r}, which the table does not have. "
                    f"It has: {', '.join(columns)}."
                )

    def apply(self, transaction: Transaction) -> tuple[str, ...]:
        """Bring the staged table in line with this layout, where it asks for something.

        Returns:
            What was changed, in words.

        Raises:
            SchemaError: a transform does not go with its column, or the format version would go down.
        """
        changes = []
        if (
            self.partition is not None
            and terms_of(transaction.table_metadata.spec(), transaction.table_metadata.schema())
            != self.partition
        ):
            self._apply_partition(transaction, self.partition)
            changes.append(f"partition spec is {transaction.table_metadata.spec()}")
        if (
            self.sort is not None
            and order_of(transaction.table_metadata.sort_order(), transaction.table_metadata.schema())
            != self.sort
        ):
            self._apply_sort(transaction, self.sort)
            changes.append(f"sort order is {transaction.table_metadata.sort_order()}")
        known = transaction.table_metadata.properties
        changed = {key: value for key, value in self.properties.items() if known.get(key) != value}
        if changed:
            transaction.set_properties(changed)
            changes += [f"property {key} is {value}" for key, value in changed.items()]
        if self.format_version not in (None, transaction.table_metadata.format_version):
            self._apply_version(transaction)
            changes.append(f"format version is {self.format_version}")
        return tuple(changes)

    def _apply_version(self, transaction: Transaction) -> None:
        try:
            transaction.upgrade_table_version(self.format_version)  # type: ignore[arg-type]
        except ValueError as error:
            raise SchemaError(f"{FORMAT_VERSION} cannot be applied: {error}") from error

    def _apply_partition(self, transaction: Transaction, partition: Sequence[PartitionTerm]) -> None:
        metadata = transaction.table_metadata
        current = dict(zip(terms_of(metadata.spec(), metadata.schema()), metadata.spec().fields, strict=True))
        try:
            with transaction.update_spec() as update:
                for term, field_ in current.items():
                    if term not in partition and term.transform != "void":
                        update.remove_field(field_.name)
                for term in partition:
                    if term not in current:
                        update.add_field(term.column, _transform(term))
        except ValueError as error:
            raise SchemaError(f"partition_by cannot be applied: {error}") from error

    def _apply_sort(self, transaction: Transaction, sort: Sequence[SortTerm]) -> None:
        from pyiceberg.table.sorting import NullOrder
        from pyiceberg.transforms import IdentityTransform

        with transaction.update_sort_order() as update:
            for term in sort:
                nulls = NullOrder.NULLS_FIRST if term.nulls_first else NullOrder.NULLS_LAST
                add = update.desc if term.descending else update.asc
                add(term.column, IdentityTransform(), nulls)


def _version(text: str | None, table: str) -> int | None:
    if text is None:
        return None
    if text not in map(str, WRITABLE_VERSIONS):
        raise SchemaError(
            f"Table {table} is to have {FORMAT_VERSION} {text!r}, which PyIceberg does not write yet. "
            f"Use {' or '.join(map(str, WRITABLE_VERSIONS))}."
        )
    return int(text)


def _transform(term: PartitionTerm) -> Transform[Any, Any]:
    from pyiceberg.transforms import parse_transform

    return parse_transform(f"{term.transform}[{term.width}]" if term.width else term.transform)


def terms_of(spec: PartitionSpec, schema: Schema) -> tuple[PartitionTerm, ...]:
    """Return the fields of a table's partition spec."""
    terms = []
    for field_ in spec.fields:
        name, _, width = str(field_.transform).rstrip("]").partition("[")
        column = schema.find_column_name(field_.source_id)
        if column is None:
            raise SchemaError(f"Partition field {field_.name} is of a column that the table no longer has.")
        terms.append(PartitionTerm(name, column, int(width) if width else 0))
    return tuple(terms)


def order_of(order: SortOrder, schema: Schema) -> tuple[SortTerm, ...]:
    """Return the fields of a table's sort order that are plain columns, up to the first that is not."""
    from pyiceberg.table.sorting import NullOrder, SortDirection

    terms = []
    for field_ in order.fields:
        column = schema.find_column_name(field_.source_id)
        if column is None or str(field_.transform) != "identity":
            break
        terms.append(
            SortTerm(
                column,
                field_.direction == SortDirection.DESC,
                nulls_first=field_.null_order == NullOrder.NULLS_FIRST,
            )
        )
    return tuple(terms)


def partition_record(values: Sequence[Any]) -> Record:
    """Return partition values as Iceberg keeps them: days and microseconds since 1970 for dates and times."""
    from pyiceberg.typedef import Record

    return Record(*(_stored(value) for value in values))


def _stored(value: Any) -> Any:
    from pyiceberg.utils.datetime import date_to_days, datetime_to_micros, time_to_micros

    if isinstance(value, datetime):
        return datetime_to_micros(value.replace(tzinfo=None) if value.tzinfo is None else value)
    if isinstance(value, date):
        return date_to_days(value)
    if isinstance(value, time):
        return time_to_micros(value)
    return value
