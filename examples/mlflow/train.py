"""Save a model of one's own as an MLflow folder: the class in flowers.py, around a scikit-learn classifier."""

import json
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import joblib
import mlflow.pyfunc
import pandas as pd
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

NEEDED = ("mlflow-skinny", "scikit-learn", "pandas", "numpy")


def save(estimator: LogisticRegression, folder: Path, rows: pd.DataFrame, answer: pd.DataFrame) -> None:
    with TemporaryDirectory() as scratch:
        joblib.dump(estimator, Path(scratch) / "estimator.joblib")
        mlflow.pyfunc.save_model(
            folder / "model",
            python_model=str(folder / "flowers.py"),
            artifacts={"estimator": str(Path(scratch) / "estimator.joblib")},
            signature=infer_signature(rows, answer),
            pip_requirements=[f"{name}=={version(name)}" for name in NEEDED],
        )


if __name__ == "__main__":
    folder = Path(__file__).parent
    data = load_iris(as_frame=True)
    estimator = LogisticRegression(max_iter=500).fit(data.data, data.target_names[data.target])
    rows = data.data[::30]
    kinds, sure = estimator.predict(rows), estimator.predict_proba(rows).max(axis=1)
    save(estimator, folder, rows, pd.DataFrame({"kind": kinds, "sure": sure}))
    (folder / "request.json").write_text(json.dumps(rows.to_dict(orient="records")))
    expected = {"predictions": kinds.tolist(), "outputs": {"sure": sure.tolist()}}
    (folder / "expected.json").write_text(json.dumps(expected))
    print("wrote model/, a request and the answer it must get")
