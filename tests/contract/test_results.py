"""What all results do, wherever they are kept."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from faulty_registry import faulty_registry
from tiffin.errors import CommandError
from tiffin.oci.digest import Digest
from tiffin.oci.reference import Reference
from tiffin.pipeline.graph import Port, Step
from tiffin.pipeline.keeping.shared import SharedResults
from tiffin.pipeline.results import Results
from tiffin.pipeline.workbench import FILES, VALUES, Ended, Order
from tiffin.store.records import Records
from unit.pipeline.made_orders import DOCUMENT, STEP, folder_of, kept_in, make_order
from unit.pipeline.memory_results import MemoryResults

KINDS = ["memory", "kept", "shared"]
Make = Callable[..., Order]


@pytest.fixture(params=KINDS)
def results(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Results]:
    if request.param == "memory":
        yield MemoryResults(tmp_path / "taken")
        return
    kept = kept_in(tmp_path)
    if request.param == "kept":
        yield kept
        return
    with faulty_registry() as registry:
        name = Reference.parse(f"{registry.host}/team/results")
        yield SharedResults.of(kept, name, Records(tmp_path / "pushed"), {})


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make what an order leaves behind; what is None is left out, and what a step gives otherwise is added."""

    def order(step: Step = STEP, **left: Any) -> Order:
        return make_order(tmp_path / f"order-{len(list(tmp_path.glob('order-*')))}", step, **left)

    return order


