"""What is served: the network with the weights of model.safetensors."""

import numpy as np
import torch
from network import make
from safetensors.torch import load_file

KINDS = np.array(["setosa", "versicolor", "virginica"])


class Predictor:
    inputs = {"rows": ("FP32", [-1, 4])}  # noqa: RUF012 - declared once, never changed
    outputs = {"kind": ("BYTES", [-1]), "sure": ("FP32", [-1])}  # noqa: RUF012 - declared once, never changed

    def load(self, path: str) -> None:
        torch.set_num_threads(1)
        self.network = make().eval()
        self.network.load_state_dict(load_file(path))

    def predict(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            probabilities = self.network(torch.from_numpy(inputs["rows"])).numpy()
        return {"kind": KINDS[probabilities.argmax(axis=1)], "sure": probabilities.max(axis=1)}
