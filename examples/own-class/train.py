"""Find the centre of each kind of iris; the class in predict.py is what uses them."""

import json
from pathlib import Path

import numpy as np
from predict import Predictor
from sklearn.datasets import load_iris

if __name__ == "__main__":
    folder = Path(__file__).parent
    data, target = load_iris(return_X_y=True)
    np.save(folder / "model.npy", np.stack([data[target == kind].mean(axis=0) for kind in range(3)]))
    served = Predictor()
    served.load(str(folder / "model.npy"))
    answer = served.predict({"flowers": data[::30]})
    expected = {"predictions": answer["kind"].tolist(), "outputs": {"distance": answer["distance"].tolist()}}
    (folder / "request.json").write_text(json.dumps(data[::30].tolist()))
    (folder / "expected.json").write_text(json.dumps(expected))
    print("wrote model.npy, a request and the answer it must get")
