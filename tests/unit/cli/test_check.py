"""``floe-ingest check`` over the real engine: it probes, reports and loads nothing."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Floe = Callable[..., subprocess.CompletedProcess[str]]


def test_a_good_configuration_is_0_and_nothing_is_loaded(floe: Floe, csv_config: Path) -> None:
    done = floe("check", csv_config)
    assert done.returncode == 0, done.stderr
    assert "orders" in done.stdout
    assert "nothing was loaded" in done.stdout
    assert not list(csv_config.parent.rglob("*.parquet"))


def test_json_is_one_document_of_the_report(floe: Floe, csv_config: Path) -> None:
    done = floe("check", csv_config, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["success"] is True
    assert document["catalog"]["success"] is True
    (source,) = document["sources"]
    assert (source["name"], source["source_type"], source["success"]) == ("orders", "filesystem", True)
    assert source["errors"] == []


def test_a_wrong_configuration_is_2_with_the_line_and_the_nearest_key(floe: Floe, csv_config: Path) -> None:
    text = csv_config.read_text(encoding="utf-8")
    csv_config.write_text(text.replace("source_type", "source_typ"), encoding="utf-8")
    done = floe("check", csv_config, "--json")
    assert done.returncode == 2
    document = json.loads(done.stdout)
    problems = {problem["path"]: problem for error in document["errors"] for problem in error["problems"]}
    wrong = problems["sources[0].source_typ"]
    assert wrong["line"] == 3
    assert "source_type" in wrong["message"]
    assert "line 3" in done.stderr
    assert "Traceback" not in done.stderr


PORTS = """
import socket
from floe_ingest import SourceConfigurationError, SourceConnectionError, SourceType, hookimpl
from pydantic import BaseModel

class Port(BaseModel, extra="forbid"):
    number: int

@hookimpl
def floe_ingest_source_types():
    return [SourceType("port", Port, "What a port says")]

@hookimpl
def floe_ingest_build_source(request):
    raise AssertionError("check builds nothing")

@hookimpl
def floe_ingest_check_source(request):
    if request.config.number == 0:
        raise SourceConfigurationError("port 0 is no port")
    try:
        socket.create_connection(("127.0.0.1", request.config.number), timeout=5).close()
    except OSError as error:
        raise SourceConnectionError(f"port {request.config.number} does not answer") from error
"""


def _closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _add_port(config: Path, name: str, number: int) -> None:
    with config.open("a", encoding="utf-8") as file:
        file.write(
            f"  - name: {name}\n    source_type: port\n    source_config: {{number: {number}}}\n"
            "    destination_table: raw.{resource}\n"
        )


def test_a_source_that_cannot_be_reached_is_1(
    floe: Floe, csv_config: Path, make_plugin: Callable[..., Path]
) -> None:
    site = str(make_plugin("ports", PORTS))
    number = _closed_port()
    _add_port(csv_config, "closed", number)
    done = floe("check", csv_config, "--json", PYTHONPATH=site)
    assert done.returncode == 1, done.stderr
    reports = {source["name"]: source for source in json.loads(done.stdout)["sources"]}
    assert reports["orders"]["success"] is True
    assert reports["closed"]["success"] is False
    (error,) = reports["closed"]["errors"]
    assert (error["category"], error["type"]) == ("transient", "SourceConnectionError")
    assert f"closed failed (transient, SourceConnectionError): port {number} does not answer" in done.stderr


def test_a_source_whose_configuration_cannot_work_is_2(
    floe: Floe, csv_config: Path, make_plugin: Callable[..., Path]
) -> None:
    site = str(make_plugin("ports", PORTS))
    _add_port(csv_config, "closed", _closed_port())
    _add_port(csv_config, "wrong", 0)
    done = floe("check", csv_config, PYTHONPATH=site)
    assert done.returncode == 2, done.stderr
    assert "2 probes failed" in done.stdout
    assert "wrong failed (configuration, SourceConfigurationError): port 0 is no port" in done.stderr


SHELVES = """
import time
from floe_ingest import FoundResource, MissingPackageError, MissingPart, SourceCheck, SourceType, hookimpl
from pydantic import BaseModel

