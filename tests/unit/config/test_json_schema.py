"""The schema by which editors check a configuration: it accepts what ``load_config`` accepts, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field, SecretStr

from floe_ingest.config import config_schema, options_of, starter_yaml
from floe_ingest.plugins import load_plugins
from floe_ingest_hookspecs import SourceType, hookimpl

if TYPE_CHECKING:
    from floe_ingest.plugins import Plugins


class Window(BaseModel, extra="forbid"):
    days: int = Field(default=7, description="How many days back.")


class ZoneConfig(BaseModel, extra="forbid"):
    path: str = Field(description="The zone file.")
    key: SecretStr | None = None
    window: Window = Window()


class OtherConfig(BaseModel, extra="forbid"):
    window: Window | None = None


class Zones:
    @hookimpl
    def floe_ingest_source_types(self) -> list[SourceType]:
        return [SourceType("dns_zone", ZoneConfig, "A zone"), SourceType("other", OtherConfig, "Another")]


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return load_plugins(extra={"zones": Zones()})


def problems(plugins: Plugins, text: str) -> list[str]:
    schema = config_schema(plugins)
    Draft202012Validator.check_schema(schema)
    return [error.json_path for error in Draft202012Validator(schema).iter_errors(yaml.safe_load(text))]


def source(settings: str, kind: str = "dns_zone", **more: Any) -> str:
    rest = "".join(f"    {key}: {value}\n" for key, value in more.items())
    return (
        f"sources:\n  - name: a\n    source_type: {kind}\n    destination_table: raw.a\n"
        f"    source_config: {settings}\n{rest}"
    )


@pytest.mark.parametrize(
    "text",
    [
        starter_yaml(),
        source("{path: a.zone}"),
        source("{path: '${ZONE}', key: '${KEY}', window: {days: '${DAYS}'}}"),
        source("{window: {days: 3}}", "other"),
        source("{path: data, csv: {header: false}}", "filesystem", write_mode="replace"),
        "retry_config: {max_retries: '${TRIES}'}\n" + source("{path: a}"),
    ],
)
def test_what_is_right_passes(plugins: Plugins, text: str) -> None:
    assert problems(plugins, text) == []


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (source("{path: a, pth: b}"), "$.sources[0].source_config"),
        (source("{}"), "$.sources[0].source_config"),
        (source("{path: a, window: {days: three}}"), "$.sources[0].source_config.window.days"),
        (source("{path: a}", "dns_zon"), "$.sources[0].source_type"),
        (source("{path: a}", write_mode="upsert"), "$.sources[0].write_mode"),
        (source("{path: a}") + "sorces: []\n", "$"),
    ],
)
def test_what_is_wrong_is_found_at_its_place(plugins: Plugins, text: str, where: str) -> None:
    assert problems(plugins, text) == [where]


def test_every_installed_type_has_its_settings(plugins: Plugins) -> None:
    schema = config_schema(plugins)
    assert {key.partition(".")[2] for key in schema["$defs"] if key.startswith("source_config.")} == set(
        plugins.source_types()
    )


def test_options_are_told_in_words_also_those_of_inner_models() -> None:
    rows = {row["name"]: row for row in options_of(ZoneConfig)}
    assert list(rows) == ["path", "key", "window", "window.days"]
    assert (rows["path"]["type"], rows["path"]["required"]) == ("text", True)
    assert rows["path"]["description"] == "The zone file."
    assert rows["key"]["type"] == "secret text"
    assert (rows["window.days"]["type"], rows["window.days"]["default"]) == ("whole number", 7)
