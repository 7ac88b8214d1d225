"""Several tools at the same work: each round is a process of its own, start included, into a new lake."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from bench.measuring import Command, Fresh, WorkFailedError, read_process, table_facts
from bench.peers import NEVER, PeerMissingError, python_of
from bench.tables import table_below
from services import programs
from services.processes import ServiceError
from workloads import catalog_properties

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pyiceberg.table import Table

    Make = Callable[[Path, str], Command]

_HERE = Path(__file__).parent
SHOULD_BE = ("ours", "limit")
"""The sides without which a comparison is none; of all others it is said why they are missing."""


@dataclass
class Peers:
    """Tools at one kind of work.

    Arguments:
        folder: in which their lakes are made.
        rest: the URI of a REST catalog, for tools that know no other.
        warehouse: its folder.
        missing: why a tool is not run.
    """

    folder: Path
    rest: str
    warehouse: Path
    missing: dict[str, str] = field(default_factory=lambda: dict(NEVER))
    _makes: dict[str, Make] = field(default_factory=dict)
    _last: dict[str, tuple[Path, str]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def add(self, name: str, make: Make) -> None:
        """Add a tool.

        Arguments:
            name: of the side.
            make: of a new folder for its lake, and the name of a table that is new in every catalog.
        """
        self._makes[name] = make

    def add_script(
        self, name: str, script: str, job: Mapping[str, Any], *, python: str = "", **environment: str
    ) -> None:
        """Add a script of ``benchmarks/peers``.

        Arguments:
            name: of the side.
            script: without its suffix.
            job: what it is told, beside where its catalog, lake and table are.
            python: the peer whose environment it runs in; empty: that of the project.
            environment: of the process.
        """
        try:
            program = str(python_of(python)) if python else sys.executable
        except PeerMissingError as error:
            self.missing[name] = f"not installed: {error}"
            return

        def make(lake: Path, table: str) -> Command:
            # DuckDB makes no folders: where the catalog puts the table, that of its metadata has to be there.
            (self.warehouse / "bronze" / table / "metadata").mkdir(parents=True)
            where = {
                "lake": str(lake),
                "table": f"bronze.{table}",
                "catalog": f"sqlite:///{lake / 'catalog.db'}",
                "rest": self.rest,
            }
            words = (program, str(_HERE / "peers" / f"{script}.py"), json.dumps({**where, **job}))
            return Command(words, lake, environment)

        self.add(name, make)

    def add_spark(self, job: Mapping[str, Any]) -> None:
        """Add Spark, fetched where it is missing."""
        try:
            packages, jars, java = programs.spark()
        except ServiceError as error:
            self.missing["Spark"] = f"not installed: {error}"
            return
        told = {**job, "jars": ",".join(map(str, jars))}
        self.add_script("Spark", "spark_alone", told, PYTHONPATH=str(packages), JAVA_HOME=str(java))

    def add_ours(self, source: Mapping[str, Any]) -> None:
        """Add ``floe-ingest run`` of one source, whose table it names."""

        def make(lake: Path, table: str) -> Command:
            document = {
                "catalog_config": catalog_properties(lake),
                "sources": [{"name": "ours", "destination_table": f"bronze.{table}", **source}],
            }
            (lake / "ingest.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
            program = str(Path(sys.executable).with_name("floe-ingest"))
            return Command((program, "run", "ingest.yaml"), lake)

        self.add("ours", make)

    def works(self, columns: Mapping[str, str]) -> dict[str, Fresh]:
        """Run each tool once; return those that leave the rows that we leave. ``missing`` tells the others.

        Raises:
            WorkFailedError: ours or the limit failed.
        """
        found: dict[str, Fresh] = {}
        expected = None
        for name, make in self._makes.items():
            work = Fresh(lambda name=name, make=make: self._anew(name, make))  # type: ignore[misc]
            try:
                read_process(work.make())
                content = table_facts(self.table(name), columns).content
            except (WorkFailedError, FileNotFoundError) as error:
                if name in SHOULD_BE:
                    raise
                self.missing[name] = f"failed: {str(error).strip().splitlines()[-1][:200]}"
                continue
            expected = expected or content
            if content != expected:
                self.missing[name] = f"left other rows: {content[0]:,} of {expected[0]:,}, or other values"
                continue
            found[name] = work
        return found

    def _anew(self, name: str, make: Make) -> Command:
        if name in self._last:
            shutil.rmtree(self._last[name][0], ignore_errors=True)
        number = next(self._numbers)
        lake = self.folder / f"lake-{number}"
        lake.mkdir(parents=True)
        self._last[name] = (lake, f"t{number}x")
        return make(*self._last[name])

    def table(self, name: str) -> Table:
        """Return the table of a tool's last round, read by its files alone."""
        lake, table = self._last[name]
        for folder, called in (
            (lake, table),
            (lake, "lineitem"),
            (lake, "limit"),
            (self.warehouse, table),
        ):
            try:
                return table_below(folder, called)
            except FileNotFoundError:
                continue
        raise FileNotFoundError(f"{name} left no table {table}")

    def tables(self) -> dict[str, Table]:
        """Return the tables of all last rounds."""
        return {name: self.table(name) for name in self._makes if name not in self.missing}
