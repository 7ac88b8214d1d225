"""Reading the YAML file: one document, no duplicate keys, and the line of every key."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from floe_ingest.config.locations import Location, show_location
from floe_ingest.config.words import did_you_mean, kind_of
from floe_ingest.errors import ConfigProblem, InvalidConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    # libyaml's loader has the same interface, and is there in every wheel of PyYAML.
    _Loader = yaml.SafeLoader
else:
    _Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_DEEPEST = 200
_MOST_NODES = 1_000_000

_KEY_KINDS = {
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
    "null": "nothing",
    "timestamp": "a date",
}

_ANY_QUOTE = re.compile(r"['\"…]")
_QUOTED = re.compile(r"(['\"])(?P<text>.*?)\1")
_HINTS = (
    ("alias", "quote a value that begins with *"),
    ("anchor", "quote a value that begins with &"),
    ("constructor for the tag", "quote a value that begins with !"),
    ("cannot start any token", "indent with spaces, and quote a value that begins with @, ` or %"),
    ("',' or", 'quote a value that holds [ ] { } or a comma, such as "bucket[16](id)"'),
    ("mapping values are not allowed", "quote a value that holds a colon and a space; check the indentation"),
    ("another document", "one file holds one configuration"),
)


@dataclass(frozen=True, slots=True, repr=False)
class Document:
    """A parsed file, as mappings, lists and scalars.

    Arguments:
        path: the file, absolute.
        origin: the file, as the user named it.
        value: the top-level mapping.
        root: YAML's nodes, which know their lines.
    """

    path: Path
    origin: str
    value: dict[str, Any]
    root: yaml.MappingNode

    def line_of(self, location: Location) -> int:
        """Return the line of what stands at a location, or of the innermost thing around it."""
        line = self.root.start_mark.line
        node: yaml.Node = self.root
        for step in location:
            found = _child(node, step)
            if found is None:
                break
            line, node = found
        return line + 1


def _child(node: yaml.Node, step: str | int) -> tuple[int, yaml.Node] | None:
    """Return the line of an entry (of its key, in a mapping) and its value."""
    if isinstance(node, yaml.MappingNode):
        # Backwards: keys that came from a merged mapping (<<) stand in front of the mapping's own.
        for key, value in reversed(node.value):
            if key.value == str(step):
                return key.start_mark.line, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        value = node.value[step]
        return value.start_mark.line, value
    return None


def read_document(path: str | os.PathLike[str]) -> Document:
    """Read a configuration file.

    Arguments:
        path: a YAML file in UTF-8.

    Raises:
        InvalidConfigError: it cannot be read, is no YAML, has duplicate keys, or holds no mapping.
    """
    origin = os.fspath(path)
    # Links stay: a mounted configuration is often one, and its neighbours stand beside the link.
    absolute = Path(os.path.normpath(Path.cwd() / origin))
    text = _read_text(absolute, origin)
    root = _compose(text, origin)
    bad_keys = list(_key_problems(root))
    if bad_keys:
        raise InvalidConfigError(bad_keys, origin)
    value = _construct(root, origin)
    if not isinstance(root, yaml.MappingNode) or not isinstance(value, dict):
        _refuse(f"should be a mapping with the key sources, got {kind_of(value)}", origin)
    return Document(absolute, origin, value, root)


def _refuse(message: str, origin: str, line: int | None = None) -> NoReturn:
    raise InvalidConfigError([ConfigProblem("", message, line)], origin)


def _read_text(path: Path, origin: str) -> str:
    message, line, text = "", None, ""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        message = f"there is no such file{_similar_file(path)}"
    except IsADirectoryError:
        message = "this is a directory; name the YAML file in it"
    except UnicodeDecodeError as error:
        message = "the file is not in UTF-8; save it in that encoding"
        line = error.object[: error.start].count(b"\n") + 1
    except OSError as error:
        message = f"the file cannot be read: {error.strerror or type(error).__name__}"
    if message:
        _refuse(message, origin, line)
    return text


def _similar_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; nor is there a directory {path.parent.name}"
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.suffix in {".yaml", ".yml"}]
    except OSError:  # A suggestion is not worth an error of its own.
        names = []
    return did_you_mean(path.name, names) or "; `floe-ingest init` writes one to start from"


def _compose(text: str, origin: str) -> yaml.Node:
    root, message, line = None, "", None
    try:
        deep = _too_deep(text)
        root = None if deep else _Loader(text).get_single_node()
        if deep:
            message, line = f"the file is nested more than {_DEEPEST} levels deep", deep
        elif root is None:
            message = "the file is empty; `floe-ingest init` writes one to start from"
    except yaml.YAMLError as error:
        message, line = _syntax(error, text)
    if message or root is None:
        _refuse(message, origin, line)
    wrong = _size_problem(root)
    if wrong:
        _refuse(wrong, origin)
    return root


def _too_deep(text: str) -> int | None:
    """Return the line where nesting goes too deep: libyaml's composer recurses in C, and would crash."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                return event.start_mark.line + 1 if event.start_mark else 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return None


