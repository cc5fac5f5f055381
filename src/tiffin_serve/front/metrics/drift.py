"""What comes in and goes out of late, beside what the model was trained with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tiffin_serve.front.log import report
from tiffin_serve.front.metrics.exposition import Family, Labels, Sample
from tiffin_serve.front.metrics.sampling import Column, Sampler, columns_of
from tiffin_serve.front.metrics.sketches import SLICE_SECONDS, SLICES, Bins, Feature, Sketch, bins_of, written
from tiffin_serve.protocol.baseline import Baseline, read
from tiffin_serve.protocol.call import Call, TensorKind
from tiffin_serve.protocol.frames import Result, result_bodies
from tiffin_serve.protocol.signature import Signature

MOST_FEATURES = 256
"""Columns that are looked at; those after them are not."""

SHOWN = 50
"""Columns that a scraper is told of: those that drifted most."""

ROWS = 50
LEAST_ROWS = 5
VALUES = 4_000
"""Rows and values that are looked at in a second, about."""

BUDGET_SECONDS = 0.005
"""Of a second: what takes longer is done for fewer rows from then on."""

MOST_KINDS = 64


class Watched:
    """What is looked at in calls of one kind: the columns of its tensors, and the features that their values are of."""

    __slots__ = ("columns", "features")

    def __init__(self, columns: tuple[Column, ...], features: list[list[Feature]]) -> None:
        self.columns = columns
        self.features = features


class Side:
    """The inputs, or the outputs: which columns they have, and what was seen in them."""

    def __init__(self) -> None:
        self.sampler: Sampler[Watched] = Sampler(ROWS)
        self.features: dict[str, Feature] = {}
        self._kinds: dict[tuple[tuple[TensorKind, ...], bool], Watched | None] = {}
        self._most = ROWS

    def watched(
        self, tensors: tuple[TensorKind, ...], name: Callable[[int, TensorKind, int], Feature | None], *, alone: bool
    ) -> Watched | None:
        """Say what to look at, if anything; `name` gives the feature of a tensor's n-th value, or None."""
        if (tensors, alone) in self._kinds or len(self._kinds) >= MOST_KINDS:
            return self._kinds.get((tensors, alone))
        columns, features = [], []
        for column in columns_of(tensors, MOST_FEATURES, alone=alone):
            named = [name(place, tensors[column.tensor], column.width) for place in range(column.kept)]
            if all(named):
                columns.append(column)
                features.append([feature for feature in named if feature is not None])
        found = Watched(tuple(columns), features) if columns else None
        self._kinds[tensors, alone] = found
        looked_at = sum(column.kept for column in columns)
        self._most = max(LEAST_ROWS, min(self._most, VALUES // max(looked_at, 1)))
        self.sampler.most = min(self.sampler.most, self._most)
        return found

    def feature(self, name: str, bins: Bins | None) -> Feature | None:
        """Give the feature of that name; None where there are too many already."""
        if name not in self.features and len(self.features) >= MOST_FEATURES:
            return None
        return self.features.setdefault(name, Feature(name, bins))

    def digest(self, now: float) -> None:
        """Count what was sampled since the last time."""
        began = time.perf_counter()
        weight, kept = self.sampler.take()
        for watched, rows in kept.items():
            for position, column in enumerate(watched.columns):
                values = column.values([row[position] for row in rows])
                for feature, found in zip(watched.features[position], values, strict=True):
                    feature.see(found, weight, now)
        took, most = time.perf_counter() - began, self.sampler.most
        if took > BUDGET_SECONDS:
            self.sampler.most = max(LEAST_ROWS, most // 2)
        elif took < BUDGET_SECONDS / 8:
            self.sampler.most = min(self._most, most + 1)

    def shown(self, now: float) -> list[tuple[Feature, Sketch, float | None]]:
        """Give the features that a scraper is told of."""
        windows = [(feature, feature.window(now)) for feature in self.features.values()]
        told = [(feature, sketch, feature.psi(sketch)) for feature, sketch in windows]
        if len(told) > SHOWN:
            told.sort(key=lambda item: -(item[2] or 0.0))
        return told[:SHOWN]


class Drift:
    """Statistics of a sample of all rows in and out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._inputs = Side()
        self._outputs = Side()
        self._signature = Signature()
        self._baseline: Baseline | None = None

    def compare_with(self, path: str) -> None:
        """Read what the training data looked like; without it there are statistics, and no drift."""
        try:
            self._baseline = read(Path(path))
        except (OSError, ValueError) as error:
            report("drift is not told: the baseline cannot be read", error=str(error))

    def learn(self, signature: Signature) -> None:
        """Take the names of the columns from the model."""
        if signature == self._signature:
            return
        self._signature = signature
        self._inputs, self._outputs = Side(), Side()
        given = self._baseline.features if self._baseline is not None else []
        if given and signature.inputs and not self._known() and not self._by_position():
            report(
                "drift is not told: no column of the training data is one of the model's",
                training_data=[feature.name for feature in given][:SHOWN],
                model=[*signature.columns, *(spec.name for spec in signature.inputs)][:SHOWN],
            )

    # --- what passes

    def wants(self, rows: int) -> bool:
        """Let so many rows pass on their way to the model; say whether to look at them: `asked` comes next then."""
        return self._inputs.sampler.wants(rows)

    def asked(self, calls: Sequence[Call]) -> None:
        """Look at the calls of one kind whose rows passed last."""
        sampler, kind = self._inputs.sampler, calls[0].kind
        watched = self._inputs.watched(kind.tensors, self._input, alone=kind.alone)
        if watched is not None:
            sampler.keep(watched, [(call.rows, call.data) for call in calls])
        else:
            sampler.pass_by()

    def answered(self, rows: int, result: Result, body: memoryview) -> None:
        """Look at what the model made of so many rows."""
        sampler = self._outputs.sampler
        if not sampler.wants(rows):
            return
        fits = rows > 0 and all(output.shape[:1] == (rows,) for output in result.outputs)
        tensors = tuple([TensorKind(output.name, output.datatype, output.shape[1:]) for output in result.outputs])
        watched = self._outputs.watched(tensors, self._output, alone=False) if fits else None
        if watched is not None:
            sampler.keep(watched, [(rows, result_bodies(result, body))])
        else:
            sampler.pass_by()

    def digest(self) -> None:
        """Count what was sampled; call it about once a second."""
        now = self._clock()
        self._inputs.digest(now)
        self._outputs.digest(now)

    # --- names

    def _known(self) -> set[str]:
        """The columns of the training data that the model names."""
        given = {feature.name for feature in self._baseline.features} if self._baseline is not None else set()
        return given & {*self._signature.columns, *(spec.name for spec in self._signature.inputs)}

    def _by_position(self) -> bool:
        """Say whether the training data has as many columns as the one matrix that the model takes without names."""
        inputs = self._signature.inputs
        return (
            self._baseline is not None
            and len(inputs) == 1
            and inputs[0].shape[1:] == (len(self._baseline.features),)
            and not self._known()
        )

    def _input(self, place: int, tensor: TensorKind, width: int) -> Feature | None:
        columns, single = self._signature.columns, len(self._signature.inputs) == 1
        given = self._baseline.features if self._baseline is not None else []
        if given and self._by_position():
            name = given[place].name or f"{tensor.name}[{place}]"
            return self._inputs.feature(name, bins_of(given[place]))
        if single and len(columns) == width:
            name = columns[place]
        else:
            name = tensor.name if width == 1 else f"{tensor.name}[{place}]"
        bins = next((bins_of(feature) for feature in given if feature.name == name), None)
        if not self._signature.inputs and bins is None:
            return None  # the name is whatever a client made up
        return self._inputs.feature(name, bins)

    def _output(self, place: int, tensor: TensorKind, width: int) -> Feature | None:
        classes = tuple([written(label) for label in self._signature.classes])
        if width > 1 or tensor.name == self._signature.probability:
            label = classes[place] if width == len(classes) else str(place)
            return self._outputs.feature(f"{tensor.name}[{label}]", None)
        target = self._baseline.target if self._baseline is not None else None
        first = [spec.name for spec in self._signature.outputs[:1]] in ([], [tensor.name])
        bins = None
        if first and target is not None:
            bins = bins_of(target)
        elif first and classes:
            bins = Bins(categories=classes, is_text=True)
        return self._outputs.feature(tensor.name, bins)

    # --- how it reads

    def families(self, labels: Labels) -> Iterator[Family]:
        """Give everything for a scraper."""
        self.digest()
        now = self._clock()
        for side, word in ((self._inputs, "input"), (self._outputs, "output")):
            yield from _told(side.shown(now), word, labels)
        shares = [
            Sample({**labels, "output": feature.name, "category": category}, share)
            for feature, sketch, _ in self._outputs.shown(now)
            if feature.bins is not None and feature.bins.is_text and sketch.rows
            for category, share in zip((*feature.bins.categories, "others"), feature.shares(sketch), strict=True)
        ]
        yield Family("tiffin_output_share", "gauge", "Share of a category in the last hour.", shares)

    def document(self) -> dict[str, Any]:
        """Say everything, for `/drift`."""
        self.digest()
        now = self._clock()
        return {
            "window_seconds": SLICES * SLICE_SECONDS,
            "baseline": None if self._baseline is None else {"rows": self._baseline.rows},
            "inputs": [feature.document(now) for feature in self._inputs.features.values()],
            "outputs": [feature.document(now) for feature in self._outputs.features.values()],
        }


def _told(features: Sequence[tuple[Feature, Sketch, float | None]], word: str, labels: Labels) -> Iterator[Family]:
    label = "feature" if word == "input" else "output"

    def family(name: str, kind: str, meaning: str, values: list[tuple[Feature, float]]) -> Family:
        samples = [Sample({**labels, label: feature.name}, value) for feature, value in values]
        return Family(f"tiffin_{word}_{name}", kind, meaning, samples)

    numeric = [(feature, sketch) for feature, sketch, _ in features if not feature.is_text and sketch.weight]
    yield family("values_total", "counter", "Values seen, as far as a sample tells.", [(f, round(f.values)) for f, _, _ in features])  # fmt: skip # noqa: E501
    yield family("missing_total", "counter", "Values missing, as far as a sample tells.", [(f, round(f.missing)) for f, _, _ in features])  # fmt: skip # noqa: E501
    yield family("mean", "gauge", "Mean in the last hour.", [(f, sketch.mean) for f, sketch in numeric])
    yield family("deviation", "gauge", "Deviation in the last hour.", [(f, sketch.deviation) for f, sketch in numeric])
    yield family(
        "psi",
        "gauge",
        "Population stability index of the last hour against the training data.",
        [(feature, psi) for feature, _, psi in features if psi is not None],
    )
