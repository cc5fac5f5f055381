"""Train a regressor on the diabetes data and save it as a plain pickle."""

import json
import pickle
from pathlib import Path

from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor

if __name__ == "__main__":
    folder = Path(__file__).parent
    data, target = load_diabetes(return_X_y=True)
    model, rows = GradientBoostingRegressor(n_estimators=20, random_state=0).fit(data, target), data[::100]
    (folder / "model.pkl").write_bytes(pickle.dumps(model))
    (folder / "request.json").write_text(json.dumps(rows.tolist()))
    (folder / "expected.json").write_text(json.dumps({"predictions": model.predict(rows).tolist()}))
    print("wrote model.pkl, a request and the answer it must get")
