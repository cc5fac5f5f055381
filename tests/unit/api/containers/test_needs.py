"""What the machine is asked before an image is run, and what the doctor tells of GPUs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec import structs

from tiffin.api.containers.needs import mention_grpc, with_gpus
from tiffin.api.containers.options import Typed, run_options
from tiffin.api.machine.doctor import gpus
from tiffin.api.machine.engines import choosing
from tiffin.engine.cdi import Known, Source, parse_spec
from tiffin.engine.cdi_files import VARIABLE
from tiffin.engine.declared import GPU
from tiffin.engine.embedded.doctor import Level
from tiffin.engine.gpus import Sight
from tiffin.engine.plan import RunOptions
from tiffin.engine.spec import Port
from tiffin.errors import ConfigError, NotFoundError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import History, ImageConfig, RootFS, RunConfig
from tiffin.oci.image import Image
from tiffin.progress import Event, Noted, listening

SPEC = {"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": [{"name": "0"}, {"name": "all"}]}


def image(**labels: str) -> Image:
    config = ImageConfig(
        architecture="amd64",
        os="linux",
        config=RunConfig(labels={key.replace("_", "."): value for key, value in labels.items()}),
        rootfs=RootFS(diff_ids=[Digest.of(b"")]),
    )
    return Image.make(config, [], {})


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    (tmp_path / "nvidia.json").write_text(json.dumps(SPEC))
    return tmp_path


@pytest.mark.usefixtures("specs")
def test_devices_by_name_come_after_the_gpus() -> None:
    options = run_options(Typed(name="a", gpus="1", device=["v.x/y=z"]))
    assert with_gpus("iris", image(), options).devices == ("nvidia.com/gpu=0", "v.x/y=z")


@pytest.mark.usefixtures("specs")
def test_most_images_get_none_and_nothing_is_said() -> None:
    options = RunOptions(name="a")
    assert with_gpus("iris", image(), options) is options


def test_the_word_about_a_gpu_that_is_missed_is_a_note(specs: Path) -> None:
    (specs / "nvidia.json").unlink()
    events: list[Event] = []
    with listening(events.append):
        assert with_gpus("iris", image(dev_tiffin_gpu="optional"), RunOptions(name="a")).devices == ()
    assert [event.message[:27] for event in events if isinstance(event, Noted)] == ["iris starts without a GPU: "]
    with pytest.raises(NotFoundError, match="the model of iris needs a GPU"):
        with_gpus("iris", image(**{GPU: "required"}), RunOptions(name="a"))


def grpc_words(*ports: int, layers: tuple[str, ...] = (), **labels: str) -> list[str]:
    made = image(**labels)
    history = [History(comment=layer) for layer in layers]
    made = structs.replace(made, config=structs.replace(made.config, history=history))
    events: list[Event] = []
    with listening(events.append):
        mention_grpc("iris", made, [Port(container_port=port) for port in ports])
    return [event.message for event in events if isinstance(event, Noted)]


def test_the_port_of_grpc_is_told_to_be_deaf_where_it_is() -> None:
    sockets = "http=8080,grpc=8081,metrics=8082"
    (word,) = grpc_words(8080, 8081, layers=("server", "code"), dev_tiffin_sockets=sockets)
    assert word.startswith("iris answers no gRPC on port 8081: `grpc = true`")
    assert grpc_words(8080, 8081, layers=("server", "grpc"), dev_tiffin_sockets=sockets) == []
    assert grpc_words(8080, 8082, layers=("server",), dev_tiffin_sockets=sockets) == []
    assert grpc_words(8081, layers=("app",)) == []


def test_gpus_of_a_remote_engine_are_named_unseen(monkeypatch: pytest.MonkeyPatch, specs: Path) -> None:
    (specs / "nvidia.json").unlink()
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    with choosing("docker"):
        assert with_gpus("iris", image(dev_tiffin_gpu="required"), RunOptions(name="a")).devices == (
            "nvidia.com/gpu=all",
        )


def test_what_is_no_device_is_refused_when_it_is_read() -> None:
    with pytest.raises(ConfigError, match="not a device: '/dev/null'"):
        run_options(Typed(device=["/dev/null"]))


def test_a_mount_that_was_asked_to_be_read_only_is_remembered() -> None:
    assert run_options(Typed(volume=["/a:/b:ro", "/c:/d", "/e:/f:rw"])).insisted == ("/b",)


def test_the_doctor_tells_the_gpus_and_what_is_missing() -> None:
    known = Known(sources=(Source(file="x", priority=0, spec=parse_spec(SPEC, "x")),))
    found = gpus(Sight(known=known, driver="550.54.15"))
    assert (found.level, found.message) == (Level.OK, "nvidia.com/gpu: 0, all (driver 550.54.15)")
    assert gpus(Sight(known=Known())).level is Level.OK
    undescribed = gpus(Sight(known=Known(folders=("/etc/cdi",)), driver="550.54.15"))
    assert (undescribed.level, "nvidia-ctk cdi generate" in undescribed.hint) == (Level.WARN, True)
    assert "x: broken" in gpus(Sight(known=Known(broken=("x: broken",), folders=("/etc/cdi",)))).message
