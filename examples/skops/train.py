"""Train a scikit-learn pipeline on the iris data and save it with skops, which keeps no code in the file."""

import json
from pathlib import Path

import skops.io
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler


def train() -> Pipeline:
    frame = load_iris(as_frame=True).frame
    names = load_iris().target_names[frame.pop("target")]
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(frame, names)


if __name__ == "__main__":
    folder = Path(__file__).parent
    model, rows = train(), load_iris(as_frame=True).data[::30]
    skops.io.dump(model, folder / "model.skops")
    expected = {"predictions": model.predict(rows).tolist(), "probabilities": model.predict_proba(rows).tolist()}
    (folder / "request.json").write_text(json.dumps(rows.to_numpy().tolist()))
    (folder / "expected.json").write_text(json.dumps(expected))
    print("wrote model.skops, a request and the answer it must get")
