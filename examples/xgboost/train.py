"""Train an XGBoost classifier on the iris data and save it in XGBoost's own format."""

import json
from pathlib import Path

from sklearn.datasets import load_iris
from xgboost import XGBClassifier


def train() -> XGBClassifier:
    frame, target = load_iris(return_X_y=True, as_frame=True)
    return XGBClassifier(n_estimators=20, max_depth=3, random_state=0).fit(frame, target)


if __name__ == "__main__":
    folder = Path(__file__).parent
    model, rows = train(), load_iris(as_frame=True).data[::30]
    model.save_model(folder / "model.ubj")
    expected = {"predictions": model.predict(rows).tolist(), "probabilities": model.predict_proba(rows).tolist()}
    (folder / "request.json").write_text(json.dumps(rows.to_numpy().tolist()))
    (folder / "expected.json").write_text(json.dumps(expected))
    print("wrote model.ubj, a request and the answer it must get")
