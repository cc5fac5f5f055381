"""Steps that are ready to be used in any pipeline; the last five are done by tiffin itself, outside of containers."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Optional

from tiffin_pipeline.artifacts import Dataset, Metrics, Model, Output
from tiffin_pipeline.ports import Port
from tiffin_pipeline.steps import Step, action, step


@step
def split(rows: Dataset, train: Output[Dataset], test: Output[Dataset], share: float = 0.2, seed: int = 0) -> None:
    """Part rows, or the files of a folder, into what a model is trained on and what it is tested on.

    Of a CSV file both parts have the header; JSON lines and folders work as well. Rows are chosen by their content:
    equal ones never lie on both sides, and nearly all stay where they are when new ones come.
    """
    from tiffin_pipeline.splitting import parted

    parted(rows.path, train.path, test.path, share, seed)


@step
def evaluate(model: Model, test: Dataset, scores: Output[Metrics], target: str = "") -> None:
    """Have a model predict one column of a table (the last, unless `target` names one) from the others, and score it.

    Logs `accuracy` and `f1` (the mean over classes) for classes, and `rmse`, `mae` and `r2` for numbers, and `rows`.
    """
    from tiffin_pipeline.judging import judged
    from tiffin_pipeline.splitting import digest_of

    for name, number in judged(model.path, test.path, target).items():
        scores.log(name, number)
    scores.metadata["data"] = digest_of(test.path)


class Verdict(NamedTuple):
    """Whether a model passed, and why."""

    passed: bool
    why: str


@step
def gate(
    candidate: Metrics,
    champion: Optional[Metrics] = None,
    *,
    metric: str,
    margin: float = 0.0,
    higher: bool = True,
) -> Verdict:
    """Let a new model pass where it beats the present one by more than `margin`; `higher` says which way is better.

    Where there is no champion it passes. A metric that is missing or NaN, and metrics of different data, are errors.
    """
    new = _number(candidate, metric, "candidate")
    if champion is None:
        return _said(Verdict(passed=True, why="%s is %g, and there is no champion to beat" % (metric, new)))
    old = _number(champion, metric, "champion")
    measured = [one.metadata.get("data") for one in (candidate, champion)]
    if None not in measured and measured[0] != measured[1]:
        raise ValueError(
            "candidate and champion were measured on different data: give one `test` to both calls of `evaluate`"
        )
    passed = (new - old if higher else old - new) > margin
    beats = "beats" if passed else "does not beat"
    why = "%s %g %s the champion's %g" % (metric, new, beats, old) + (" by more than %g" % margin if margin else "")
    return _said(Verdict(passed=passed, why=why))


def _number(metrics: Metrics, metric: str, whose: str) -> float:
    try:
        numbers = metrics.read()
    except ValueError as error:
        raise ValueError("the metrics of the %s cannot be compared: %s" % (whose, error)) from error
    if metric not in numbers:
        known = ", ".join(sorted(numbers)) or "nothing"
        raise ValueError("the metrics of the %s have no `%s`; they have: %s" % (whose, metric, known))
    if not math.isfinite(numbers[metric]):
        raise ValueError("`%s` of the %s is %s" % (metric, whose, numbers[metric]))
    return numbers[metric]


def _said(verdict: Verdict) -> Verdict:
    print("%s: %s" % ("passed" if verdict.passed else "refused", verdict.why))  # noqa: T201 - it is the step's log
    return verdict


_TEXT = Port(str)
_MAYBE = Port(str, optional=True, default="")


def _action(
    name: str, says: str, inputs: "dict[str, Port]", outputs: "dict[str, Port]", *, cached: bool
) -> "Step[Any]":
    made = action(name, inputs, outputs, cached=cached)
    made.__doc__ = says
    return made


build = _action(
    "build",
    "Pack a model into an image, as `tiffin build` does: the project's, with this model for its `[model] path`.",
    {"model": Port(Model), "tag": _MAYBE},
    {"image": _TEXT},
    cached=True,
)
push = _action(
    "push",
    "Send an image to a registry, as `tiffin push` does; `reference` names it there by digest.",
    {"image": _TEXT, "to": _TEXT},
    {"reference": _TEXT},
    cached=False,
)
sign = _action(
    "sign",
    "Sign an image, as `tiffin sign` does, with a key in the project's folder; gives its reference by digest.",
    {"image": _TEXT, "key": _TEXT},
    {"reference": _TEXT},
    cached=False,
)
deploy = _action(
    "deploy",
    "Roll an image out, as `tiffin up` and `tiffin deploy` do: `local`, `kubernetes`, or an `[environment]` by name.",
    {"image": _TEXT, "to": Port(str, optional=True, default="local"), "service": _MAYBE},
    {"address": _TEXT, "service": _TEXT},
    cached=False,
)
champion = _action(
    "champion",
    "The model that is deployed: that of a service, or in an image. Where there is none, `model` is not there.",
    {"service": _MAYBE, "to": Port(str, optional=True, default="local"), "image": _MAYBE},
    {"model": Port(Model, optional=True), "image": _TEXT},
    cached=False,
)
