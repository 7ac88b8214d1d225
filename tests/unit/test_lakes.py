"""How cases that do not depend on the catalog are dealt to several lakes."""

from __future__ import annotations

from lakes import SERVED, dealt_to


def test_every_lake_has_as_many_cases_and_both_of_two_ways() -> None:
    numbers = range(32)
    dealt = {lake: [number for number in numbers if dealt_to(number, SERVED) == lake] for lake in SERVED}

    assert sorted(number for held in dealt.values() for number in held) == [*numbers]
    assert {len(held) for held in dealt.values()} == {8}
    assert all({number % 2 for number in held} == {0, 1} for held in dealt.values())


def test_one_lake_has_all() -> None:
    assert {dealt_to(number, ["rest-files"]) for number in range(10)} == {"rest-files"}
