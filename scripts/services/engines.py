"""Query engines that read and write the same tables: Spark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from services import programs
from services.processes import ServiceError, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator


class SparkError(RuntimeError):
    """Spark refused a statement; with its own words."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave.

    Arguments:
        columns: Spark's name of each column's type.
        rows: numbers and truth values as they are, all else as text.
    """

    columns: dict[str, str]
    rows: list[list[Any]]


@dataclass(frozen=True, slots=True)
class Spark:
    """A running local Spark with one Iceberg catalog, the embedded one of tests."""

    questions: IO[str]
    answers: IO[str]
    log: Path

    def sql(self, statement: str) -> Answer:
        """Run a statement.

        Raises:
            SparkError: Spark refused it.
            ServiceError: Spark has ended.
        """
        self.questions.write(json.dumps({"sql": statement}) + "\n")
        self.questions.flush()
        answer = self.read()
        if "error" in answer:
            raise SparkError(answer["error"])
        return Answer(answer["columns"], answer["rows"])

    def read(self) -> dict[str, Any]:
        """Return Spark's next answer."""
        line = self.answers.readline()
        if not line:
            raise ServiceError(f"Spark has ended: {self.log.read_text(errors='replace')[-4000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def spark(uri: str, warehouse: str) -> Iterator[Spark]:
    """Run a local Spark.

    Arguments:
        uri: of a SQLite catalog called ``default``, as SQLAlchemy writes it.
        warehouse: a folder, as URI.
    """
    packages, jars, java = programs.spark()
    shell = Path(__file__).with_name("spark_shell.py")
    jdbc = uri.replace("sqlite:///", "jdbc:sqlite:")
    arguments = [sys.executable, str(shell), ",".join(map(str, jars)), jdbc, warehouse]
    environment = {**os.environ, "PYTHONPATH": str(packages), "JAVA_HOME": str(java)}
    environment.pop("SPARK_HOME", None)  # of another Spark
    with (
        temporary_folder("spark") as folder,
        (folder / "log").open("w") as log,
        subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=folder,
            env=environment,
            start_new_session=True,
        ) as process,
    ):
        if process.stdin is None or process.stdout is None:  # pragma: no cover - both are pipes
            raise ServiceError("Spark has no pipes")
        started = Spark(process.stdin, process.stdout, folder / "log")
        try:
            started.read()
            yield started
        finally:
            process.stdin.close()  # which ends it
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
