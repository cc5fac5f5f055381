"""Train a small Keras network on the iris data and export it as a TensorFlow SavedModel."""

import json
from pathlib import Path

import keras
from sklearn.datasets import load_iris


def train() -> keras.Model:
    keras.utils.set_random_seed(0)
    data, target = load_iris(return_X_y=True)
    model = keras.Sequential(
        [keras.Input((4,), name="flowers"), keras.layers.Dense(16, "relu"), keras.layers.Dense(3, "softmax")]
    )
    model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
    model.fit(data, target, epochs=20, verbose=0)
    return model


if __name__ == "__main__":
    folder = Path(__file__).parent
    model, rows = train(), load_iris().data[::30]
    model.export(folder / "model", verbose=False)
    (folder / "request.json").write_text(json.dumps(rows.tolist()))
    (folder / "expected.json").write_text(json.dumps({"predictions": model.predict(rows, verbose=0).tolist()}))
    print("wrote model/, a request and the answer it must get")
