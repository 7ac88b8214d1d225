"""The figures in the README are those of the committed report; without one there are none."""

from __future__ import annotations

from pathlib import Path

from bench import readme
from bench.report import markdown
from bench.results import Report

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "benchmarks" / "report"
RESULTS = FOLDER / "results.json"


def committed() -> Report | None:
    """The committed report, if there is one."""
    return Report.model_validate_json(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else None


def test_the_readme_shows_what_the_committed_results_yield() -> None:
    report = committed()
    expected = readme.figures(report) if report else ""
    block = readme.block_of((ROOT / "README.md").read_text(encoding="utf-8"))
    assert readme.START in (ROOT / "README.md").read_text(encoding="utf-8")
    assert block == expected


def test_the_report_is_that_of_the_committed_results() -> None:
    report = committed()
    plots = {path.name for path in FOLDER.glob("*.svg")}
    written = (FOLDER / "report.md").read_text(encoding="utf-8") if report else ""
    assert (FOLDER / "report.md").is_file() == (report is not None)
    named = [
        line.removeprefix("![").rstrip(")").split("](") for line in written.splitlines() if line[:2] == "!["
    ]
    assert {file for _, file in named} == plots
    assert written == (markdown(report, dict(named)) if report else "")  # type: ignore[arg-type]
