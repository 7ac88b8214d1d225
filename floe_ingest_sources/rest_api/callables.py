"""Functions that a configuration names as ``module:function``."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from floe_ingest import SourceConfigurationError
from floe_ingest_sources._resources import listed, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_STEPS = ("filter", "map", "yield_map")
_INCREMENTAL = ("convert", "last_value_func")
_BUILT_IN = {"last_value_func": {"max": max, "min": min}}


def resolve(document: dict[str, Any]) -> None:
    """Put functions in the place of their names, wherever dlt takes a function.

    Arguments:
        document: dlt's configuration; changed.

    Raises:
        SourceConfigurationError: a name is none, or stands for nothing; names every such place.
    """
    problems: list[str] = []
    for holder, key, path in _places(document):
        if isinstance(holder[key], str):
            try:
                holder[key] = _BUILT_IN.get(str(key), {}).get(holder[key]) or _function(holder[key])
            except (ImportError, ValueError) as error:
                problems.append(f"{path} {error}")
    if problems:
        raise SourceConfigurationError("The REST configuration cannot work: " + "; ".join(problems))


def _places(document: dict[str, Any]) -> Iterator[tuple[Any, Any, str]]:
    """Yield each place where a function may stand: what holds it, under which key, and its path."""
    resources = [("resource_defaults", document.get("resource_defaults"))]
    resources += [(f"resources[{i}]", resource) for i, resource in enumerate(document["resources"])]
    for path, resource in resources:
        if isinstance(resource, dict):
            yield from _of_steps(resource.get("processing_steps"), f"{path}.processing_steps")
            endpoint = resource.get("endpoint")
            if isinstance(endpoint, dict):
                yield from _of_endpoint(endpoint, f"{path}.endpoint")


def _of_steps(steps: Any, path: str) -> Iterator[tuple[Any, Any, str]]:
    for position, step in enumerate(steps if isinstance(steps, list) else []):
        if isinstance(step, dict):
            yield from ((step, key, f"{path}[{position}].{key}") for key in _STEPS if key in step)


def _of_endpoint(endpoint: dict[str, Any], path: str) -> Iterator[tuple[Any, Any, str]]:
    actions = endpoint.get("response_actions")
    for position, action in enumerate(actions if isinstance(actions, list) else []):
        here = f"{path}.response_actions[{position}]"
        if isinstance(action, str):
            yield actions, position, here
        elif isinstance(action, dict) and isinstance(named := action.get("action"), list):
            yield from ((named, number, f"{here}.action[{number}]") for number in range(len(named)))
        elif isinstance(action, dict) and "action" in action and action["action"] != "ignore":
            yield action, "action", f"{here}.action"
    params = endpoint.get("params")
    incrementals = [(endpoint.get("incremental"), f"{path}.incremental")]
    if isinstance(params, dict):
        incrementals += [(value, f"{path}.params.{name}") for name, value in params.items()]
    for found, here in incrementals:
        if isinstance(found, dict):
            yield from ((found, key, f"{here}.{key}") for key in _INCREMENTAL if key in found)


def _function(name: str) -> Callable[..., Any]:
    module_name, colon, function_name = name.partition(":")
    if not colon or not module_name or not function_name:
        raise ValueError(f"should name a function as module:function, got {name!r}")
    try:
        module: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise ImportError(f"names {name!r}, and importing {module_name} failed: {error}") from error
        raise ImportError(
            f"names {name!r}, and there is no module {error.name!r}. It has to be importable: installed, or "
            f"in a folder of PYTHONPATH"
        ) from error
    found: Any = module
    for part in function_name.split("."):
        if not hasattr(found, part):
            known = (
                [word for word in vars(found) if not word.startswith("_")]
                if hasattr(found, "__dict__")
                else []
            )
            raise ValueError(
                f"names {name!r}, and {module_name} has no {part!r}.{nearest(part, known)} "
                f"There are: {listed(known)}"
            )
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"names {name!r}, which is a {type(found).__name__} and no function")  # noqa: TRY004
    function: Callable[..., Any] = found
    return function
