"""Whether a converted model will do, and what decides the file that comes of one."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tiffin.build.conversion import (
    Conversion,
    Latency,
    Report,
    Worst,
    attach_report,
    check_format,
    judge,
    report_of,
    said,
    timed,
)
from tiffin.build.recipes import SourceFile
from tiffin.errors import ConfigError, UnsupportedError
from tiffin.models.model import Model
from tiffin.oci.digest import Digest
from tiffin.oci.documents import MANIFEST, Descriptor
from tiffin.store.memory import MemoryStore

REPORT = Report(
    samples=20_000,
    from_file=False,
    flipped=15,
    ties=15,
    difference=5e-7,
    relative=False,
    precision="single",
    opset=9,
    inputs=[],
    latency={"1": Latency(before=15_600, after=50), "64": Latency(before=100, after=200)},
    versions={"skl2onnx": "1.20.0"},
    worst=Worst(row={"input": [5.1]}, before={"predict": "a"}, after={"predict": "b"}),
    format="sklearn-joblib",
    tolerance=1e-4,
)
CONVERSION = Conversion(
    format="sklearn-joblib",
    model=(SourceFile(path="model/m", digest=Digest.of(b"m"), size=1),),
    tools=(),
    environment=Digest.of(b"python"),
    program=Digest.of(b"program"),
    tolerance=1e-4,
)


def other(**changes: object) -> Report:
    return msgspec.structs.replace(REPORT, **changes)


def test_flips_at_ties_pass_and_are_told() -> None:
    judge(REPORT, "m")
    assert said(REPORT) == "15 of 20,000 labels flipped (15 at ties), largest difference 5.0e-07"


def test_values_are_told_as_part_of_their_range() -> None:
    report = other(relative=True, flipped=0, ties=0)
    assert said(report) == "largest difference 5.0e-07 of the values' range on 20,000 rows"


def test_latency_is_told_before_and_after_whichever_is_faster() -> None:
    assert timed(REPORT) == "1 row 15.6 ms -> 50 µs (312 times faster), 64 rows 100 µs -> 200 µs (2.0 times the time)"


def test_too_great_a_difference_is_refused_with_the_row_and_the_way_out() -> None:
    with pytest.raises(UnsupportedError) as caught:
        judge(other(difference=2.13e-3), "model.joblib")
    assert "largest difference 2.1e-03; the tolerance is 0.0001" in caught.value.message
    assert '{"input":[5.1]}: {"predict":"a"} became {"predict":"b"}' in caught.value.message
    assert "`tolerance = 3e-03`" in caught.value.hint
    assert "`convert`" in caught.value.hint


def test_a_tolerance_that_would_take_anything_is_not_proposed() -> None:
    with pytest.raises(UnsupportedError) as caught:
        judge(other(difference=0.4), "model.joblib")
    assert "tolerance =" not in caught.value.hint


def test_the_proposed_tolerance_is_taken() -> None:
    for need in (2.13e-3, 1e-3, 9.99e-3, 1.5e-4):
        with pytest.raises(UnsupportedError) as caught:
            judge(other(difference=need), "m")
        proposed = float(caught.value.hint.partition("= ")[2].partition("`")[0])
        judge(other(difference=need, tolerance=proposed), "m")


def test_more_flips_than_the_tolerance_allows_are_refused() -> None:
    judge(other(flipped=17), "m")
    with pytest.raises(UnsupportedError, match="18 of 20,000 labels flipped"):
        judge(other(flipped=18), "m")


def test_no_tolerance_takes_nothing_but_the_same() -> None:
    judge(other(tolerance=0.0, difference=0.0, flipped=0, ties=0), "m")
    with pytest.raises(UnsupportedError):
        judge(other(tolerance=0.0), "m")


@pytest.mark.parametrize(
    ("format_", "why"),
    [("onnx", "it is ONNX already"), ("mlflow", "a folder around a model"), ("keras", "its format is keras")],
)
def test_what_has_no_converter_is_refused_with_what_to_do(format_: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        check_format(Model(format=format_, path=Path("m")), "m")
    assert "$.model.convert" in caught.value.message
    assert caught.value.hint


def test_the_key_changes_with_everything_that_decides_the_file() -> None:
    replace = msgspec.structs.replace
    more = SourceFile(path="samples/s", digest=Digest.of(b"s"), size=1)
    variants = [
        CONVERSION,
        replace(CONVERSION, model=(more,)),
        replace(CONVERSION, samples=more),
        replace(CONVERSION, tolerance=1e-3),
        replace(CONVERSION, environment=Digest.of(b"another")),
        replace(CONVERSION, program=Digest.of(b"another")),
        replace(CONVERSION, format="skops"),
    ]
    assert len({variant.key for variant in variants}) == len(variants)


def test_an_image_keeps_its_first_report() -> None:
    store = MemoryStore()
    image = Descriptor.of(b"{}", MANIFEST)
    assert report_of(store, image) is None
    attach_report(store, image, REPORT)
    attach_report(store, image, other(difference=1e-9))
    assert report_of(store, image) == REPORT
