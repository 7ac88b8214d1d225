"""The tables and lists of README.md and docs/ are those of the code."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import floe_ingest
from floe_ingest_hookspecs import ErrorCategory, specs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parents[2]
HOOKS = {name: hook for name, hook in vars(specs).items() if name.startswith("floe_ingest_")}


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """The text below a heading, up to the next heading of its level or above."""
    found = re.search(rf"^(#+) {re.escape(heading)}$\n(.*)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"there is no section {heading!r}"
    return re.split(rf"^#{{1,{len(found[1])}}} ", found[2], maxsplit=1, flags=re.MULTILINE)[0]


def tables_in(text: str) -> list[list[list[str]]]:
    """Every table of a text: rows of cells, the header left out."""
    found: list[list[list[str]]] = []
    for lines in re.findall(r"(?:^\|.*\|\n)+", f"{text}\n", re.MULTILINE):
        rows = [re.split(r"(?<!\\)\|", line.strip()[1:-1]) for line in lines.splitlines()]
        found.append([[cell.strip() for cell in row] for row in rows[2:]])
    return found


def code_in(cell: str) -> str:
    """The first code span of a cell."""
    found = re.search(r"`([^`]+)`", cell)
    assert found is not None, f"{cell!r} has no code in it"
    return found[1]


def models() -> dict[str, tuple[type[BaseModel], Mapping[str, FieldInfo]]]:
    """The models of a configuration by the heading of their table."""
    from floe_ingest.config import (
        CursorOptions,
        DltIngestionConfig,
        PartitionsConfig,
        RetryConfig,
        SourceConfig,
        TableOptions,
    )
    from floe_ingest_sources.filesystem import CsvOptions, FilesystemConfig, ReaderOptions
    from floe_ingest_sources.rest_api import RestApiConfig
    from floe_ingest_sources.sql_database import SqlDatabaseConfig

    whole: dict[str, type[BaseModel]] = {
        "The file": DltIngestionConfig,
        "retry_config": RetryConfig,
        "Table options": TableOptions,
        "cursor": CursorOptions,
        "partitions": PartitionsConfig,
        "rest_api": RestApiConfig,
        "sql_database": SqlDatabaseConfig,
        "filesystem": FilesystemConfig,
        "csv": CsvOptions,
        "reader_options": ReaderOptions,
    }
    own = {
        name: field
        for name, field in SourceConfig.model_fields.items()
        if name not in TableOptions.model_fields
    }
    return {
        "A source": (SourceConfig, own),
        **{heading: (model, model.model_fields) for heading, model in whole.items()},
    }


OWN_PAGES = {
    "sql_database": ("docs/sql_database.md", "Options"),
    "filesystem": ("docs/filesystem.md", "Options"),
    "csv": ("docs/filesystem.md", "csv"),
    "reader_options": ("docs/filesystem.md", "reader_options"),
}


def options_below(heading: str) -> list[list[str]]:
    """The table of a model's options."""
    name, title = OWN_PAGES.get(heading, ("docs/configuration.md", heading))
    return tables_in(section(page(name), title))[0]


