"""Drift is told when what comes in is no longer what the model was trained with, and only then."""

from __future__ import annotations

import http.client
import json
import struct
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from tiffin.models.baseline import baseline_of, baseline_text
from tiffin.models.training_data import Table
from tiffin_serve.front.metrics.drift import MOST_FEATURES, ROWS, SHOWN, Drift, Watched
from tiffin_serve.front.metrics.exposition import text
from tiffin_serve.front.metrics.sampling import Sampler, columns_of
from tiffin_serve.front.metrics.sketches import (
    LEAST_ROWS,
    SLICE_SECONDS,
    SLICES,
    Bins,
    Feature,
    Sketch,
    stability_index,
)
from tiffin_serve.protocol.call import Call, Tensor, TensorKind, make_call
from tiffin_serve.protocol.frames import Result, ResultTensor
from tiffin_serve.protocol.signature import Signature, TensorSpec
from unit.tiffin_serve.fronts import DEADLINE, Serve, Server, wait_for

MATRIX = Signature(
    inputs=(TensorSpec("input", "FP64", (-1, 2)),),
    outputs=(TensorSpec("label", "BYTES", (-1,)),),
    columns=("age", "income"),
    classes=("no", "yes"),
    batches=True,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def training(rows: int = 2000) -> Table:
    random = np.random.default_rng(7)
    ages, incomes = random.normal(40, 12, rows), random.lognormal(10, 1, rows)
    labels = ["yes" if age > 45 else "no" for age in ages]
    columns = ("age", "income", "city", "bought")
    cities = random.choice(["Oslo", "Bergen"], rows)
    return Table(columns=columns, rows=[list(row) for row in zip(ages, incomes, cities.tolist(), labels, strict=True)])


def drift(folder: Path, signature: Signature = MATRIX, clock: Clock | None = None) -> Drift:
    path = folder / "baseline.json"
    path.write_text(baseline_text(baseline_of(training(), "bought", path)))
    watched = Drift(clock or Clock())
    watched.compare_with(str(path))
    watched.learn(signature)
    return watched


def matrix(values: Any, datatype: str = "FP64") -> Call:
    array = np.ascontiguousarray(values, {"FP64": "<f8", "FP32": "<f4"}[datatype])
    return make_call((Tensor("input", datatype, array.shape, array.tobytes()),), batches=True)


def texts(values: list[str]) -> bytes:
    return b"".join(struct.pack("<I", len(value.encode())) + value.encode() for value in values)


def feature(watched: Drift, name: str, side: str = "inputs") -> dict[str, Any]:
    return next(one for one in watched.document()[side] if one["name"] == name)


def see(watched: Drift, calls: list[Call]) -> None:
    if watched.wants(sum(call.rows for call in calls)):
        watched.asked(calls)


def ask(watched: Drift, rows: Any, seconds: int = 20) -> None:
    """Send rows one by one, over so many seconds."""
    for part in np.array_split(rows, seconds):
        for row in part:
            see(watched, [matrix([row])])
        watched.digest()


def test_the_index_is_the_textbooks() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        expected, actual = (random.dirichlet(np.ones(10)) for _ in range(2))
        floor = np.maximum([expected, actual], 1e-4)
        reference = float(np.sum((floor[1] - floor[0]) * np.log(floor[1] / floor[0])))
        assert stability_index(expected.tolist(), actual.tolist()) == pytest.approx(reference)


def test_the_index_of_what_came_in_is_numpys(tmp_path: Path) -> None:
    watched = drift(tmp_path)
    asked = np.random.default_rng(1).normal((45, 30_000), (10, 9_000), (300, 2))
    ask(watched, asked)
    said = feature(watched, "age")
    trained = np.array([row[0] for row in training().rows], dtype=float)
    edges = [-np.inf, *said["histogram"]["edges"], np.inf]
    expected, actual = (np.histogram(values, edges)[0] / len(values) for values in (trained, asked[:, 0]))
    expected, actual = np.maximum([expected, actual], 1e-4)
    assert said["psi"] == pytest.approx(np.sum((actual - expected) * np.log(actual / expected)), rel=1e-3)
    assert said["mean"] == pytest.approx(asked[:, 0].mean())
    assert said["deviation"] == pytest.approx(asked[:, 0].std())
    assert (said["rows"], said["sampled"], said["missing"]) == (300, 300, 0)


@pytest.mark.parametrize("datatype", ["FP64", "FP32"])
def test_the_same_data_is_no_drift_and_shifted_data_is(tmp_path: Path, datatype: str) -> None:
    rows = np.array([row[:2] for row in training(4000).rows], dtype=float)
    same, shifted = drift(tmp_path), drift(tmp_path)
    for part in np.array_split(rows, 40):
        see(same, [matrix(part, datatype)])
        see(shifted, [matrix(part + np.array((12, 0)), datatype)])
        same.digest()
        shifted.digest()
    assert feature(same, "age")["psi"] < 0.1
    assert feature(same, "income")["psi"] < 0.1
    assert feature(shifted, "age")["psi"] > 0.25
    assert feature(shifted, "income")["psi"] < 0.1


def test_the_index_speaks_of_the_last_hour_and_not_of_the_start(tmp_path: Path) -> None:
    clock = Clock()
    watched = drift(tmp_path, clock=clock)
    rows = np.array([row[:2] for row in training(600).rows], dtype=float)
    ask(watched, rows + np.array((30, 0)))
    assert feature(watched, "age")["psi"] > 1
    clock.now += SLICE_SECONDS * SLICES
    ask(watched, rows)
    assert feature(watched, "age")["psi"] < 0.1
    clock.now += SLICE_SECONDS * SLICES
    assert feature(watched, "age")["psi"] is None
    assert 'tiffin_input_values_total{feature="age"} 1200' in text(watched.families({}))


def test_values_that_go_missing_are_drift(tmp_path: Path) -> None:
    watched = drift(tmp_path)
    rows = np.array([row[:2] for row in training(400).rows], dtype=float)
    rows[:200, 0] = np.nan
    rows[:3, 1] = np.inf
    ask(watched, rows)
    said = feature(watched, "age")
    assert said["missing"] == 0.5
    assert said["psi"] > 0.25
    assert 'tiffin_input_missing_total{feature="age"} 200' in text(watched.families({}))
    assert 'tiffin_input_missing_total{feature="income"} 3' in text(watched.families({}))


def test_few_rows_are_no_drift(tmp_path: Path) -> None:
    watched = drift(tmp_path)
    ask(watched, np.full((LEAST_ROWS - 1, 2), 99.0))
    assert feature(watched, "age")["psi"] is None
    ask(watched, np.full((1, 2), 99.0), 1)
    assert feature(watched, "age")["psi"] > 1


def test_texts_are_told_by_category_and_strangers_texts_are_not_told(tmp_path: Path) -> None:
    signature = Signature(inputs=(TensorSpec("city", "BYTES", (-1, 1)),), batches=True)
    watched = drift(tmp_path, signature)
    for _ in range(LEAST_ROWS):
        values = ["Oslo", "Bergen", "", "Ada's secret address"]
        call = make_call((Tensor("city", "BYTES", (4, 1), texts(values)),), batches=True)
        see(watched, [call])
        watched.digest()
    said = feature(watched, "city")
    assert said["histogram"]["categories"] == ("Oslo", "Bergen")
    assert said["histogram"]["shares"] == [0.25, 0.25, 0.25]
    assert said["missing"] == 0.25
    assert said["psi"] > 0.25
    assert "secret" not in json.dumps(watched.document()) + text(watched.families({}))


def test_columns_without_names_are_known_by_their_place(tmp_path: Path) -> None:
    table = Table(columns=("a", "b", "label"), rows=[[1.0 * row, 2.0 * row, "x"] for row in range(100)])
    path = tmp_path / "baseline.json"
    path.write_text(baseline_text(baseline_of(table, "label", path)))
    watched = Drift(Clock())
    watched.compare_with(str(path))
    watched.learn(Signature(inputs=(TensorSpec("input", "FP64", (-1, 2)),), batches=True))
    see(watched, [matrix([[10.0, 20.0]])])
    assert [one["name"] for one in watched.document()["inputs"]] == ["a", "b"]
    assert feature(watched, "b")["mean"] == 20


def test_columns_that_are_nobodys_are_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watched = drift(tmp_path, Signature(inputs=(TensorSpec("input", "FP64", (-1, 9)),), batches=True))
    see(watched, [matrix([list(range(9))])])
    assert feature(watched, "input[3]")["mean"] == 3
    assert "psi" not in feature(watched, "input[3]")
    assert "no column of the training data is one of the model's" in capsys.readouterr().err


def test_a_damaged_baseline_is_reported_and_harms_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "baseline.json").write_text("{")
    watched = Drift(Clock())
    watched.compare_with(str(tmp_path / "baseline.json"))
    watched.learn(MATRIX)
    see(watched, [matrix([[1.0, 2.0]])])
    assert feature(watched, "age")["mean"] == 1
    assert "the baseline cannot be read" in capsys.readouterr().err


