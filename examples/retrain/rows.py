"""Write the data of the story: what is known at first, what comes in later, and what every model is measured on.

The rows are those of scikit-learn's breast cancer data (569 tumours, 30 measures, benign or not).

    python rows.py             the first 60 rows, and 200 that no model is fitted to
    python rows.py --wrong     with 150 more, of which somebody has mixed up the diagnoses
    python rows.py --more      with 300 more
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer

FOLDER = Path(__file__).parent / "data"
FIRST, HELD_OUT, WRONG, MORE = 60, 200, 150, 300


def main(how: str = "") -> None:
    data = load_breast_cancer()
    names = ",".join([*(str(name).replace(" ", "_") for name in data.feature_names), "benign"])
    table = np.column_stack([data.data, data.target])[np.random.default_rng(0).permutation(len(data.target))]
    rows = table[HELD_OUT : HELD_OUT + FIRST + {"": 0, "--wrong": WRONG, "--more": MORE}[how]].copy()
    if how == "--wrong":
        rows[FIRST:, -1] = 1 - rows[FIRST:, -1]
    FOLDER.mkdir(exist_ok=True)
    for name, part in (("rows", rows), ("held-out", table[:HELD_OUT])):
        np.savetxt(FOLDER / f"{name}.csv", part, delimiter=",", header=names, comments="", fmt="%g")
    print(f"{len(rows)} rows")


if __name__ == "__main__":
    main(*sys.argv[1:])
