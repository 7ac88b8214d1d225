"""Everything a user writes: the YAML file, floe's ``PluginRef.config``, and the argument of ``run``."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from floe_ingest.config.environment import expand
from floe_ingest.config.fields import (
    Column,
    Columns,
    ContractParts,
    CursorValue,
    DestinationTable,
    EmptyIsList,
    EmptyIsMapping,
    IsContract,
    MemorySize,
    Name,
    NotBool,
    PartitionFields,
    SchemaContract,
    SortFields,
    TableProperties,
    missing_variable,
)
from floe_ingest_hookspecs.cursors import Cursor
from floe_ingest_hookspecs.types import WriteMode

MergeStrategy = Literal["upsert", "delete-insert", "insert-only", "scd2"]


def as_text_of_date(value: Any) -> Any:
    """Return a date that YAML has read as one as text."""
    return value.isoformat() if isinstance(value, date) else value


class _Written(BaseModel):
    """Base of the models: frozen, no unknown keys, ``${NAME}`` filled in, no values in error texts."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # Fields that stay as written: they may hold secrets, or hold models that expand their own fields.
    _as_written: ClassVar[frozenset[str]] = frozenset()

    @field_validator("*", mode="before")
    @classmethod
    def _fill_environment(cls, value: Any, info: ValidationInfo) -> Any:
        if info.field_name in cls._as_written:
            return value
        expansion = expand(value)
        if expansion.findings:
            raise missing_variable("; ".join(dict.fromkeys(found.message for found in expansion.findings)))
        return expansion.value


class RetryConfig(_Written):
    """How a source that fails with a transient error is tried again."""

    max_retries: Annotated[
        int,
        NotBool,
        Field(
            ge=0, le=20, description="How often a source is tried again after its first try.", examples=[3]
        ),
    ] = 3
    initial_delay_seconds: Annotated[
        float,
        NotBool,
        Field(
            gt=0,
            le=300,
            description="The pause before the first retry; each further one is about twice as long.",
            examples=[1.0],
        ),
    ] = 1.0


class CursorOptions(_Written):
    """How ``cursor_field`` is read."""

    initial_value: Annotated[
        CursorValue | None,
        Field(description="Where the first load begins, itself included.", examples=["2024-01-01T00:00:00Z"]),
    ] = None
    end_value: Annotated[
        CursorValue | None,
        Field(
            description="Where every load ends, itself left out; what lies beyond is never loaded.",
            examples=["2025-01-01T00:00:00Z"],
        ),
    ] = None
    lag: Annotated[
        float | None,
        NotBool,
        Field(
            gt=0,
            description=(
                "How far behind the last value a load begins, for rows that come late: seconds of a "
                "timestamp, days of a date, else the column's own unit."
            ),
            examples=[3600],
        ),
    ] = None
    order: Annotated[
        Literal["asc", "desc"],
        Field(description="asc where new rows have greater values, desc where smaller.", examples=["asc"]),
    ] = "asc"
    nulls: Annotated[
        Literal["raise", "include", "exclude"],
        Field(
            description="Rows without a value: the load fails, they are loaded, they are left out.",
            examples=["exclude"],
        ),
    ] = "raise"


