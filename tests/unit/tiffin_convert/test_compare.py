"""What counts as another answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tiffin_convert.compare import Measured, measured

CLASSES = {"probability": "predict_proba", "outputs": [{"datatype": "INT64"}]}
LABELS = {"probability": "", "outputs": [{"datatype": "BYTES"}]}
NUMBERS = {"probability": "", "outputs": [{"datatype": "FP64"}]}


def classes(labels: list[int], *probabilities: list[float]) -> dict[str, Any]:
    return {"predict": np.array(labels), "predict_proba": np.array(probabilities)}


def compared(signature: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> Measured:
    return measured(signature, {"input": np.arange(len(before["predict"]))[:, None]}, before, after, 1e-4)


def test_the_worst_row_is_the_one_furthest_off() -> None:
    before = classes([0, 1], [0.9, 0.1], [0.2, 0.8])
    found = compared(CLASSES, before, classes([0, 1], [0.9, 0.1], [0.25, 0.75]))
    assert found.report["difference"] == pytest.approx(0.05)
    assert found.report["worst"]["row"] == {"input": [1]}
    assert not found.passes(1e-4)
    assert found.passes(0.06)


def test_a_flip_between_equals_is_a_tie() -> None:
    found = compared(CLASSES, classes([0], [0.5, 0.5]), classes([1], [0.49999, 0.50001]))
    assert (found.report["flipped"], found.report["ties"]) == (1, 1)
    assert found.passes(1e-4)


def test_a_flip_of_a_sure_label_is_none() -> None:
    found = compared(CLASSES, classes([0], [0.9, 0.1]), classes([1], [0.9, 0.1]))
    assert (found.report["flipped"], found.report["ties"]) == (1, 0)
    assert not found.passes(1e-4)


def test_labels_without_probabilities_are_counted() -> None:
    found = compared(LABELS, {"predict": np.array(["a", "b"])}, {"predict": np.array(["a", "c"], dtype=object)})
    assert found.report["flipped"] == 1
    assert not found.report["relative"]


def test_values_differ_by_a_part_of_their_range() -> None:
    found = compared(NUMBERS, {"predict": np.array([0.0, 1e6])}, {"predict": np.array([1.0, 1e6])})
    assert found.report["relative"]
    assert found.report["difference"] == pytest.approx(1e-6)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_no_number_is_as_far_off_as_can_be(wrong: float) -> None:
    found = compared(NUMBERS, {"predict": np.array([0.0, 1.0])}, {"predict": np.array([0.0, wrong])})
    assert found.report["difference"] > 1e300
    assert found.report["worst"]["after"] == {"predict": str(wrong)}


def test_no_number_where_there_was_none_is_the_same() -> None:
    before = {"predict": np.array([np.nan, 1.0, 2.0])}
    assert compared(NUMBERS, before, {"predict": before["predict"].copy()}).report["difference"] == 0


def test_another_shape_is_as_far_off_as_can_be() -> None:
    found = compared(NUMBERS, {"predict": np.zeros((2, 2))}, {"predict": np.zeros((2, 1))})
    assert found.report["difference"] > 1e300