def answer(watched: Drift, labels: list[str]) -> None:
    body = texts(labels)
    output = ResultTensor(name="label", datatype="BYTES", shape=(len(labels),), size=len(body))
    watched.answered(len(labels), Result(id=1, outputs=(output,)), memoryview(body))


def test_predictions_are_told_by_class_and_drift_against_the_target(tmp_path: Path) -> None:
    watched = drift(tmp_path)
    for _ in range(LEAST_ROWS):
        answer(watched, ["yes"])
        watched.digest()
    said = feature(watched, "label", "outputs")
    assert dict(zip(said["histogram"]["categories"], said["histogram"]["shares"], strict=False)) == {"no": 0, "yes": 1}
    assert said["psi"] > 0.25
    assert 'tiffin_output_share{output="label",category="yes"} 1.0' in text(watched.families({}))


def test_predictions_are_told_by_class_without_training_data() -> None:
    watched = Drift(Clock())
    watched.learn(MATRIX)
    answer(watched, ["yes", "no", "no", "no"])
    said = feature(watched, "label", "outputs")
    assert said["histogram"] == {"categories": ("no", "yes"), "shares": [0.75, 0.25, 0.0]}
    assert said["psi"] is None


def test_names_that_clients_make_up_are_not_kept() -> None:
    watched = Drift(Clock())
    for number in range(1000):
        kind = (Tensor(f"made up {number}", "FP64", (1,), struct.pack("<d", 1.0)),)
        see(watched, [make_call(kind, batches=False)])
    assert watched.document()["inputs"] == []
    assert len(watched._inputs._kinds) <= 64