class TableOptions(_Written):
    """How rows land in their table. None means that the resource's own hint stays in force."""

    write_mode: Annotated[
        WriteMode | None,
        Field(
            description="append adds rows, replace puts them in place of the old, merge updates by key.",
            examples=["append"],
        ),
    ] = None
    merge_strategy: Annotated[
        MergeStrategy | None,
        Field(description="What a merge does with rows whose key is there already.", examples=["upsert"]),
    ] = None
    primary_key: Annotated[
        Columns | None,
        Field(
            description="The column, or columns, that identify a row.", examples=["id", ["order_id", "line"]]
        ),
    ] = None
    cursor_field: Annotated[
        Column | None,
        Field(description="The column by which only new rows are loaded.", examples=["updated_at"]),
    ] = None
    cursor: Annotated[
        CursorOptions | None,
        Field(
            description="How cursor_field is read: first and last value, late rows, rows without one.",
            examples=[{"initial_value": "2024-01-01T00:00:00Z", "lag": 3600}],
        ),
    ] = None
    schema_contract: Annotated[
        SchemaContract | ContractParts | None,
        IsContract,
        Field(
            description=(
                "What happens when the source's columns change: evolve follows, freeze refuses the load, "
                "discard_value keeps the row without what does not fit. A mapping says it for tables, "
                "columns and data_type apart, and knows discard_row as well."
            ),
            examples=["evolve", {"columns": "freeze", "data_type": "discard_value"}],
        ),
    ] = None
    partition_by: Annotated[
        PartitionFields | None,
        Field(
            description=(
                "Iceberg partition transforms: a column, year(c), month(c), day(c), hour(c), bucket[N](c) "
                "or truncate[N](c)."
            ),
            examples=[["day(created_at)", "bucket[16](id)"]],
        ),
    ] = None
    sort_by: Annotated[
        SortFields | None,
        Field(description="Columns by which data files are sorted.", examples=[["id"], ["created_at desc"]]),
    ] = None
    table_properties: Annotated[
        TableProperties | None,
        Field(
            description="Iceberg table properties.",
            examples=[{"write.parquet.compression-codec": "zstd"}],
        ),
    ] = None

    def cursor_as_asked(self) -> Cursor | None:
        """Return the cursor with its options, as plugins get it; None without ``cursor_field``."""
        if self.cursor_field is None:
            return None
        options = self.cursor or CursorOptions()
        return Cursor(self.cursor_field, **dict(options))


class ResourceConfig(TableOptions):
    """The options of one resource, over those of its source."""


class PartitionsConfig(_Written):
    """The partitions in which an orchestrator loads a source, each a range of its ``cursor_field``."""

    every: Annotated[
        Literal["hour", "day", "week", "month"] | None,
        Field(description="The length of a partition in time, in UTC.", examples=["day"]),
    ] = None
    start: Annotated[
        str | None,
        BeforeValidator(as_text_of_date),
        Field(description="With every: where the first partition begins.", examples=["2024-01-01"]),
    ] = None
    end: Annotated[
        str | None,
        BeforeValidator(as_text_of_date),
        Field(description="With every: where the last partition ends.", examples=["2025-01-01"]),
    ] = None
    ranges: Annotated[
        dict[str, tuple[CursorValue, CursorValue]] | None,
        Field(
            description="Instead of every: ranges by name, the last value of each left out.",
            examples=[{"low": [0, 1000], "high": [1000, 2000]}],
        ),
    ] = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.every is None) == (self.ranges is None):
            raise ValueError("write every and start, or ranges")
        if self.every is not None and self.start is None:
            raise ValueError("every needs start, as 2024-01-01")
        if self.ranges is not None and (self.start or self.end):
            raise ValueError("start and end count with every alone")
        if self.ranges is not None and not self.ranges:
            raise ValueError("ranges has no range")
        return self


class _SourceFields(_Written):
    """What a source is; apart from ``SourceConfig`` so that these fields stand first in its schema."""

    name: Annotated[
        Name,
        # dlt's limit for the name of a schema.
        Field(
            max_length=64,
            description="Unique in the configuration: letters, digits, _ and -, up to 64.",
            examples=["shop"],
        ),
    ]
    source_type: Annotated[
        str,
        Field(
            min_length=1,
            description="A type that a plugin brings; `floe-ingest sources` lists them.",
            examples=["sql_database"],
        ),
    ]
    source_config: Annotated[
        dict[str, Any],
        EmptyIsMapping,
        Field(
            repr=False,
            description="The settings of this type of source. ${NAME} is filled in when the source runs.",
            examples=[{"url": "${SHOP_DB}", "tables": ["orders", "customers"]}],
        ),
    ] = Field(default_factory=dict, repr=False)
    destination_table: Annotated[
        DestinationTable,
        Field(
            description="namespace.table; {resource} stands for each resource's name.",
            examples=["bronze.orders", "bronze.shop_{resource}"],
        ),
    ]


