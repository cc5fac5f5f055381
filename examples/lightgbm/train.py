"""Train a LightGBM classifier on the iris data and save it in LightGBM's own format."""

import json
from pathlib import Path

from lightgbm import LGBMClassifier
from sklearn.datasets import load_iris


def train() -> LGBMClassifier:
    frame, target = load_iris(return_X_y=True, as_frame=True)
    return LGBMClassifier(n_estimators=20, num_leaves=7, random_state=0, verbose=-1).fit(frame, target)


if __name__ == "__main__":
    folder = Path(__file__).parent
    model, rows = train(), load_iris(as_frame=True).data[::30]
    model.booster_.save_model(folder / "model.txt")
    expected = {"predictions": model.predict(rows).tolist(), "probabilities": model.predict_proba(rows).tolist()}
    (folder / "request.json").write_text(json.dumps(rows.to_numpy().tolist()))
    (folder / "expected.json").write_text(json.dumps(expected))
    print("wrote model.txt, a request and the answer it must get")
