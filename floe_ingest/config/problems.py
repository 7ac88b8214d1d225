"""pydantic's errors in the words of this project: where, what was found, what is valid, what was meant."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from floe_ingest.config.environment import expand, has_reference
from floe_ingest.config.fields import MISSING_VARIABLE, REFUSED
from floe_ingest.config.locations import Finding, Location, show_key, value_at
from floe_ingest.config.secrets import Scrubber, is_secret_location, mask_urls
from floe_ingest.config.words import did_you_mean, kind_of, one_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from floe_ingest.config.schema import ModelSchema

_LONGEST_SHOWN = 60
_QUOTED_WORD = re.compile(r"'([\w.\-]+)'")
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"([^\"]*)\"")

# Types of errors whose key stands last in pydantic's location, whether or not the document has it.
_ABOUT_A_KEY = frozenset({"missing", "extra_forbidden", "missing_argument", "unexpected_keyword_argument"})
# Raised by a validator: its words are the author's own, and may hold any value.
_BY_VALIDATOR = frozenset({"value_error", "assertion_error"})

_KINDS = {
    "string_type": "should be text",
    "model_type": "should be a mapping",
    "model_attributes_type": "should be a mapping",
    "dataclass_type": "should be a mapping",
    "dict_type": "should be a mapping",
    "mapping_type": "should be a mapping",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
    "set_type": "should be a list",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "finite_number": "should be a finite number",
    "none_required": "should be left empty",
}


_SECTIONS = frozenset(
    kind for kind, text in _KINDS.items() if text in {"should be a mapping", "should be a list"}
)


@dataclass(frozen=True, slots=True)
class Disclosure:
    """Which values a message may show.

    Arguments:
        guarded: whether a location is inside ``source_config`` or ``catalog_config``: there values are shown
            only where the problem is about a choice, a number or a truth value, and the keys on the way
            look harmless.
        filled: where the environment was filled in; relative to the document, as the other locations are.
        secret_names: names of the model's secret fields.
        scrubber: removes known secrets from texts that validators wrote.
    """

    guarded: Callable[[Location], bool]
    filled: frozenset[Location] = frozenset()
    secret_names: frozenset[str] = frozenset()
    scrubber: Scrubber = Scrubber(())  # noqa: RUF009 - immutable

    def got(self, location: Location, value: Any, kind: str) -> str:
        """Return ``, got 'mrege'``; or only what kind of value it is, where that is all one may tell."""
        if location in self.filled:
            return ", got what the environment holds"
        guarded = self.guarded(location)
        secret = guarded and (not _harmless(kind) or is_secret_location(location, self.secret_names))
        # Where a section is due, a text is as likely a secret in the wrong place.
        secret = secret or kind in _SECTIONS
        if secret or not isinstance(value, (str, int, float)) or len(str(value)) > _LONGEST_SHOWN:
            return f", got {kind_of(value)}"
        if has_reference(value) and not guarded:
            return f", got what {value!r} stands for"
        return f", got {str(value).lower() if isinstance(value, bool) else repr(value)}"


def _harmless(kind: str) -> bool:
    numeric = ("greater_than", "less_than", "multiple_of", "finite_number")
    return kind in {
        "literal_error",
        "enum",
        "union_tag_invalid",
        "bool_parsing",
        "bool_type",
    } or kind.startswith(("int_", "float_", "decimal_", *numeric))


@dataclass(frozen=True, slots=True)
class _Placed:
    """One of pydantic's errors with its place in the document.

    Arguments:
        error: as pydantic gave it.
        location: keys and indexes that the document has, or should have.
        branches: the branches of unions on the way: where each union stands, and the branch's label.
    """

    error: ErrorDetails
    location: Location
    branches: tuple[tuple[Location, str], ...]


def translate(
    error: ValidationError,
    document: Any,
    schema: ModelSchema,
    disclosure: Disclosure,
    hint: Callable[[Location], str] | None = None,
) -> list[Finding]:
    """Return what a validation found, one entry a place.

    Arguments:
        error: of validating ``document`` by the model of ``schema``.
        document: mappings, lists and scalars.
        schema: names the valid keys.
        disclosure: which values may be shown.
        hint: returns a sentence to add about an unknown key at a location, or an empty text.
    """
    details = error.errors(include_url=False)
    placed = _best_branches([_place(detail, document, schema) for detail in details])
    findings: dict[Location, list[str]] = {}
    for item in placed:
        text = _write(item, document, schema, disclosure, hint)
        findings.setdefault(item.location, []).append(text)
    return [Finding(at, _joined(texts)) for at, texts in findings.items()]


def _place(error: ErrorDetails, document: Any, schema: ModelSchema) -> _Placed:
    """Find an error's place. pydantic mixes keys with the labels of unions' branches and of validators."""
    location: Location = ()
    branches: list[tuple[Location, str]] = []
    value = document
    last = len(error["loc"]) - 1
    for position, step in enumerate(error["loc"]):
        inside = _entry(value, step)
        if inside is not None:
            (value,) = inside
            location = (*location, step)
        elif (position == last and error["type"] in _ABOUT_A_KEY) or step in schema.keys_at(location):
            value = None
            location = (*location, step)
        else:
            branches.append((location, str(step)))
    if error["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        # A discriminator may also be a function, shown as `name()`; then the problem is the whole value's.
        names = _quoted(error.get("ctx", {}).get("discriminator", ""))
        location = (*location, *names)
    return _Placed(error, location, tuple(branches))


def _entry(value: Any, step: str | int) -> tuple[Any] | None:
    """Return what a mapping or list holds under a step, in a tuple, since that may be None."""
    if isinstance(value, dict):
        return (value[step],) if step in value else None
    listed = isinstance(value, (list, tuple)) and isinstance(step, int) and step < len(value)
    return (value[step],) if listed else None


def _best_branches(errors: Sequence[_Placed], level: int = 0) -> list[_Placed]:
    """Keep, of the branches of each union, the one that the user most likely meant."""
    by_union: dict[Location, dict[str, list[_Placed]]] = {}
    result: list[_Placed] = []
    for item in errors:
        if len(item.branches) <= level:
            result.append(item)
        else:
            union, label = item.branches[level]
            by_union.setdefault(union, {}).setdefault(label, []).append(item)
    for union, by_label in by_union.items():
        result.extend(_best_branches(_best(union, list(by_label.values())), level + 1))
    return result


def _best(union: Location, branches: list[list[_Placed]]) -> list[_Placed]:
    """Choose by depth and number: a branch that complains of a key inside knew at least the kind of value."""
    inside = [branch for branch in branches if all(item.location != union for item in branch)]
    if inside:
        return min(inside, key=len)
    return [item for branch in branches for item in branch]


def _write(
    item: _Placed,
    document: Any,
    schema: ModelSchema,
    disclosure: Disclosure,
    hint: Callable[[Location], str] | None,
) -> str:
    error, kind = item.error, item.error["type"]
    if kind in {"missing", "missing_argument", "union_tag_not_found"}:
        return "is required, and is missing"
    if kind in {"extra_forbidden", "unexpected_keyword_argument"}:
        return _unknown_key(item.location, schema, hint)
    if kind == "invalid_key" or error["loc"][-1:] == ("[key]",):
        return "keys should be text; put this one in quotes"
    context = error.get("ctx", {})
    if kind in _BY_VALIDATOR:
        return _by_validator(context.get("error"), disclosure)
    if kind == MISSING_VARIABLE:
        return str(context["message"])
    value = value_at(document, item.location)
    text = _expectation(error, disclosure)
    # Our own refusals say what to do after a semicolon; the value stands before that.
    head, separator, rest = text.partition("; ") if kind == REFUSED else (text, "", "")
    written = f"{head}{disclosure.got(item.location, value, kind)}{separator}{rest}"
    if not disclosure.guarded(item.location):
        # Inside the guarded sections this is done already, and the values are expanded.
        written = _without_environment(written, value)
    return mask_urls(written + _nearest_choice(error, value))


def _without_environment(text: str, value: Any) -> str:
    secrets = expand(value).secrets
    return Scrubber(secrets).scrub(text) if secrets else text


def _expectation(error: ErrorDetails, disclosure: Disclosure) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _KINDS:
        return _KINDS[kind]
    if kind in {"literal_error", "enum"}:
        # Words without their quotes; signs, such as a delimiter, with them.
        return "should be " + _QUOTED_WORD.sub(r"\1", context["expected"])
    if kind == "union_tag_invalid":
        return f"should be {one_of(_quoted(context['expected_tags']))}"
    message = error["msg"].removeprefix("Input ")
    if kind != REFUSED:
        message = disclosure.scrubber.scrub(message)
    return message[:1].lower() + message[1:]


def _quoted(text: str) -> list[str]:
    """Return the values that stand, as Python writes them, in a text of pydantic's."""
    return [single or double for single, double in _QUOTED.findall(text)]