class TestResults:
    def test_what_nobody_kept_is_not_found(self, results: Results) -> None:
        assert results.find(Digest.of(DOCUMENT)) is None
        assert results.key_of(Digest.of(DOCUMENT)) is None

    def test_what_is_kept_is_found_under_its_documents_digest(self, results: Results, make: Make) -> None:
        ended = Ended(metadata={"model": {"framework": "sklearn"}})
        kept = results.keep(DOCUMENT, make(), ended, 1.25)
        assert kept.key == Digest.of(DOCUMENT)
        assert kept.values == {"accuracy": 0.9}
        assert (kept.attempt, kept.seconds) == (2, 1.25)
        assert kept.made
        model = kept.artifacts["model"]
        assert (model.digest, model.size, model.type, model.name) == (Digest.of(b"weights"), 7, "Model", "model")
        assert model.metadata == {"framework": "sklearn"}
        assert not model.folder
        assert results.find(kept.key) == kept
        assert results.key_of(kept.key) == DOCUMENT

    def test_a_file_is_taken_as_it_was_under_its_name(self, results: Results, make: Make) -> None:
        model = results.keep(DOCUMENT, make(), Ended(), 1).artifacts["model"]
        taken = results.take(model)
        assert taken.path.read_bytes() == b"weights"
        assert (taken.path.name, taken.digest, taken.size, taken.type) == ("model", model.digest, 7, "Model")
        assert results.take(model) == taken

    def test_a_folder_is_taken_with_all_that_is_in_it(self, results: Results, make: Make) -> None:
        def write(path: Path) -> None:
            (path / "below" / "empty").mkdir(parents=True)
            (path / "below" / "program").write_bytes(b"#!")
            (path / "below" / "program").chmod(0o700)
            (path / "ünï\ncode").write_bytes(b"x" * 2000)
            (path / ".wh.name").write_bytes(b"")
            (path / "link").symlink_to("./below/../below/program")

        model = results.keep(DOCUMENT, make(model=write), Ended(), 1).artifacts["model"]
        path = results.take(model).path
        assert model.folder
        assert sorted(str(found.relative_to(path)) for found in path.rglob("*")) == [
            ".wh.name", "below", "below/empty", "below/program", "link", "ünï\ncode",
        ]  # fmt: skip
        assert os.readlink(path / "link") == "./below/../below/program"  # noqa: PTH115 - pathlib would write it anew
        assert (path / "link").read_bytes() == b"#!"
        assert (path / "below" / "program").stat().st_mode & 0o777 == 0o755

    def test_a_folder_is_known_by_what_is_in_it_alone(self, results: Results, make: Make) -> None:
        def other_way_round(path: Path) -> None:
            path.mkdir(mode=0o700)
            for name, data in (("b", b"2"), ("a", b"1")):
                (path / name).write_bytes(data)
                (path / name).chmod(0o600)
                os.utime(path / name, (1, 1))

        one = results.keep(DOCUMENT, make(model=folder_of(a=b"1", b=b"2")), Ended(), 1).artifacts["model"]
        two = results.keep(DOCUMENT, make(model=other_way_round), Ended(), 1).artifacts["model"]
        three = results.keep(DOCUMENT, make(model=folder_of(a=b"1", b=b"3")), Ended(), 1).artifacts["model"]
        assert one.digest == two.digest != three.digest

    def test_a_file_that_is_a_folders_tar_is_another_artifact(self, results: Results, make: Make) -> None:
        folder = results.keep(DOCUMENT, make(model=folder_of()), Ended(), 1).artifacts["model"]
        file = results.keep(DOCUMENT, make(model=bytes(1024)), Ended(), 1).artifacts["model"]
        assert folder.digest == file.digest, "an empty tar is two blocks of zeros"
        assert results.take(folder).path.is_dir()
        assert results.take(file).path.is_file()

    def test_an_empty_file_and_an_empty_text_are_outputs(self, results: Results, make: Make) -> None:
        step = Step(name="s", does=STEP.does, outputs={"model": Port(type="Model"), "word": Port(type="str")})
        kept = results.keep(b"{}", make(step, model=b"", word="", scores=None, accuracy=None), Ended(), 1)
        assert kept.values == {"word": ""}
        assert results.take(kept.artifacts["model"]).path.read_bytes() == b""

    def test_what_is_optional_may_stay_away(self, results: Results, make: Make) -> None:
        outputs = {"model": Port(type="Model", optional=True), "accuracy": Port(type="float", optional=True)}
        step = Step(name="s", does=STEP.does, outputs=outputs)
        kept = results.keep(DOCUMENT, make(step, model=None, accuracy=None, scores=None), Ended(), 1)
        assert (kept.values, kept.artifacts) == ({}, {})
        assert results.find(kept.key) == kept

    @pytest.mark.parametrize(
        ("kind", "text", "value"),
        [
            ("int", "7", 7),
            ("float", "7", 7.0),
            ("str", " 7\n", " 7\n"),
            ("bool", "true", True),
            ("list", '[1,"a",null]', [1, "a", None]),
            ("dict", '{"a":{"b":[0.5]}}', {"a": {"b": [0.5]}}),
        ],
    )
    def test_values_come_back_with_their_types(
        self, results: Results, make: Make, kind: str, text: str, value: Any
    ) -> None:
        step = Step(name="s", does=STEP.does, outputs={"it": Port(type=kind)})
        document = json.dumps({"outputs": {"it": kind}}).encode()
        kept = results.keep(document, make(step, model=None, scores=None, accuracy=None, it=text), Ended(), 1)
        found = results.find(kept.key)
        assert found
        assert found.values == {"it": value}
        assert type(found.values["it"]) is type(value)

    def test_what_is_kept_again_takes_the_place_of_what_was(self, results: Results, make: Make) -> None:
        results.keep(DOCUMENT, make(), Ended(), 1)
        again = results.keep(DOCUMENT, make(model=b"other", accuracy="0.1"), Ended(), 1)
        assert results.find(again.key) == again
        assert results.take(again.artifacts["model"]).path.read_bytes() == b"other"

    @pytest.mark.parametrize(
        ("left", "message"),
        [
            ({"model": None}, r"pipeline.py:12: step fit wrote nothing to its output model"),
            ({"accuracy": None}, "step fit gave no value for its output accuracy"),
            (
                {"accuracy": "high"},
                "step fit gave a value for its output accuracy that is 'high', and should be a float",
            ),
            ({"accuracy": "NaN"}, "its output accuracy that is not a number"),
            ({"accuracy": "1e999"}, "its output accuracy that is infinite"),
            ({"accuracy": "true"}, "its output accuracy that is 'true'"),
            ({"scores": b'{"f1": NaN}'}, "wrote metrics to scores of which f1 is NaN"),
            ({"scores": b'{"f1": 1e999}'}, "wrote metrics to scores of which f1 is Infinity"),
            ({"scores": b'{"f1": "good"}'}, "of which f1 is no number: good"),
            ({"scores": b'{"f1": true}'}, "of which f1 is no number: true"),
            ({"scores": b"[1]"}, "that are no JSON object"),
            ({"scores": b"\xff"}, "that are no JSON"),
            ({"scores": folder_of(a=b"1")}, "made a folder of its metrics scores"),
            ({"model": lambda path: path.symlink_to("/etc/passwd")}, "made a link of its output model, to /etc/passwd"),
            ({"model": os.mkfifo}, "gave an output model that cannot be kept: .*model is a fifo"),
            ({"spare": b"?"}, "wrote outside its outputs: /out/artifacts/spare"),
            ({"spare": "1"}, "wrote outside its outputs: /out/parameters/spare"),
        ],
    )
    def test_an_output_that_is_none_is_refused_and_nothing_is_kept(
        self, results: Results, make: Make, left: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(CommandError, match=message) as caught:
            results.keep(DOCUMENT, make(**left), Ended(), 1)
        assert caught.value.hint
        assert results.find(Digest.of(DOCUMENT)) is None

    def test_facts_that_no_key_can_have_are_refused(self, results: Results, make: Make) -> None:
        with pytest.raises(CommandError, match="said of its output model what JSON cannot"):
            results.keep(DOCUMENT, make(), Ended(metadata={"model": {"loss": float("nan")}}), 1)

    @pytest.mark.parametrize("kind", [FILES, VALUES])
    def test_a_link_in_the_place_of_the_folder_of_outputs_is_not_followed(
        self, results: Results, make: Make, kind: str, tmp_path: Path
    ) -> None:
        order = make()
        (order.folder / kind).rename(tmp_path / "secrets")
        (order.folder / kind).symlink_to(tmp_path / "secrets")
        with pytest.raises(CommandError, match=f"put something else in the place of /out/{kind}"):
            results.keep(DOCUMENT, order, Ended(), 1)

    @pytest.mark.parametrize("target", ["../scores", "/etc/passwd", "within/../../x", "up/../.."])
    def test_a_folder_with_a_link_that_leads_out_of_it_is_refused(
        self, results: Results, make: Make, target: str
    ) -> None:
        def write(path: Path) -> None:
            (path / "within").mkdir(parents=True)
            (path / "within" / "up").symlink_to("..")
            (path / "within" / "bad" if target.startswith("up") else path / "bad").symlink_to(target)

        with pytest.raises(CommandError, match="which leads out of"):
            results.keep(DOCUMENT, make(model=write), Ended(), 1)

    def test_a_socket_in_a_folder_is_refused(
        self, results: Results, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def write(path: Path) -> None:
            path.mkdir()
            monkeypatch.chdir(path)  # the address of a socket has few bytes
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind("s")

        with pytest.raises(CommandError, match="model/s is a socket"):
            results.keep(DOCUMENT, make(model=write), Ended(), 1)
