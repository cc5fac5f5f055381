from __future__ import annotations

import pytest

from tiffin.errors import IntegrityError
from tiffin.packages.debian.relations import Relation, parse_relations


def test_alternatives_versions_qualifiers_and_restrictions_are_read() -> None:
    clauses = parse_relations("libc6 (>= 2.34), python3:any | python3.11 (= 1:3-1) [amd64] <!nocheck>, a.b+c-d", "x")
    assert clauses == [
        (Relation(name="libc6", operator=">=", version="2.34"),),
        (Relation(name="python3"), Relation(name="python3.11", operator="=", version="1:3-1")),
        (Relation(name="a.b+c-d"),),
    ]


def test_no_relations_are_none() -> None:
    assert parse_relations("", "x") == []


@pytest.mark.parametrize("text", ["libc6 (>= )", "libc6 (2.34)", "LibC6", "a |", "a (>= 1", "a b", "a (=> 1)"])
def test_a_relation_that_cannot_be_read_is_an_error_that_names_the_place(text: str) -> None:
    with pytest.raises(IntegrityError, match="package hello"):
        parse_relations(text, "package hello")
