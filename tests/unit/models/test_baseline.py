"""A baseline says of the training data what drift needs, and nothing that points at a single row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.errors import ConfigError
from tiffin.models.baseline import LEAST, Baseline, Feature, baseline_of, baseline_text
from tiffin.models.training_data import LEAST_ROWS, MOST_CELLS, Table, read_training_data
from tiffin_serve.protocol import baseline as served

ROOT = Path(__file__).parents[3]


def table(*columns: list[Any], names: tuple[str, ...] = ()) -> Table:
    return Table(columns=names, rows=[list(row) for row in zip(*columns, strict=True)])


def of(*columns: list[Any], names: tuple[str, ...] = (), target: str = "") -> Baseline:
    return baseline_of(table(*columns, names=names), target, Path("train.csv"))


def write_csv(path: Path, columns: dict[str, list[Any]]) -> Path:
    rows = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(rows) + "\n")
    return path


def test_moments_and_bins_are_numpys() -> None:
    values = np.random.default_rng(1).normal(3, 2, 1000).tolist()
    (feature,) = of(values).features
    assert feature.mean == pytest.approx(np.mean(values))
    assert feature.deviation == pytest.approx(np.std(values))
    counts = np.histogram(values, [-np.inf, *feature.edges, np.inf])[0]
    assert feature.shares == pytest.approx(counts / 1000)
    assert len(feature.edges) == 9


@given(
    st.lists(st.floats(-1e99, 1e99) | st.sampled_from([0.0, 1.0, 2.0]) | st.none(), min_size=50, max_size=400),
)
def test_shares_are_of_all_rows_and_each_stands_for_enough_of_them(values: list[float | None]) -> None:
    (feature,) = of(values).features
    assert sum(feature.shares) + feature.missing == pytest.approx(1)
    if feature.edges:
        assert min(feature.shares) * len(values) >= LEAST - 1e-6
    assert list(feature.edges) == sorted(set(feature.edges))
    present = [value for value in values if value is not None]
    for place, share in enumerate(feature.shares):
        low = feature.edges[place - 1] if place else -np.inf
        high = feature.edges[place] if place < len(feature.edges) else np.inf
        assert share * len(values) == pytest.approx(sum(low < value <= high for value in present))


def test_a_narrow_float_falls_where_the_wide_one_fell() -> None:
    values = [round(0.1 * number, 1) for number in range(50)] * 5
    (feature,) = of(values).features
    exact = np.searchsorted(feature.edges, values)
    assert (np.searchsorted(feature.edges, np.float32(values)) == exact).all()


def test_rare_and_long_texts_are_not_named() -> None:
    cities = ["Oslo"] * 60 + ["Bergen"] * 30 + ["Ada Lovelace's farm"] * 9 + ["x" * 200] * 20
    (feature,) = of(cities).features
    assert (feature.kind, feature.categories) == ("text", ["Oslo", "Bergen"])
    assert feature.shares == pytest.approx([60 / 119, 30 / 119, 29 / 119])
    assert "Lovelace" not in baseline_text(of(cities))


def test_no_value_of_the_data_stands_in_the_baseline() -> None:
    values = [number * 1.37 for number in range(200)]
    (feature,) = of(values).features
    assert set(values).isdisjoint([*feature.edges, feature.mean, feature.deviation])


def test_missing_true_and_infinite_values_are_told() -> None:
    (feature,) = of(["true"] * 30 + ["False"] * 60 + [None] * 10 + ["inf"] * 20).features
    assert (feature.kind, feature.missing) == ("number", 30 / 120)
    assert feature.edges == [0.5]
    assert feature.shares == pytest.approx([60 / 120, 30 / 120])


def test_the_target_is_told_apart() -> None:
    found = of([1.0] * 60, ["a", "b"] * 30, names=("x", "label"), target="label")
    assert [feature.name for feature in found.features] == ["x"]
    assert found.target is not None
    assert found.target.categories == ["a", "b"]
    with pytest.raises(ConfigError, match=r"no column 'lable' - at `\$\.model\.target`"):
        of([1.0] * 60, names=("x",), target="lable")


def test_too_few_rows_give_no_baseline() -> None:
    with pytest.raises(ConfigError, match="has 49 rows"):
        of([1.0] * 49)


def test_every_kind_of_file_gives_the_same(tmp_path: Path) -> None:
    one = [number * 0.37 % 1 for number in range(80)]
    two = [float(number % 5) for number in range(80)]
    array = np.array([one, two]).T
    np.save(tmp_path / "c.npy", array)
    np.save(tmp_path / "f.npy", np.asfortranarray(array))
    np.save(tmp_path / "big.npy", array.astype(">f8"))
    (tmp_path / "lists.jsonl").write_text("".join(f"[{a}, {b}]\n" for a, b in zip(one, two, strict=True)))
    write_csv(tmp_path / "named.csv", {"a": one, "b": two})
    write_csv(tmp_path / "indexed.csv", {"": list(range(80)), "a": one, "b": two})
    lines = [json.dumps({"a": a, "b": b}) for a, b in zip(one, two, strict=True)]
    (tmp_path / "named.ndjson").write_text("\n\n".join(lines))
    (tmp_path / "named.tsv").write_text((tmp_path / "named.csv").read_text().replace(",", "\t"))
    found = {
        path.name: baseline_text(baseline_of(read_training_data(path), "", path)) for path in sorted(tmp_path.iterdir())
    }
    for kind in (
        ("c.npy", "f.npy", "big.npy", "lists.jsonl"),
        ("named.csv", "indexed.csv", "named.ndjson", "named.tsv"),
    ):
        assert len({found[name] for name in kind}) == 1, kind
    assert '"name": "a"' in found["named.csv"]


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8", "uint16", "int64", "bool"])
def test_arrays_of_every_number_are_read(tmp_path: Path, dtype: str) -> None:
    values = np.array([0, 1, 1] * 20).astype(dtype)
    np.save(tmp_path / "x.npy", values)
    assert [row[0] for row in read_training_data(tmp_path / "x.npy").rows] == values.astype(float).tolist()


def test_a_large_file_is_thinned_the_same_every_time(tmp_path: Path) -> None:
    width = MOST_CELLS // LEAST_ROWS
    wide = ",".join(f"c{number}" for number in range(width))
    rows = "\n".join(",".join([str(row)] * width) for row in range(2500))
    (tmp_path / "wide.csv").write_text(f"{wide}\n{rows}\n")
    assert [row[0] for row in read_training_data(tmp_path / "wide.csv").rows] == [str(n) for n in range(0, 2500, 4)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.parquet", b"PAR1", r"training data is read from \.csv"),
        ("x.csv", b"", r"x\.csv:1: there is no header"),
        ("x.csv", b"a,a\n1,2\n", r"x\.csv:1: the column 'a' is there twice"),
        ("x.csv", b"a,b\n1,2\n1\n", "row 3 has 1 values for 2 columns"),
        ("x.csv", b"a\n\xff\n", "not UTF-8"),
        ("x.jsonl", b"", r"x\.jsonl:1: neither an object nor a list"),
        ("x.jsonl", b'{"a": 1}\n{"a"\n', r"x\.jsonl:2: not JSON"),
        ("x.jsonl", b'{"a": 1}\n[1]\n', r"x\.jsonl:2: not like the first line"),
        ("x.jsonl", b'{"a": [1]}\n', r"x\.jsonl:1: a value is nested"),
        ("x.npy", b"nonsense", "not an array of numbers"),
        ("x.npy", b"", "not an array of numbers"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_training_data(tmp_path / name)
    assert caught.value.hint


def test_objects_are_no_numbers_and_a_cut_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}, None]), allow_pickle=True)
    np.save(tmp_path / "cut.npy", np.zeros(100))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-8])
    for name in ("objects.npy", "cut.npy"):
        with pytest.raises(ConfigError, match="not an array of numbers"):
            read_training_data(tmp_path / name)


def test_the_server_reads_what_the_tool_writes(tmp_path: Path) -> None:
    texts = ["a"] * 30 + ["b"] * 30
    written = of([1.0, 2.0, None] * 20, texts, names=("x", "y"), target="y")
    (tmp_path / "baseline.json").write_text(baseline_text(written))
    read = served.read(tmp_path / "baseline.json")
    assert [feature.name for feature in read.features] == ["x"]
    assert read.target == served.Feature(
        name="y", kind="text", missing=0.0, shares=(0.5, 0.5, 0.0), categories=("a", "b")
    )
    assert set(Baseline.__struct_fields__) == set(served.Baseline.__struct_fields__)
    assert set(Feature.__struct_fields__) == set(served.Feature.__struct_fields__)


def test_the_committed_schema_is_that_of_the_struct() -> None:
    assert (ROOT / "spec" / "baseline.schema.json").read_bytes() == served.json_schema()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shares": [0.5, 0.5]}, "2 shares for 3 bins"),
        ({"edges": [2.0, 1.0]}, "do not grow"),
        ({"shapes": 1}, "unknown field `shapes`"),
        ({"missing": 2}, "<= 1"),
    ],
)
def test_a_baseline_that_is_none_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    feature = {"kind": "number", "missing": 0, "shares": [0.25, 0.25, 0.5], "edges": [1.0, 2.0], **change}
    (tmp_path / "baseline.json").write_text(json.dumps({"rows": 60, "features": [feature]}))
    with pytest.raises(ValueError, match=r"baseline\.json"):
        served.read(tmp_path / "baseline.json")
    with pytest.raises(ValueError, match=message):
        served.read(tmp_path / "baseline.json")