def default_of(field: FieldInfo) -> str:
    """A default as the tables write it."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value == ("",):
        return '`""`'
    return f"`{value}`" if isinstance(value, (int, float, str)) else "\N{EN DASH}"


class TestConfiguration:
    @pytest.mark.parametrize("heading", list(models()))
    def test_a_table_has_the_models_fields_and_defaults(self, heading: str) -> None:
        _, fields = models()[heading]
        table = options_below(heading)
        written = {code_in(key): default for key, _, default, _ in table}
        assert written == {field.alias or name: default_of(field) for name, field in fields.items()}

    def test_other_spellings_are_told(self) -> None:
        for heading, (_, fields) in models().items():
            table = options_below(heading)
            meanings = {code_in(key): meaning for key, _, _, meaning in table}
            for name, field in fields.items():
                for choice in getattr(field.validation_alias, "choices", ()):
                    assert choice == name or f"`{choice}`" in meanings[name], f"{heading}: {choice}"

    def test_the_page_about_rest_has_the_models_keys_and_dlts_words(self) -> None:
        from dlt.sources.rest_api.config_setup import AUTH_MAP, PAGINATOR_MAP
        from dlt.sources.rest_api.typing import RESTAPIConfig

        from floe_ingest_sources.rest_api import RestApiConfig

        keys, parts = tables_in(section(page("docs/rest_api.md"), "Keys"))
        dlts = set(RESTAPIConfig.__required_keys__ | RESTAPIConfig.__optional_keys__)
        assert [(code_in(key), whose) for key, whose, _ in keys] == [
            (name, "dlt" if name in dlts else "ours") for name in RestApiConfig.model_fields
        ]
        words = {code_in(part): set(re.findall(r"`([^`]+)`", told)) for part, told in parts}
        assert words == {"auth": set(AUTH_MAP), "paginator": set(PAGINATOR_MAP)}

    def test_every_built_in_type_has_a_section(self) -> None:
        from floe_ingest.plugins import load_plugins

        types = load_plugins(allow=["floe-ingest"]).source_types()
        documented = {model for model, _ in models().values()}
        assert types
        assert {registered.source_type.config_model for registered in types.values()} <= documented

    def test_words_of_a_choice_are_all_there(self) -> None:
        from typing import get_args

        for heading, (_, fields) in models().items():
            table = options_below(heading)
            kinds = {code_in(key): kind for key, kind, _, _ in table}
            for name, field in fields.items():
                parts = [field.annotation, *get_args(field.annotation)]
                words = [word for part in parts for word in get_args(part) if isinstance(word, str)]
                shown = re.findall(r"`([^`]+)`", kinds[field.alias or name])
                assert not words or shown == words, f"{heading}: {name}"

    def test_the_formats_of_files(self) -> None:
        from floe_ingest_sources.filesystem.files import COMPRESSIONS, FORMATS

        table = tables_in(section(page("docs/filesystem.md"), "Options"))[1]
        endings: dict[str, list[str]] = {}
        for ending, kind in FORMATS.items():
            endings.setdefault(kind, []).append(ending)
        assert {code_in(kind): re.findall(r"`([^`]+)`", listed) for kind, listed, _ in table} == endings
        for kind, _, packed in table:
            both = list(COMPRESSIONS) if code_in(kind) in ("csv", "jsonl") else []
            assert re.findall(r"`([^`]+)`", packed) == both

    def test_the_catalog_types_need_what_the_plugin_asks_for(self, tmp_path: Path) -> None:
        from floe_ingest.config import parse_config, resolve_catalog
        from floe_ingest.plugins import load_plugins

        plugins = load_plugins(allow=["floe-ingest"])
        rows = tables_in(section(page("docs/configuration.md"), "Catalogs"))[1]
        assert {code_in(kind) for kind, _, _ in rows} == {"sql", "rest", "glue", "hive"}
        source = {"name": "a", "source_type": "filesystem", "source_config": {"path": "."}}
        for kind, needs, _ in rows:
            catalog = {"type": code_in(kind)}
            config = parse_config(
                {"catalog_config": catalog, "sources": [{**source, "destination_table": "a.b"}]},
                path=tmp_path / "ingest.yaml",
            )
            if needs == "nothing":
                assert plugins.destination_config(resolve_catalog(config))["type"] == code_in(kind)
            else:
                with pytest.raises(floe_ingest.CatalogConfigurationError, match=code_in(needs)):
                    plugins.destination_config(resolve_catalog(config))


class TestHooks:
    def test_every_hook_has_a_section_and_no_other_is_described(self) -> None:
        headings = re.findall(r"^## (floe_ingest_\w+)$", page("docs/hooks.md"), re.MULTILINE)
        assert headings == list(HOOKS)

    @pytest.mark.parametrize("name", list(HOOKS))
    def test_a_section_is_complete(self, name: str) -> None:
        text = section(page("docs/hooks.md"), name)
        parameters = inspect.signature(HOOKS[name]).parameters
        arguments = ", ".join(
            f"{parameter.name}: {parameter.annotation}" for parameter in parameters.values()
        )
        returns = inspect.signature(HOOKS[name]).return_annotation
        assert f"- **Signature:** `{name}({arguments}) -> {returns}`" in text
        for label in ("When", "On", "Returns", "Errors"):
            assert f"- **{label}:** " in text, label
        if parameters:
            listed = text.split("- **Arguments:** ", 1)[1].split("\n- **", 1)[0]
            for parameter in parameters:
                assert f"`{parameter}`" in listed, parameter
        assert re.search(rf"```python\n.*@hookimpl\ndef {name}\(", text, re.DOTALL)

    def test_the_hooks_about_one_source_are_told_apart(self) -> None:
        for name in HOOKS:
            on = section(page("docs/hooks.md"), name).split("- **On:** ", 1)[1].split("\n- **", 1)[0]
            about_one = name in ("floe_ingest_build_source", "floe_ingest_check_source")
            assert on.startswith("the plugin that declared the type" if about_one else "every plugin"), name

    def test_the_order_of_calls_is_that_of_a_run(self, tmp_path: Path) -> None:
        """A run whose first try fails, so that every hook of a run is called."""
        from types import SimpleNamespace

        from pydantic import BaseModel

        from floe_ingest.plugins import load_plugins

        called: list[str] = []
        source_type = floe_ingest.SourceType("recorded", type("Config", (BaseModel,), {}), "For a test")

        def rows() -> Any:
            if called.count("floe_ingest_build_source") == 1:
                raise floe_ingest.SourceConnectionError("not yet")
            yield {"id": 1}

        def build() -> Any:
            import dlt

            return dlt.resource(rows, name="rows")

        answers = {"floe_ingest_source_types": lambda: [source_type], "floe_ingest_build_source": build}

        def recording(name: str) -> Any:
            def hook() -> Any:
                called.append(name)
                return answers.get(name, lambda: None)()

            return floe_ingest.hookimpl(hook)

        recorder = SimpleNamespace(**{name: recording(name) for name in HOOKS})
        plugins = load_plugins(allow=["floe-ingest"], extra={"recorder": recorder})
        source = {"name": "a", "source_type": "recorded", "source_config": {}, "destination_table": "raw.a"}
        lake = {"type": "sql", "uri": f"sqlite:///{tmp_path}/c.db", "warehouse": tmp_path.as_uri()}
        config = floe_ingest.DltIngestionConfig.model_validate(
            {
                "catalog_config": lake,
                "retry_config": {"max_retries": 1, "initial_delay_seconds": 0.01},
                "sources": [source],
            }
        )
        assert floe_ingest.run(config, plugins=plugins).success
        text = section(page("docs/hooks.md"), "Order of calls").split("`floe-ingest check`")[0]
        told = re.findall(r"^ *\d+\. `(floe_ingest_\w+)`", text, re.MULTILINE)
        assert list(dict.fromkeys(called)) == told
        assert called.count("floe_ingest_build_source") == 2

    def test_the_types_have_their_fields(self) -> None:
        (table,) = tables_in(section(page("docs/hooks.md"), "Types"))
        written = {code_in(name): re.findall(r"`(\w+)`", fields) for name, fields in table}
        exported = {name: getattr(floe_ingest, name) for name in floe_ingest.__all__}
        assert written == {
            name: [field.name for field in dataclasses.fields(kind)]
            for name, kind in exported.items()
            if dataclasses.is_dataclass(kind) and kind.__module__.startswith("floe_ingest_hookspecs")
        }


class TestOperating:
    def test_the_categories(self) -> None:
        table = tables_in(section(page("docs/operating.md"), "Failures"))[0]
        assert {code_in(name) for name, *_ in table} == set(ErrorCategory)

    @pytest.mark.parametrize(
        ("name", "heading"), [("README.md", "The command"), ("docs/operating.md", "Failures")]
    )
    def test_the_exit_codes(self, name: str, heading: str) -> None:
        from floe_ingest.cli.exits import ExitCode

        table = tables_in(section(page(name), heading))[1]
        assert [int(row[0]) for row in table] == [code.value for code in ExitCode]

    def test_the_commands_and_their_options(self) -> None:
        from floe_ingest.cli.app import cli

        table = tables_in(section(page("README.md"), "The command"))[0]
        words = {code_in(command).split()[1]: told for command, told in table}
        assert set(words) == set(cli.commands)
        own = {option for parameter in cli.commands["run"].params for option in parameter.opts}
        shared = {"--json", "--debug", "--log-level", "config"}
        assert {option.split()[0] for option in re.findall(r"`(--[^`]+)`", words["run"])} == own - shared
        with_json = {
            name for name, command in cli.commands.items() if any("--json" in p.opts for p in command.params)
        }
        assert set(cli.commands) - with_json == {"init", "schema", "new-source"}

    def test_the_environment_variables(self) -> None:
        table = tables_in(section(page("docs/operating.md"), "Logs and traces"))[0]
        code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "floe_ingest").rglob("*.py"))
        assert {code_in(name) for name, _ in table} == set(re.findall(r"\bFLOE_INGEST_[A-Z_]+\b", code))

    def test_the_keys_of_a_snapshot(self) -> None:
        from floe_ingest.destination import ledger

        keys = {
            value for name, value in vars(ledger).items() if name.isupper() and str(value).startswith("floe-")
        }
        text = section(page("docs/operating.md"), "What is in a table")
        assert {code_in(key) for key, _ in tables_in(text)[0]} == keys
        assert f"`{ledger._record_key('<pipeline>')}`" in text
        assert f"up to {ledger._STATE_IN_SUMMARY} characters" in text

    def test_the_figures(self) -> None:
        from floe_ingest.dataplane.connection import DataPlaneSettings
        from floe_ingest.destination.commit import ATTEMPTS
        from floe_ingest.destination.meta import META_TABLE

        text = page("docs/operating.md")
        assert f"up to {ATTEMPTS} times" in text
        assert f"DuckDB takes {DataPlaneSettings().memory_limit.replace('MB', ' MB')}" in text
        assert f"`{META_TABLE}`" in text


class TestDestination:
    def test_the_parameters_and_their_defaults(self) -> None:
        (table,) = tables_in(section(page("docs/destination.md"), "Parameters"))
        written = {code_in(name): default.strip("`") for name, default, _ in table}
        parameters = list(inspect.signature(floe_ingest.iceberg.__init__).parameters.values())[1:]
        defaults = {
            parameter.name: repr(parameter.default).replace("'", '"')
            for parameter in parameters
            if parameter.default is not parameter.empty
        }
        (rest,) = [parameter.name for parameter in parameters if parameter.kind is parameter.VAR_KEYWORD]
        assert written == {**defaults, rest: ""}

    def test_the_merge_strategies(self) -> None:
        told = section(page("docs/destination.md"), "What a commit contains").split("- `merge` ")[1]
        sentence = told.split("strategies are dlt's: ")[1].split(". ")[0]
        capabilities = floe_ingest.iceberg().capabilities()
        assert re.findall(r"`([^`]+)`", sentence) == sorted(
            capabilities.supported_merge_strategies or (),
            key=["delete-insert", "upsert", "insert-only", "scd2"].index,
        )


class TestDifferences:
    def test_each_is_shown_by_a_test_and_none_is_left_out(self) -> None:
        (table,) = tables_in(section(page("docs/destination.md"), "Differences from dlt's own destinations"))
        source = page("tests/contract/destination/test_peers.py")
        functions = re.split(r"^def (test_\w+)", source, flags=re.MULTILINE)[1:]
        on_purpose = {
            name
            for name, body in zip(functions[::2], functions[1::2], strict=True)
            if "A difference on purpose: " in body
        }
        assert [code_in(test) for _, _, test in table if code_in(test) not in functions[::2]] == []
        assert {code_in(test) for _, _, test in table} == on_purpose


class TestTypes:
    """The page has exactly the cases that tests load and read back."""

    @pytest.mark.parametrize(
        ("heading", "way"), [("Python rows", "rows"), ("Arrow", "arrow"), ("Bulk scans", "scan")]
    )
    def test_the_table_has_the_cases(self, heading: str, way: str) -> None:
        from type_cases import CASES

        (table,) = tables_in(section(page("docs/types.md"), heading))
        cases = [case for case in CASES if case.way == way]
        written = [(given.replace("`", ""), code_in(kind)) for given, kind, _ in table]
        assert written == [(case.given.replace("`", ""), case.iceberg) for case in cases]
        changed = [case.given for case in cases if way == "rows" and case.expected is not None]
        told = [case.given for case, (_, _, note) in zip(cases, table, strict=True) if note]
        assert set(changed) <= set(told)

    def test_what_is_refused(self) -> None:
        from type_cases import ARROW_REFUSED, ROWS_REFUSED, SCANS_REFUSED

        (table,) = tables_in(section(page("docs/types.md"), "What is refused"))
        refused = {"Python rows": ROWS_REFUSED, "Arrow": ARROW_REFUSED, "bulk scans": SCANS_REFUSED}
        assert table == [[way, name] for way, names in refused.items() for name in names]


class TestReadme:
    def test_the_python_versions(self) -> None:
        import tomllib

        project = tomllib.loads(page("pyproject.toml"))["project"]
        versions = [
            word.rpartition(" ")[2] for word in project["classifiers"] if re.search(r":: 3\.\d+$", word)
        ]
        assert f"with Python {', '.join(versions[:-1])} or {versions[-1]}" in page("README.md")

    def test_the_extras_that_pages_name_exist(self) -> None:
        import tomllib

        extras = tomllib.loads(page("pyproject.toml"))["project"]["optional-dependencies"]
        named = set(re.findall(r"\.\[(\w+)\]", page("README.md")))
        sentence = re.search(r"extras\s+((?:`\w+`(?:, | and )?)+)", page("docs/configuration.md"))
        assert sentence is not None
        named |= set(re.findall(r"`(\w+)`", sentence[1]))
        assert named == {"sql", "s3", "gcs", "azure"}
        assert named <= set(extras)

    def test_every_page_is_linked(self) -> None:
        for path in (ROOT / "docs").glob("*.md"):
            assert f"(docs/{path.name})" in page("README.md")

    def test_the_quickstart_has_as_many_tables_as_it_says(self) -> None:
        document = yaml.safe_load(page("examples/quickstart/ingest.yaml"))
        count = 1  # shop.orders__lines
        for source in document["sources"]:
            settings = source["source_config"]
            count += len(settings.get("resources") or settings["tables"])
        words = {8: "eight", 9: "nine", 10: "ten"}
        assert f"into {words[count]} Iceberg tables" in page("README.md")
