"""What a user writes as ``source_config`` of a ``filesystem`` source."""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, Secret, field_validator, model_validator

from floe_ingest_sources.filesystem.floe_keys import translated

Format = Literal["parquet", "csv", "jsonl", "arrow"]

_MODEL = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
_TYPE = re.compile(
    r"(BOOLEAN|SMALLINT|INTEGER|BIGINT|DOUBLE|VARCHAR|DATE|TIME|TIMESTAMP"
    r"|TIMESTAMPTZ|UUID|DECIMAL\(\s*\d{1,2}\s*,\s*\d{1,2}\s*\))",
    re.IGNORECASE,
)


class CsvOptions(BaseModel):
    """How CSV files are written. Nothing here is guessed: what is not said has the default below."""

    model_config = _MODEL

    delimiter: str = Field(
        default=",", min_length=1, max_length=1, description="Between two fields.", examples=[";"]
    )
    quote: str = Field(
        default='"',
        min_length=1,
        max_length=1,
        description="Around a field; doubled inside one.",
        examples=["'"],
    )
    header: bool = Field(default=True, description="Whether the first line holds the names of the columns.")
    names: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Names of the columns, in order; instead of the header's. Needed without a header.",
        examples=[["id", "amount"]],
    )
    encoding: Literal["utf-8", "utf-16", "latin-1"] = Field(default="utf-8", description="Of the files.")
    null_values: tuple[str, ...] = Field(
        default=("",), description="Fields that stand for no value.", examples=[["", "NULL", "n/a"]]
    )
    date_format: str | None = Field(
        default=None,
        description="How dates are written (strptime). Without it only ISO dates (2024-01-31) are dates: "
        "01/02/2024 stays text, since nobody can tell its month.",
        examples=["%d/%m/%Y"],
    )
    decimal: Literal[".", ","] = Field(
        default=".",
        description="What stands before the fraction of a number. With a comma, `delimiter` is another.",
    )
    types: dict[str, str] = Field(
        default_factory=dict,
        description="DuckDB types of columns, by name; they replace what the values look like.",
        examples=[{"zip": "VARCHAR", "price": "DECIMAL(12,2)"}],
    )

    @field_validator("types")
    @classmethod
    def _known_types(cls, types: dict[str, str]) -> dict[str, str]:
        for column, kind in types.items():
            if not _TYPE.fullmatch(kind.strip()):
                raise ValueError(
                    f"column {column!r} cannot have the type {kind!r}; use BOOLEAN, SMALLINT, INTEGER, "
                    f"BIGINT, DOUBLE, DECIMAL(p,s), VARCHAR, DATE, TIME, TIMESTAMP, TIMESTAMPTZ or UUID"
                )
        return {column: re.sub(r"\s", "", kind).upper() for column, kind in types.items()}

    @field_validator("date_format")
    @classmethod
    def _date_without_time(cls, date_format: str | None) -> str | None:
        if date_format is None:
            return None
        words = set(re.findall(r"%-?([A-Za-z])", date_format))
        if not words or words - set("YymdbBjeaA"):
            raise ValueError(
                f"{date_format!r} must describe a date alone, with %Y or %y, %m, %b or %B, and %d; columns "
                f"with a time of day stay text unless they are written in ISO form"
            )
        return date_format

    @field_validator("names")
    @classmethod
    def _distinct_names(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names is not None and len({name.casefold() for name in names}) != len(names):
            raise ValueError(f"has a name twice (letter case does not count): {', '.join(names)}")
        return names

    @model_validator(mode="after")
    def _distinct_signs(self) -> Self:
        if not self.header and self.names is None:
            raise ValueError("header: false needs names: [...], one for each column")
        if self.quote == self.delimiter:
            raise ValueError(f"quote and delimiter are both {self.quote!r}; they must differ")
        if self.decimal == self.delimiter:
            raise ValueError(f"decimal and delimiter are both {self.decimal!r}; they must differ")
        return self


class ReaderOptions(BaseModel):
    """The few options of DuckDB's readers that change what is read and cannot lose anything."""

    model_config = _MODEL

    filename: bool = Field(
        default=False, description="Add a column `filename`: path or URL of the file of each row."
    )
    hive_partitioning: bool = Field(
        default=False, description="Add a column for each `key=value` folder below `bucket_url`, as text."
    )
    binary_as_string: bool = Field(
        default=False, description="Parquet: read binary columns without a logical type as text."
    )


class FilesystemConfig(BaseModel):
    """Files of one folder. Give ``bucket_url`` (or ``path``); the rest has sensible defaults.

    Example:
        >>> FilesystemConfig(path="data", tables={"orders": "orders*.csv"}).tables["orders"]
        'orders*.csv'
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True)

    bucket_url: str = Field(
        validation_alias=AliasChoices("bucket_url", "path"),
        min_length=1,
        description="The folder, or one file: a path (relative ones are relative to the configuration file) "
        "or a URL: file, s3, gs, az, abfss, http, https, and what else fsspec knows. May also be written "
        "`path`.",
        examples=["data", "/srv/exports", "s3://lake/exports"],
    )
    file_glob: str = Field(
        default="*",
        validation_alias=AliasChoices("file_glob", "include_glob"),
        min_length=1,
        description="Which files, relative to the folder; `**` goes into subfolders. Files and folders whose "
        "name starts with a dot or underscore are left out. May also be written `include_glob`.",
        examples=["2024-*.csv.gz", "**/*.parquet"],
    )
    tables: dict[str, str] | None = Field(
        default=None,
        min_length=1,
        description="Several resources from one folder: a glob for each. Without it, all files are one "
        "resource that is called as the source.",
        examples=[{"orders": "orders*.csv", "events": "events/*.jsonl"}],
    )
    format: Literal["auto", "parquet", "csv", "jsonl", "arrow"] = Field(
        default="auto", description="Of all files; auto goes by each file's ending."
    )
    csv: CsvOptions = Field(default_factory=CsvOptions, description="How CSV files are written.")
    nested: Literal["native", "tables", "json"] = Field(
        default="native",
        description="What objects and lists in JSON become: nested columns, child tables, or JSON text.",
    )
    on_bad_row: Literal["fail", "skip"] = Field(
        default="fail",
        description="What a CSV row or JSON line that cannot be read does: stop the load, or go to the table "
        "`<table>__rejected` with file, line and reason.",
    )
    incremental: Literal["none", "modified"] = Field(
        default="none",
        description="`none` reads every file in every load; `modified` only files that are new or changed "
        "since the last load, by modification time, name and size.",
    )
    lookback_seconds: int = Field(
        default=0,
        ge=0,
        description="With `incremental: modified`: how much older than the newest loaded file a file may be "
        "that arrives late.",
    )
    allow_empty: bool = Field(
        default=False, description="Whether a glob may match none of the files that are there."
    )
    file_columns: tuple[Literal["_file_name", "_file_modified"], ...] = Field(
        default=(),
        description="Further columns: the file of each row, relative to the folder, and when it was changed.",
        examples=[["_file_name", "_file_modified"]],
    )
    reader_options: ReaderOptions = Field(
        default_factory=ReaderOptions, description="Further columns and such."
    )
    storage_options: Secret[dict[str, Any]] | None = Field(
        default=None,
        description="Arguments of the fsspec file system: credentials, endpoint. Without credentials in it, "
        "those of dlt's configuration are taken, then those of the environment.",
        examples=[{"endpoint_url": "http://127.0.0.1:9000", "key": "${S3_KEY}"}],
    )

    @model_validator(mode="before")
    @classmethod
    def _one_of_the_aliases(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for name, other in (("bucket_url", "path"), ("file_glob", "include_glob")):
                if name in data and other in data:
                    raise ValueError(f"{name} and {other} mean the same; write one of them")
            return translated(data)
        return data

    @model_validator(mode="after")
    def _options_that_go_together(self) -> Self:
        if self.tables is not None and "file_glob" in self.model_fields_set:
            raise ValueError("tables has a glob for each resource; leave file_glob out")
        if self.lookback_seconds and self.incremental == "none":
            raise ValueError("lookback_seconds counts with incremental: modified alone")
        if self.nested == "tables" and (self.file_columns or self.reader_options.model_fields_set):
            raise ValueError(
                "nested: tables has no further columns; leave file_columns and reader_options out"
            )
        return self

    @property
    def one_glob(self) -> bool:
        """Whether no glob was written, so that ``bucket_url`` may be a file."""
        return self.tables is None and "file_glob" not in self.model_fields_set

    def storage_arguments(self) -> dict[str, Any]:
        """Return ``storage_options`` with its secrets."""
        return dict(self.storage_options.get_secret_value()) if self.storage_options is not None else {}
