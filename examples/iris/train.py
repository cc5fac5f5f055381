"""Train a scikit-learn pipeline on the iris data: pandas in, class and probabilities out."""

from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler


def train() -> Pipeline:
    frame = load_iris(as_frame=True).frame
    names = load_iris().target_names[frame.pop("target")]
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(frame, names)


if __name__ == "__main__":
    target = Path(__file__).parent / "model.joblib"
    joblib.dump(train(), target)
    print(f"wrote {target.name}")
