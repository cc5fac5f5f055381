"""The REST client of KServe's SDK asks Tiffin as it would ask KServe, in both of its protocols."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from unit.tiffin_serve.fronts import ROWS, Server

pytestmark = [pytest.mark.clients, pytest.mark.filterwarnings("default")]  # their warnings are not ours
LABELS = ["setosa", "virginica", "versicolor"]


def ask(protocol: str, question: Callable[[Any], Awaitable[Any]]) -> Any:
    """Ask one question."""
    from kserve import InferenceRESTClient  # noqa: PLC0415 - see conftest.py
    from kserve.inference_client import RESTConfig  # noqa: PLC0415 - see conftest.py

    async def converse() -> Any:
        async with InferenceRESTClient(RESTConfig(protocol=protocol, timeout=30)) as client:
            return await question(client)

    return asyncio.run(converse())


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


def test_it_finds_server_and_model_ready(iris: Server) -> None:
    assert ask("v2", lambda client: client.is_server_live(url(iris))) is True
    assert ask("v2", lambda client: client.is_server_ready(url(iris))) is True
    assert ask("v2", lambda client: client.is_model_ready(url(iris), "iris")) is True
    assert ask("v2", lambda client: client.is_model_ready(url(iris), "rose")) is False
    assert ask("v1", lambda client: client.is_server_live(url(iris))) is True
    assert ask("v1", lambda client: client.is_model_ready(url(iris), "iris")) is True


@pytest.mark.parametrize("binary", [False, True])
def test_it_infers(iris: Server, binary: bool) -> None:  # noqa: FBT001 - pytest passes by name
    from kserve import InferInput, InferRequest  # noqa: PLC0415 - see conftest.py

    tensor = InferInput("input", [3, 4], "FP64")
    tensor.set_data_from_numpy(np.array(ROWS), binary_data=binary)
    request = InferRequest("iris", [tensor], request_id="seven", parameters={"binary_data_output": binary})
    answer = ask("v2", lambda client: client.infer(url(iris), request, "iris"))
    assert (answer.id, answer.model_name) == ("seven", "iris")
    labels, probabilities = answer.outputs[0].as_numpy(), answer.outputs[1].as_numpy()
    assert [value.decode() if isinstance(value, bytes) else value for value in labels.tolist()] == LABELS
    assert probabilities.shape == (3, 3)
    np.testing.assert_allclose(probabilities.sum(1), 1)


def test_it_predicts_in_the_first_protocol(iris: Server) -> None:
    answer = ask("v1", lambda client: client.infer(url(iris), {"instances": ROWS}, "iris"))
    assert [row["predict"] for row in answer["predictions"]] == LABELS


@pytest.mark.parametrize(("protocol", "data"), [("v1", {"instances": [[1]]}), ("v2", {"inputs": []})])
def test_it_hears_what_is_wrong(iris: Server, protocol: str, data: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"(inst|in)(ances|puts).*400 Bad Request"):
        ask(protocol, lambda client: client.infer(url(iris), data, "iris"))
