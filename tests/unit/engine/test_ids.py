"""Which ids of the host a container's users are: from the tables of the machine to what is written into a namespace."""

from __future__ import annotations

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from tiffin.engine.embedded.ids import COUNT, NOBODY, UNUSED, Ids, given, identity, of_root, refuse_without_ids
from tiffin.engine.spec import ContainerSpec
from tiffin.errors import ConfigError, UnsupportedError
from tiffin.oci.digest import Digest

ROOTS = Ids(uids=(UNUSED, COUNT), gids=(UNUSED, COUNT))
MINE = Ids(uids=(100000, COUNT), gids=(200000, COUNT), me=(1000, 1001))
WHOLE = "         0          0 4294967295\n"


def spec(user: tuple[int, int] = (0, 0), *, several: bool = True, read_only: bool = False) -> ContainerSpec:
    named = {"name": "a", "image": "nginx", "digest": Digest.of(b""), "layers": (), "argv": ("nginx",)}
    return ContainerSpec(**named, user=user, several_ids=several, read_only=read_only)


def test_the_longest_range_of_a_user_by_name_or_number_is_taken() -> None:
    text = "# ranges\nme:100000:1000\nother:1:65536\n1000:300000:65536\nme:nonsense:5\n\nme:1\n"
    assert given(text, "me", 1000) == (300000, 65536)
    assert given(text, "me", 5) == (100000, 1000)
    assert given(text, "nobody", 5) is None


def test_root_takes_its_own_range_or_one_that_nobody_has() -> None:
    assert of_root((500000, COUNT), (500000, COUNT), WHOLE, WHOLE) == Ids(uids=(500000, COUNT), gids=(500000, COUNT))
    assert of_root(None, (500000, 10), WHOLE, WHOLE) == ROOTS
    inner = "0 1000 1\n1 100000 65536\n"
    assert of_root(None, None, inner, inner) is None


@examples(uid=st.integers(0, 1 << 31), gid=st.integers(0, 1 << 31))
def test_no_file_is_ever_roots_outside(uid: int, gid: int) -> None:
    assert 0 not in ROOTS.seen(uid, gid)
    assert max(ROOTS.seen(uid, gid)) < UNUSED + COUNT


def test_who_is_beyond_the_range_is_nobody() -> None:
    assert ROOTS.seen(70000, 33) == (UNUSED + NOBODY, UNUSED + 33)
    assert MINE.seen(70000, 33) == (NOBODY, 33)


def test_the_maps_give_root_to_whoever_runs_it_and_the_rest_to_the_range() -> None:
    maps = MINE.maps()
    assert maps["outer"] == [
        ["newuidmap", "0", "1000", "1", "1", "100000", "65536"],
        ["newgidmap", "0", "1001", "1", "1", "200000", "65536"],
    ]
    assert maps["uids"] == maps["gids"] == "0 0 1\n1 1 65536\n"
    assert ROOTS.maps() == {"outer": [], "uids": f"0 {UNUSED} 65536\n", "gids": f"0 {UNUSED} 65536\n"}


def test_the_processes_are_the_images_user_within_the_range() -> None:
    who = identity(spec((101, 7)), 65532, ROOTS)
    assert (who.host, who.inside) == ((UNUSED + 101, UNUSED + 7), (101, 7))
    who = identity(spec((101, 7)), None, MINE)
    assert (who.host, who.inside) == (None, (101, 7))


def test_a_container_of_tiffins_has_one_user_whatever_there_is() -> None:
    who = identity(spec((65532, 65532), several=False, read_only=True), 65532, ROOTS)
    assert (who.host, who.inside, who.maps) == ((65532, 65532), None, None)


def test_a_user_beyond_the_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="runs as user 100000:0, and a container has the users below 65536"):
        identity(spec((100000, 0)), 65532, ROOTS)


def test_an_image_that_needs_several_users_is_refused_with_the_command_that_gives_them() -> None:
    with pytest.raises(UnsupportedError, match="nginx runs as root and may have several users") as refusal:
        refuse_without_ids(spec(), None)
    hint = str(refusal.value.hint)
    assert "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535" in hint
    assert "-u 65532" in hint
    refuse_without_ids(spec(), ROOTS)
    refuse_without_ids(spec((101, 101), read_only=True), None)