def _nearest_choice(error: ErrorDetails, value: Any) -> str:
    context = error.get("ctx", {})
    choices = _quoted(str(context.get("expected", context.get("expected_tags", ""))))
    meant = context.get("tag", value)
    return did_you_mean(meant, choices) if choices and isinstance(meant, str) else ""


def _unknown_key(location: Location, schema: ModelSchema, hint: Callable[[Location], str] | None) -> str:
    key, known = str(location[-1]), schema.keys_at(location[:-1])
    if ":" in key:
        return f"unknown key; after the colon in {show_key(key)} there should be a space"
    meant = did_you_mean(key, known)
    valid = f"valid keys are {one_of(known, 'and')}" if known else ""
    sentences = [f"unknown key{meant}" if meant else "unknown key", valid, hint(location) if hint else ""]
    return "; ".join(sentence for sentence in sentences if sentence).replace("?; valid", "? Valid")


def _by_validator(error: Any, disclosure: Disclosure) -> str:
    text = disclosure.scrubber.scrub(str(error)) if error is not None else ""
    return " ".join(text.split()) or "is not valid"


def _joined(texts: Iterable[str]) -> str:
    """Join what several branches of a union wanted: ``should be text or a list, got 3``."""
    different = list(dict.fromkeys(texts))
    if len(different) == 1:
        return different[0]
    wanted = [text.partition(", got ") for text in different]
    if all(head.startswith("should be ") for head, _, _ in wanted):
        heads = list(dict.fromkeys(head.removeprefix("should be ") for head, _, _ in wanted))
        return f"should be {one_of(heads)}{wanted[0][1]}{wanted[0][2]}"
    return "; or ".join(different)


def below(findings: Iterable[Finding], prefix: Location) -> list[Finding]:
    """Return findings of a part of the document as findings of the whole."""
    return [replace(finding, location=(*prefix, *finding.location)) for finding in findings]