def test_of_many_columns_a_scraper_hears_of_those_that_drifted_most() -> None:
    watched = Drift(Clock())
    watched.learn(Signature(inputs=(TensorSpec("input", "FP64", (-1, 1000)),), batches=True))
    see(watched, [matrix([list(range(1000))])])
    document = watched.document()
    assert len(document["inputs"]) == MOST_FEATURES
    assert text(watched.families({})).count("tiffin_input_mean{") == SHOWN


def test_images_and_sequences_are_not_looked_at() -> None:
    assert (
        columns_of((TensorKind("image", "FP32", (3, 8, 8)), TensorKind("words", "BYTES", (5,))), 10, alone=False) == ()
    )


@given(st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=8), min_size=1, max_size=60))
def test_sampled_rows_stand_for_all_that_passed(batches: list[list[int]]) -> None:
    sampler: Sampler[Watched] = Sampler(5)
    watched = Watched(columns_of((TensorKind("x", "INT64", ()),), 10, alone=False), [])
    passed = 0
    for sizes in batches:
        calls = []
        for size in sizes:
            calls.append((size, (struct.pack(f"<{size}q", *range(passed, passed + size)),)))
            passed += size
        if sampler.wants(sum(sizes)):
            sampler.keep(watched, calls)
    weight, kept = sampler.take()
    (column,) = watched.columns
    (values,) = column.values([row[0] for row in kept[watched]])
    assert weight * len(values) == pytest.approx(passed)
    assert len(values) <= 2 * 5
    assert list(values) == sorted(set(values))
    assert set(values) <= set(range(passed))


def test_clients_who_take_turns_are_no_pattern() -> None:
    watched = Drift(Clock())
    watched.learn(MATRIX)
    calls = [matrix([[0.0, 0.0]]), matrix([[1.0, 1.0]])]
    for _ in range(30):
        for number in range(2000):
            see(watched, [calls[number % 2]])
        watched.digest()
    said = feature(watched, "age")
    assert 0.4 < said["mean"] < 0.6
    assert said["sampled"] <= 30 * 2 * ROWS
    assert said["rows"] == 60_000


values_lists = st.lists(st.floats(-1e6, 1e6), max_size=30)


@given(st.lists(st.tuples(values_lists, st.sampled_from([1.0, 2.0])), max_size=6))
def test_sketches_add_up_to_one_of_everything(parts: list[tuple[list[float], float]]) -> None:
    whole, every = Sketch(), []
    for values, weight in parts:
        sketch = Sketch()
        sketch.add(values, weight)
        whole.merge(sketch)
        every += values * int(weight)
    assert whole.weight == len(every)
    if every:
        assert whole.mean == pytest.approx(np.mean(every), abs=1e-6)
        assert whole.deviation == pytest.approx(np.std(every), abs=1e-3)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=60))
