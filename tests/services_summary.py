"""A pytest plugin: one table of what was checked on which servers, and how it went.

``--services-summary FILE`` prints the table at the end of the session, and writes it as Markdown.
The servers of a test are its lake, those that it asked the ``services`` fixture for, or those that
its ``servers`` mark names where it starts them itself. It works with pytest-xdist: a worker tells
the servers, the controller counts.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from services.together import Services

OPTION = "--services-summary"
NAMES = {
    "azurite": "Azurite",
    "gcs": "fake-gcs-server",
    "mariadb": "MariaDB",
    "minio": "MinIO",
    "nessie": "Nessie on MinIO",
    "nessie-minio": "Nessie on MinIO",
    "postgres": "PostgreSQL",
    "rest-files": "REST catalog on files",
    "rest-minio": "REST catalog on MinIO",
    "rest_files": "REST catalog on files",
    "rest_minio": "REST catalog on MinIO",
    "sql-postgres": "SQL catalog on PostgreSQL",
}
"""How the table calls what the fixture and ``--lake`` name."""
HEADINGS = ("servers", "check", "passed", "failed", "skipped", "seconds")
_asked: set[str] = set()


class Asked:
    """The servers of a session, which notes those that the running test asks for.

    Arguments:
        services: the servers.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    def __getattr__(self, name: str) -> Any:
        server = getattr(self._services, name)
        _asked.add(name)
        return server


@dataclass
class Figures:
    """How the tests of one check on some servers ended, and the seconds that they took."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0


@dataclass
class Outcome:
    """How one test went so far: its worst outcome, and the seconds of its setup, call and teardown."""

    outcome: str = "passed"
    seconds: float = 0.0
    servers: str = "unknown, since the process ended"


@dataclass
class Summary:
    """Counts tests by their servers and by their module, which is the check.

    Arguments:
        file: where the table is written.
    """

    file: Path
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    interrupted: bool = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count one phase of one test."""
        outcome = self.outcomes.setdefault(report.nodeid, Outcome())
        outcome.seconds += report.duration
        if report.failed or (report.skipped and outcome.outcome == "passed"):
            outcome.outcome = report.outcome
        outcome.servers = dict(report.user_properties).get("servers", outcome.servers)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the table."""
        ends = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        self.interrupted = exitstatus not in ends or bool(session.shouldstop or session.shouldfail)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text("\n".join(self.lines()) + "\n", encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table."""
        terminalreporter.section("servers and checks")
        for line in self.lines():
            terminalreporter.write_line(line)

    def lines(self) -> list[str]:
        """Return the table as lines of Markdown, with all tests in its last row."""
        rows: dict[tuple[str, str], Figures] = {}
        total = Figures()
        for nodeid, outcome in self.outcomes.items():
            for figures in (rows.setdefault((outcome.servers, _check_of(nodeid)), Figures()), total):
                setattr(figures, outcome.outcome, getattr(figures, outcome.outcome) + 1)
                figures.seconds += outcome.seconds
        cells = [HEADINGS, *((*key, *_cells(figures)) for key, figures in sorted(rows.items()))]
        lines = _table([*cells, ("all", "", *_cells(total))])
        machine = (
            f"Python {platform.python_version()}, {os.cpu_count()} cores. Seconds are those of all workers."
        )
        end = ["The session did not come to its end: this is a part.", ""] if self.interrupted else []
        return [*end, *lines, "", machine]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that asks for the table."""
    parser.addoption(
        OPTION, type=Path, metavar="FILE", help="print servers x checks, and write it into a file"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Count in the one process that hears of all tests."""
    config.addinivalue_line("markers", "servers(*names): the servers that a test starts by itself")
    file = config.getoption(OPTION)
    if file is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Summary(file), "services-summary")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin to note what a test asks for."""
    _asked.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell with a test's last report which servers it had."""
    report = yield
    if report.when == "teardown":
        report.user_properties.append(("servers", _servers_of(item)))
    return report


def _servers_of(item: pytest.Item) -> str:
    mark = item.get_closest_marker("servers")
    callspec = getattr(item, "callspec", None)
    lake = callspec.params.get("lake") if callspec is not None else None
    names = {lake} if lake is not None else _asked | set(mark.args if mark is not None else ())
    return ", ".join(sorted(NAMES.get(name, name) for name in names)) or "none"


def _check_of(nodeid: str) -> str:
    return PurePosixPath(nodeid.partition("::")[0]).stem.removeprefix("test_").replace("_", " ")


def _cells(figures: Figures) -> tuple[str, ...]:
    return (*(str(n) for n in (figures.passed, figures.failed, figures.skipped)), f"{figures.seconds:.0f}")


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    rule = " | ".join("-" * max(3, width) for width in widths)
    return [f"| {line} |" for line in (lines[0], rule, *lines[1:])]
