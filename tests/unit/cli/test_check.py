"""``floe-ingest check`` over the real engine: it probes, reports and loads nothing."""

from __future__ import annotations

import json
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


def test_a_source_that_cannot_be_reached_is_1(floe: Floe, csv_config: Path) -> None:
    with csv_config.open("a", encoding="utf-8") as file:
        file.write(
            "  - name: closed\n"
            "    source_type: rest_api\n"
            "    source_config: {client: {base_url: 'http://127.0.0.1:9/'}, resources: [calls]}\n"
            "    destination_table: raw.{resource}\n"
        )
    done = floe("check", csv_config, "--json")
    assert done.returncode == 1, done.stderr
    reports = {source["name"]: source for source in json.loads(done.stdout)["sources"]}
    assert reports["orders"]["success"] is True
    assert reports["closed"]["success"] is False
    assert reports["closed"]["errors"][0]["category"] == "transient"
    assert "closed failed (transient" in done.stderr
