"""A plugin with the kinds of models that plugins have, and the reading of configurations from text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import AliasChoices, BaseModel, Field, Secret, SecretStr, field_validator, model_validator

from floe_ingest import InvalidConfigError, NotSupportedYetError, SourceType, hookimpl
from floe_ingest.config import load_config
from floe_ingest.plugins import Plugins, load_plugins

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from floe_ingest import ConfigProblem
    from floe_ingest.config import DltIngestionConfig


class CsvOptions(BaseModel, extra="forbid"):
    delimiter: str = ","
    header: bool = True
    quote: Literal["'", ";", "none"] = "none"


class FilesConfig(BaseModel, extra="forbid"):
    path: str = Field(validation_alias=AliasChoices("path", "bucket_url"))
    file_glob: str = "*"
    format: Literal["auto", "csv", "parquet"] = "auto"
    csv: CsvOptions = CsvOptions()
    batch_rows: int = Field(100_000, ge=1)
    patterns: str | list[str] | CsvOptions | None = None


class SqlConfig(BaseModel, extra="forbid"):
    url: SecretStr
    table: str | None = None
    tables: list[str] = []
    digits: Secret[int] | None = None
    mode: Literal["fast", "exact"] = "exact"

    @model_validator(mode="after")
    def _one_of_both(self) -> SqlConfig:
        if self.table and self.tables:
            raise ValueError(f"table and tables exclude each other, in {self.url.get_secret_value()}")
        if self.table == "later":
            raise NotSupportedYetError("table: later is not supported yet")
        return self

    @field_validator("tables")
    @classmethod
    def _no_crash(cls, value: list[str]) -> list[str]:
        if "crash" in value:
            raise KeyError("hunter2-in-a-crash")
        return value


class Bearer(BaseModel, extra="forbid"):
    type: Literal["bearer"]
    value: SecretStr


class Basic(BaseModel, extra="forbid"):
    type: Literal["basic"]
    username: str
    password: SecretStr


class ApiConfig(BaseModel, extra="forbid"):
    client: dict[str, Any] = {}
    login: Annotated[Bearer | Basic, Field(discriminator="type")] | None = None
    resources: list[Any] = []


class StubPlugin:
    @hookimpl
    def floe_ingest_source_types(self) -> list[SourceType]:
        return [
            SourceType("filesystem", FilesConfig, "Files"),
            SourceType("sql_database", SqlConfig, "Databases"),
            SourceType("rest_api", ApiConfig, "REST APIs"),
        ]


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    return load_plugins(entry_points=False, extra={"stub": StubPlugin()})


@pytest.fixture
def load(tmp_path: Path, plugins: Plugins) -> Callable[[str], DltIngestionConfig]:
    """Write a text to ``ingest.yaml`` and load it."""

    def load_text(text: str) -> DltIngestionConfig:
        path = tmp_path / "ingest.yaml"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return load_config(path, plugins=plugins)

    return load_text


@pytest.fixture
def problems(load: Callable[[str], DltIngestionConfig]) -> Callable[[str], tuple[ConfigProblem, ...]]:
    """Load a text that must be refused, and return why it was."""

    def problems_of(text: str) -> tuple[ConfigProblem, ...]:
        with pytest.raises(InvalidConfigError) as caught:
            load(text)
        return caught.value.problems

    return problems_of
