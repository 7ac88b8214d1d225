"""What the suggestions know of any plugin's model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, Secret, SecretBytes, SecretStr
from typing_extensions import TypedDict

from floe_ingest.config.schema import ModelSchema, secret_names


class Auth(TypedDict):
    user: str
    phrase: SecretStr


@dataclass
class Proxy:
    host: str
    code: Secret[int]


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    bark: str = ""


class Node(BaseModel):
    label: str
    children: list["Node"] = []
    extra: SecretBytes | None = Field(None, alias="addition")


class Everything(BaseModel, arbitrary_types_allowed=True):
    auth: Auth | None = None
    proxy: Proxy | str | None = None
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    tree: Node | None = None
    by_name: dict[str, Proxy] = {}
    pair: tuple[Cat, Dog] | None = None
    hook: Callable[[int], int] | None = None
    plain: str = ""


@pytest.mark.parametrize(
    ("location", "keys"),
    [
        ((), ("auth", "proxy", "pet", "tree", "by_name", "pair", "hook", "plain")),
        (("auth",), ("user", "phrase")),
        (("proxy",), ("host", "code")),
        (("pet",), ("kind", "bark")),
        (("tree", "children", 0, "children", 7), ("label", "children", "addition")),
        (("by_name", "anything"), ("host", "code")),
        (("pair", 0), ("kind", "lives")),
        (("pair", 1), ("kind", "bark")),
        (("hook",), ()),
        (("plain",), ()),
        (("nowhere", 3, "at all"), ()),
    ],
)
def test_keys_at_a_location(location: tuple[str | int, ...], keys: tuple[str, ...]) -> None:
    assert ModelSchema(Everything, {"pet": {"kind": "dog"}}).keys_at(location) == keys


def test_without_a_tag_every_branch_counts() -> None:
    assert ModelSchema(Everything, {"pet": {}}).keys_at(("pet",)) == ("kind", "lives", "bark")


def test_secret_fields_are_found_at_any_depth() -> None:
    assert secret_names(Everything) == {"phrase", "code", "extra", "addition"}


def test_a_model_without_secrets_has_none() -> None:
    assert secret_names(Cat) == frozenset()
