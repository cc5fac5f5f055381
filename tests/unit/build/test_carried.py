"""What an image carries of its project and lock is read back as it was, and an address is not in it."""

from __future__ import annotations

import msgspec
import pytest

from tiffin.build.carried import LOCK, PROJECT, lock_text, project_text, read_lock_text, read_project_text
from tiffin.build.plan import plan_image
from tiffin.build.recipes import Metadata
from tiffin.config.pipeline import PipelineSection
from tiffin.config.project import ImageSection, PythonSection
from tiffin.errors import ConfigError, IntegrityError
from tiffin.oci.platform import Platform
from tiffin.packages.lock import Inputs, LayerRecord, Lock, with_layers
from unit.build.test_plan import ENVIRONMENT, PAYLOAD, SERVER, digest, wheel
from unit.build.test_plan import PROJECT as IRIS


def test_a_project_is_read_back_without_its_mirror() -> None:
    image = ImageSection(packages=("libopenblas0",), mirror="http://mirror.example/debian")
    project = msgspec.structs.replace(IRIS, image=image, python=PythonSection(dependencies=("six==1.0",)))
    text = project_text(project)
    assert "mirror.example" not in text
    bare = msgspec.structs.replace(project, image=msgspec.structs.replace(image, mirror=""))
    assert read_project_text(text, "project.json") == bare
    assert project_text(read_project_text(text, "project.json")) == text


def test_a_lock_is_read_back_without_the_layers_that_a_build_added() -> None:
    inputs = Inputs(requirements=("six==1.0",), python="3.11", platform=Platform.parse("linux/amd64"), base="debian:x")
    lock = msgspec.structs.replace(Lock.make(inputs, [wheel("six")]), overlaps=())
    record = LayerRecord(digest=digest("blob"), diff_id=digest("tar"), size=1, unpacked_size=2)
    text = lock_text(with_layers(lock, {digest("recipe"): record}))
    assert text == lock_text(lock)
    assert read_lock_text(text, LOCK) == lock


def test_every_image_carries_both() -> None:
    metadata = plan_image(IRIS, ENVIRONMENT, SERVER, PAYLOAD).recipes[-1]
    assert isinstance(metadata, Metadata)
    assert metadata.texts[PROJECT] == project_text(IRIS)
    assert metadata.texts[LOCK] == ENVIRONMENT.lock


def test_a_mirror_changes_no_image() -> None:
    mirrored = msgspec.structs.replace(IRIS, image=ImageSection(mirror="http://mirror.example/debian"))
    plans = [plan_image(project, ENVIRONMENT, SERVER, PAYLOAD) for project in (IRIS, mirrored)]
    assert plans[0].digest == plans[1].digest


def test_how_it_is_retrained_changes_no_image() -> None:
    retrained = msgspec.structs.replace(IRIS, pipeline=PipelineSection(file="train.py", jobs=4, arguments={"depth": 3}))
    assert project_text(retrained) == project_text(IRIS)


def test_a_key_of_another_tiffin_is_refused_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"project\.json: .*`colour`"):
        read_project_text(project_text(IRIS).replace('"name"', '"colour": 1, "name"'), "project.json")
    with pytest.raises(IntegrityError, match="not JSON"):
        read_project_text("{", "project.json")
