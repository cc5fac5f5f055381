"""What golden files hold. This writes them anew; then look at them:

PYTHONPATH=src:tests python -m unit.pipeline.pictures.golden_files
"""

from __future__ import annotations

from pathlib import Path

from tiffin.pipeline.pictures.frames import framed
from tiffin.pipeline.pictures.plot import Measured, plot
from tiffin.pipeline.pictures.svg import svg
from tiffin.pipeline.pictures.text import lines
from unit.pipeline.pictures.example import GRAPH, MARKS

GOLDEN = Path(__file__).parent / "golden"
RUNS = [
    Measured(run="1", numbers={"evaluate.accuracy": 0.91, "evaluate.loss": 0.4}),
    Measured(run="2", numbers={"evaluate.accuracy": 0.93}),
    Measured(run="3", numbers={"evaluate.accuracy": 0.95, "evaluate.loss": 0.3, "gate.<margin>": 0.0}),
]


def golden() -> dict[str, str]:
    """Draw what golden files hold, by name."""
    planned, ran = framed(GRAPH), framed(GRAPH, MARKS)
    return {
        "plan.txt": "\n".join(lines(planned)) + "\n",
        "run.txt": "\n".join(lines(ran)) + "\n",
        "plan.svg": svg(planned),
        "run.svg": svg(ran, "run 7"),
        "plot.svg": plot("retrain", RUNS),
    }


def main() -> None:
    """Write golden files anew."""
    GOLDEN.mkdir(exist_ok=True)
    for name, text in golden().items():
        (GOLDEN / name).write_text(text)


if __name__ == "__main__":
    main()
