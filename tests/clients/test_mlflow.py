"""MLflow's scoring client asks Tiffin as it would ask `mlflow models serve`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from unit.tiffin_serve.fronts import COLUMNS, ROWS, Server

pytestmark = [pytest.mark.clients, pytest.mark.filterwarnings("default")]  # their warnings are not ours
LABELS = ["setosa", "virginica", "versicolor"]


@pytest.fixture
def scoring(iris: Server) -> Any:
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient  # noqa: PLC0415 - see conftest.py

    return ScoringServerClient("127.0.0.1", iris.port)


def test_it_waits_for_the_server(scoring: Any) -> None:
    scoring.wait_server_ready(timeout=30)
    assert scoring.get_version()


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame(ROWS, columns=COLUMNS),
        pd.DataFrame(ROWS, columns=COLUMNS)[COLUMNS[::-1]],
        pd.DataFrame(ROWS),
        np.array(ROWS),
    ],
    ids=["frame", "reordered", "unnamed", "array"],
)
def test_it_invokes(scoring: Any, data: Any) -> None:
    assert scoring.invoke(data).get_predictions()[0].tolist() == LABELS


def test_it_hears_what_is_wrong(scoring: Any) -> None:
    with pytest.raises(Exception, match=r"error code 400.*column 'sepal length' is missing"):
        scoring.invoke(pd.DataFrame(ROWS, columns=COLUMNS)[COLUMNS[1:]])
