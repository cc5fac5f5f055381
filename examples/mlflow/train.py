"""Save a model of one's own as an MLflow folder: a scikit-learn classifier behind MLflow's `pyfunc` interface."""

import json
from importlib.metadata import version
from pathlib import Path

import mlflow.pyfunc
import pandas as pd
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

NEEDED = ("mlflow-skinny", "scikit-learn", "pandas", "numpy", "cloudpickle")


class Flowers(mlflow.pyfunc.PythonModel):
    """Names the kind of a flower, and says how sure it is."""

    def __init__(self, estimator: LogisticRegression) -> None:
        self.estimator = estimator

    def predict(self, context: object, model_input: pd.DataFrame, params: dict | None = None) -> pd.DataFrame:  # noqa: ARG002 - MLflow's
        sure = self.estimator.predict_proba(model_input).max(axis=1)
        return pd.DataFrame({"kind": self.estimator.predict(model_input), "sure": sure})


def requirements() -> list[str]:
    return [f"{name}=={version(name)}" for name in NEEDED]


if __name__ == "__main__":
    folder = Path(__file__).parent
    data = load_iris(as_frame=True)
    estimator = LogisticRegression(max_iter=500).fit(data.data, data.target_names[data.target])
    model, rows = Flowers(estimator), data.data[::30]
    answer = model.predict(None, rows)
    mlflow.pyfunc.save_model(
        folder / "model",
        python_model=model,
        signature=infer_signature(rows, answer),
        pip_requirements=requirements(),
    )
    expected = {"predictions": answer["kind"].tolist(), "outputs": {"sure": answer["sure"].tolist()}}
    (folder / "request.json").write_text(json.dumps(rows.to_dict(orient="records")))
    (folder / "expected.json").write_text(json.dumps(expected))
    print("wrote model/, a request and the answer it must get")
