"""What the loaders of Keras and of TensorFlow's SavedModel announce and predict, without a server around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tiffin.models.detect import read_model
from tiffin_serve.protocol.signature import Signature
from tiffin_serve.worker.loaders import load

pytestmark = [pytest.mark.models, pytest.mark.filterwarnings("ignore")]

keras = pytest.importorskip("keras", reason="needs keras")
tf = pytest.importorskip("tensorflow", reason="needs tensorflow")


def served(path: Path) -> Any:
    model = load(read_model(path).format, str(path), "")
    msgspec.convert(model.signature, Signature).check()
    return model


def two_by_two() -> Any:
    left, right = keras.Input((3,), name="left"), keras.Input((2,), name="right")
    joined = keras.layers.Concatenate()([left, right])
    outputs = [keras.layers.Dense(1, name="small")(joined), keras.layers.Dense(4, name="large")(joined)]
    return keras.Model([left, right], outputs)


def test_keras_takes_and_gives_several_tensors_by_name(tmp_path: Path) -> None:
    made = two_by_two()
    made.save(tmp_path / "m.keras")
    model = served(tmp_path / "m.keras")
    assert [spec["name"] for spec in model.signature["inputs"]] == ["left", "right"]
    assert [spec["shape"] for spec in model.signature["outputs"]] == [[-1, 1], [-1, 4]]
    assert model.signature["batches"]
    inputs = {"right": np.ones((2, 2), dtype="f4"), "left": np.zeros((2, 3), dtype="f4")}
    answer = list(model.predict(inputs, (), {}).values())
    for had, wanted in zip(answer, made([inputs["left"], inputs["right"]]), strict=True):
        np.testing.assert_allclose(had, wanted, rtol=1e-5)


class Doubling(tf.Module):
    """A function of texts and numbers, with names of its own."""

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string, "word"), tf.TensorSpec([None, 2], tf.float32, "many")]
    )
    def serve(self, word: Any, many: Any) -> Any:
        return {"shout": tf.strings.upper(word), "double": 2 * many}


def test_a_saved_model_announces_its_serving_signature(tmp_path: Path) -> None:
    module = Doubling()
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=module.serve)
    model = served(tmp_path / "m")
    assert {(spec["name"], spec["datatype"]) for spec in model.signature["inputs"]} == {
        ("word", "BYTES"),
        ("many", "FP32"),
    }
    inputs = {"word": np.array(["a", "b"], dtype=object), "many": np.ones((2, 2), dtype="f4")}
    answer = model.predict(inputs, (), {})
    assert answer["shout"].tolist() == [b"A", b"B"]
    assert (answer["double"] == 2).all()
    assert list(model.predict(inputs, ("double",), {})) == ["double"]


def test_a_saved_model_without_a_serving_signature_is_refused(tmp_path: Path) -> None:
    tf.saved_model.save(tf.Module(), str(tmp_path / "m"))
    with pytest.raises(ValueError, match="serving_default"):
        served(tmp_path / "m")
