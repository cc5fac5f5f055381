"""A model of one's own, which MLflow keeps as this file: its class is read from here and not from a pickle."""

import joblib
import mlflow.pyfunc
import pandas as pd
from mlflow.models import set_model


class Flowers(mlflow.pyfunc.PythonModel):
    """Names the kind of a flower, and says how sure it is."""

    def load_context(self, context: mlflow.pyfunc.PythonModelContext) -> None:
        self.estimator = joblib.load(context.artifacts["estimator"])

    def predict(self, context: object, model_input: pd.DataFrame, params: dict | None = None) -> pd.DataFrame:  # noqa: ARG002 - MLflow's
        sure = self.estimator.predict_proba(model_input).max(axis=1)
        return pd.DataFrame({"kind": self.estimator.predict(model_input), "sure": sure})


set_model(Flowers())
