"""The image of a project's steps is its environment with their code in it; images of others are named by digest."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from faulty_registry import FaultyRegistry, faulty_registry
from tiffin.api.images.push import push
from tiffin.api.machine.home import Home
from tiffin.api.pipelines.compile import compile_pipeline, pinned, step_image
from tiffin.cli.pipeline_compile import command as compile_command
from tiffin.errors import ConfigError, NotFoundError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER, Descriptor, History, ImageConfig, RootFS, RunConfig
from tiffin.oci.image import Image, read_image
from tiffin.oci.platform import Platform
from tiffin.pipeline.benches.code import Code
from tiffin.pipeline.graph import Command, Graph, Step, Task


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    return Home.of({"TIFFIN_HOME": str(tmp_path / "home")})


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with faulty_registry() as running:
        yield running


@pytest.fixture
def environment(home: Home) -> Image:
    layer = Descriptor.of(b"base", LAYER)
    home.store.put(layer, io.BytesIO(b"base"))
    here = Platform.here()
    config = ImageConfig(
        architecture=here.architecture,
        os=here.os,
        config=RunConfig(user="65532:65532", env=["PATH=/opt/venv/bin"], labels={"dev.tiffin.environment": "1"}),
        rootfs=RootFS(diff_ids=[layer.digest]),
        history=[History(comment="base")],
    )
    image = Image.make(config, [layer], {})
    image.write(home.store)
    home.store.tag("story:environment", image.descriptor)
    return image


def code(folder: Path, **files: str) -> Code:
    for name, text in files.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if name == "run" else 0o644)
    return Code(digest=Digest.of(b"code"), path=folder)


def test_the_image_of_steps_has_their_code_where_containers_here_have_it(
    home: Home, environment: Image, tmp_path: Path
) -> None:
    layers = [
        (code(tmp_path / "language", tiffin_pipeline="1"), "/tiffin/pipeline"),
        (code(tmp_path / "code", pipeline="2", run="3"), "/pipeline"),
    ]
    image = step_image(environment, layers, home)
    again = read_image(home.store, image.descriptor)
    assert again.config.config.env == [
        "PATH=/opt/venv/bin",
        "PYTHONPATH=/pipeline:/tiffin/pipeline",
        "PYTHONHASHSEED=0",
    ]
    assert (again.config.config.working_dir, again.config.config.user) == ("/pipeline", "65532:65532")
    assert [one.comment for one in again.config.history] == ["base", "tiffin_pipeline", "code"]
    with (
        home.store.open(again.manifest.layers[-1]) as stream,
        tarfile.open(fileobj=io.BytesIO(gzip.decompress(stream.read()))) as tar,
    ):
        modes = {one.name: one.mode for one in tar if one.isfile()}
    assert modes == {
        "pipeline/pipeline.py": 0o644,
        "pipeline/run.py": 0o755,
    }


def test_an_edit_changes_the_layer_of_the_code_and_no_other(home: Home, environment: Image, tmp_path: Path) -> None:
    language = (code(tmp_path / "language", tiffin_pipeline="1"), "/tiffin/pipeline")
    first = step_image(environment, [language, (code(tmp_path / "a", pipeline="1"), "/pipeline")], home)
    second = step_image(environment, [language, (code(tmp_path / "b", pipeline="2"), "/pipeline")], home)
    third = step_image(environment, [language, (code(tmp_path / "c", pipeline="1"), "/pipeline")], home)
    assert first.descriptor == third.descriptor
    assert first.manifest.layers[:-1] == second.manifest.layers[:-1]
    assert first.manifest.layers[-1] != second.manifest.layers[-1]


def test_a_tag_is_asked_for_its_digest(home: Home, environment: Image, registry: FaultyRegistry) -> None:
    name = f"{registry.host}/team/tools:1"
    push("story:environment", name, home=home)
    steps = {
        "tagged": Step(name="tagged", does=Command(argv=("x",), image=name)),
        "pinned": Step(name="pinned", does=Command(argv=("x",), image=f"{name}@{environment.descriptor.digest}")),
        "own": Step(name="own", does=Command(argv=("x",))),
    }
    graph = Graph(name="a", steps=steps, body=tuple(Task(name=step, step=step) for step in steps))
    assert pinned(graph, home) == {name: f"{name}@{environment.descriptor.digest}"}


def test_a_place_to_push_to_has_a_registry(home: Home, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="team/story names no registry"):
        compile_pipeline(tmp_path, registry="team/story", home=home)


def test_a_project_without_a_pipeline_is_told_so(home: Home, tmp_path: Path) -> None:
    (tmp_path / "tiffin.toml").write_text('name = "a"\n[model]\npath = "m"\n[python]\nversion = "3.11"\n')
    with pytest.raises(NotFoundError, match=r"has no pipeline\.py"):
        compile_pipeline(tmp_path, home=home)


def test_the_command_asks_for_what_will_run_it(tmp_path: Path) -> None:
    result = CliRunner().invoke(compile_command, [str(tmp_path)])
    assert result.exit_code == 2
    assert "--to" in result.output
