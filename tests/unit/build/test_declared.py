"""What a project declares that it needs of the machine is in the image's labels, and moves no layer but one."""

from __future__ import annotations

import msgspec

from tiffin.build.carried import project_text, read_project_text
from tiffin.build.explain import explain
from tiffin.build.plan import plan_image
from tiffin.build.recipes import Metadata
from tiffin.config.deploy import DeploySection, EnvironmentSection
from tiffin.config.project import DataSection, ModelSection
from tiffin.engine.declared import Data, GpuNeed, declared_data, declared_gpu
from unit.build.contents import image
from unit.build.test_plan import ENVIRONMENT, PAYLOAD, PROJECT, SERVER, moved

NEEDY = msgspec.structs.replace(
    PROJECT,
    model=ModelSection(path="model.joblib", gpu="required"),
    data=(DataSection(name="features", path="/data"), DataSection(name="notes", path="/notes", write=True)),
)


def test_what_is_declared_is_in_the_labels() -> None:
    labels = plan_image(NEEDY, ENVIRONMENT, SERVER, PAYLOAD).run.labels
    assert labels["dev.tiffin.gpu"] == "required"
    assert labels["dev.tiffin.data"] == (
        '[{"name":"features","path":"/data"},{"name":"notes","path":"/notes","write":true}]'
    )
    assert declared_data(labels) == [Data(name="features", path="/data"), Data(name="notes", path="/notes", write=True)]


def test_what_declares_nothing_has_no_label_of_it() -> None:
    labels = plan_image(PROJECT, ENVIRONMENT, SERVER, PAYLOAD).run.labels
    assert not {"dev.tiffin.gpu", "dev.tiffin.data"} & set(labels)
    assert declared_gpu(labels) is GpuNeed.UNSAID


def test_a_declaration_moves_the_metadata_and_nothing_else() -> None:
    assert moved(project=NEEDY) == {Metadata}


def test_a_declaration_is_carried_and_read_back() -> None:
    assert read_project_text(project_text(NEEDY), "project.json") == NEEDY


def test_how_it_is_deployed_is_not_carried() -> None:
    deployed = msgspec.structs.replace(NEEDY, deploy=DeploySection(cpu="2"), environment={"a": EnvironmentSection()})
    assert project_text(deployed) == project_text(NEEDY)
    assert moved(project=deployed) == moved(project=NEEDY)


def test_explaining_an_image_names_what_it_declares() -> None:
    labels = plan_image(NEEDY, ENVIRONMENT, SERVER, PAYLOAD).run.labels
    found = explain(image(labels=labels))
    assert (found.gpu, [data.path for data in found.data]) == ("required", ["/data", "/notes"])
