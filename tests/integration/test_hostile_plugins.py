"""Plugins that break the contract in every way, installed side by side, through the real command.

One run has them all: each gives its message, which names plugin, distribution and hook, and what the others
load is in the tables.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from pyiceberg.catalog import load_catalog
from sample_packages import GROUP, install_module, install_sample, write_dist_info

if TYPE_CHECKING:
    from pathlib import Path

PREAMBLE = """
import time
from pydantic import BaseModel
from floe_ingest import ErrorCategory, FoundResource, SourceCheck, SourceType, hookimpl

class Config(BaseModel, extra="forbid"):
    pass

def rows():
    yield {"id": 1}
"""
DECLARES = """
@hookimpl
def floe_ingest_source_types():
    return [SourceType("TYPE", Config, "For a test")]
"""
BUILDS = """
@hookimpl
def floe_ingest_build_source(request):
    import dlt
    return dlt.resource(rows(), name="rows")
"""
SOURCE = PREAMBLE + DECLARES + BUILDS


def hook(name: str, body: str, arguments: str = "") -> str:
    return f"\n@hookimpl\ndef floe_ingest_{name}({arguments}):\n    {body}\n"


def built(body: str) -> str:
    return PREAMBLE + DECLARES + hook("build_source", body, "request")


LEFT_OUT = {
    # What does not load: what it says follows its name in the log.
    "no_import": ("import acme_is_not_there", "No module named 'acme_is_not_there'"),
    "raises_at_import": ("raise KeyError('licence')", "KeyError: 'licence'"),
    "exits_at_import": ("raise SystemExit(0)", "SystemExit: 0"),
    "types_raise": (
        PREAMBLE + hook("source_types", "raise LookupError('no list')"),
        "failed in floe_ingest_source_types: LookupError: no list",
    ),
    "types_exit": (
        PREAMBLE + hook("source_types", "raise SystemExit(0)"),
        "failed in floe_ingest_source_types: SystemExit: 0",
    ),
    "types_nothing": (
        PREAMBLE + hook("source_types", "pass"),
        "floe_ingest_source_types returned None; it must return a list of SourceType",
    ),
    "types_text": (
        PREAMBLE + hook("source_types", "return ['crm']"),
        "floe_ingest_source_types returned a list that holds an object of type str",
    ),
    "type_unnamed": (
        PREAMBLE + hook("source_types", "return [SourceType('C R M', Config, 'x')]"),
        "failed in floe_ingest_source_types: ValueError: SourceType.name must be lower-case",
    ),
    "misspelt": (
        SOURCE.replace("_build_", "_built_"),
        "implements floe_ingest_built_source, and there is no such hook. "
        "Did you mean 'floe_ingest_build_source'?",
    ),
    "wrong_argument": (
        SOURCE.replace("(request)", "(requests)"),
        "floe_ingest_build_source has no argument 'requests'. Did you mean 'request'?",
    ),
    "unmarked": (
        PREAMBLE + "def floe_ingest_before_run(context): ...",
        "defines floe_ingest_before_run without @hookimpl",
    ),
    "coroutine": (
        PREAMBLE + "@hookimpl\nasync def floe_ingest_before_run(context): ...",
        "implements floe_ingest_before_run as a coroutine",
    ),
}
FAILING = {
    # What loads, and whose own source fails: what it says is in the result of that source.
    "build_raises": (built("raise ZeroDivisionError('by nought')"), "ZeroDivisionError: by nought"),
    "build_exits": (built("raise SystemExit(0)"), "SystemExit: 0"),
    "build_nothing": (built("pass"), "returned nothing; it must return a dlt source or resource"),
    "build_text": (built("return 'rows'"), "returned an object of type str for source 'build_text'"),
    "build_empty": (built("return []"), "returned an object of type list for source 'build_empty'"),
    "rows_exit": (
        (PREAMBLE + DECLARES + BUILDS).replace('{"id": 1}', '{"id": 1}\n    raise SystemExit(0)'),
        "its source ended by SystemExit (0)",
    ),
    "no_build": (PREAMBLE + DECLARES, "has no floe_ingest_build_source"),
}
LOGGED = {
    # What loads, and whose failure changes nothing but that it is told.
    "check_raises": ("check_source", SOURCE + hook("check_source", "1 / 0", "request"), "ZeroDivisionError"),
    "check_exits": ("check_source", SOURCE + hook("check_source", "exit(0)", "request"), "SystemExit: 0"),
    "check_text": ("check_source", SOURCE + hook("check_source", "return 'fine'", "request"), "type str"),
    "enrich_raises": ("enrich_result", PREAMBLE + hook("enrich_result", "1 / 0"), "ZeroDivisionError"),
    "enrich_list": ("enrich_result", PREAMBLE + hook("enrich_result", "return [1]"), "type list"),
    "category_raises": ("categorize_error", PREAMBLE + hook("categorize_error", "1 / 0"), "ZeroDivision"),
    "category_text": ("categorize_error", PREAMBLE + hook("categorize_error", "return 'soon'"), "type str"),
    "after_raises": ("after_run", PREAMBLE + hook("after_run", "1 / 0"), "ZeroDivisionError"),
    "after_exits": ("after_run", PREAMBLE + hook("after_run", "exit(0)"), "SystemExit: 0"),
}
LOADED = [name for name in LOGGED if name.startswith("check_")]


@dataclass(frozen=True)
class Lake:
    """A folder with a configuration, plugins, and what a run says."""

    folder: Path

    @property
    def site(self) -> Path:
        return self.folder / "site"

    def configure(self, *sources: str) -> None:
        (self.folder / "a.zone").write_text("www 300 IN A 192.0.2.1\n")
        settings = {"zone": "dns_zone, source_config: {path: a.zone}"}
        lines = [
            f"  - {{name: {name}, destination_table: 'raw.{name}',"
            f" source_type: {settings.get(name, f'{name}_type')}}}\n"
            for name in sources
        ]
        (self.folder / "ingest.yaml").write_text(
            f"retry_config: {{max_retries: 1, initial_delay_seconds: 0.01}}\nsources:\n{''.join(lines)}"
        )

    def run(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        mine = {name: value for name, value in os.environ.items() if not name.startswith("FLOE_INGEST_")}
        return subprocess.run(
            [sys.executable, "-m", "floe_ingest.cli", *words],
            cwd=self.folder,
            env={**mine, "PYTHONPATH": str(self.site), "COLUMNS": "400", **variables},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def rows(self, table: str) -> int:
        warehouse = self.folder / "warehouse"
        catalog = load_catalog(
            "default", type="sql", uri=f"sqlite:///{warehouse / 'catalog.db'}", warehouse=warehouse.as_uri()
        )
        rows: int = catalog.load_table(table).scan().to_arrow().num_rows
        catalog.close()
        return rows


def distribution(name: str) -> str:
    """How messages name a plugin of these tests."""
    return f"{name!r} of {name} 1.2.3 ({name})"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    install_sample("acme_dns", tmp_path / "site")
    return Lake(tmp_path)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = Lake(tmp_path_factory.mktemp("hostile"))
    install_sample("acme_dns", made.site)
    codes = {name: code for name, (code, _) in (LEFT_OUT | FAILING).items()}
    codes |= {name: code for name, (_, code, _) in LOGGED.items()}
    for name, code in codes.items():
        install_module(name, code.replace("TYPE", f"{name}_type"), made.site)
    made.configure("zone", *FAILING, *LOADED)
    return made


@pytest.fixture(scope="module")
def done(many: Lake) -> subprocess.CompletedProcess[str]:
    return many.run("run", "ingest.yaml", "--json")


@pytest.fixture(scope="module")
def results(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 1, done.stderr
    return {source["name"]: source for source in json.loads(done.stdout)["sources"]}


class TestSideBySide:
    """One run with all of them."""

    def test_what_is_sound_is_loaded(self, many: Lake, results: dict[str, Any]) -> None:
        loaded = ["zone", *LOADED]
        assert [name for name, source in results.items() if source["success"]] == loaded
        assert {name: many.rows(f"raw.{name}") for name in loaded} == dict.fromkeys(loaded, 1)

    @pytest.mark.parametrize("name", LEFT_OUT)
    def test_what_does_not_load_is_told(self, done: subprocess.CompletedProcess[str], name: str) -> None:
        lines = [line for line in done.stderr.splitlines() if f"plugin={name} " in f"{line} "]
        assert len(lines) == 1, done.stderr
        for word in (f"distribution={name} ", "version=1.2.3", LEFT_OUT[name][1]):
            assert word in f"{lines[0]} ".replace('"', ""), lines[0]

    @pytest.mark.parametrize("name", FAILING)
    def test_what_fails_by_itself_is_told(self, results: dict[str, Any], name: str) -> None:
        (error,) = results[name]["errors"]
        hook_name = "its source" if name == "rows_exit" else "floe_ingest_build_source"
        for word in (distribution(name), hook_name, FAILING[name][1]):
            assert word in error["message"]
        crashed = name in ("build_raises", "build_exits")
        assert error["category"] == ("permanent" if crashed else "configuration")

    @pytest.mark.parametrize("name", LOGGED)
    def test_what_may_not_fail_is_told(self, done: subprocess.CompletedProcess[str], name: str) -> None:
        hook_name, _, problem = LOGGED[name]
        lines = [line for line in done.stderr.splitlines() if name in line and problem in line]
        assert lines, done.stderr
        assert all(f"floe_ingest_{hook_name}" in line and f"{name} 1.2.3" in line for line in lines) or all(
            f"distribution={name}" in line and f"hook=floe_ingest_{hook_name}" in line for line in lines
        )

    def test_the_lists_show_all(self, many: Lake) -> None:
        listed = json.loads(many.run("plugins", "--json").stdout)["plugins"]
        failed = {row["name"]: row["error"] for row in listed if row["error"] is not None}
        assert set(failed) == set(LEFT_OUT)
        assert all(problem in failed[name] for name, (_, problem) in LEFT_OUT.items())
        table = many.run("sources").stdout
        for name in ("dns_zone", "filesystem", *(f"{name}_type" for name in FAILING)):
            assert name in table

    def test_the_types_of_what_does_not_load_are_told_with_the_cause(self, many: Lake) -> None:
        done = many.run("sources", "misspelt_type")
        assert done.returncode == 2
        assert f"Plugin {distribution('misspelt')} did not load: {LEFT_OUT['misspelt'][1]}" in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_limit_leaves_the_hostile_ones_out(self, many: Lake) -> None:
        allowed = "acme-dns,floe-ingest"
        done = many.run("sources", "build_raises_type", FLOE_INGEST_PLUGINS=allowed)
        assert done.returncode == 2
        assert "build_raises" in done.stderr.rpartition("FLOE_INGEST_PLUGINS or allow does not name them")[2]
        many.configure("zone")
        done = many.run("run", "ingest.yaml", FLOE_INGEST_PLUGINS=allowed)
        assert done.returncode == 0, done.stderr
        assert not [name for name in LEFT_OUT if f"plugin={name}" in done.stderr]


class TestWhatStopsARun:
    """Into which catalog a run writes, and whether it may begin, must not depend on who failed."""

    @pytest.mark.parametrize("name", ["before_run", "destination_config"])
    def test_it_names_itself_and_the_way_out(self, lake: Lake, name: str) -> None:
        install_module("crooked", PREAMBLE + hook(name, "1 / 0"), lake.site)
        lake.configure("zone")
        done = lake.run("run", "ingest.yaml")
        assert done.returncode == 2
        for word in (
            distribution("crooked"),
            f"floe_ingest_{name}",
            "ZeroDivisionError",
            "FLOE_INGEST_PLUGINS",
        ):
            assert word in done.stderr
        assert "Traceback" not in done.stderr
        done = lake.run("run", "ingest.yaml", FLOE_INGEST_PLUGINS="floe-ingest,dns")
        assert done.returncode == 0, done.stderr
        assert lake.rows("raw.zone") == 1


class TestClaims:
    def test_a_type_that_two_claim_stops_those_that_use_it_alone(self, lake: Lake) -> None:
        install_sample("acme_dns_fork", lake.site)
        install_module("sound", SOURCE.replace("TYPE", "sound_type"), lake.site)
        lake.configure("sound")
        done = lake.run("run", "ingest.yaml")
        assert done.returncode == 0, done.stderr
        assert lake.rows("raw.sound") == 1
        both = ("acme-dns 1.2.0 (acme_dns)", "acme-dns-fork 0.9.0 (acme_dns_fork)", "FLOE_INGEST_PLUGINS")
        assert all(word in done.stderr for word in both)
        assert all(word in lake.run("plugins").stdout for word in both)

        lake.configure("zone", "sound")
        done = lake.run("run", "ingest.yaml")
        assert done.returncode == 2
        assert "line 3" in done.stderr
        assert all(word in done.stderr for word in both)
        done = lake.run("run", "ingest.yaml", FLOE_INGEST_PLUGINS="floe-ingest,acme-dns,sound")
        assert done.returncode == 0, done.stderr
        assert lake.rows("raw.zone") == 1

    def test_a_built_in_type_cannot_be_taken_over(self, lake: Lake) -> None:
        install_module("thief", SOURCE.replace("TYPE", "filesystem"), lake.site)
        listed = lake.run("sources", "filesystem")
        assert listed.returncode == 2
        assert "'filesystem' is claimed by plugin 'filesystem' of floe-ingest" in listed.stderr
        assert distribution("thief") in listed.stderr
        lake.configure("zone")
        assert lake.run("run", "ingest.yaml").returncode == 0

    def test_a_plugin_cannot_build_for_another(self, lake: Lake) -> None:
        thief = PREAMBLE + hook("build_source", "raise AssertionError('asked')", "request")
        install_module(
            "thief", thief + hook("check_source", "raise AssertionError('asked')", "request"), lake.site
        )
        lake.configure("zone")
        done = lake.run("run", "ingest.yaml")
        assert done.returncode == 0, done.stderr
        assert "asked" not in done.stderr

    def test_one_entry_point_name_of_two_distributions(self, lake: Lake) -> None:
        (lake.site / "other_dns.py").write_text(SOURCE.replace("TYPE", "other_type"))
        write_dist_info(lake.site, "other-dns", "7", {GROUP: {"dns": "other_dns"}})
        lake.configure("zone", "other")
        done = lake.run("run", "ingest.yaml")
        assert done.returncode == 0, done.stderr
        assert (lake.rows("raw.zone"), lake.rows("raw.other")) == (1, 1)
        table = lake.run("plugins").stdout
        assert "other-dns:dns" in table
        assert "other-dns 7" in table


class TestDefinitions:
    @pytest.mark.parametrize(
        ("body", "problem"), [("1 / 0", "ZeroDivisionError"), ("raise SystemExit(0)", "SystemExit: 0")]
    )
    def test_a_plugin_that_fails_is_named(
        self, lake: Lake, monkeypatch: pytest.MonkeyPatch, body: str, problem: str
    ) -> None:
        from floe_ingest import DefinitionsRequest, PluginHookError
        from floe_ingest.plugins import load_plugins

        install_module("crooked_wiring", PREAMBLE + hook("build_definitions", body), lake.site)
        monkeypatch.syspath_prepend(lake.site)
        plugins = load_plugins(allow=["crooked_wiring", "acme-dns"])
        with pytest.raises(PluginHookError) as raised:
            plugins.build_definitions("cron", DefinitionsRequest(config=None))
        for word in (distribution("crooked_wiring"), "floe_ingest_build_definitions", problem):
            assert word in str(raised.value)
        sys.modules.pop("crooked_wiring")
        sys.modules.pop("acme_dns")


class TestTwoVersions:
    def test_what_an_upgrade_left_behind_is_told(self, lake: Lake) -> None:
        write_dist_info(lake.site, "acme-dns", "1.1.0", {GROUP: {"dns": "acme_dns"}})
        self.told(lake)

    def test_in_two_folders_the_first_is_taken(self, lake: Lake) -> None:
        older = lake.folder / "older"
        install_sample("acme_dns", older, version="1.1.0")
        lines = self.told(lake, PYTHONPATH=f"{lake.site}{os.pathsep}{older}")
        assert "version=1.2.0" in lines[0]
        assert f"1.1.0 in {older}" in lines[0]

    def told(self, lake: Lake, **variables: str) -> list[str]:
        lake.configure("zone")
        done = lake.run("run", "ingest.yaml", **variables)
        assert done.returncode == 0, done.stderr
        assert lake.rows("raw.zone") == 1
        lines = [line for line in done.stderr.splitlines() if "plugin_installed_twice" in line]
        assert len(lines) == 1
        for word in ("distribution=acme-dns", "1.1.0 in", "1.2.0 in", "pip uninstall acme-dns"):
            assert word in lines[0]
        return lines


class TestSlow:
    def test_each_is_named_and_the_others_load(self, lake: Lake) -> None:
        nap = "time.sleep(9); return None"
        install_module("slow_types", PREAMBLE + hook("source_types", "time.sleep(9); return []"), lake.site)
        asleep = hook("check_source", "time.sleep(600)", "request")
        install_module("slow_check", SOURCE.replace("TYPE", "slow_check_type") + asleep, lake.site)
        install_module("slow_after", PREAMBLE + hook("after_run", nap), lake.site)
        lake.configure("zone", "slow_check")
        done = lake.run("run", "ingest.yaml")
        assert done.returncode == 0, done.stderr
        assert (lake.rows("raw.zone"), lake.rows("raw.slow_check")) == (1, 1)
        lines = [line for line in done.stderr.splitlines() if "plugin_is_slow" in line]
        for name, waiting in (
            ("slow_types", "source_types"),
            ("slow_check", "check_source"),
            ("slow_after", "after_run"),
        ):
            (line,) = [line for line in lines if f"plugin={name}" in line]
            assert f"distribution={name}" in line
            assert f"waiting_for=floe_ingest_{waiting}" in line
            assert "FLOE_INGEST_PLUGINS" in line

    def test_a_probe_that_hangs_is_given_up_and_named(self, lake: Lake) -> None:
        asleep = hook("check_source", "time.sleep(600)", "request")
        install_module("slow_check", SOURCE.replace("TYPE", "slow_check_type") + asleep, lake.site)
        lake.configure("zone", "slow_check")
        done = lake.run("check", "ingest.yaml", "--json")
        assert done.returncode == 1
        zone, slow = json.loads(done.stdout)["sources"]
        assert zone["success"]
        (error,) = slow["errors"]
        assert "has not ended within 10 seconds" in error["message"]
        assert f"floe_ingest_check_source of plugin {distribution('slow_check')}" in error["message"]

    def test_a_build_that_hangs_can_be_interrupted(self, lake: Lake) -> None:
        """Where nothing can be stopped, the user can."""
        waits = built("open('building', 'w').close(); time.sleep(600)")
        install_module("slow_build", waits.replace("TYPE", "slow_build_type"), lake.site)
        lake.configure("zone", "slow_build")
        process = subprocess.Popen(
            [sys.executable, "-m", "floe_ingest.cli", "run", "ingest.yaml", "--jobs", "2"],
            cwd=lake.folder,
            env={**os.environ, "PYTHONPATH": str(lake.site)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            wait_for(lake.folder / "building", process)
            process.send_signal(2)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 130, said
        assert "Traceback" not in said


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
