"""A real computation on an NVIDIA GPU, through PyTorch, in a container: `make test-gpu`, where there is one.

PyTorch is that of the Python which TIFFIN_GPU_PYTHON names, by default python3 of the PATH; it is mounted. The GPU
comes by the machine's own CDI spec, else by one that nvidia-ctk writes, else by the smallest that works.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from contract.engine_fixtures import make_layer, never_unpacked
from tiffin.engine.cdi_files import FOLDERS, VARIABLE, read_specs
from tiffin.engine.embedded.engine import EmbeddedEngine
from tiffin.engine.gpu_sight import gpu_sight
from tiffin.engine.gpus import NVIDIA, choose, parse_gpus
from tiffin.engine.spec import ContainerSpec, Mount
from tiffin.oci.digest import Digest

pytestmark = pytest.mark.gpu

LIBRARY = re.compile(r"lib(?:cuda|cudadebugger|nvidia-ml|nvidia-nvvm|nvidia-ptxjitcompiler|nvidia-gpucomp)\.so[.\d]*")
"""Those of a driver's libraries that CUDA loads."""
LISTED = re.compile(r"\s(\S+) \(libc6,(?:x86-64|AArch64)\) => (\S+)")
"""A line of `ldconfig -p` about a library of 64 bits."""
PLACES = ("/usr/local/nvidia/lib64", "/usr/local/nvidia/lib")
"""Where a driver's libraries lie on machines that are containers themselves."""
ASK = "import json, sys, torch; print(json.dumps([sys.executable, sys.base_prefix, sys.prefix, *sys.path]))"
COMPUTE = """
import torch
a = torch.ones(256, 256, device="cuda")
print(torch.cuda.get_device_name(), (a @ a).sum().item(), sep="|")
"""


@pytest.fixture(scope="module")
def python() -> list[str]:
    """A Python with PyTorch: where it is, and the folders it needs."""
    if not Path("/dev/nvidiactl").exists():
        pytest.skip("needs an NVIDIA GPU")
    program = os.environ.get("TIFFIN_GPU_PYTHON") or shutil.which("python3") or "python3"
    asked = subprocess.run([program, "-c", ASK], capture_output=True, text=True, check=False)
    if asked.returncode:
        pytest.skip(f"needs PyTorch in {program}; TIFFIN_GPU_PYTHON names another Python")
    found: list[str] = json.loads(asked.stdout)
    return found


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a CDI spec of the machine's GPUs."""
    own = next((folder for folder in reversed(FOLDERS) if read_specs([folder]).names(NVIDIA)), "")
    if own:
        return own
    folder = tmp_path_factory.mktemp("cdi")
    if program := shutil.which("nvidia-ctk"):
        subprocess.run([program, "cdi", "generate", f"--output={folder}/nvidia.yaml"], check=True)
    else:
        (folder / "nvidia.json").write_text(json.dumps(smallest_spec()))
    return str(folder)


def smallest_spec() -> dict[str, Any]:
    """Every node of the driver, and those of its libraries that CUDA loads, in a folder of their own."""
    nodes = sorted(str(path) for path in Path("/dev").glob("nvidia*") if path.is_char_device())
    mounts = [
        {
            "hostPath": str(path),
            "containerPath": f"/opt/nvidia/{path.name}",
            "options": ["ro", "nosuid", "nodev", "bind"],
        }
        for path in libraries()
    ]
    program = "nvidia-cdi-hook"
    args = [program, "update-ldcache", "--folder", "/opt/nvidia"]
    hook = {"hookName": "createContainer", "path": f"/usr/bin/{program}", "args": args}
    return {
        "cdiVersion": "0.5.0",
        "kind": NVIDIA,
        "devices": [{"name": "all", "containerEdits": {"deviceNodes": [{"path": node} for node in nodes]}}],
        "containerEdits": {"mounts": mounts, "hooks": [hook], "env": ["NVIDIA_VISIBLE_DEVICES=void"]},
    }


def libraries() -> list[Path]:
    """The driver's libraries, as the linker of this machine finds them."""
    listed = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    found = [Path(path) for _, path in LISTED.findall(listed)]
    found += [path for place in PLACES for path in Path(place).glob("lib*.so*")]
    found = [path for path in found if LIBRARY.fullmatch(path.name) and path.exists()]
    return sorted({path.resolve().name: path.resolve() for path in found}.values())


def run(data: Path, argv: Sequence[str], mounts: Sequence[Mount], devices: tuple[str, ...]) -> tuple[int, str, str]:
    engine = EmbeddedEngine(data, never_unpacked)
    layer = make_layer(data, "empty", {"etc/passwd": "root:x:0:0::/:/bin/sh\n"})
    spec = ContainerSpec(
        name="cuda",
        image="pytorch",
        digest=Digest.of(b"pytorch"),
        layers=(layer,),
        argv=tuple(argv),
        env={"PATH": "/usr/bin", "HOME": "/tmp"},
        mounts=tuple(mounts),
        devices=devices,
    )
    container = engine.create(spec)
    container.start()
    code = container.wait()
    lines = list(container.logs())
    container.remove()
    return code, *("\n".join(line.text for line in lines if line.stream == name) for name in ("stdout", "stderr"))


def mounted(python: Sequence[str]) -> list[Mount]:
    """Whatever the Python needs, read-only at its own place; what lies in another of these comes with it."""
    places = [Path(place) for place in ("/usr", "/lib", "/lib64", *python[1:]) if place and Path(place).is_dir()]
    outer = [place for place in dict.fromkeys(places) if not any(other in place.parents for other in places)]
    return [Mount(source=str(place), target=str(place)) for place in outer]


def test_a_container_computes_on_the_gpu_that_it_is_given(
    tmp_path: Path, python: list[str], specs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, specs)
    devices = choose("pytorch", {}, parse_gpus("all"), gpu_sight()).devices
    code, out, err = run(tmp_path, [python[0], "-c", COMPUTE], mounted(python), devices)
    assert code == 0, err
    name, _, product = out.strip().rpartition("|")
    assert name
    assert float(product) == 256**3


def test_a_container_that_is_given_none_sees_none(tmp_path: Path, python: list[str]) -> None:
    argv = [python[0], "-W", "ignore", "-c", "import torch; print(torch.cuda.is_available())"]
    code, out, err = run(tmp_path, argv, mounted(python), ())
    assert (code, out) == (0, "False"), err
