"""Train a small network on the iris data and save nothing but its weights."""

import json
from pathlib import Path

import torch
from network import make
from predict import Predictor
from safetensors.torch import save_file
from sklearn.datasets import load_iris


def train(rows: torch.Tensor, labels: torch.Tensor) -> torch.nn.Module:
    torch.manual_seed(0)
    network = make()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        torch.nn.functional.nll_loss(network(rows).log(), labels).backward()
        optimizer.step()
    return network


if __name__ == "__main__":
    folder = Path(__file__).parent
    data, target = load_iris(return_X_y=True)
    rows = torch.tensor(data, dtype=torch.float32)
    save_file(train(rows, torch.tensor(target)).state_dict(), folder / "model.safetensors")
    served = Predictor()
    served.load(str(folder / "model.safetensors"))
    answer = served.predict({"rows": rows[::30].numpy()})
    (folder / "request.json").write_text(json.dumps(data[::30].tolist()))
    expected = {"predictions": answer["kind"].tolist(), "outputs": {"sure": answer["sure"].tolist()}}
    (folder / "expected.json").write_text(json.dumps(expected))
    print("wrote model.safetensors, a request and the answer it must get")
