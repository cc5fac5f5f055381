"""CDI specs are read strictly, devices are found by name, and what comes with them is added up."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tiffin.engine.cdi import Edits, Known, parse_name, parse_spec, resolve, variables
from tiffin.engine.cdi_files import FOLDERS, cdi_folders, read_specs
from tiffin.errors import ConfigError, NotFoundError

NVIDIA = """\
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
- name: "0"
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
      major: 195
      fileMode: 438
      permissions: rw
- name: all
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
containerEdits:
  env:
  - NVIDIA_VISIBLE_DEVICES=void
  deviceNodes:
  - path: /dev/nvidiactl
  mounts:
  - hostPath: /usr/lib/x86_64-linux-gnu/libcuda.so.550.54
    containerPath: /usr/lib/x86_64-linux-gnu/libcuda.so.550.54
    options: [ro, nosuid, nodev, bind]
  hooks:
  - hookName: createContainer
    path: /usr/bin/nvidia-ctk
    args: [nvidia-ctk, hook, update-ldcache, --folder, /usr/lib/x86_64-linux-gnu]
"""


def spec(kind: str = "tiffin.test/device", **more: Any) -> dict[str, Any]:
    return {"cdiVersion": "0.5.0", "kind": kind, "devices": [{"name": "a", "containerEdits": {"env": ["A=1"]}}]} | more


def write(folder: Path, name: str, value: Any) -> str:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))
    return str(folder)


def test_a_spec_in_yaml_as_nvidia_ctk_writes_it_is_read(tmp_path: Path) -> None:
    known = read_specs([write(tmp_path, "nvidia.yaml", NVIDIA)])
    assert (known.broken, known.names("nvidia.com/gpu")) == ((), ["0", "all"])
    edits = resolve(["nvidia.com/gpu=0"], known)
    assert [node.path for node in edits.device_nodes] == ["/dev/nvidiactl", "/dev/nvidia0"]
    assert (edits.device_nodes[1].major, edits.device_nodes[1].source) == (195, "/dev/nvidia0")
    assert edits.mounts[0].read_only
    assert variables(edits) == {"NVIDIA_VISIBLE_DEVICES": "void"}


def test_what_several_devices_bring_alike_comes_once(tmp_path: Path) -> None:
    known = read_specs([write(tmp_path, "nvidia.yaml", NVIDIA)])
    edits = resolve(["nvidia.com/gpu=0", "nvidia.com/gpu=all"], known)
    assert edits.env == ("NVIDIA_VISIBLE_DEVICES=void",)
    assert len(edits.hooks) == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"cdiVersion": "9.0.0"}, "version 9.0.0 is newer than this tiffin knows - at `$.cdiVersion`"),
        ({"cdiVersion": "new"}, "`cdiVersion` is like 0.5.0"),
        ({"kind": "gpu"}, "`kind` is like vendor.com/class, not 'gpu' - at `$.kind`"),
        ({"device": []}, "unknown field `device`"),
        ({"devices": [{"name": "a"}, {"name": "a"}]}, "the device a is there twice - at `$.devices[1].name`"),
        ({"devices": [{"name": ""}]}, "at `$.devices[0].name`"),
        ({"devices": [{}]}, "missing required field `name` - at `$.devices[0]`"),
        ({"containerEdits": {"env": ["A"]}}, "`env` has lines NAME=value, not 'A' - at `$.containerEdits.env[0]`"),
        ({"containerEdits": {"intelRdt": {}}}, "unknown field `intelRdt` - at `$.containerEdits`"),
        ({"containerEdits": {"netDevices": []}}, "unknown field `netDevices` - at `$.containerEdits`"),
        ({"containerEdits": {"deviceNodes": [{"path": "/etc/passwd"}]}}, "a device lies below /dev"),
        ({"containerEdits": {"deviceNodes": [{"path": "/dev/../etc/x"}]}}, "at `$.containerEdits.deviceNodes[0]`"),
        ({"containerEdits": {"mounts": [{"hostPath": "a", "containerPath": "/a"}]}}, "at `$.containerEdits.mounts[0]`"),
        ({"containerEdits": {"mounts": [{"hostPath": "/a", "containerPath": "/a", "type": "tmpfs"}]}}, "not tmpfs"),
    ],
)
def test_a_mistake_is_told_with_file_and_place(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        parse_spec(spec(**more), "/etc/cdi/x.json")
    assert caught.value.message.startswith("/etc/cdi/x.json: ")


def test_what_is_no_json_or_yaml_is_told_and_the_rest_is_used(tmp_path: Path) -> None:
    folder = write(tmp_path, "a.json", "{")
    write(tmp_path, "b.yaml", "a: [")
    write(tmp_path, "bomb.yaml", "a: &a [1]\nb: *a\n")
    write(tmp_path, "c.json", spec())
    write(tmp_path, "ignored.txt", "{")
    known = read_specs([folder])
    assert known.names("tiffin.test/device") == ["a"]
    assert [Path(text.split()[2].strip(":")).name for text in known.broken] == ["a.json", "b.yaml", "bomb.yaml"]


def test_the_later_folder_wins(tmp_path: Path) -> None:
    first = write(tmp_path / "etc", "x.json", spec())
    second = write(tmp_path / "run", "y.json", spec(devices=[{"name": "a", "containerEdits": {"env": ["A=2"]}}]))
    assert resolve(["tiffin.test/device=a"], read_specs([first, second])).env == ("A=2",)
    assert resolve(["tiffin.test/device=a"], read_specs([second, first])).env == ("A=1",)


def test_two_files_of_one_folder_that_claim_a_device_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, "x.json", spec())
    write(tmp_path, "y.json", spec())
    with pytest.raises(ConfigError, match=r"the device tiffin.test/device=a is in .*x.json and .*y.json"):
        resolve(["tiffin.test/device=a"], read_specs([folder]))


def test_a_device_that_is_not_there_is_refused_with_what_to_do() -> None:
    with pytest.raises(NotFoundError, match="no CDI spec in /etc/cdi or /var/run/cdi has the device") as caught:
        resolve(["nvidia.com/gpu=0"], Known(folders=FOLDERS))
    assert caught.value.hint == "write its spec: `sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`"


@pytest.mark.parametrize("name", ["gpu", "nvidia.com=0", "nvidia.com/gpu", "nvidia.com/gpu=", "a/b=c d", "/gpu=0"])
def test_what_is_no_name_of_a_device_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="not a device"):
        parse_name(name)


def test_a_variable_names_other_folders() -> None:
    assert cdi_folders({}) == FOLDERS
    assert cdi_folders({"TIFFIN_CDI_DIRS": "/a:/b"}) == ("/a", "/b")


def test_adding_nothing_changes_nothing() -> None:
    edits = Edits(env=("A=1",), additional_gids=(5,))
    assert edits.plus(Edits()) == Edits().plus(edits) == edits.plus(edits) == edits
