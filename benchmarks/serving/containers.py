"""How soon a container of an image answers: built by tiffin, run by tiffin, from the command to the right answer."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.command import Command, timed
from benchmarks.ports import free_port
from benchmarks.tiffin import tiffin
from tiffin.traffic.address import Address

from . import oip, words
from .cases import FILES, IMAGE_JSON, LR, ROW, Case
from .peers.tiffin import NAME, PEERS
from .running import START_SECONDS, STEP_SECONDS, post
from .turns import Kitchen, right

PACKAGES = {LR: ["scikit-learn==1.7.2", "joblib"], "image": ["onnxruntime"]}
LOAD = "import joblib; joblib.load({path!r})"
TOML = """\
name = "{name}"

[model]
path = "{file}"

[python]
version = "3.11"
dependencies = {packages}
"""


def play(kitchen: Kitchen, rounds: int) -> None:
    """Build both images, then run them in turns, beside a plain interpreter that imports and loads.

    Each runs once before anything is timed: a first run unpacks layers, and whoever comes first reads from the disk.
    """
    home = kitchen.artefacts.parent / "home"
    cases = {LR: ROW[LR], "image": IMAGE_JSON}
    python = kitchen.programs(PEERS[0]) / "python"
    load = LOAD.format(path=str(kitchen.artefacts / FILES[LR]))
    timed(Command([str(python), "-c", load]))
    for model, case in cases.items():
        _build(kitchen, home, model)
        _answer(kitchen, home, case)
    for _ in range(rounds):
        kitchen.results.add(words.IMPORT, words.IMPORT, timed(Command([str(python), "-c", load])))
        for model, case in cases.items():
            kitchen.results.add(words.of_model(words.CONTAINER, model), NAME, _answer(kitchen, home, case))


def _build(kitchen: Kitchen, home: Path, model: str) -> None:
    folder = kitchen.scratch / f"project-{len(model)}"
    folder.mkdir()
    shutil.copy(kitchen.artefacts / FILES[model], folder)
    text = TOML.format(name=_name(model), file=FILES[model], packages=str(PACKAGES[model]).replace("'", '"'))
    (folder / "tiffin.toml").write_text(text)
    tiffin(home, "build", str(folder)).run()


def _name(model: str) -> str:
    return f"bench-{FILES[model].partition('.')[0]}"


def _answer(kitchen: Kitchen, home: Path, case: Case) -> float:
    name, port = _name(case.model), free_port()
    question = oip.ask(case, kitchen.samples)
    question = type(question)(path=question.path.replace(oip.MODEL, name), body=question.body)
    judge = right(kitchen.samples.answer(case), oip.read)
    began = time.perf_counter()
    try:
        tiffin(home, "run", "--detach", "--name", name, "--publish", str(port), name).run()
        while time.perf_counter() - began < START_SECONDS:
            with suppress(OSError, ValueError):
                body = post(Address(host="127.0.0.1", port=port), question)
                assert judge(body), f"the container answers wrong: {body[:200].decode()}"
                return time.perf_counter() - began
            time.sleep(STEP_SECONDS)
        raise AssertionError(f"the container {name} never answered")
    finally:
        tiffin(home, "rm", "--force", name).run()
