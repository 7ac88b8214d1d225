"""What happens to docstrings before mkdocstrings shows them: their plain forms become Markdown."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import griffe

_LITERAL = re.compile(r"^Example::\n\n((?:[ ]{4}.*(?:\n|\Z)|\n)+)", re.MULTILINE)


class Forms(griffe.Extension):
    """Shows examples as code, and says when a hook is called in bold."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(docstring: str) -> str:
    """Return a docstring as mkdocstrings reads it best."""
    text = _LITERAL.sub(
        lambda found: f"**Example:**\n\n```python\n{textwrap.dedent(found[1]).strip()}\n```\n", docstring
    )
    text = re.sub(r"^Example:$", "Examples:", text, flags=re.MULTILINE)
    return re.sub(r"^When: ", "**When:** ", text, flags=re.MULTILINE)