def test_bins_and_missing_hold_every_value_once(values: list[float]) -> None:
    one = Feature("x", Bins(edges=(-1.0, 0.0, 5.0), expected=(0.25, 0.25, 0.25, 0.25)))
    one.see(values, 1.0, 0.0)
    sketch = one.window(0.0)
    assert sum(sketch.bins) + sketch.missing == len(values)
    assert sketch.rows == len(values)


def drift_of(server: Server) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.metrics_port, timeout=DEADLINE)
    try:
        connection.request("GET", "/drift")
        response = connection.getresponse()
        assert response.status == 200
        found: dict[str, Any] = json.loads(response.read())
        return found
    finally:
        connection.close()


def trained(serve: Serve, tmp_path: Path) -> tuple[Server, Any]:
    """Serve a model with the data it was trained with; returns the front and the rows of that data."""
    table = training(500)
    rows = np.array([row[:2] for row in table.rows], dtype=float)
    joblib.dump(LogisticRegression().fit(rows, [row[3] for row in table.rows]), tmp_path / "model.joblib")
    path = tmp_path / "baseline.json"
    narrow = Table(columns=("age", "income", "bought"), rows=[[*row[:2], row[3]] for row in table.rows])
    path.write_text(baseline_text(baseline_of(narrow, "bought", path)))
    model = {"format": "sklearn-joblib", "path": str(tmp_path / "model.joblib")}
    server = serve(model, baseline=str(path)).ready()
    return server, rows


def test_a_running_front_tells_drift(serve: Serve, tmp_path: Path) -> None:
    server, rows = trained(serve, tmp_path)
    psi = 'tiffin_input_psi{model="iris",feature="%s"}'

    def index_after(shift: float) -> float | None:
        status, _ = server.ask("POST", "/predict", (rows + np.array((shift, 0))).tolist())
        assert status == 200
        return server.metrics().get(psi % "age")

    before = wait_for(lambda: index_after(0), "enough rows")
    assert before < 0.25
    wait_for(lambda: (index_after(25) or 0) > 0.25, "drift is told")
    metrics = server.metrics()
    assert metrics[psi % "income"] < 0.25
    document = drift_of(server)
    assert [one["name"] for one in document["inputs"]] == ["age", "income"]
    assert document["baseline"] == {"rows": 500}
    assert document["outputs"][0]["psi"] > 0
    counted = metrics['tiffin_input_values_total{model="iris",feature="age"}']
    assert counted == metrics['tiffin_predicted_rows_total{model="iris"}']


def test_of_a_call_of_a_hundred_thousand_rows_a_hundred_are_looked_at() -> None:
    watched = Drift(Clock())
    watched.learn(MATRIX)
    see(watched, [matrix(np.zeros((100_000, 2)))])
    assert len(watched._inputs.sampler._kept) < 2 * ROWS
    assert feature(watched, "age")["rows"] == 100_000


def result(name: str, values: list[int]) -> tuple[int, Result, memoryview]:
    output = ResultTensor(name=name, datatype="INT64", shape=(len(values),), size=8 * len(values))
    return len(values), Result(id=1, outputs=(output,)), memoryview(struct.pack(f"<{len(values)}q", *values))


def test_outputs_that_are_asked_for_one_at_a_time_are_not_mixed_up() -> None:
    watched = Drift(Clock())
    outputs = (TensorSpec("one", "INT64", (-1,)), TensorSpec("two", "INT64", (-1,)))
    watched.learn(Signature(outputs=outputs))
    watched.answered(*result("one", [1]))
    watched.answered(*result("two", [2]))
    assert [feature(watched, name, "outputs")["mean"] for name in ("one", "two")] == [1, 2]


@pytest.mark.parametrize("classes", [(3, 12345678), (3.0, 12345678.0)])
def test_classes_that_are_numbers_are_told_by_their_names(classes: tuple[float, ...]) -> None:
    watched = Drift(Clock())
    watched.learn(Signature(outputs=(TensorSpec("label", "INT64", (-1,)),), classes=classes))
    watched.answered(*result("label", [12345678, 3, 3, 99]))
    histogram = feature(watched, "label", "outputs")["histogram"]
    assert histogram == {"categories": ("3", "12345678"), "shares": [0.5, 0.25, 0.25]}
