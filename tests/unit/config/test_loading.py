"""``load_config``: what it reads, and how it says what it cannot."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from floe_ingest import InvalidConfigError
from floe_ingest.config import load_config, parse_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from floe_ingest import ConfigProblem
    from floe_ingest.config import DltIngestionConfig
    from floe_ingest.plugins import Plugins

    Load = Callable[[str], DltIngestionConfig]
    Problems = Callable[[str], tuple[ConfigProblem, ...]]

FULL = """\
catalog_config:
  type: rest
  uri: http://127.0.0.1:8181/api/catalog
  credential: ${CATALOG_SECRET}
retry_config: {max_retries: 5, initial_delay_seconds: 0.5}
sources:
  - name: files
    source_type: filesystem
    source_config:
      path: data
      csv: {delimiter: ;}
    destination_table: raw.sub.{resource}
    write_mode: replace
    primary_key: id
    schema_contract: evolve
    resources:
      customers:
        write_mode: append
"""


def test_a_whole_file(load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CATALOG_SECRET", "s3cr3t")
    config = load(FULL)
    (source,) = config.sources
    assert (config.retry_config.max_retries, config.retry_config.initial_delay_seconds) == (5, 0.5)
    assert (source.name, source.source_type) == ("files", "filesystem")
    assert source.destination_table == "raw.sub.{resource}"
    assert (source.write_mode, source.primary_key, source.schema_contract) == ("replace", ("id",), "evolve")
    assert source.resources["customers"].write_mode == "append"
    assert source.source_config == {"path": "data", "csv": {"delimiter": ";"}}
    assert config.catalog_config is not None
    assert config.catalog_config["credential"] == "${CATALOG_SECRET}"
    assert (config.path, config.folder) == (tmp_path / "ingest.yaml", tmp_path)


def test_a_relative_path_makes_an_absolute_folder(
    load: Load, plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATALOG_SECRET", "s3cr3t")
    load(FULL)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = load_config("../ingest.yaml", plugins=plugins)
    monkeypatch.chdir("/")
    assert config.folder == tmp_path


def test_a_link_keeps_the_folder_of_the_link(load: Load, plugins: Plugins, tmp_path: Path) -> None:
    load(_one())
    (tmp_path / "mounted").mkdir()
    (tmp_path / "mounted" / "link.yaml").symlink_to(tmp_path / "ingest.yaml")
    assert load_config(tmp_path / "mounted" / "link.yaml", plugins=plugins).folder == tmp_path / "mounted"


def test_a_byte_order_mark_is_no_problem(plugins: Plugins, tmp_path: Path) -> None:
    path = tmp_path / "ingest.yaml"
    path.write_text(_one(), encoding="utf-8-sig")
    assert load_config(path, plugins=plugins).sources[0].name == "a"


def _one(**fields: str) -> str:
    lines = {
        "name": "a",
        "source_type": "filesystem",
        "source_config": "{path: data}",
        "destination_table": "raw.a",
    }
    return "sources:\n" + "\n".join(
        f"  {'- ' if index == 0 else '  '}{key}: {value}"
        for index, (key, value) in enumerate((lines | fields).items())
    )


# What stands in the file, and for each problem: line, path, and words of the message.
BAD_FILES = {
    "unknown top key": (
        "retry_confg: {}\n" + _one(),
        [(1, "retry_confg", ["unknown key", "'retry_config'"])],
    ),
    "no sources": ("retry_config: {}", [(1, "sources", ["no sources"])]),
    "empty sources": ("retry_config: {}\nsources:\n", [(2, "sources", ["no sources"])]),
    "sources is a mapping": ("sources: {a: 1}", [(1, "sources", ["should be a list", "got a mapping"])]),
    "a source is text": ("sources:\n  - files", [(2, "sources[0]", ["should be a mapping", "got text"])]),
    "missing fields": (
        "sources:\n  - name: a\n    write_mode: append",
        [
            (2, "sources[0].source_type", ["is required"]),
            (2, "sources[0].destination_table", ["is required"]),
        ],
    ),
    "unknown key of a source": (
        _one(sourceconfig="{}"),
        [(6, "sources[0].sourceconfig", ["'source_config'", "write_mode", "stand under source_config"])],
    ),
    "a key that is no text": (_one(on="1"), [(6, "sources[0].on", ["true or false to YAML", "in quotes"])]),
    "name": (_one(name="my shop"), [(2, "sources[0].name", ["letters", "got 'my shop'"])]),
    "empty name": (_one(name="''"), [(2, "sources[0].name", ["at least 1 character"])]),
    "unknown type": (
        _one(source_type="file_system"),
        [(3, "sources[0].source_type", ["'file_system'", "'filesystem'", "rest_api"])],
    ),
    "write mode": (
        _one(write_mode="mrege"),
        [(6, "sources[0].write_mode", ["append, replace or merge", "got 'mrege'", "did you mean 'merge'?"])],
    ),
    "merge strategy": (
        _one(merge_strategy="delete_insert"),
        [(6, "sources[0].merge_strategy", ["'delete_insert'", "did you mean 'delete-insert'?"])],
    ),
    "schema contract": (
        _one(schema_contract="frozen"),
        [(6, "sources[0].schema_contract", ["'frozen'", "did you mean 'freeze'?"])],
    ),
    "destination without namespace": (
        _one(destination_table="orders"),
        [(5, "sources[0].destination_table", ["namespace.table", "got 'orders'"])],
    ),
    "destination with an empty part": (
        _one(destination_table="raw..orders"),
        [(5, "sources[0].destination_table", ["namespace.table", "got 'raw..orders'"])],
    ),
    "destination with a wrong placeholder": (
        _one(destination_table="raw.{resorce}"),
        [(5, "sources[0].destination_table", ["{resource}", "did you mean 'resource'?"])],
    ),
    "destination of dlt's own": (
        _one(destination_table="raw._dlt_meta"),
        [(5, "sources[0].destination_table", ["_dlt", "choose another name"])],
    ),
    "primary key": (_one(primary_key="5"), [(6, "sources[0].primary_key", ["should be a list", "a number"])]),
    "no primary key": (_one(primary_key="[]"), [(6, "sources[0].primary_key", ["at least one column"])]),
    "repeated column": (_one(primary_key="[id, id]"), [(6, "sources[0].primary_key", ["id more than once"])]),
    "blank column": (_one(cursor_field="' '"), [(6, "sources[0].cursor_field", ["name of a column"])]),
    "transform": (
        _one(partition_by="['days(at)', at]"),
        [(6, "sources[0].partition_by[0]", ["'days'", "got 'days(at)'", "did you mean 'day'?"])],
    ),
    "unquoted bucket": (
        _one(partition_by="[bucket[16](id)]"),
        [(6, "", ["not valid YAML", '"bucket[16](id)"'])],
    ),
    "table property": (
        _one(table_properties="{a: [1]}"),
        [(6, "sources[0].table_properties.a", ["text, a number", "got a list"])],
    ),
    "retries": (
        "retry_config:\n  max_retries: 21\n  initial_delay_seconds: 0\n" + _one(),
        [
            (2, "retry_config.max_retries", ["less than or equal to 20", "got 21"]),
            (3, "retry_config.initial_delay_seconds", ["greater than 0", "got 0"]),
        ],
    ),
    "memory without unit": (
        "memory_limit: 512\n" + _one(),
        [(1, "memory_limit", ["text", "got 512"])],
    ),
    "memory of an unknown unit": (
        "memory_limit: 80%\n" + _one(),
        [(1, "memory_limit", ["a size with its unit, such as 512MB"])],
    ),
    "too little memory": (
        "memory_limit: 64MiB\n" + _one(),
        [(1, "memory_limit", ["at least 100MB", "64MiB"])],
    ),
    "retries are words": (
        "retry_config: {max_retries: true, initial_delay_seconds: .nan}\n" + _one(),
        [
            (1, "retry_config.max_retries", ["should be a number", "got true"]),
            (1, "retry_config.initial_delay_seconds", ["greater than 0", "got nan"]),
        ],
    ),
    "key of a resource": (
        _one(resources="{orders: {write_mod: append}}"),
        [(6, "sources[0].resources.orders.write_mod", ["did you mean 'write_mode'?"])],
    ),
    "several resources, one table": (
        _one(resources="{orders: {}, items: {}}"),
        [(5, "sources[0].destination_table", ["'raw.a'", "orders, items", "{resource}"])],
    ),
    "names twice": (
        _one() + "\n" + _one().removeprefix("sources:\n"),
        [(6, "sources[1].name", ["'a'", "sources[0]"])],
    ),
    "names that differ in case": (
        _one(name="My-shop") + "\n" + _one(name="my_shop").removeprefix("sources:\n"),
        [(6, "sources[1].name", ["'my_shop' differs from 'My-shop' of sources[0] only in case"])],
    ),
    "catalog property": (
        "catalog_config:\n  uri: [a]\n  type:\n" + _one(),
        [
            (2, "catalog_config.uri", ["text, a number", "got a list"]),
            (3, "catalog_config.type", ["got nothing"]),
        ],
    ),
    "catalog is text": (
        "catalog_config: hunter2\n" + _one(),
        [(1, "catalog_config", ["should be a mapping", "got text"])],
    ),
    # source_config
    "unknown setting": (
        _one(source_config="{pth: data}"),
        [
            (4, "sources[0].source_config.path", ["is required"]),
            (4, "sources[0].source_config.pth", ["did you mean 'path'?", "file_glob"]),
        ],
    ),
    "nested setting": (
        _one(source_config="\n      path: data\n      csv:\n        delimeter: x"),
        [(7, "sources[0].source_config.csv.delimeter", ["did you mean 'delimiter'?"])],
    ),
    "choice": (
        _one(source_config="{path: data, format: prquet}"),
        [(4, "sources[0].source_config.format", ["auto, csv or parquet", "'prquet'", "mean 'parquet'?"])],
    ),
    "choice of signs": (
        _one(source_config="{path: data, csv: {quote: nome}}"),
        [(4, "sources[0].source_config.csv.quote", ["';' or none, got 'nome'; did you mean 'none'?"])],
    ),
    "number": (
        _one(source_config="{path: data, batch_rows: 100k}"),
        [(4, "sources[0].source_config.batch_rows", ["whole number", "got '100k'"])],
    ),
    "by its other name": (
        _one(source_config="{bucket_url: 5}"),
        [(4, "sources[0].source_config.bucket_url", ["should be text", "got a number"])],
    ),
    "table-side field in the settings": (
        _one(source_config="{path: data, write_mode: append}"),
        [(4, "sources[0].source_config.write_mode", ["one level up"])],
    ),
    "union of kinds": (
        _one(source_config="{path: data, patterns: 5}"),
        [(4, "sources[0].source_config.patterns", ["text, a list or a mapping", "got a number"])],
    ),
    "union: the branch of the right kind": (
        _one(source_config="{path: data, patterns: {delimitr: x}}"),
        [(4, "sources[0].source_config.patterns.delimitr", ["did you mean 'delimiter'?"])],
    ),
    "unknown tag": (
        _one(source_type="rest_api", source_config="{login: {type: baerer}}"),
        [(4, "sources[0].source_config.login.type", ["bearer or basic", "'baerer'", "mean 'bearer'?"])],
    ),
    "no tag": (
        _one(source_type="rest_api", source_config="{login: {}}"),
        [(4, "sources[0].source_config.login.type", ["is required"])],
    ),
    "inside a tagged branch": (
        _one(source_type="rest_api", source_config="{login: {type: basic, usrname: x, password: y}}"),
        [
            (4, "sources[0].source_config.login.username", ["is required"]),
            (4, "sources[0].source_config.login.usrname", ["'username'", "type, username and password"]),
        ],
    ),
    "refused by a validator": (
        _one(source_type="sql_database", source_config="{url: x://u:hunter2@h, table: a, tables: [b]}"),
        [(4, "sources[0].source_config", ["table and tables exclude each other"])],
    ),
    "not supported by the plugin": (
        _one(source_type="sql_database", source_config="{url: x, table: later}"),
        [(4, "sources[0].source_config", ["table: later is not supported yet"])],
    ),
    "a space is missing": (
        _one(source_config="{path: data, password:hunter2}"),
        [(4, 'sources[0].source_config."password…"', ["there should be a space"])],
    ),
    "settings are text": (
        _one(source_config="hunter2"),
        [(4, "sources[0].source_config", ["should be a mapping", "got text"])],
    ),
    # the environment
    "missing variables": (
        _one(source_config="{path: '${NOT_HERE}/${NOR_THERE}'}", destination_table="'${GONE}.a'"),
        [
            (4, "sources[0].source_config.path", ["NOT_HERE is not set"]),
            (4, "sources[0].source_config.path", ["NOR_THERE is not set"]),
            (5, "sources[0].destination_table", ["GONE is not set"]),
        ],
    ),
    "missing variable of the catalog": (
        "catalog_config: {uri: 'x://${GONE}'}\n" + _one(),
        [(1, "catalog_config.uri", ["GONE is not set"])],
    ),
    "not a variable": (
        _one(source_config="{path: '${PASS:-hunter2}'}"),
        [(4, "sources[0].source_config.path", ["not a variable", "${NAME}", "$${"])],
    ),
    # YAML
    "duplicate key": (
        _one(write_mode="append") + "\n    write_mode: replace",
        [(7, "sources[0].write_mode", ["twice", "line 6"])],
    ),
    "duplicate keys in one line": (
        _one(source_config="{path: a, path: b}"),
        [(4, "sources[0].source_config.path", ["twice", "line 4"])],
    ),
    "colon": (_one(name="a: b"), [(2, "", ["column 12", "quote a value that holds a colon"])]),
    "alias": (_one(source_config="*hunter2"), [(4, "", ["quote a value that begins with *"])]),
    "tag": (_one(source_config="!hunter2 x"), [(4, "", ["quote a value that begins with !"])]),
    "at sign": (_one(name="@hunter2"), [(2, "", ["column 11", "quote a value that begins with @"])]),
    "tab": ("sources:\n\t- name: a", [(2, "", ["indent with spaces"])]),
    "open quote": (_one(name="'hunter2"), [(5, "", ["not valid YAML"])]),
    "unhashable key": ("? [a]\n: 1", [(1, "", ["not valid YAML", "unhashable"])]),
    "impossible date": (_one(source_config="\n      path: 2024-13-45"), [(5, "", ["looks like a date"])]),
    "impossible number": (_one(name="!!int hunter2"), [(2, "", ["looks like a date or number"])]),
    "control character": ("a: 1\nb: \x01", [(2, "", ["control characters"])]),
    "two documents": (_one() + "\n---\na: 1", [(6, "", ["one file holds one configuration"])]),
    "alias of itself": ("a: &a [*a]", [(None, "", ["contains itself"])]),
    "aliases that multiply": (
        "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
        + "\n".join(
            f"{name}: &{name} [{', '.join(['*' + before] * 10)}]"
            for before, name in zip("abcdefg", "bcdefgh", strict=True)
        ),
        [(None, "", ["multiply beyond all bounds"])],
    ),
    "aliases that nest": (
        "l0: &l0 [1]\n" + "\n".join(f"l{i}: &l{i} [*l{i - 1}]" for i in range(1, 5000)),
        [(None, "", ["beyond all bounds"])],
    ),
    "too deep": ("a:\n " + "[" * 100_000, [(2, "", ["nested more than 200 levels"])]),
    "empty": ("# nothing\n", [(None, "", ["empty", "floe-ingest init"])]),
    "a list": ("- a", [(None, "", ["should be a mapping", "got a list"])]),
    "text": ("hunter2", [(None, "", ["should be a mapping", "got text"])]),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_problem_has_path_line_and_a_way_out(case: str, problems: Problems) -> None:
    text, expected = BAD_FILES[case]
    found = problems(text)
    assert [(problem.line, problem.path) for problem in found] == [(line, path) for line, path, _ in expected]
    for problem, (_, _, words) in zip(found, expected, strict=True):
        assert [word for word in words if word not in problem.message] == []
    assert "hunter2" not in "\n".join(str(problem) for problem in found)


def test_all_problems_come_at_once_in_the_order_of_their_lines(problems: Problems) -> None:
    found = problems(
        """\
        catalog_config: {uri: "${GONE}"}
        retry_config: {max_retries: many}
        sources:
          - name: a b
            source_type: filesytem
            destination_table: raw.a
            cursor: {lag: 1}
          - name: b
            source_type: filesystem
            source_config: {}
            destination_table: raw
        """
    )
    assert [(problem.line, problem.path) for problem in found] == [
        (1, "catalog_config.uri"),
        (2, "retry_config.max_retries"),
        (4, "sources[0].name"),
        (5, "sources[0].source_type"),
        (7, "sources[0].cursor"),
        (10, "sources[1].source_config.path"),
        (11, "sources[1].destination_table"),
    ]


def test_merged_mappings_are_no_duplicates_and_keep_their_lines(load: Load, problems: Problems) -> None:
    text = """\
    sources:
      - &first
        name: a
        source_type: filesystem
        source_config: {path: data}
        destination_table: raw.{resource}
        write_mode: replace
      - <<: *first
        name: b
        write_mode: append
    """
    config = load(text)
    assert [(source.name, source.write_mode) for source in config.sources] == [
        ("a", "replace"),
        ("b", "append"),
    ]
    found = problems(
        text.replace("path: data", "pth: data").replace("write_mode: append", "write_mode: apend")
    )
    assert (10, "sources[1].write_mode") in [(problem.line, problem.path) for problem in found]
    assert (5, "sources[1].source_config.pth") in [(problem.line, problem.path) for problem in found]


def test_sections_whose_entries_are_commented_out_count_as_not_written(load: Load) -> None:
    config = load(
        """\
        catalog_config:
          # type: rest
        retry_config:
        sources:
          - name: a
            source_type: rest_api
            source_config:
              # client: x
            destination_table: raw.a
            resources:
              orders:
              # write_mode: append
        """
    )
    assert config.catalog_config is None
    assert config.retry_config.max_retries == 3
    assert config.sources[0].source_config == {}
    assert config.sources[0].resources["orders"].write_mode is None


def _problem_with_file(path: Path | str, plugins: Plugins) -> ConfigProblem:
    with pytest.raises(InvalidConfigError) as caught:
        load_config(path, plugins=plugins)
    assert str(path) in str(caught.value)
    (problem,) = caught.value.problems
    return problem


def test_a_file_that_is_not_there(plugins: Plugins, tmp_path: Path) -> None:
    assert "floe-ingest init" in _problem_with_file(tmp_path / "ingest.yaml", plugins).message
    (tmp_path / "ingest.yml").touch()
    assert "did you mean 'ingest.yml'?" in _problem_with_file(tmp_path / "ingest.yaml", plugins).message
    message = _problem_with_file(tmp_path / "conf" / "ingest.yaml", plugins).message
    assert "nor is there a directory conf" in message


def test_a_directory_instead_of_a_file(plugins: Plugins, tmp_path: Path) -> None:
    assert "directory" in _problem_with_file(tmp_path, plugins).message


def test_a_file_that_may_not_be_read(plugins: Plugins, tmp_path: Path) -> None:
    path = tmp_path / "ingest.yaml"
    path.write_text(_one())
    path.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        problem = _problem_with_file(path, plugins)
    finally:
        if root:
            os.seteuid(0)
    assert "cannot be read: Permission denied" in problem.message


def test_a_loop_of_links(plugins: Plugins, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("b.yaml")
    (tmp_path / "b.yaml").symlink_to("a.yaml")
    assert "cannot be read: Too many levels" in _problem_with_file(tmp_path / "a.yaml", plugins).message


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding(plugins: Plugins, tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "ingest.yaml"
    path.write_bytes("# one\n# zwölf".encode(encoding))
    problem = _problem_with_file(path, plugins)
    assert "UTF-8" in problem.message
    assert problem.line == (2 if encoding == "latin-1" else 1)


def test_a_mapping_is_checked_like_a_file(plugins: Plugins, tmp_path: Path) -> None:
    source = {
        "name": "a",
        "source_type": "filesystem",
        "source_config": {"path": "x"},
        "destination_table": "raw.a",
    }
    config = parse_config({"sources": [source]}, path=tmp_path / "floe.yaml", plugins=plugins)
    assert config.folder == tmp_path
    with pytest.raises(InvalidConfigError) as caught:
        parse_config({"sources": [source | {"source_config": {"pth": 1}, "name": "a b"}]}, plugins=plugins)
    assert {(problem.path, problem.line) for problem in caught.value.problems} == {
        ("sources[0].name", None),
        ("sources[0].source_config.pth", None),
        ("sources[0].source_config.path", None),
    }


def test_without_plugins_it_asks_for_the_installed_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOE_INGEST_PLUGINS", "")
    path = tmp_path / "ingest.yaml"
    path.write_text(_one())
    with pytest.raises(InvalidConfigError, match=r"sources\[0\]\.source_type: .*'filesystem'"):
        load_config(path)


def test_reading_a_configuration_imports_nothing_heavy() -> None:
    code = (
        "import sys, floe_ingest.config as c; c.DltIngestionConfig(); c.starter_yaml(); "
        "heavy = {'dlt', 'pyarrow', 'pyiceberg', 'duckdb', 'sqlalchemy', 'dagster'}; "
        "print(sorted(heavy & sys.modules.keys()))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.fixture
def nothing_older_is_collected() -> Iterator[None]:
    """Keep the garbage collector from looking through what other tests left in this process."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("nothing_older_is_collected")
@pytest.mark.parametrize("write_mode", ["append", "apend"])
def test_the_work_grows_no_faster_than_the_sources(
    load: Load, plugins: Plugins, tmp_path: Path, write_mode: str
) -> None:
    def seconds(count: int) -> float:
        """Return the CPU time of reading so many sources, in this thread; the quickest of three tries."""
        sources = [
            _one(
                name=f"s{index}",
                source_config=f"{{path: 'data/{index}', patterns: [a, b, c], csv: {{delimiter: x}}}}",
                destination_table=f"raw.s{index}_{{resource}}",
                write_mode=write_mode,
                primary_key="[id, line]",
                resources="{orders: {write_mode: replace}}",
            ).removeprefix("sources:\n")
            for index in range(count)
        ]
        path = tmp_path / "many.yaml"
        path.write_text("sources:\n" + "\n".join(sources))
        return min(read(path, count) for _ in range(3))

    def read(path: Path, count: int) -> float:
        start = time.thread_time()
        try:
            found = len(load_config(path, plugins=plugins).sources)
        except InvalidConfigError as error:
            found = len(error.problems)
        assert found == count
        return time.thread_time() - start

    assert seconds(500) < 3 * 5 * seconds(100)
