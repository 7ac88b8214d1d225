"""``${NAME}`` in the strings of a configuration.

Expansion happens as late as it can: the configuration object keeps ``source_config`` and
``catalog_config`` as they were written, so that it holds no secret that came from the environment.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from floe_ingest.config.locations import Finding, Location
from floe_ingest.config.words import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

# In order: an escaped reference, a reference, the beginning of something that looks like one.
_REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{")


@dataclass(frozen=True, slots=True, repr=False)
class Expansion:
    """A value with its environment filled in. It has no repr, since it holds secrets.

    Arguments:
        value: the same structure; strings that could not be expanded are as they were.
        findings: one for each variable that is missing, and each ``${…}`` that is none.
        filled: where the environment was filled in.
        secrets: what came from there: the variables' values, and the whole strings.
    """

    value: Any
    findings: tuple[Finding, ...]
    filled: frozenset[Location]
    secrets: tuple[str, ...]

    @property
    def failed(self) -> frozenset[Location]:
        """Where a string could not be expanded."""
        return frozenset(finding.location for finding in self.findings)


def has_reference(value: Any) -> bool:
    """Whether a string holds ``${``, so that its final value is not what was written."""
    return isinstance(value, str) and "${" in value


def expand_text(text: str, environ: Mapping[str, str] | None = None) -> tuple[str, list[str]]:
    """Fill the environment into one string.

    Arguments:
        text: may hold ``${NAME}``; ``$${`` stands for a plain ``${``.
        environ: ``os.environ`` by default.

    Returns:
        The result, and what is wrong (in which case the result is ``text`` as it was).
    """
    if "${" not in text:
        return text, []
    variables = os.environ if environ is None else environ
    wrong: dict[str, None] = {}

    def fill(match: re.Match[str]) -> str:
        if match.group() == "$${":
            return "${"
        name = match.group(1)
        if name is None:
            wrong[
                "holds a ${…} that is not a variable: write ${NAME} with letters, digits and underscores, "
                "or $${ for a plain ${"
            ] = None
        elif name not in variables:
            wrong[_missing(name, variables)] = None
        else:
            return variables[name]
        return match.group()

    result = _REFERENCE.sub(fill, text)
    return (text, list(wrong)) if wrong else (result, [])


def _missing(name: str, variables: Mapping[str, str]) -> str:
    message = f"the environment variable {name} is not set"
    near = nearest(name, variables, cutoff=0.8)
    return f"{message}; did you mean {near}, which is?" if near else message


def expand(value: Any, location: Location = (), environ: Mapping[str, str] | None = None) -> Expansion:
    """Fill the environment into every string of a structure of mappings and lists; keys stay as they are.

    Arguments:
        value: any YAML-like value. What is neither mapping, list nor string passes unchanged.
        location: where the value stands in the whole configuration, for the findings.
        environ: ``os.environ`` by default.
    """
    variables = os.environ if environ is None else environ
    findings: list[Finding] = []
    filled: set[Location] = set()
    secrets: dict[str, None] = {}

    def walk(node: Any, at: Location) -> Any:
        if isinstance(node, dict):
            return {key: walk(item, (*at, key)) for key, item in node.items()}
        if isinstance(node, (list, tuple)):
            return [walk(item, (*at, index)) for index, item in enumerate(node)]
        if not isinstance(node, str) or "${" not in node:
            return node
        text, wrong = expand_text(node, variables)
        findings.extend(Finding(at, message) for message in wrong)
        filled.add(at)
        if not wrong:
            secrets[text] = None
            names = (match.group(1) for match in _REFERENCE.finditer(node))
            secrets.update((variables[name], None) for name in names if name is not None)
        return text

    result = walk(value, location)
    return Expansion(result, tuple(findings), frozenset(filled), tuple(secrets))
