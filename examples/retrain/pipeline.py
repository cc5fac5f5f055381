"""Retrain a classifier, and release it only where it beats the one that answers now.

tiffin pipeline run examples/retrain
"""

import joblib
import numpy as np
from sklearn.ensemble import RandomForestClassifier

from tiffin_pipeline import Dataset, Model, Output, build, champion, deploy, evaluate, gate, pipeline, step, when


@step(cpus=2, memory="1Gi", timeout=600)
def fit(rows: Dataset, model: Output[Model], trees: int = 50) -> None:
    """Fit a forest to rows whose last column is the diagnosis."""
    table = np.loadtxt(rows, delimiter=",", skiprows=1)
    forest = RandomForestClassifier(trees, random_state=0).fit(table[:, :-1], table[:, -1].astype(int))
    joblib.dump(forest, model.path, compress=3)
    print(f"{len(table)} rows, {trees} trees")


@pipeline
def retrain(
    rows: Dataset = "data/rows.csv", held_out: Dataset = "data/held-out.csv", trees: int = 50, to: str = "local"
) -> dict[str, object]:
    """Fit, measure beside the champion on the same rows, and roll out what is better."""
    fitted = fit(rows, trees=trees)
    new = evaluate(fitted.model, held_out)
    old = evaluate(champion(to=to).model, held_out).named("evaluate-champion")
    verdict = gate(new.scores, old.scores, metric="accuracy")
    with when(verdict.passed):
        built = build(fitted.model)
        deploy(built.image, to=to)
    return {"passed": verdict.passed, "why": verdict.why}
