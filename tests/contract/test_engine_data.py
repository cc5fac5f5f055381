"""Data that an image declares, on every engine: what is not as it must be refuses the start, in the same words."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from contract.engine_fixtures import EmbeddedBench, RealBench
from tiffin.engine.declared import Data, labels
from tiffin.engine.spec import Foresees, Mount
from tiffin.errors import ConfigError

FEATURES = Data(name="features", path="/data")


def declaring(*data: Data) -> dict[str, str]:
    return labels(data, "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "features"
    found.mkdir(mode=0o755)
    (found / "a.csv").write_text("1\n")
    return found


def refusal(real: RealBench, *data: Data, **more: Any) -> ConfigError:
    """What the engine says; and that it says the same without making anything."""
    spec = real.spec("aa", "echo started", labels=declaring(*data), **more)
    assert isinstance(real.engine, Foresees)
    foreseen = real.engine.obstacles(spec)
    with pytest.raises(ConfigError) as caught:
        real.engine.create(spec)
    assert caught.value.message == "; ".join(one.message for one in foreseen)
    assert [container.spec.name for container in real.engine.list()] == []
    return caught.value


class TestData:
    def test_data_that_is_mounted_is_read_and_not_written(self, real: RealBench, folder: Path) -> None:
        code, lines = real.run(
            "cat /data/a.csv; touch /data/b; echo $?",
            labels=declaring(FEATURES),
            mounts=(Mount(source=str(folder), target="/data"),),
        )
        assert (code, lines) == (0, ["1", "1"])

    def test_data_that_is_not_mounted_refuses_the_start(self, real: RealBench) -> None:
        error = refusal(real, FEATURES)
        assert error.message == "busybox needs its data 'features' at /data, and nothing is mounted there"
        assert error.hint == "say where it lies: `-v FOLDER:/data`"

    def test_a_folder_of_the_image_is_not_the_data(self, real: RealBench) -> None:
        assert "nothing is mounted there" in refusal(real, Data(name="code", path="/app")).message

    def test_an_empty_folder_refuses_the_start(self, real: RealBench, folder: Path) -> None:
        (folder / "a.csv").unlink()
        error = refusal(real, FEATURES, mounts=(Mount(source=str(folder), target="/data"),))
        assert error.message == f"{folder}, the data 'features' of busybox, is empty"

    def test_an_empty_file_refuses_the_start(self, real: RealBench, folder: Path) -> None:
        (folder / "a.csv").write_text("")
        error = refusal(real, FEATURES, mounts=(Mount(source=str(folder / "a.csv"), target="/data"),))
        assert error.message == f"{folder}/a.csv, the data 'features' of busybox, is empty"

    def test_a_source_that_does_not_exist_refuses_the_start_and_is_not_made(
        self, real: RealBench, folder: Path
    ) -> None:
        error = refusal(real, mounts=(Mount(source=f"{folder}/nosuch", target="/other"),))
        assert error.message == f"{folder}/nosuch of `-v {folder}/nosuch:/other` does not exist"
        assert not (folder / "nosuch").exists()

    def test_data_that_is_written_and_mounted_read_only_refuses_the_start(self, real: RealBench, folder: Path) -> None:
        data = Data(name="features", path="/data", write=True)
        error = refusal(real, data, mounts=(Mount(source=str(folder), target="/data"),))
        assert error.hint == f"`-v {folder}:/data:rw`"

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
    def test_what_the_containers_user_cannot_read_names_the_fix_that_works(self, real: RealBench, folder: Path) -> None:
        folder.chmod(0o700)
        mounts = (Mount(source=str(folder), target="/data"),)
        error = refusal(real, FEATURES, mounts=mounts, user=(65532, 65532))
        assert error.message == (
            f"{folder}, the data 'features' of busybox, cannot be read by the container's user (65532)"
        )
        assert error.hint == f"`chmod -R a+rX {folder}`"
        assert os.system(error.hint.strip("`")) == 0  # noqa: S605 - exactly what a user would type
        code, lines = real.run("cat /data/a.csv", labels=declaring(FEATURES), mounts=mounts, user=(65532, 65532))
        assert (code, lines) == (0, ["1"])

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
    def test_what_the_containers_user_cannot_write_names_the_fix_that_works(
        self, real: RealBench, folder: Path
    ) -> None:
        data = Data(name="features", path="/data", write=True)
        mounts = (Mount(source=str(folder), target="/data", read_only=False),)
        error = refusal(real, data, mounts=mounts, user=(65532, 65532))
        assert error.hint == f"`chown -R 65532 {folder}`"
        assert os.system(error.hint.strip("`")) == 0  # noqa: S605 - exactly what a user would type
        code, _ = real.run("touch /data/b", labels=declaring(data), mounts=mounts, user=(65532, 65532))
        assert code == 0
        assert (folder / "b").exists()

    @pytest.mark.skipif(os.geteuid() == 0, reason="needs an ordinary user")
    def test_an_ordinary_user_is_the_containers_and_needs_no_root_to_mend_it(
        self, embedded: EmbeddedBench, folder: Path
    ) -> None:
        folder.chmod(0)
        mounts = (Mount(source=str(folder), target="/data"),)
        error = refusal(embedded, FEATURES, mounts=mounts)
        assert error.hint == f"`chmod -R a+rX {folder}`"
        assert os.system(error.hint.strip("`")) == 0  # noqa: S605 - exactly what a user would type
        assert embedded.run("cat /data/a.csv", labels=declaring(FEATURES), mounts=mounts) == (0, ["1"])

    def test_data_that_went_away_refuses_the_next_start(self, real: RealBench, folder: Path) -> None:
        mounts = (Mount(source=str(folder), target="/data"),)
        container = real.engine.create(real.spec("aa", "true", labels=declaring(FEATURES), mounts=mounts))
        (folder / "a.csv").unlink()
        with pytest.raises(ConfigError, match="is empty"):
            container.start()
