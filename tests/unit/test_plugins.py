"""Finding, checking and listing plugins: through real distributions on ``sys.path`` wherever it matters."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import types
import warnings
import zipfile
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel
from sample_packages import GROUP, SAMPLES, install_sample
from sample_packages import write_dist_info as write_groups
from structlog.testing import capture_logs

from floe_ingest.errors import (
    ErrorCategory,
    MissingPackageError,
    PluginConflictError,
    SourceConfigurationError,
)
from floe_ingest.plugins import PluginInfo, Plugins, RegisteredType, load_plugins
from floe_ingest_hookspecs import Requirement, SourceType, hookimpl, specs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Install = Callable[..., Path]

BUILT_IN = ("filesystem", "iceberg_catalogs", "rest_api", "sql_database")


class Config(BaseModel, extra="forbid"):
    path: str = ""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install sample packages as an installer leaves them: module, METADATA, entry points, RECORD."""
    monkeypatch.delenv("FLOE_INGEST_PLUGINS", raising=False)
    modules: set[str] = set()

    def into(*packages: str, site: str = "site", name: str | None = None, version: str | None = None) -> Path:
        folder = tmp_path / site
        folder.mkdir(exist_ok=True)
        for package in packages:
            install_sample(package, folder, name=name, version=version)
            modules.add(package)
        monkeypatch.syspath_prepend(folder)
        return folder

    yield into
    for module in modules:
        sys.modules.pop(module, None)


def write_dist_info(folder: Path, name: str, version: str, entry_points: dict[str, str]) -> Path:
    return write_groups(folder, name, version, {GROUP: entry_points})


def brings(*names: str) -> object:
    """Return a plugin that declares these source types."""

    class Plugin:
        @hookimpl
        def floe_ingest_source_types(self) -> list[SourceType]:
            return [SourceType(name, Config, "For a test") for name in names]

    return Plugin()


