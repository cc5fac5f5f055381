"""Train a small network on the iris data and save it with MLflow, which exports it as a program of `torch.export`."""

import json
from importlib.metadata import version
from pathlib import Path

import mlflow.pytorch
import numpy as np
import torch
from mlflow.models import infer_signature
from sklearn.datasets import load_iris

NEEDED = ("mlflow-skinny", "torch", "pandas", "numpy")


def train(rows: torch.Tensor, labels: torch.Tensor) -> torch.nn.Module:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(rows), labels).backward()
        optimizer.step()
    return torch.nn.Sequential(network, torch.nn.Softmax(dim=1)).eval()


if __name__ == "__main__":
    folder = Path(__file__).parent
    data, target = load_iris(return_X_y=True)
    rows = data[::30].astype(np.float32)
    network = train(torch.tensor(data, dtype=torch.float32), torch.tensor(target))
    answer = network(torch.from_numpy(rows)).detach().numpy()
    mlflow.pytorch.save_model(
        network,
        folder / "model",
        signature=infer_signature(rows, answer),
        input_example=rows,
        pip_requirements=[f"{name}=={version(name)}" for name in NEEDED],
    )
    (folder / "request.json").write_text(json.dumps(rows.tolist()))
    (folder / "expected.json").write_text(json.dumps({"predictions": answer.tolist()}))
    print("wrote model/, a request and the answer it must get")
