"""The hooks are documented, typed and named as promised, and the examples in their docstrings work."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pluggy
import pytest

import floe_ingest_hookspecs
from floe_ingest.plugins.guard import HOOKS
from floe_ingest_hookspecs import PROJECT, hookimpl, specs

# Every hook: its arguments, and whether the first result that is not None ends the call.
CONTRACT: dict[str, tuple[tuple[str, ...], bool]] = {
    "floe_ingest_source_types": ((), False),
    "floe_ingest_build_source": (("request",), True),
    "floe_ingest_check_source": (("request",), True),
    "floe_ingest_destination_config": (("catalog",), True),
    "floe_ingest_enrich_result": (("context", "result"), False),
    "floe_ingest_categorize_error": (("error", "context"), True),
    "floe_ingest_before_run": (("context",), False),
    "floe_ingest_after_run": (("context", "result"), False),
    "floe_ingest_build_definitions": (("orchestrator", "request"), True),
}


def manager() -> pluggy.PluginManager:
    made = pluggy.PluginManager(PROJECT)
    made.add_hookspecs(specs)
    return made


def docstring(hook: str) -> str:
    text = inspect.getdoc(getattr(specs, hook))
    assert text is not None, f"{hook} has no docstring"
    return text


def example(hook: str) -> str:
    _before, mark, block = docstring(hook).partition("Example::\n")
    assert mark, f"{hook} has no 'Example::'"
    return textwrap.dedent(block).strip()


def test_the_contract_holds_exactly_these_hooks() -> None:
    assert sorted(HOOKS) == sorted(CONTRACT)
    assert sorted(vars(manager().hook)) == sorted(CONTRACT)
    assert all(hook.startswith(f"{PROJECT}_") for hook in CONTRACT)


def functions_of(path: Path) -> set[str]:
    """The names of the functions in a file."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("hook", CONTRACT)
def test_the_hook_has_tests(hook: str) -> None:
    """A sample package implements it, the doors are tested with that one, and its failures are tested."""
    tests = Path(__file__).parents[1]
    hostile = (tests / "integration" / "test_hostile_plugins.py").read_text(encoding="utf-8")
    installed = (tests / "integration" / "test_doors.py").read_text(encoding="utf-8") + hostile
    implementing = {
        module.stem for module in tests.glob("plugins/acme_*/acme_*.py") if hook in functions_of(module)
    }
    assert [name for name in implementing if f'"{name}"' in installed], implementing
    short = hook.removeprefix("floe_ingest_")
    calls = (tests / "unit" / "test_plugin_calls.py").read_text(encoding="utf-8")
    assert f'"{short}"' in hostile
    assert f'"{short}": lambda plugins: ' in calls or hook == "floe_ingest_source_types"


@pytest.mark.parametrize("hook", CONTRACT)
def test_arguments_and_result_mode(hook: str) -> None:
    arguments, first_result = CONTRACT[hook]
    assert tuple(inspect.signature(getattr(specs, hook)).parameters) == arguments
    spec = getattr(manager().hook, hook).spec
    assert bool(spec.opts["firstresult"]) is first_result
    assert spec.opts["historic"] is False


@pytest.mark.parametrize("hook", CONTRACT)
def test_every_argument_and_result_has_a_type_that_exists(hook: str) -> None:
    names = {**vars(floe_ingest_hookspecs), "Mapping": Mapping, "Any": Any}
    hints = typing.get_type_hints(getattr(specs, hook), globalns=names)
    assert set(hints) == {*CONTRACT[hook][0], "return"}


@pytest.mark.parametrize("hook", CONTRACT)
def test_the_docstring_tells_when_what_and_how(hook: str) -> None:
    text = docstring(hook)
    assert re.search(r"^When: \S|^Called once ", text, re.MULTILINE), "it does not tell when it is called"
    has_result = inspect.signature(getattr(specs, hook)).return_annotation != "None"
    assert ("\nReturns:\n" in text) is has_result
    assert len(text.splitlines()[0]) < 100
    assert text.splitlines()[0].endswith(".")


@pytest.mark.parametrize("hook", CONTRACT)
def test_the_example_is_an_implementation_that_registers(hook: str) -> None:
    code = example(hook)
    (function,) = (node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef))
    assert function.name == hook
    assert [ast.unparse(mark) for mark in function.decorator_list] == ["hookimpl"]
    namespace: dict[str, Any] = {"hookimpl": hookimpl}
    exec(compile(code, hook, "exec"), namespace)  # noqa: S102 - our own docstring

    class Plugin:
        pass

    plugin = Plugin()
    setattr(plugin, hook, namespace[hook])
    made = manager()
    made.register(plugin, "example")
    made.check_pending()
    (implementation,) = getattr(made.hook, hook).get_hookimpls()
    assert tuple(implementation.argnames) == CONTRACT[hook][0]