class Shelf(BaseModel, extra="forbid"):
    state: str

@hookimpl
def floe_ingest_source_types():
    return [SourceType("shelf", Shelf, "Books of a shelf")]

@hookimpl
def floe_ingest_build_source(request):
    raise AssertionError("nothing is built")

@hookimpl
def floe_ingest_check_source(request):
    if request.config.state == "hanging":
        time.sleep(600)
    if request.config.state == "bare":
        raise MissingPackageError("Reading shelves", "shelfdriver", "pip install shelfdriver")
    missing = (
        MissingPart("resource", "boks", "Did you mean 'books'?"),
        MissingPart("permission", "SELECT on loans", "Ask for it."),
    )
    return SourceCheck((FoundResource("books", ("id", "title"), 1234),), missing=missing)
"""


def _add_shelf(config: Path, name: str, state: str) -> None:
    with config.open("a", encoding="utf-8") as file:
        file.write(
            f"  - name: {name}\n    source_type: shelf\n    source_config: {{state: {state}}}\n"
            "    destination_table: raw.{resource}\n"
        )


def test_what_is_missing_is_named_with_what_to_do(
    floe: Floe, csv_config: Path, make_plugin: Callable[..., Path]
) -> None:
    site = str(make_plugin("shelves", SHELVES))
    _add_shelf(csv_config, "partial", "partial")
    _add_shelf(csv_config, "bare", "bare")
    done = floe("check", csv_config, "--json", PYTHONPATH=site)
    assert done.returncode == 2, done.stderr
    reports = {source["name"]: source for source in json.loads(done.stdout)["sources"]}
    assert reports["partial"]["success"] is False
    assert [found["estimated_rows"] for found in reports["partial"]["resources"]] == [1234]
    assert reports["partial"]["missing"] == [
        {"kind": "resource", "name": "boks", "advice": "Did you mean 'books'?"},
        {"kind": "permission", "name": "SELECT on loans", "advice": "Ask for it."},
    ]
    assert [error["category"] for error in reports["partial"]["errors"]] == ["configuration", "permanent"]
    package = {"kind": "package", "name": "shelfdriver", "advice": "pip install shelfdriver"}
    assert reports["bare"]["missing"] == [package]
    table = floe("check", csv_config, PYTHONPATH=site).stdout
    assert "missing resource" in table
    assert "Did you mean 'books'?" in table
    assert "pip install shelfdriver" in table


def test_a_run_does_not_begin_where_a_table_is_missing(
    floe: Floe, csv_config: Path, make_plugin: Callable[..., Path]
) -> None:
    site = str(make_plugin("shelves", SHELVES))
    _add_shelf(csv_config, "partial", "partial")
    done = floe("run", csv_config, PYTHONPATH=site)
    assert done.returncode == 2, done.stderr
    assert "Source 'partial' has no 'boks'. Did you mean 'books'?" in done.stderr
    assert "loans" not in done.stderr
    assert not list(csv_config.parent.rglob("*.parquet"))


def test_a_probe_that_hangs_is_given_up_and_the_others_tell(
    floe: Floe, csv_config: Path, make_plugin: Callable[..., Path]
) -> None:
    site = str(make_plugin("shelves", SHELVES))
    for number in range(3):
        _add_shelf(csv_config, f"hanging{number}", "hanging")
    done = floe("check", csv_config, "--json", PYTHONPATH=site)
    assert done.returncode == 1, done.stderr
    reports = {source["name"]: source for source in json.loads(done.stdout)["sources"]}
    assert reports["orders"]["success"] is True
    for number in range(3):
        (error,) = reports[f"hanging{number}"]["errors"]
        assert error["category"] == "transient"
        assert f"The probe of source 'hanging{number}' has not ended within 10 seconds" in error["message"]