class SourceConfig(TableOptions, _SourceFields):
    """One source: what is read, and where it lands."""

    _as_written: ClassVar[frozenset[str]] = frozenset({"source_config", "resources", "partitions"})

    resources: Annotated[
        dict[str, Annotated[ResourceConfig, EmptyIsMapping]],
        EmptyIsMapping,
        Field(
            description="Options of single resources, by their names; what is written here goes first.",
            examples=[{"customers": {"write_mode": "replace"}}],
        ),
    ] = Field(default_factory=dict)

    schedule: Annotated[
        str | None,
        Field(
            min_length=1,
            description="When an orchestrator loads the source: a cron expression, in UTC.",
            examples=["0 * * * *"],
        ),
    ] = None
    partitions: Annotated[
        PartitionsConfig | None,
        Field(
            description="The partitions in which an orchestrator loads the source, by its cursor_field.",
            examples=[{"every": "day", "start": "2024-01-01"}],
        ),
    ] = None
    fresh_within_hours: Annotated[
        Annotated[float, NotBool, Field(gt=0)] | None,
        Field(
            description="How old the newest row may be, by its cursor_field, before an orchestrator warns.",
            examples=[24],
        ),
    ] = None
    owners: Annotated[
        tuple[str, ...],
        EmptyIsList,
        Field(
            description="Who answers for the tables, as an orchestrator shows it.",
            examples=[["team:sales", "ada@example.com"]],
        ),
    ] = ()
    tags: Annotated[
        dict[str, str],
        EmptyIsMapping,
        Field(description="Labels, as an orchestrator shows them.", examples=[{"domain": "sales"}]),
    ] = Field(default_factory=dict)

    def options_for(self, resource_name: str) -> ResourceConfig:
        """Return the options of one resource: its own, else the source's, else None.

        A field that the resource sets to null is unset, also where the source sets it: the resource's
        own hint is in force again. ``model_fields_set`` of the result names what is set.

        Arguments:
            resource_name: as the source calls it; one that is not listed has the source's options.
        """
        own = self.resources.get(resource_name)
        merged = {
            name: getattr(self, name) for name in TableOptions.model_fields if name in self.model_fields_set
        }
        if own is not None:
            merged |= {name: getattr(own, name) for name in own.model_fields_set}
        written = {name: value for name, value in merged.items() if value is not None}
        return ResourceConfig.model_construct(_fields_set=set(written), **written)


class DltIngestionConfig(_Written):
    """A whole configuration.

    Example:
        >>> config = DltIngestionConfig(
        ...     sources=[
        ...         {
        ...             "name": "files",
        ...             "source_type": "filesystem",
        ...             "source_config": {"path": "data"},
        ...             "destination_table": "raw.{resource}",
        ...         }
        ...     ]
        ... )
        >>> config.sources[0].name
        'files'
    """

    _as_written: ClassVar[frozenset[str]] = frozenset({"catalog_config", "retry_config", "sources"})

    catalog_config: Annotated[
        dict[str, Any] | None,
        Field(
            repr=False,
            description=(
                "PyIceberg catalog properties, plus name (default: default) and type (default: sql, or rest "
                "where uri is an http address). Without it: a SQLite catalog in warehouse/ beside this file."
            ),
            examples=[{"type": "rest", "uri": "http://127.0.0.1:8181/api/catalog", "warehouse": "lake"}],
        ),
    ] = Field(default=None, repr=False)
    retry_config: Annotated[
        RetryConfig,
        EmptyIsMapping,
        Field(description="How often, and how fast, a source is tried again.", examples=[{"max_retries": 3}]),
    ] = Field(default_factory=RetryConfig)
    memory_limit: Annotated[
        MemorySize,
        Field(
            description=(
                "What DuckDB may take for its buffers, at least 100MB. Beyond it, it spills into the working "
                "folder. The process itself, with dlt and pyiceberg, comes on top."
            ),
            examples=["2GB"],
        ),
    ] = "512MB"
    sources: Annotated[
        tuple[SourceConfig, ...],
        EmptyIsList,
        Field(
            description="What is loaded, in this order.",
            examples=[
                [
                    {
                        "name": "files",
                        "source_type": "filesystem",
                        "source_config": {"path": "data", "file_glob": "*.csv"},
                        "destination_table": "raw.{resource}",
                    }
                ]
            ],
        ),
    ] = ()

    _path: Path | None = PrivateAttr(default=None)

    @property
    def path(self) -> Path | None:
        """The file that this configuration was read from; None where it came from Python."""
        return self._path

    @property
    def folder(self) -> Path:
        """The folder against which relative paths are resolved: the file's, else the working directory."""
        return self._path.parent if self._path is not None else Path.cwd()

    def at(self, path: Path | None) -> Self:
        """Return this configuration as if it had been read from ``path``."""
        placed = self.model_copy()
        placed._path = path.absolute() if path is not None else None  # noqa: SLF001 - of this class
        return placed
