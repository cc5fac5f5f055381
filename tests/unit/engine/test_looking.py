"""What is seen of a mount's source, with real files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tiffin.engine.data import permits
from tiffin.engine.declared import Data, labels
from tiffin.engine.looking import daemons, data_obstacles, look, root_or_self
from tiffin.engine.spec import ContainerSpec, Mount, Obstacle
from tiffin.oci.digest import Digest


def test_what_is_not_there_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "file").touch()
    for name in ("nosuch", "link", "file/below"):
        found = look(tmp_path / name)
        assert found
        assert not found.here


def test_a_folder_is_empty_with_nothing_in_it_but_what_a_new_disk_has(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    found = look(tmp_path)
    assert found
    assert found.empty
    (tmp_path / "a").symlink_to("nowhere")
    found = look(tmp_path)
    assert found
    assert not found.empty


def test_a_device_is_never_empty() -> None:
    found = look(Path("/dev/null"))
    assert found
    assert not found.empty


@pytest.mark.skipif(os.geteuid() == 0, reason="needs an ordinary user")
def test_what_may_not_even_be_looked_at_is_not_seen(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "data").mkdir()
    (tmp_path / "closed").chmod(0)
    assert look(tmp_path / "closed" / "data") is None
    (tmp_path / "closed").chmod(0o700)


def test_the_containers_user_is_this_one_unless_root_becomes_another(tmp_path: Path) -> None:
    found = look(tmp_path)
    assert found
    assert found.itself
    assert permits(found.itself, root_or_self(None), os.R_OK | os.W_OK | os.X_OK)
    assert (root_or_self(65532).uid, daemons((5, 6)).uid, daemons((5, 6)).groups) == (65532, 5, frozenset({6}))


def test_a_name_of_a_volume_is_not_looked_for() -> None:
    assert obstacles_of("volume") == []


def test_data_below_a_mounted_folder_is_looked_for_there(tmp_path: Path) -> None:
    assert [one.message for one in obstacles_of(str(tmp_path))] == [
        f"{tmp_path}/deep, the data 'deep' of iris, does not exist"
    ]
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a").write_text("1")
    assert obstacles_of(str(tmp_path)) == []


def obstacles_of(source: str) -> list[Obstacle]:
    spec = ContainerSpec(
        name="a",
        image="iris",
        digest=Digest.of(b""),
        layers=(),
        argv=("serve",),
        mounts=(Mount(source=source, target="/data"),),
        labels=labels([Data(name="deep", path="/data/deep")], ""),
    )
    return data_obstacles(spec, root_or_self(None))