class TestDistributions:
    def test_a_distribution_is_loaded_and_described(self, install: Install) -> None:
        install("acme_dns")
        plugins = load_plugins(allow=["acme-dns"])
        expected = PluginInfo(
            name="dns",
            distribution="acme-dns",
            version="1.2.0",
            entry_point="acme_dns",
            hooks=(
                "floe_ingest_build_source",
                "floe_ingest_check_source",
                "floe_ingest_source_types",
            ),
            source_types=("dns_zone", "dns_zone_signed"),
        )
        assert plugins.infos() == (expected,)
        registered = plugins.source_type("dns_zone")
        assert registered.plugin == expected
        assert registered.source_type.config_model.__name__ == "ZoneConfig"
        assert list(plugins.source_types()) == ["dns_zone", "dns_zone_signed"]

    def test_a_wheel_built_from_a_sample_loads(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        source = shutil.copytree(SAMPLES / "acme_dns", tmp_path / "source")
        command = [
            sys.executable,
            "-m",
            "build",
            "--wheel",
            "--no-isolation",
            "--outdir",
            str(tmp_path),
            str(source),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        (wheel,) = tmp_path.glob("*.whl")
        zipfile.ZipFile(wheel).extractall(tmp_path / "site")
        monkeypatch.syspath_prepend(tmp_path / "site")
        (info,) = load_plugins(allow=["dns"]).infos()
        sys.modules.pop("acme_dns")
        assert (info.distribution, info.version, info.error) == ("acme-dns", "1.2.0", None)
        assert info.source_types == ("dns_zone", "dns_zone_signed")

    def test_an_import_failure_stops_no_other_plugin_and_is_named_again(self, install: Install) -> None:
        install("acme_dns", "acme_unimportable")
        with capture_logs() as logs:
            plugins = load_plugins(allow=["acme-dns", "acme-unimportable"])
        cause = "ModuleNotFoundError: No module named 'acme_telex_driver'"
        assert logs == [
            {
                "log_level": "warning",
                "event": "plugin_import_failed",
                "plugin": "telex",
                "distribution": "acme-unimportable",
                "version": "2.0.1",
                "entry_point": "acme_unimportable",
                "cause": cause,
            }
        ]
        assert "dns_zone" in plugins.source_types()
        assert [info.error for info in plugins.infos()] == [None, cause]
        with pytest.raises(SourceConfigurationError) as raised:
            plugins.source_type("telex")
        hint = f"Plugin 'telex' of acme-unimportable 2.0.1 (acme_unimportable) did not load: {cause}"
        assert hint in str(raised.value)

    def test_a_module_that_exits_at_import_is_an_import_failure(self, install: Install) -> None:
        folder = install()
        (folder / "acme_exits.py").write_text("raise SystemExit('no licence')\n")
        write_dist_info(folder, "acme-exits", "1.0", {"exits": "acme_exits"})
        (info,) = load_plugins(allow=["exits"]).infos()
        assert info.error == "SystemExit: no licence"

    def test_two_claims_of_one_type_name_both_distributions(self, install: Install) -> None:
        install("acme_dns", "acme_dns_fork")
        plugins = load_plugins(allow=["acme-dns", "acme-dns-fork"])
        assert list(plugins.source_types()) == ["dns_zone_signed"]
        with pytest.raises(PluginConflictError) as raised:
            plugins.source_type("dns_zone")
        assert plugins.conflicts() == {"dns_zone": str(raised.value)}
        message = str(raised.value)
        assert "'dns_zone'" in message
        assert "acme-dns 1.2.0 (acme_dns)" in message
        assert "acme-dns-fork 0.9.0 (acme_dns_fork)" in message
        assert raised.value.category is ErrorCategory.CONFIGURATION

    def test_a_conflict_is_solved_by_the_environment(
        self, install: Install, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        install("acme_dns", "acme_dns_fork")
        monkeypatch.setenv("FLOE_INGEST_PLUGINS", "acme-dns-fork")
        assert load_plugins().source_type("dns_zone").plugin.distribution == "acme-dns-fork"

    def test_a_misspelt_hook_names_plugin_distribution_and_nearest(self, install: Install) -> None:
        install("acme_dns", "acme_misspelt")
        problem = (
            "implements floe_ingest_build_sorce, and there is no such hook. "
            "Did you mean 'floe_ingest_build_source'?"
        )
        with pytest.raises(SourceConfigurationError) as raised:
            self.refused("acme-misspelt", problem).source_type("absent")
        assert f"Plugin 'misspelt' of acme-misspelt 0.1.0 (acme_misspelt) did not load: {problem}" in str(
            raised.value
        )

    def test_a_wrong_argument_names_plugin_hook_and_valid_arguments(self, install: Install) -> None:
        install("acme_dns", "acme_wrong_argument")
        plugins = self.refused(
            "acme-wrong-argument",
            "floe_ingest_build_source has no argument 'requests'. Did you mean 'request'? "
            "Valid arguments: request",
        )
        assert [name for name, _ in plugins.manager.list_name_plugin()] == ["dns"]

    def refused(self, distribution: str, problem: str) -> Plugins:
        """Load acme-dns and another, and check that the other is left out, for this reason."""
        with capture_logs() as logs:
            plugins = load_plugins(allow=["acme-dns", distribution])
        (log,) = logs
        assert (log["event"], log["distribution"]) == ("plugin_refused", distribution)
        assert log["cause"].startswith(problem)
        assert [info.error for info in plugins.infos()] == [None, log["cause"]]
        assert "dns_zone" in plugins.source_types()
        return plugins

    def test_an_object_that_cannot_be_looked_at_is_left_out(self, install: Install) -> None:
        folder = install("acme_dns")
        (folder / "acme_hidden.py").write_text(
            "class Hidden:\n    def __dir__(self):\n        raise KeyError('private')\nplugin = Hidden()\n"
        )
        write_dist_info(folder, "acme-hidden", "1", {"hidden": "acme_hidden:plugin"})
        self.refused("acme-hidden", "KeyError: 'private'")

    def test_failing_source_types_are_recorded_and_named_again(self, install: Install) -> None:
        install("acme_dns", "acme_undeclared")
        with capture_logs() as logs:
            plugins = load_plugins(allow=["acme-dns", "acme-undeclared"])
        assert [(log["event"], log["plugin"], log["version"]) for log in logs] == [
            ("plugin_source_types_failed", "undeclared", "3.1.0")
        ]
        assert "LookupError: the list of types is on another machine" in logs[0]["cause"]
        assert "dns_zone" in plugins.source_types()
        with pytest.raises(SourceConfigurationError, match=r"acme-undeclared 3\.1\.0 .* another machine"):
            plugins.source_type("acme_type")

    def test_one_distribution_found_twice_is_one_plugin(self, install: Install) -> None:
        install("acme_dns", site="old", version="1.1.0")
        install("acme_dns", site="new")
        with capture_logs() as logs:
            infos = load_plugins(allow=["acme-dns"]).infos()
        assert [(info.name, info.version) for info in infos] == [("dns", "1.2.0")]
        (log,) = logs
        assert (log["event"], log["distribution"], log["version"]) == (
            "plugin_installed_twice",
            "acme-dns",
            "1.2.0",
        )
        assert re.search(r"1\.1\.0 in .*/old, 1\.2\.0 in .*/new$", log["installed"])

    def test_one_version_in_two_folders_is_no_warning(self, install: Install) -> None:
        install("acme_dns", site="old")
        install("acme_dns", site="new")
        with capture_logs() as logs:
            assert len(load_plugins(allow=["acme-dns"]).infos()) == 1
        assert logs == []

    def test_a_renamed_distribution_left_behind_is_a_warning(self, install: Install) -> None:
        folder = install("acme_dns")
        write_dist_info(folder, "acme-nameserver", "0.4", {"dns": "acme_dns"})
        with capture_logs() as logs:
            plugins = load_plugins(allow=["dns"])
        assert len(plugins.infos()) == 1
        assert [(log["event"], log["distribution"]) for log in logs] == [
            ("plugin_registered_twice", "acme-nameserver")
        ]
        assert "acme-dns 1.2.0" in logs[0]["earlier"]

    def test_two_distributions_may_use_one_entry_point_name(self, install: Install) -> None:
        folder = install("acme_dns")
        (folder / "other_dns.py").write_text(
            "from floe_ingest import hookimpl\n@hookimpl\ndef floe_ingest_before_run(context): ...\n"
        )
        write_dist_info(folder, "other-dns", "7", {"dns": "other_dns"})
        infos = load_plugins(allow=["dns"]).infos()
        assert [info.name for info in infos] == ["dns", "other-dns:dns"]

    def test_a_damaged_dist_info_does_not_stop_discovery(self, install: Install) -> None:
        folder = install("acme_dns")
        (write_dist_info(folder, "acme-torn", "1", {"torn": "no_such_module"}) / "METADATA").unlink()
        infos = {info.name: info for info in load_plugins(allow=["dns", "torn"]).infos()}
        assert infos["dns"].error is None
        assert infos["torn"].distribution == "unknown distribution"
        assert "no_such_module" in (infos["torn"].error or "")


class TestDeprecations:
    """A hook, or an argument, that will be taken away warns where a plugin implements it."""

    @pytest.mark.parametrize("mark", ["warn_on_impl", "warn_on_impl_args"])
    def test_the_author_is_shown_the_line(
        self, install: Install, monkeypatch: pytest.MonkeyPatch, mark: str
    ) -> None:
        folder = install("acme_dns")
        old = DeprecationWarning("will be taken away in 2.0; probe in floe_ingest_check_source")
        told = old if mark == "warn_on_impl" else {"request": old}
        monkeypatch.setitem(specs.floe_ingest_build_source.floe_ingest_spec, mark, told)
        with pytest.warns(DeprecationWarning, match="will be taken away") as warned:
            load_plugins(allow=["acme-dns"])
        (warning,) = warned
        assert str(warning.message) == (
            "Plugin 'dns' of acme-dns 1.2.0 (acme_dns), floe_ingest_build_source: "
            "will be taken away in 2.0; probe in floe_ingest_check_source"
        )
        assert warning.filename == str(folder / "acme_dns.py")
        lines = (folder / "acme_dns.py").read_text().splitlines()
        assert "def floe_ingest_build_source" in "".join(lines[warning.lineno - 1 : warning.lineno + 1])

    def test_who_does_not_use_it_is_not_warned(
        self, install: Install, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        install("acme_dns")
        old = DeprecationWarning("will be taken away")
        monkeypatch.setitem(specs.floe_ingest_after_run.floe_ingest_spec, "warn_on_impl", old)
        monkeypatch.setitem(
            specs.floe_ingest_build_source.floe_ingest_spec, "warn_on_impl_args", {"other": old}
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert load_plugins(allow=["acme-dns"]).infos()[0].error is None

    @pytest.mark.requirement("FR-075")
    def test_pytest_shows_it_to_an_author(self, install: Install, tmp_path: Path) -> None:
        """As in a package's own tests: warnings as errors make the run fail, and say why."""
        folder = install("acme_dns")
        (tmp_path / "test_mine.py").write_text(
            """
from floe_ingest_hookspecs import specs

specs.floe_ingest_build_source.floe_ingest_spec["warn_on_impl"] = DeprecationWarning("write another")

def test_mine(floe_manager):
    assert "dns_zone" in floe_manager("acme-dns").source_types()
"""
        )
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(folder)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        assert (
            "DeprecationWarning: Plugin 'dns' of acme-dns 1.2.0 (acme_dns), floe_ingest_build_source: write"
            in done.stdout
        )
        assert "acme_dns.py" in done.stdout


class TestAllow:
    @pytest.mark.parametrize("word", ["dns", "acme-dns", "Acme_DNS"])
    def test_by_entry_point_or_distribution(self, install: Install, word: str) -> None:
        install("acme_dns", "acme_undeclared")
        assert [info.name for info in load_plugins(allow=[word]).infos()] == ["dns"]

    def test_the_environment_is_comma_separated(
        self, install: Install, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        install("acme_dns", "acme_undeclared")
        monkeypatch.setenv("FLOE_INGEST_PLUGINS", " undeclared, ,dns ")
        assert {info.name for info in load_plugins().infos()} == {"dns", "undeclared"}

    def test_an_empty_environment_variable_allows_none(
        self, install: Install, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        install("acme_dns")
        monkeypatch.setenv("FLOE_INGEST_PLUGINS", "")
        plugins = load_plugins()
        assert plugins.infos() == ()
        with pytest.raises(SourceConfigurationError) as raised:
            plugins.source_type("dns_zone")
        assert "FLOE_INGEST_PLUGINS" in str(raised.value)
        assert "dns" in str(raised.value).rpartition(":")[2]

    def test_the_argument_wins_over_the_environment(
        self, install: Install, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        install("acme_dns")
        monkeypatch.setenv("FLOE_INGEST_PLUGINS", "")
        assert [info.name for info in load_plugins(allow=["dns"]).infos()] == ["dns"]

    def test_a_name_that_matches_nothing_is_a_warning_with_the_nearest(self, install: Install) -> None:
        install("acme_dns")
        with capture_logs() as logs:
            assert load_plugins(allow=["acme-dnss"]).infos() == ()
        assert [(log["event"], log["name"], log["nearest"]) for log in logs] == [
            ("allowed_plugin_not_found", "acme-dnss", "acme-dns")
        ]

    def test_one_text_is_refused(self) -> None:
        with pytest.raises(TypeError, match=r"such as \['dns'\]"):
            load_plugins(allow="dns")


class TestExtra:
    def test_each_call_makes_a_fresh_manager(self) -> None:
        first = load_plugins(entry_points=False, extra={"mine": brings("one")})
        second = load_plugins(entry_points=False)
        assert first.manager is not second.manager
        assert second.infos() == ()

    def test_a_taken_name_is_a_conflict(self, install: Install) -> None:
        install("acme_dns")
        with pytest.raises(PluginConflictError, match=r"'dns' of extra is taken by .* acme-dns 1\.2\.0"):
            load_plugins(allow=["dns"], extra={"dns": brings("other")})

    def test_what_an_entry_point_brought_is_not_registered_again(self, install: Install) -> None:
        install("acme_dns")
        load_plugins(allow=["dns"])
        infos = load_plugins(allow=["dns"], extra={"again": sys.modules["acme_dns"]}).infos()
        assert [info.name for info in infos] == ["dns"]

    def test_equal_instances_are_plugins_of_their_own(self) -> None:
        class Equal:
            __hash__ = None  # type: ignore[assignment]

            def __init__(self, name: str) -> None:
                self.name = name

            def __eq__(self, other: object) -> bool:
                return True

            @hookimpl
            def floe_ingest_source_types(self) -> list[SourceType]:
                return [SourceType(self.name, Config, "For a test")]

        plugins = load_plugins(entry_points=False, extra={"a": Equal("one"), "b": Equal("two")})
        assert list(plugins.source_types()) == ["one", "two"]

    def test_the_mapping_of_types_cannot_be_changed(self) -> None:
        registered = load_plugins(entry_points=False, extra={"mine": brings("one")}).source_types()
        assert isinstance(registered["one"], RegisteredType)
        with pytest.raises(TypeError):
            registered["two"] = registered["one"]  # type: ignore[index]


class TestTypes:
    def test_an_unknown_type_lists_the_known_and_the_nearest(self) -> None:
        plugins = load_plugins(entry_points=False, extra={"mine": brings("dns_zone", "mail")})
        with pytest.raises(SourceConfigurationError) as raised:
            plugins.source_type("dns_zones")
        assert str(raised.value) == (
            "There is no source type 'dns_zones'. Did you mean 'dns_zone'? Known types: dns_zone, mail"
        )

    def test_missing_packages_are_found_without_importing(self, install: Install) -> None:
        install("acme_dns")
        plugins = load_plugins(allow=["dns"])
        plugins.require("dns_zone")
        (missing,) = plugins.missing_requirements("dns_zone_signed")
        assert missing.import_name == "acme_no_such_crypto.keys"
        with pytest.raises(MissingPackageError, match=r"pip install 'acme-dns\[signed\]'") as raised:
            plugins.require("dns_zone_signed")
        assert isinstance(raised.value, ImportError)

    def test_the_search_for_packages_runs_no_code_of_theirs(self, install: Install) -> None:
        folder = install()
        for name in ("acme_explosive", "acme_space/inner"):
            (folder / name).mkdir(parents=True)
            (folder / name / "__init__.py").write_text("raise AssertionError('imported')\n")
        (folder / "acme_explosive" / "part.py").write_text("")
        names = ("acme_explosive.part", "acme_space.inner", "acme_explosive.absent", "sys.absent", "json")

        class Plugin:
            @hookimpl
            def floe_ingest_source_types(self) -> list[SourceType]:
                needed = tuple(Requirement(name, "pip install it") for name in names)
                return [SourceType("needy", Config, "For a test", needed)]

        missing = load_plugins(entry_points=False, extra={"mine": Plugin()}).missing_requirements("needy")
        assert [item.import_name for item in missing] == ["acme_explosive.absent", "sys.absent"]

    def test_a_loaded_module_without_a_spec_is_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made = types.ModuleType("acme_made_by_hand")
        made.__spec__ = None
        monkeypatch.setitem(sys.modules, "acme_made_by_hand", made)
        needed = (Requirement("acme_made_by_hand", "pip install it"),)

        class Plugin:
            @hookimpl
            def floe_ingest_source_types(self) -> list[SourceType]:
                return [SourceType("needy", Config, "For a test", needed)]

        assert load_plugins(entry_points=False, extra={"mine": Plugin()}).missing_requirements("needy") == ()

    def test_five_hundred_types_load_quickly(self) -> None:
        extra = {f"plugin_{number}": brings(f"type_{number}") for number in range(500)}
        begin = time.perf_counter()
        plugins = load_plugins(entry_points=False, extra=extra)
        assert time.perf_counter() - begin < 3, "about 0.2 s on two idle cores"
        assert len(plugins.source_types()) == 500
        with pytest.raises(SourceConfigurationError, match="and 470 more"):
            plugins.source_type("typo_1")


class TestImports:
    def test_listing_plugins_loads_nothing_heavy(self) -> None:
        script = """
import json, sys
from floe_ingest.plugins import load_plugins
infos = load_plugins(allow=["floe-ingest"]).infos()
heavy = ("dlt", "pyarrow", "pyiceberg", "duckdb", "dagster", "sqlalchemy", "pandas", "fsspec")
print(json.dumps({"heavy": [name for name in heavy if name in sys.modules],
                  "plugins": {info.name: info.error for info in infos}}))
"""
        done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
        told = json.loads(done.stdout.splitlines()[-1])
        assert told["heavy"] == []
        assert {name: told["plugins"][name] for name in BUILT_IN} == dict.fromkeys(BUILT_IN)
