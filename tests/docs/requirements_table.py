"""Writes docs/requirements.md: which tests show which requirement of floe's ingestion plan.

Run it after adding a ``@pytest.mark.requirement``: ``python tests/docs/requirements_table.py``.
"""

from __future__ import annotations

import ast
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "requirements.md"
PLAN = {
    number: text
    for part in tomllib.loads(
        Path(__file__).with_name("requirements.toml").read_text(encoding="utf-8")
    ).values()
    for number, text in part.items()
}
NUMBERS = list(PLAN)
BY_COMMAND = {
    "FR-066": "Dagster's own events tell which asset was made of which, by table and snapshot",
    "SC-009": "97 % of `floe_ingest/integrations/floe`: `pytest tests/integration/floe --cov`, then "
    "`coverage report --include='floe_ingest/integrations/floe/*'`",
    "SC-010": "`make lint`",
}
TOPICS = {
    "FR-001": "plugin, metadata, configuration schema, lifecycle, health",
    "FR-011": "pipelines and their validation",
    "FR-019": "destination configuration",
    "FR-021": "runs, write modes, metrics",
    "FR-031": "schema contracts",
    "FR-038": "incremental loading by cursor",
    "FR-044": "spans, logs, no secrets",
    "FR-051": "error categories, retry, error types",
    "FR-059": "orchestrator wiring",
    "FR-067": "configuration model",
    "FR-074": "fixtures, contract and integration tests",
    "SC-001": "success criteria",
}
_HEAD = """# Requirements

The numbers are those of floe's ingestion plan, each in our own words. Tests carry them as
`@pytest.mark.requirement`. This page is made by `python tests/docs/requirements_table.py`. The plugin is
the one that floe calls `dlt`:

```python
from floe_ingest import DltIngestionPlugin

assert DltIngestionPlugin().name == "dlt"
```

Some numbers ask for something that this plugin does otherwise, on purpose: loads go through the Iceberg
destination of floe-ingest instead of dlt's filesystem destination (FR-012, FR-019), `health_check` really
asks the catalog (FR-007), and a configuration may name a catalog; without one, the runtime binding does
(FR-070).
"""


def marked(node: ast.expr) -> Iterator[str]:
    """Yield the numbers of ``pytest.mark.requirement`` in an expression."""
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and ast.unparse(part.func) == "pytest.mark.requirement":
            [number] = part.args
            assert isinstance(number, ast.Constant)
            yield str(number.value)


def _functions(node: ast.stmt) -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    """Yield the tests and classes of tests in a statement, by the names that pytest gives them."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name, node
    if isinstance(node, ast.ClassDef):
        for part in node.body:
            if isinstance(part, ast.FunctionDef):
                yield f"{node.name}::{part.name}", part


def found() -> dict[str, list[str]]:
    """Return the tests of each requirement, as ``file::test``; a marked module as its file."""
    tests: dict[str, list[str]] = defaultdict(list)
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        name = str(file.relative_to(ROOT))
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
                for number in marked(node.value):
                    tests[number].append(name)
            for test, function in _functions(node):
                for decorator in function.decorator_list:
                    for number in marked(decorator):
                        tests[number].append(f"{name}::{test}")
    return tests


def page() -> str:
    """Return the whole page."""
    tests = found()
    lines = [_HEAD]
    for number in NUMBERS:
        if number in TOPICS:
            lines += [f"## {number} on: {TOPICS[number]}", "", "| number | asks for | tests |"]
            lines.append("| --- | --- | --- |")
        shown = "<br>".join(f"`{test}`" for test in tests.get(number, ())) or BY_COMMAND.get(
            number, "none yet"
        )
        lines.append(f"| {number} | {PLAN[number]} | {shown} |")
        following = NUMBERS[NUMBERS.index(number) + 1 :]
        if not following or following[0] in TOPICS:
            lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
