"""README.md and docs/: every block is loaded, run or parsed, in the order of its page.

A block that begins with a comment like ``# ingest.yaml`` is written to that file. Output below a command must
be in what the command prints, where ``…`` stands for anything. Pages run in a folder with ``data/`` and a
database, whose URL is in ``SHOP_DB``.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import tomllib
import types
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sample_packages import install_project

from floe_ingest import IngestionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"<!-- not run: \S.*-->\n\Z")
_FILE = re.compile(r"# ([\w./-]+\.(?:yaml|py|toml))\n")
_INSTALLS = re.compile(
    r"(apt-get install|make (quickstart|test|chaos)|python3 -m venv|twine upload|pip-audit) ?.*"
    r"|([.\w]+/bin/)?pip install ?.*"
    r"|try/bin/(pytest|floe-ingest) .*"  # in an environment that a line before installed
)
_COMMAND = re.compile(r"(\w+=\S+ )*(floe-ingest|pytest|python -m (build|zipfile))( .*)?")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    marked: bool

    @property
    def where(self) -> str:
        return f"{self.page}, line {self.line}"

    @property
    def file(self) -> str | None:
        found = _FILE.match(self.text)
        return found[1] if found else None


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            str(page.relative_to(ROOT)),
            text.count("\n", 0, found.start()) + 1,
            found[1],
            found[2],
            _NOT_RUN.search(text[: found.start()]) is not None,
        )
        for found in _BLOCK.finditer(text)
    ]


class Reader:
    """A reader who follows one page from top to bottom, in a folder of their own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._module = types.ModuleType("page")
        monkeypatch.setitem(sys.modules, "page", self._module)
        self._exit_code = 0

    def follow(self, block: Block) -> None:
        """Do what a block says."""
        if block.marked:
            self.sh(block)
            return
        jobs: dict[str, Callable[[Block], None]] = {
            "yaml": self.yaml,
            "python": self.python,
            "console": self.console,
            "toml": self.toml,
        }
        assert block.language in jobs, f"{block.where}: a block of {block.language!r} that nothing runs"
        jobs[block.language](block)

    def sh(self, block: Block) -> None:
        assert block.language == "sh", f"{block.where}: only shell lines that install may stay unrun"
        for line in block.text.splitlines():
            assert _INSTALLS.fullmatch(line.partition("  #")[0].rstrip()), f"{block.where}: {line}"

    def yaml(self, block: Block) -> None:
        from floe_ingest import load_config

        path = self._write(block, block.file or f"line-{block.line}.yaml")
        assert load_config(path).sources, block.where

    def toml(self, block: Block) -> None:
        document = tomllib.loads(block.text)
        assert block.file is not None, block.where
        package = self._write(block, block.file).parent
        install_project(package, document["project"])
        self._monkeypatch.syspath_prepend(str(package))
        self._monkeypatch.setenv("PYTHONPATH", str(package))

    def python(self, block: Block) -> None:
        code = compile("\n" * block.line + block.text, str(ROOT / block.page), "exec")
        if block.file is not None:
            self._write(block, block.file)
            return
        exec(code, self._module.__dict__)  # noqa: S102 - that is what a reader does

    def console(self, block: Block) -> None:
        lines = block.text.splitlines()
        starts = [index for index, line in enumerate(lines) if line.startswith("$ ")]
        assert starts[:1] == [0], f"{block.where}: a console block begins with a command"
        output, expected = "", 0
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            command, shown = lines[start][2:], lines[start + 1 : end]
            if command == "echo $?":
                output, expected = f"{self._exit_code}\n", self._exit_code
            else:
                assert _COMMAND.fullmatch(command), f"{block.where}: {command} is not ours"
                output = self._run(command)
                following = lines[end] if end < len(lines) else ""
                expected = self._exit_code if following == "$ echo $?" else 0
            assert self._exit_code == expected, (
                f"{block.where}: {command} ended by {self._exit_code}\n{output}"
            )
            for line in shown:
                assert shows(output, line), f"{block.where}: {command} does not print\n{line}\nbut\n{output}"

    def _run(self, command: str) -> str:
        binaries = Path(sys.executable).parent
        finished = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env={**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "120"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self._exit_code = finished.returncode
        return finished.stdout + finished.stderr

    def _write(self, block: Block, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
        return path


def shows(output: str, line: str) -> bool:
    """Whether a line of a page is in an output: ``…`` is anything, and any space is as good as another."""
    pieces = [r"\s+".join(re.escape(word) for word in piece.split()) for piece in line.split("…")]
    return re.search(r".*".join(pieces), output) is not None


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    from floe_ingest.destination.catalogs import close_catalogs

    folder = tmp_path / "reader"
    data = folder / "data"
    data.mkdir(parents=True)
    data.joinpath("orders.csv").write_text("id,total,placed_at\n1,9.50,2024-01-31\n2,12.00,2024-02-01\n")
    data.joinpath("visits.jsonl").write_text('{"page": "/", "seconds": 3}\n{"page": "/a", "seconds": 8}\n')
    with sqlite3.connect(folder / "shop.db") as shop:
        shop.executescript(
            """
            CREATE TABLE products (sku TEXT PRIMARY KEY, price DECIMAL(10,2));
            INSERT INTO products VALUES ('a', 1.25), ('b', 2.5);
            CREATE TABLE stock (sku TEXT PRIMARY KEY, amount INTEGER);
            INSERT INTO stock VALUES ('a', 3);
            """
        )
    shop.close()
    monkeypatch.setenv("SHOP_DB", f"sqlite:///{folder / 'shop.db'}")
    monkeypatch.setenv("CRM_TOKEN", "a-token")
    monkeypatch.setenv("CATALOG_CREDENTIAL", "id:secret")
    monkeypatch.setenv("CATALOG_DB", "postgresql+psycopg://me@127.0.0.1/catalog")
    monkeypatch.setenv("S3_KEY", "a-key")
    monkeypatch.setenv("S3_SECRET", "a-secret")
    monkeypatch.chdir(folder)
    before = set(sys.modules)
    yield Reader(folder, monkeypatch)
    close_catalogs()
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_reader_can_follow_the_page(page: Path, reader: Reader) -> None:
    blocks = blocks_of(page)
    assert blocks, f"{page.name} shows nothing"
    for block in blocks:
        reader.follow(block)


def test_every_fence_is_understood() -> None:
    for page in PAGES:
        fences = re.findall(r"^ *```", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(fences) == 2 * len(blocks_of(page)), page.name


def test_the_tutorial_is_short_and_runs_but_for_its_installation() -> None:
    """What a newcomer types: the package and its tests, and no command that the test above leaves out."""
    blocks = blocks_of(ROOT / "docs" / "writing-a-source.md")
    unrun = [line for block in blocks if block.marked for line in block.text.splitlines()]
    assert unrun == ["pip install --editable floe-ingest-weblog pytest"]
    (module,) = [block for block in blocks if block.file == "floe-ingest-weblog/floe_ingest_weblog.py"]
    assert len([line for line in module.text.splitlines() if line.strip()]) < 60
    names = [line[2:] for block in blocks if block.language == "console" for line in block.text.splitlines()]
    assert "pytest -q floe-ingest-weblog/tests" in names


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?://)([^)]+)\)", re.sub(r"`[^`]*`", "", text)):
            name, _, anchor = target.partition("#")
            linked = (page.parent / name) if name else page
            assert linked.exists(), f"{page.name} links to {target}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
                slugs = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
                assert anchor in slugs, f"{page.name} links to {target}"


class TestTheReaderNoticesWhatIsWrong:
    """What would let a page go stale without a failure."""

    def block(self, language: str, text: str, *, marked: bool = False) -> Block:
        return Block("page.md", 1, language, text, marked)

    @pytest.mark.parametrize(
        ("language", "text", "message"),
        [
            ("yaml", "sources: [{name: a, source_type: filesystm}]\n", "no source type 'filesystm'"),
            ("python", "assert 1 == 2, 'one is not two'\n", "one is not two"),
            ("python", "# module.py\ndef broken(:\n", "invalid syntax"),
            ("toml", "[project\n", "line 1"),
            ("console", "$ floe-ingest --version\nfloe-ingest 99…\n", "does not print"),
            ("console", "$ floe-ingest run nowhere.yaml\n", "ended by 2"),
            ("console", "$ floe-ingest run nowhere.yaml\n$ echo $?\n1\n", "does not print"),
            ("console", "$ floe-ingest --version\n$ echo $?\n2\n", "does not print"),
            ("console", "$ curl localhost\n", "is not ours"),
            ("console", "output alone\n", "begins with a command"),
            ("ruby", "puts 1\n", "nothing runs"),
            ("", "something\n", "nothing runs"),
        ],
    )
    def test_in_a_block(self, reader: Reader, language: str, text: str, message: str) -> None:
        with pytest.raises((AssertionError, SyntaxError, ValueError, IngestionError), match=message):
            reader.follow(self.block(language, text))

    @pytest.mark.parametrize(("language", "text"), [("python", "import os\n"), ("sh", "rm -rf data\n")])
    def test_in_what_is_left_out(self, reader: Reader, language: str, text: str) -> None:
        with pytest.raises(AssertionError, match=r"only shell lines|rm -rf"):
            reader.follow(self.block(language, text, marked=True))

    def test_and_passes_what_is_right(self, reader: Reader) -> None:
        reader.follow(self.block("console", "$ floe-ingest run nowhere.yaml\n$ echo $?\n2\n"))
        reader.follow(self.block("console", "$ floe-ingest --version\nfloe-ingest …\n"))
