"""What the benchmarks' report, its plots, the README's figures and the comparison of runs make of results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from bench import __main__ as program
from bench import check, plots, readme
from bench.measuring import Command, Fresh, WorkFailedError, read_call, read_process, side_of
from bench.report import markdown, report_of
from bench.results import Comparison, Growth, Point, Report, Side, TableFacts, Target, exponent, results_of
from click.testing import CliRunner
from pydantic import ValidationError

if TYPE_CHECKING:
    from pathlib import Path


def side(*seconds: float, rows: int | None = 10, **more: Any) -> Side:
    facts = None
    if rows is not None:
        facts = TableFacts(rows=rows, checksum="7", bytes_written=2_000_000, files=1, snapshots=1)
    given = {"cpu": seconds, "peak_mb": 300.0, "process": True, "table": facts, **more}
    return Side(seconds=seconds, **given)


def comparison(title: str = "Parquet", ours: float = 1.0, limit: float = 2.0, **more: Any) -> Comparison:
    sides = {"ours": side(ours, ours * 3, ours), "limit": side(limit), "DuckDB": side(limit / 2)}
    given = {"group": readme.GROUP, "sides": sides, **more}
    return Comparison(title=title, **given)


def growth(*seconds: float, peaks: tuple[float, ...] = ()) -> Growth:
    points = tuple(
        Point(size=10**n, seconds=value, cpu=value, peak_mb=peak)
        for n, (value, peak) in enumerate(zip(seconds, peaks or (100,) * len(seconds), strict=True))
    )
    return Growth(title="Rows", axis="rows", points=points, most=1.15, most_memory=0.3)


def run_document(*results: Comparison | Growth) -> dict[str, Any]:
    """What pytest-benchmark writes, as far as it is read."""
    return {
        "machine_info": {
            "node": "secret-host",
            "system": "Linux",
            "release": "6.1",
            "python_version": "3.11.2",
            "cpu": {"brand_raw": "A processor", "count": 2},
        },
        "commit_info": {"id": "0123456789abcdef", "dirty": True},
        "datetime": "2026-11-24T12:00:00+00:00",
        "benchmarks": [
            {"fullname": f"benchmarks/test_{n}", "extra_info": {"result": result.model_dump(mode="json")}}
            for n, result in enumerate(results)
        ],
    }


def made(*results: Comparison | Growth, scale: str = "full") -> Report:
    return report_of(run_document(*results), "make bench", scale, {"daft": "0.7"})


class TestResults:
    def test_a_result_comes_back_from_the_json_of_the_run(self) -> None:
        given = (comparison(targets=(Target(measure="wall", most=0.8, beside="limit"),)), growth(1, 2))
        document = json.loads(json.dumps(run_document(*given)))
        assert results_of(document) == given

    def test_a_benchmark_that_failed_early_has_no_result(self) -> None:
        document = run_document(comparison())
        document["benchmarks"].append({"fullname": "benchmarks/test_bare", "extra_info": {}})
        assert results_of(document) == (comparison(),)

    def test_two_of_one_title_are_an_error(self) -> None:
        with pytest.raises(ValueError, match=r"Two benchmarks are called 'Parquet'"):
            results_of(run_document(comparison(), comparison()))

    @pytest.mark.parametrize(
        ("measure", "measured"),
        [
            ("wall", 0.5),
            ("best", 0.5),
            ("CPU", 0.5),
            ("seconds more", -1.0),
            ("peak MB", 300),
            ("seconds", 1.0),
        ],
    )
    def test_targets_are_measured_by_medians(self, measure: Any, measured: float) -> None:
        target = Target(measure=measure, most=1, beside="limit")
        assert comparison(targets=(target,)).measured(target) == pytest.approx(measured)

    def test_alone_leaves_the_start_of_processes_out(self) -> None:
        sides = {"ours": side(2, alone=(0.5,)), "Spark": side(20, alone=(10,))}
        assert comparison(sides=sides).ratio("ours", "Spark", "alone") == pytest.approx(0.05)

    def test_a_target_names_sides_that_are_there(self) -> None:
        with pytest.raises(ValidationError, match="no such side: \\['Spork'\\]"):
            comparison(targets=(Target(measure="wall", most=1, beside="Spork"),))
        with pytest.raises(ValidationError, match="needs `beside`"):
            Target(measure="wall", most=1)

    def test_tables_are_equal_by_count_and_checksum(self) -> None:
        assert comparison().equal is True
        assert comparison(sides={"ours": side(1), "limit": side(1, rows=9)}).equal is False
        assert comparison(sides={"ours": side(1), "limit": side(1, rows=None)}).equal is None

    def test_exponents_are_those_of_a_power(self) -> None:
        sizes = [1, 10, 100, 1000]
        assert exponent(sizes, [3 * size**1.5 for size in sizes]) == pytest.approx(1.5)
        assert not growth(1, 10, 100).problems()
        [all_points, largest] = growth(1, 20, 400).problems()
        assert "Rows: time grows with the rows to the 1.30, at most 1.15 is due" in all_points
        assert "time of the largest" in largest

    def test_growth_that_a_fixed_cost_hides_shows_in_the_largest_sizes(self) -> None:
        hidden = growth(1, 1, 1, 1, 60)
        assert hidden.time < 1.15
        assert ["time of the largest" in problem for problem in hidden.problems()] == [True]

    def test_work_that_grows_with_its_size_passes_with_a_fixed_cost_and_some_chance(self) -> None:
        sizes = [10**n for n in range(5)]
        chance = [1.1, 0.92, 1.05, 0.95, 1.02]
        seconds = [(2 + 0.01 * size) * luck for size, luck in zip(sizes, chance, strict=True)]
        peaks = tuple(300 * luck for luck in chance)
        assert not growth(*seconds, peaks=peaks).problems()
        # Each step looks at all that was there before: what a loop over all tables in each table does.
        squares = [2 + 0.0001 * size**2 for size in sizes]
        assert [problem.split(" grows")[0] for problem in growth(*squares, peaks=peaks).problems()] == [
            "Rows: time of the largest"
        ]

    def test_memory_that_follows_the_rows_is_told(self) -> None:
        followed = growth(1, 10, 100, 1000, peaks=(200, 201, 210, 900))
        assert followed.memory < followed.most_memory
        assert followed.problems() == [
            "Rows: memory of the largest grows with the rows to the 0.63, at most 0.3 is due"
        ]


class TestReport:
    def test_it_says_machine_versions_command_targets_and_reasons(self) -> None:
        target = Target(measure="wall", most=0.4, beside="limit")
        report = made(comparison(targets=(target,), missing={"ingestr": "no wheel"}), growth(1, 2, 4))
        text = markdown(report, {"Rows": "rows.svg"})
        assert "Made by `make bench` on 2026-11-24, of commit `0123456789ab+`" in text
        assert "A processor, 2 cores" in text
        assert "daft 0.7" in text
        assert "| Parquet | wall ≤ 0.4 of limit | 0.5 | **no** |" in text
        assert "| ours `p` | 1 |  | 1 | 300 | 3 |  | 10 | 2 | 1 | 1 |" in text
        assert "Not run: ingestr: no wheel." in text
        assert "All tables hold the same rows" in text
        assert "![Rows](rows.svg)" in text
        assert "secret-host" not in report.model_dump_json() + text

    def test_a_small_scale_is_said_at_once(self) -> None:
        text = markdown(made(comparison(scale="small"), scale="small"), {})
        assert "say nothing about speed" in text.splitlines()[2]
        assert "say nothing about speed" not in markdown(made(comparison()), {})

    def test_a_run_in_which_benchmarks_failed_is_told(self) -> None:
        report = report_of(run_document(comparison()), "make bench", "full", {}, complete=False)
        assert "Some benchmarks failed in this run" in markdown(report, {})
        assert "Some benchmarks failed" not in markdown(made(comparison()), {})

    def test_results_of_another_scale_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"scale \['small'\] among those of scale 'full'"):
            made(comparison(scale="small"))

    def test_plots_are_svg_without_a_date_and_the_same_each_time(self, tmp_path: Path) -> None:
        report = made(comparison(), growth(1, 2, 4))
        drawn = plots.draw(report, tmp_path)
        assert set(drawn) == {readme.GROUP, "Rows"}
        first = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
        assert set(first) == set(drawn.values())
        assert all(b"<svg" in content and b"dc:date" not in content for content in first.values())
        plots.draw(report, tmp_path)
        assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == first


class TestReadme:
    def test_only_what_stands_between_the_marks_is_replaced(self) -> None:
        text = f"before\n{readme.START}\nold\n{readme.END}\nafter\n"
        block = readme.figures(made(comparison()))
        new = readme.replaced(text, block)
        assert new.startswith(f"before\n{readme.START}\n| work |")
        assert new.endswith(f"{readme.END}\nafter\n")
        assert "| Parquet | 1 s | 300 MB | DuckDB 1 s, limit 2 s |" in new
        assert readme.block_of(new) == block
        assert readme.replaced(new, block) == new

    @pytest.mark.parametrize("text", ["none", readme.START, readme.END + readme.START])
    def test_a_page_without_one_pair_of_marks_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="one pair of marks"):
            readme.replaced(text, "block")

    def test_a_report_without_loads_gives_no_figures(self) -> None:
        with pytest.raises(ValueError, match="no results in"):
            readme.figures(made(growth(1, 2)))


class TestCheck:
    def test_seconds_do_not_matter_and_ratios_within_the_margin_pass(self) -> None:
        outcome = check.compare(made(comparison()), made(comparison(ours=12, limit=20)))
        assert outcome == check.Outcome(2, ())

    def test_a_ratio_beyond_the_margin_is_told(self) -> None:
        outcome = check.compare(made(comparison()), made(comparison(ours=1.4)))
        assert [str(one) for one in outcome.worse] == [
            "Parquet: ours beside limit was 0.50, is 0.70 (1.40 times as much)",
            "Parquet: ours beside DuckDB was 1.00, is 1.40 (1.40 times as much)",
        ]
        assert not check.compare(made(comparison()), made(comparison(ours=1.4)), margin=1.5).worse

    def test_a_side_that_is_gone_is_told_and_other_work_is_left_out(self) -> None:
        before = made(comparison(), comparison("CSV"))
        now = made(comparison(sides={"ours": side(1), "limit": side(2)}))
        outcome = check.compare(before, now)
        assert outcome.compared == 2
        assert [str(one) for one in outcome.worse] == [
            "Parquet: ours beside DuckDB was 1.00, and is not measured any more"
        ]

    def test_what_takes_no_time_is_not_compared(self) -> None:
        short = {"ours": side(0.001), "limit": side(2)}
        with pytest.raises(ValueError, match="nothing in common"):
            check.compare(made(comparison(sides=short)), made(comparison(sides=short)))

    def test_runs_of_different_scale_are_refused(self) -> None:
        with pytest.raises(ValueError, match="cannot be compared"):
            check.compare(made(comparison()), made(comparison(scale="small"), scale="small"))


class TestProgram:
    def test_the_report_is_written_and_compared_with(self, tmp_path: Path) -> None:
        run, page, into = tmp_path / "run.json", tmp_path / "README.md", tmp_path / "report"
        run.write_text(json.dumps(run_document(comparison(), growth(1, 2))), encoding="utf-8")
        page.write_text(f"{readme.START}\n{readme.END}\n", encoding="utf-8")
        said = CliRunner().invoke(
            program.main, ["report", str(run), "--into", str(into), "--readme", str(page)]
        )
        assert said.exit_code == 0, said.output
        assert sorted(file.suffix for file in into.iterdir()) == [".json", ".md", ".svg", ".svg"]
        stored = Report.model_validate_json((into / "results.json").read_text(encoding="utf-8"))
        assert readme.block_of(page.read_text(encoding="utf-8")) == readme.figures(stored)

        before = ["--before", str(into / "results.json")]
        same = CliRunner().invoke(program.main, ["check", str(run), *before])
        assert (same.exit_code, same.output.splitlines()[-1]) == (
            0,
            "2 ratios compared, 0 beyond 1.3 times the former one",
        )
        run.write_text(json.dumps(run_document(comparison(ours=3))), encoding="utf-8")
        worse = CliRunner().invoke(program.main, ["check", str(run), *before])
        assert worse.exit_code == 1
        assert "ours beside limit was 0.50, is 1.50" in worse.output

    def test_without_committed_results_it_is_said_before_anything_runs(self, tmp_path: Path) -> None:
        missing = tmp_path / "results.json"
        said = CliRunner().invoke(program.main, ["committed", "--before", str(missing)])
        expected = f"Error: There is nothing to compare with yet: `make bench` writes {missing}\n"
        assert (said.exit_code, said.output) == (1, expected)
        run = tmp_path / "run.json"
        run.write_text(json.dumps(run_document(comparison())), encoding="utf-8")
        said = CliRunner().invoke(program.main, ["check", str(run), "--before", str(missing)])
        assert (said.exit_code, said.output) == (1, expected)

    def test_committed_results_of_another_scale_are_refused_before_anything_runs(
        self, tmp_path: Path
    ) -> None:
        file = tmp_path / "results.json"
        file.write_text(made(comparison()).model_dump_json(), encoding="utf-8")
        before = ["committed", "--before", str(file)]
        said = CliRunner().invoke(program.main, before)
        assert (said.exit_code, said.output) == (
            0,
            "Compared with 1 results of commit 0123456789ab+, 2026-11-24\n",
        )
        said = CliRunner().invoke(program.main, [*before, "--scale", "small"])
        assert said.exit_code == 1
        assert "is of scale 'full', the run of scale 'small'" in said.output


class TestMeasuring:
    def test_a_process_is_measured_with_all_that_it_starts(self, tmp_path: Path) -> None:
        child = "x = bytearray(60_000_000); sum(range(5_000_000)); import time; time.sleep(0.3)"
        parent = (
            f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); "
            "print('{\"seconds\": 0.25}')"
        )
        reading = read_process(Command((sys.executable, "-c", parent), tmp_path))
        assert reading.peak_mb > 60
        assert reading.cpu > 0.05
        assert reading.seconds > 0.3
        assert reading.alone == 0.25

    def test_a_process_that_fails_tells_what_it_wrote(self, tmp_path: Path) -> None:
        words = (sys.executable, "-c", "raise SystemExit('out of paper')")
        with pytest.raises(WorkFailedError, match="out of paper"):
            read_process(Command(words, tmp_path))

    def test_a_process_that_never_ends_is_ended(self, tmp_path: Path) -> None:
        words = (sys.executable, "-c", "import time; time.sleep(60)")
        with pytest.raises(WorkFailedError, match="ended with -9"):
            read_process(Command(words, tmp_path), seconds=0.5)

    def test_work_in_this_process_is_measured_from_a_new_high_water_mark(self) -> None:
        # In a process of its own: one that has held more before takes its memory from what it has kept.
        code = (
            "from bench.measuring import read_call\n"
            "big = read_call(lambda: bytearray(b'x' * 200_000_000))\n"
            "small = read_call(lambda: None)\n"
            "print(big.peak_mb, small.peak_mb)"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
        )
        big, small = map(float, done.stdout.split())
        assert big > small + 150

    def test_rounds_are_put_together(self) -> None:
        one, other = read_call(lambda: sum(range(100_000))), read_call(lambda: None)
        both = side_of([one, other], process=False)
        assert both.seconds == (round(one.seconds, 4), round(other.seconds, 4))
        assert both.peak_mb == pytest.approx(max(one.peak_mb, other.peak_mb), abs=0.1)

    def test_what_is_made_anew_is_made_outside_of_the_measure(self, tmp_path: Path) -> None:
        folders = iter([tmp_path / "a", tmp_path / "b"])

        def make() -> Command:
            folder = next(folders)
            folder.mkdir()
            return Command((sys.executable, "-c", "pass"), folder)

        work = Fresh(make)
        assert [work.make().folder.name for _ in range(2)] == ["a", "b"]
