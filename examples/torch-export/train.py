"""Train a small network on the iris data and export it as a program with its signature."""

import json
from pathlib import Path

import torch
from sklearn.datasets import load_iris


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
    rows = torch.tensor(data, dtype=torch.float32)
    network = train(rows, torch.tensor(target))
    any_number = {"input": {0: torch.export.Dim("rows")}}
    torch.export.save(torch.export.export(network, (rows[:2],), dynamic_shapes=any_number), folder / "model.pt2")
    (folder / "request.json").write_text(json.dumps(data[::30].tolist()))
    (folder / "expected.json").write_text(json.dumps({"predictions": network(rows[::30]).tolist()}))
    print("wrote model.pt2, a request and the answer it must get")
