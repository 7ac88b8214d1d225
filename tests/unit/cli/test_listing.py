"""``sources`` and ``plugins`` list what is installed, through the same door as a load."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Floe = Callable[..., subprocess.CompletedProcess[str]]

ZONES = """
from floe_ingest import Requirement, SourceType, hookimpl
from pydantic import BaseModel

class ZoneConfig(BaseModel, extra="forbid"):
    path: str

@hookimpl
def floe_ingest_source_types():
    need = Requirement("dns_parser_that_is_absent", "pip install dnszones[parser]")
    have = Requirement("json", "pip install python")
    return [SourceType("dns_zone", ZoneConfig, "Records of a DNS zone file", (have, need), ("bulk", "check"))]

@hookimpl
def floe_ingest_build_source(request):
    raise NotImplementedError
"""


def test_sources_lists_the_built_in_types(floe: Floe) -> None:
    done = floe("sources", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)["source_types"]}
    assert {"rest_api", "sql_database", "filesystem"} <= set(rows)
    assert list(rows) == sorted(rows)
    assert rows["filesystem"]["distribution"] == "floe-ingest"
    table = floe("sources")
    assert all(name in table.stdout for name in rows)


def test_a_third_partys_type_is_listed_with_what_it_needs(
    floe: Floe, make_plugin: Callable[..., Path]
) -> None:
    site = str(make_plugin("dnszones", ZONES))
    (row,) = json.loads(floe("sources", "--json", PYTHONPATH=site, FLOE_INGEST_PLUGINS="dnszones").stdout)[
        "source_types"
    ]
    assert row == {
        "name": "dns_zone",
        "summary": "Records of a DNS zone file",
        "capabilities": ["bulk", "check"],
        "plugin": "dnszones",
        "distribution": "dnszones",
        "version": "1.2.3",
        "missing": [{"import_name": "dns_parser_that_is_absent", "install": "pip install dnszones[parser]"}],
    }
    table = floe("sources", PYTHONPATH=site, FLOE_INGEST_PLUGINS="dnszones").stdout
    assert "dnszones 1.2.3" in table
    assert "dns_zone needs dns_parser_that_is_absent: pip install dnszones[parser]" in table


def test_plugins_lists_hooks_and_types(floe: Floe, make_plugin: Callable[..., Path]) -> None:
    site = str(make_plugin("dnszones", ZONES))
    done = floe("plugins", "--json", PYTHONPATH=site, FLOE_INGEST_PLUGINS="dnszones")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["plugins"]
    assert sorted(row.pop("hooks")) == ["floe_ingest_build_source", "floe_ingest_source_types"]
    assert row == {
        "name": "dnszones",
        "distribution": "dnszones",
        "version": "1.2.3",
        "entry_point": "dnszones",
        "source_types": ["dns_zone"],
        "error": None,
    }
    table = floe("plugins", PYTHONPATH=site, FLOE_INGEST_PLUGINS="dnszones").stdout
    assert "dnszones 1.2.3" in table
    assert "build_source" in table


def test_a_plugin_that_fails_to_import_is_listed_with_its_cause(
    floe: Floe, make_plugin: Callable[..., Path]
) -> None:
    site = str(make_plugin("crooked", "import a_module_that_is_absent\n"))
    done = floe("plugins", "--json", PYTHONPATH=site, FLOE_INGEST_PLUGINS="crooked,filesystem")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)["plugins"]}
    assert "a_module_that_is_absent" in rows["crooked"]["error"]
    assert rows["filesystem"]["error"] is None
    assert "a_module_that_is_absent" in done.stderr, "a warning names the cause"
    table = floe("plugins", PYTHONPATH=site, FLOE_INGEST_PLUGINS="crooked").stdout
    assert "failed" in table
    assert "a_module_that_is_absent" in table


def test_a_misspelt_hook_is_one_message_and_stops_no_other(
    floe: Floe, make_plugin: Callable[..., Path]
) -> None:
    site = make_plugin("crooked", ZONES.replace("floe_ingest_build_source", "floe_ingest_built_source"))
    done = floe("plugins", "--json", PYTHONPATH=str(site), FLOE_INGEST_PLUGINS="crooked,filesystem")
    assert done.returncode == 0
    rows = {row["name"]: row["error"] for row in json.loads(done.stdout)["plugins"]}
    assert rows["filesystem"] is None
    assert "implements floe_ingest_built_source, and there is no such hook" in rows["crooked"]
    assert "floe_ingest_built_source" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_plugins_is_said(floe: Floe) -> None:
    for words in (["sources"], ["plugins"]):
        done = floe(*words, FLOE_INGEST_PLUGINS="")
        assert done.returncode == 0
        assert "FLOE_INGEST_PLUGINS" in done.stdout


def test_one_source_type_is_told_with_its_options(floe: Floe, make_plugin: Callable[..., Path]) -> None:
    site = str(make_plugin("dnszones", ZONES))
    done = floe("sources", "dns_zone", "--json", PYTHONPATH=site)
    assert done.returncode == 0, done.stderr
    (option,) = json.loads(done.stdout)["options"]
    assert option == {"name": "path", "type": "text", "required": True, "default": None, "description": ""}
    table = floe("sources", "dns_zone", PYTHONPATH=site).stdout
    assert "dns_zone: Records of a DNS zone file (brought by dnszones 1.2.3)" in table
    assert "dns_zone needs dns_parser_that_is_absent: pip install dnszones[parser]" in table


def test_an_unknown_source_type_gets_the_nearest(floe: Floe) -> None:
    done = floe("sources", "filesytem")
    assert done.returncode == 2
    assert "Did you mean 'filesystem'?" in done.stderr


def test_the_schema_holds_what_is_installed(
    floe: Floe, make_plugin: Callable[..., Path], tmp_path: Path
) -> None:
    site = str(make_plugin("dnszones", ZONES))
    done = floe("schema", PYTHONPATH=site)
    assert done.returncode == 0, done.stderr
    assert "path" in json.loads(done.stdout)["$defs"]["source_config.dns_zone"]["properties"]
    assert floe("schema", "-o", "s.json", PYTHONPATH=site).returncode == 0
    assert (tmp_path / "s.json").read_text() == done.stdout
    refused = floe("schema", "-o", "no/such/folder.json")
    assert refused.returncode == 2
    assert "cannot be written: No such file or directory" in refused.stderr
