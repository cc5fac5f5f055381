"""Save a scikit-learn classifier as an MLflow folder; what is served is the file in it, without MLflow."""

import json
from pathlib import Path

import mlflow.sklearn
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

if __name__ == "__main__":
    folder = Path(__file__).parent
    data = load_iris(as_frame=True)
    model = LogisticRegression(max_iter=500).fit(data.data, data.target_names[data.target])
    rows = data.data[::30]
    answer = model.predict(rows)
    mlflow.sklearn.save_model(model, folder / "model", signature=infer_signature(rows, answer))
    expected = {"predictions": answer.tolist(), "probabilities": model.predict_proba(rows).tolist()}
    (folder / "request.json").write_text(json.dumps(rows.to_dict(orient="records")))
    (folder / "expected.json").write_text(json.dumps(expected))
    print("wrote model/, a request and the answer it must get")
