"""Data of the benchmarks, and how they measure: side by side, in this process or in others."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

_HERE = Path(__file__).parent
sys.path.insert(0, str(_HERE))  # for the modules here, which children run as scripts

import scale  # noqa: E402
from bench.measuring import Command, Fresh, read_call, read_process, side_of, table_facts  # noqa: E402
from bench.results import KEY, Comparison, Growth, Point, Target  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bench.measuring import Reading
    from pyiceberg.table import Table

    Work = Callable[[], object] | Command | Fresh

pytest_plugins = ["databases"]
_DATA = _HERE / "data"


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep dlt's global folder, its telemetry and the shell's plugin filter out of the figures."""
    from floe_ingest.destination.catalogs import close_catalogs

    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt-data"))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.delenv("FLOE_INGEST_PLUGINS", raising=False)
    yield
    close_catalogs()


@pytest.fixture(scope="session")
def lineitem() -> Path:
    """TPC-H's largest table, 16 columns; made once, and kept."""
    file = _DATA / f"lineitem-{scale.TPCH}" / "lineitem.parquet"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        generator = str(Path(sys.executable).with_name("tpchgen-cli"))
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            command = [generator, "parquet", "-s", scale.TPCH, "--tables=lineitem", f"--output-dir={folder}"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            unfinished = Path(folder) / "plain.parquet"
            _write_plainly(Path(folder) / file.name, unfinished)
            unfinished.replace(file)
    return file


def _write_plainly(generated: Path, file: Path) -> None:
    """Write the generator's file as most programs would: its views of strings are refused by dlt and Daft.

    Row groups and codec stay; text becomes plain strings, columns have no field ids and may have no value.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(generated) as source:
        plain = pa.schema(
            [
                (field.name, pa.string() if pa.types.is_string_view(field.type) else field.type)
                for field in source.schema_arrow
            ]
        )
        with pq.ParquetWriter(file, plain, compression="snappy") as writer:
            for group in range(source.num_row_groups):
                writer.write_table(source.read_row_group(group).cast(plain))


@pytest.fixture(scope="session")
def lineitem_slice(lineitem: Path) -> Callable[[int], Path]:
    """Give a file with the first rows of ``lineitem``; 0 gives all of it."""

    def cut(rows: int) -> Path:
        import pyarrow.parquet as pq

        if not rows:
            return lineitem
        file = _DATA / f"lineitem-{scale.TPCH}-{rows}" / "lineitem.parquet"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_suffix(".unfinished")
            # In row groups of the same size as before: it limits how many threads can read.
            group = pq.read_metadata(lineitem).row_group(0).num_rows
            pq.write_table(pq.read_table(lineitem).slice(0, rows), unfinished, row_group_size=group)
            unfinished.replace(file)
        return file

    return cut


@pytest.fixture(scope="session")
def as_text() -> Callable[[Path, str], Path]:
    """Give a Parquet file as CSV or JSON lines beside it; made once, and kept."""

    def of(parquet: Path, kind: str) -> Path:
        import duckdb

        file = parquet.with_suffix(f".{kind}")
        if not file.exists():
            unfinished = file.with_suffix(".unfinished")
            options = "FORMAT csv, HEADER" if kind == "csv" else "FORMAT json"
            with duckdb.connect() as connection:
                connection.read_parquet(str(parquet)).create_view("lineitem")
                connection.execute(f"COPY lineitem TO '{unfinished}' ({options})")
            unfinished.replace(file)
        return file

    return of


def _read(work: Work) -> Reading:
    if isinstance(work, Fresh):
        work = work.make()
    return read_process(work) if isinstance(work, Command) else read_call(work)


@pytest.fixture
def side_by_side(benchmark: Any, request: pytest.FixtureRequest) -> Callable[..., Comparison]:
    """Measure workloads in turns, so that what disturbs one disturbs the others too; keep the result.

    The first is ours, and the benchmark's own. Each is done ``warm`` times before the rounds that count.
    """

    def measure(
        title: str,
        works: Mapping[str, Work],
        *,
        rounds: int,
        warm: int = 0,
        rests: Callable[[], object] | None = None,
        tables: Callable[[], Mapping[str, Table]] | None = None,
        columns: Mapping[str, str] | None = None,
        targets: Sequence[Target] = (),
        missing: Mapping[str, str] | None = None,
    ) -> Comparison:
        """Measure.

        Arguments:
            title: of the work.
            works: by name.
            rounds, warm: how often.
            rests: done after each round, outside of all measures.
            tables: asked at the end for the tables that the workloads left; they have to be equal.
            columns: of ``table_facts``.
            targets: what is aimed at.
            missing: why a peer is not among the works.
        """
        done: dict[str, list[Reading]] = {name: [] for name in works}
        (first, first_work), *others = works.items()

        def beside() -> None:
            for name, work in others:
                done[name].append(_read(work))
            if rests is not None:
                rests()

        def own() -> None:
            done[first].append(_read(first_work))

        for _ in range(warm):
            beside()
            own()
        for taken in done.values():
            taken.clear()
        benchmark.pedantic(own, setup=beside, rounds=scale.rounds(rounds), iterations=1, warmup_rounds=0)
        facts = {name: table_facts(table, columns) for name, table in (tables() if tables else {}).items()}
        result = Comparison(
            group=request.module.GROUP,
            title=title,
            ours=first,
            sides={
                name: side_of(taken, process=isinstance(works[name], Command | Fresh), table=facts.get(name))
                for name, taken in done.items()
            },
            targets=tuple(targets),
            missing=dict(missing or {}),
            scale=scale.SCALE,
        )
        benchmark.extra_info[KEY] = result.model_dump(mode="json")
        contents = {name: side.content for name, side in facts.items()}
        assert result.equal is not False, f"The tables differ: {contents}"
        return result

    return measure


@pytest.fixture
def growth(benchmark: Any) -> Callable[..., Growth]:
    """Measure the same work at several sizes, each at first and then the largest again; keep the result."""

    def measure(
        title: str,
        axis: str,
        works: Mapping[int, Work],
        *,
        rounds: int = 1,
        most: float = 1.15,
        most_memory: float = 0.35,
    ) -> Growth:
        """Measure.

        Arguments:
            title, axis: of the work, and what of it grows.
            works: by size.
            rounds: how often each is done; the shortest counts.
            most, most_memory: exponents, see :class:`~bench.results.Growth`.
        """
        done: dict[int, list[Reading]] = {size: [] for size in works}

        def all_sizes() -> None:
            for size, work in works.items():
                done[size].append(_read(work))

        benchmark.pedantic(all_sizes, rounds=scale.rounds(rounds), iterations=1, warmup_rounds=0)
        points = tuple(
            Point(
                size=size,
                seconds=min(reading.seconds for reading in readings),
                cpu=min(reading.cpu for reading in readings),
                peak_mb=max(reading.peak_mb for reading in readings),
            )
            for size, readings in sorted(done.items())
        )
        result = Growth(
            title=title, axis=axis, points=points, most=most, most_memory=most_memory, scale=scale.SCALE
        )
        benchmark.extra_info[KEY] = result.model_dump(mode="json")
        assert not scale.IS_FULL or not result.problems(), result.problems()
        return result

    return measure


@pytest.fixture
def child(tmp_path: Path) -> Callable[..., Command]:
    """Give a workload (see ``workloads.main``) as a process of its own."""

    def of(kind: str, file: Path, lake: Path, *further: str) -> Command:
        words = (sys.executable, str(_HERE / "workloads.py"), kind, str(file), str(lake), *further)
        return Command(words, tmp_path)

    return of


@pytest.fixture
def process(tmp_path: Path) -> Callable[[Sequence[str]], Command]:
    """Give a command of this environment as a workload."""

    def of(words: Sequence[str]) -> Command:
        program = str(Path(sys.executable).with_name(words[0]))
        return Command((program, *words[1:]), tmp_path)

    return of