def _size_problem(root: yaml.Node) -> str | None:
    """Refuse aliases that contain themselves, or that multiply to more than a configuration can be."""
    beyond = (_MOST_NODES + 1, _DEEPEST + 1)
    known: dict[int, tuple[int, int]] = {}

    def measure(node: yaml.Node) -> tuple[int, int]:
        if id(node) not in known:
            known[id(node)] = beyond  # what an alias finds that stands inside its own anchor
            inner = [measure(child) for child in _children(node)]
            size = 1 + sum(child_size for child_size, _ in inner)
            known[id(node)] = size, 1 + max((depth for _, depth in inner), default=0)
        return known[id(node)]

    size, depth = measure(root)
    if size > _MOST_NODES or depth > _DEEPEST:
        return "an alias (*name) contains itself, or the aliases multiply beyond all bounds"
    return None


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _key_problems(root: yaml.Node) -> Iterator[ConfigProblem]:
    """Find keys that stand twice in one mapping, where YAML silently takes the last, and keys of no text."""
    seen: set[int] = set()

    def walk(node: yaml.Node, at: Location) -> Iterator[ConfigProblem]:
        if id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                yield from walk(item, (*at, index))
        elif isinstance(node, yaml.MappingNode):
            first: dict[tuple[str, str], int] = {}
            for key, value in node.value:
                # A key that is no scalar is refused later, when it is constructed.
                text = key.value if isinstance(key, yaml.ScalarNode) else "?"
                line = key.start_mark.line + 1
                message = _about_key(key, at)
                if (key.tag, text) in first:
                    message = f"this key stands here twice, first in line {first[key.tag, text]}"
                if message:
                    yield ConfigProblem(show_location((*at, text)), message, line)
                first.setdefault((key.tag, text), line)
                yield from walk(value, (*at, text))

    yield from walk(root, ())


def _about_key(key: yaml.Node, at: Location) -> str:
    # Deep inside of source_config a plugin may want numbers as keys, such as HTTP codes.
    if not isinstance(key, yaml.ScalarNode) or "source_config" in at[:-1]:
        return ""
    kind = _KEY_KINDS.get(key.tag.rpartition(":")[2])
    return f"this key is {kind} to YAML, and should be text; put it in quotes" if kind else ""


def _construct(root: yaml.Node, origin: str) -> Any:
    value, message, line = None, "", None
    loader = _Loader("")
    try:
        value = loader.construct_document(root)
    except yaml.YAMLError as error:
        message, line = _syntax(error, "")
    except ValueError:
        # PyYAML lets the errors of int() and date() through, without a mark and with the value in them.
        message = "a value looks like a date or number, and is none"
        line = next((bad.start_mark.line + 1 for bad in _unreadable(root)), None)
    if message:
        _refuse(message, origin, line)
    return value


def _unreadable(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        try:
            _Loader("").construct_document(node)
        except ValueError:
            yield node
    for child in _children(node):
        yield from _unreadable(child)


def _syntax(error: yaml.YAMLError, text: str) -> tuple[str, int | None]:
    """Say what YAML did not understand. Its own text quotes the lines around, which may hold secrets."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        parts = [part for part in (error.context, error.problem) if part]
        said = _QUOTED.sub(_without_values, " ".join(" ".join(parts).split()))
        if isinstance(error, yaml.constructor.ConstructorError):  # A tag may hold quotes itself.
            said = _ANY_QUOTE.split(said)[0].strip()
        hint = next((f"; {hint}" for sign, hint in _HINTS if sign in said), "")
        column = f" (column {mark.column + 1})" if mark else ""
        return f"this is not valid YAML{column}: {said}{hint}", mark.line + 1 if mark else None
    if isinstance(error, yaml.reader.ReaderError):
        before = text.encode()[: error.position]
        return f"this is not valid YAML: {error.reason}", before.count(b"\n") + 1
    return f"this is not valid YAML: {type(error).__name__}", None


def _without_values(quoted: re.Match[str]) -> str:
    """Keep what YAML quotes of itself, single signs and <tokens>, and none of what the file holds."""
    text = quoted["text"]
    return quoted.group() if len(text) < 2 or text.startswith("<") else "…"
