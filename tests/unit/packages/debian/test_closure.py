from __future__ import annotations

import io
import lzma
from pathlib import Path

import pytest

from tiffin.errors import ConfigError, ConflictError, NotFoundError
from tiffin.packages.debian.closure import Universe, close
from tiffin.packages.debian.index import Index, keep
from unit.packages.debian.makers import stanza


def universe(tmp_path: Path, *texts: list[str]) -> Universe:
    indexes = []
    for number, stanzas in enumerate(texts):
        target = tmp_path / f"index-{number}"
        keep(io.BytesIO(lzma.compress("\n".join(stanzas).encode())), target, "the index")
        indexes.append(Index(target, "the index"))
    return Universe(indexes, "debian:test")


def everything(_: str, __: str) -> bool:
    return True


def names(found: Universe, *roots: str) -> list[str]:
    return [package.name for package in close(found, roots, everything)]


def test_dependencies_of_dependencies_come_along_and_recommends_do_not(tmp_path: Path) -> None:
    found = universe(
        tmp_path,
        [stanza("a", Depends="b", Recommends="d"), stanza("b", Pre_Depends="c (>= 1.0)"), stanza("c"), stanza("d")],
    )
    assert names(found, "a") == ["a", "b", "c"]


def test_circles_end(tmp_path: Path) -> None:
    assert names(universe(tmp_path, [stanza("a", Depends="b"), stanza("b", Depends="a")]), "a") == ["a", "b"]


def test_the_first_alternative_that_exists_is_taken(tmp_path: Path) -> None:
    found = universe(tmp_path, [stanza("a", Depends="gone | b (>= 2) | c | d"), stanza("b"), stanza("c"), stanza("d")])
    assert names(found, "a") == ["a", "c"]


def test_an_alternative_that_is_there_already_is_enough(tmp_path: Path) -> None:
    found = universe(tmp_path, [stanza("a", Depends="b | c"), stanza("b"), stanza("c")])
    assert names(found, "a", "c") == ["a", "c"]


def test_a_virtual_package_is_provided_by_the_one_with_the_best_priority(tmp_path: Path) -> None:
    stanzas = [
        stanza("a", Depends="awk"),
        stanza("gawk", Provides="awk", Priority="optional"),
        stanza("mawk", Provides="awk", Priority="required"),
        stanza("original-awk", Provides="awk", Priority="optional"),
    ]
    assert names(universe(tmp_path, stanzas), "a") == ["a", "mawk"]


def test_a_version_is_asked_of_a_provider_only_if_it_states_one(tmp_path: Path) -> None:
    stanzas = [stanza("a", Depends="v (>= 2)"), stanza("x", Provides="v"), stanza("y", Provides="v (= 2.1)")]
    assert names(universe(tmp_path, stanzas), "a") == ["a", "y"]


def test_a_real_package_goes_before_its_stand_ins(tmp_path: Path) -> None:
    stanzas = [stanza("a", Depends="b"), stanza("aa", Provides="b"), stanza("b")]
    assert names(universe(tmp_path, stanzas), "a") == ["a", "b"]


def test_the_newest_version_of_all_suites_is_taken(tmp_path: Path) -> None:
    found = universe(tmp_path, [stanza("a", "1.0-1")], [stanza("a", "1.0-1+deb12u2")], [stanza("a", "1.0-1+deb12u1")])
    (package,) = close(found, ["a"], everything)
    assert package.version == "1.0-1+deb12u2"


def test_a_root_may_name_its_version(tmp_path: Path) -> None:
    found = universe(tmp_path, [stanza("a", "1.0"), stanza("a", "2.0")])
    (package,) = close(found, ["a (= 1.0)"], everything)
    assert package.version == "1.0"


def test_what_is_not_followed_stays_away_unless_it_is_asked_for(tmp_path: Path) -> None:
    found = universe(tmp_path, [stanza("a", Depends="debconf | debconf-2.0, b"), stanza("b"), stanza("debconf")])
    follows = lambda _, dependency: dependency != "debconf"  # noqa: E731 - a rule of one line
    assert [p.name for p in close(found, ["a"], follows)] == ["a", "b"]
    assert [p.name for p in close(found, ["a", "debconf"], follows)] == ["a", "b", "debconf"]


def test_what_is_there_already_is_not_given_again(tmp_path: Path) -> None:
    found = universe(tmp_path, [stanza("a", Depends="c"), stanza("b", Depends="c, a"), stanza("c")])
    base = close(found, ["a"], everything)
    assert [p.name for p in close(found, ["b", "c"], everything, base)] == ["b"]


def test_the_order_of_the_roots_does_not_matter(tmp_path: Path) -> None:
    stanzas = [stanza("a", Depends="x | y"), stanza("b", Depends="y | x"), stanza("x"), stanza("y")]
    found = universe(tmp_path, stanzas)
    assert names(found, "a", "b") == names(found, "b", "a")


def test_an_unknown_root_is_not_found_and_similar_names_are_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="debian:test has no package libopenblas") as caught:
        names(universe(tmp_path, [stanza("libopenblas0")]), "libopenblas")
    assert "libopenblas0" in str(caught.value.hint)


def test_a_dependency_that_nobody_meets_names_who_wants_it(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"a needs b \(>= 2\) \| c"):
        names(universe(tmp_path, [stanza("a", Depends="b (>= 2) | c"), stanza("b", "1.0")]), "a")


@pytest.mark.parametrize("root", ["", "A", "a b", "a, b", "a | ", "--force"])
def test_what_is_no_name_of_a_package_is_refused(tmp_path: Path, root: str) -> None:
    with pytest.raises(ConfigError, match="not the name"):
        names(universe(tmp_path, [stanza("a")]), root)


def test_packages_that_exclude_each_other_are_refused(tmp_path: Path) -> None:
    found = universe(tmp_path, [stanza("a", Conflicts="v"), stanza("b", Provides="v")])
    with pytest.raises(ConflictError, match="a excludes v, so it cannot be in one image with b"):
        names(found, "a", "b")


def test_a_package_may_exclude_what_it_provides_itself(tmp_path: Path) -> None:
    assert names(
        universe(tmp_path, [stanza("a", Conflicts="v", Provides="v", Breaks="b (<< 1)"), stanza("b")]), "a", "b"
    )
