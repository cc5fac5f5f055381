"""gRPC at a front of several revisions: calls are routed as requests of HTTP are."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from tiffin_serve.front.rpc import inference_pb2 as inference
from unit.tiffin_serve.fronts import DEADLINE, wait_for
from unit.tiffin_serve.routed import Place
from unit.tiffin_serve.rpcs import client

ANY = {"TIFFIN_GRPC_PORT": "0"}


def question() -> Any:
    tensor = inference.ModelInferRequest.InferInputTensor(name="x", datatype="INT64", shape=[1])
    tensor.contents.int64_contents.append(1)
    return inference.ModelInferRequest(model_name="iris", inputs=[tensor])


def asks(place: Place, seconds: float = DEADLINE, **metadata: str) -> tuple[int, dict[str, str]]:
    """Ask the model; gives who says it answered, and what was said with the answer."""
    with client(place.grpc_port) as asked:
        given = [(name.replace("_", "-"), value) for name, value in metadata.items()]
        response, call = asked.call("ModelInfer").with_call(
            question(), timeout=seconds, metadata=given, wait_for_ready=True
        )
        said = {name: str(value) for name, value in call.trailing_metadata()}
        raw = response.raw_output_contents
        value = int.from_bytes(raw[0], "little") if raw else response.outputs[0].contents.int64_contents[0]
        return value, said


@pytest.fixture
def two(place: Place) -> Place:
    place.revision(3, weight=50)
    place.revision(4, weight=50)
    place.begin(**ANY)
    place.work(3)
    place.work(4)
    return place.ready(3, 4)


def test_metadata_chooses_as_headers_do(two: Place) -> None:
    assert asks(two, tiffin_revision="4") == (4, {"tiffin-revision": "4"})
    for number in range(20):
        name = f"request-{number}"
        assert asks(two, x_request_id=name)[0] == two.ask(x_request_id=name).says
    with pytest.raises(grpc.RpcError) as refused:
        asks(two, tiffin_revision="7")
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert refused.value.details() == "there is no revision '7' of iris; there is 3, 4"
    told = two.admin("GET", "/table").body["revisions"]
    assert told["3"]["requests"] + told["4"]["requests"] == 42
    assert (told["3"]["in_flight"], told["4"]["in_flight"]) == (0, 0)
    with client(two.grpc_port) as asked:
        metadata = asked.ask("ModelMetadata", inference.ModelMetadataRequest(name="iris"))
        assert list(metadata.versions) in (["3"], ["4"])
        assert asked.check() == 1


def test_a_stream_has_one_revision(two: Place) -> None:
    with client(two.grpc_port) as asked:
        answers = asked.stream(iter([question() for _ in range(5)]), metadata=[("tiffin-revision", "4")])
        assert {answer.infer_response.model_version for answer in answers} == {"4"}


def test_a_call_waits_for_the_first_worker(place: Place) -> None:
    place.revision(3)
    place.begin(**ANY)
    with client(place.grpc_port) as asked:
        call = asked.call("ModelInfer").future(question(), timeout=DEADLINE)
        wait_for(lambda: place.said(3)["waiting"] == 1, "it waits")
        place.work(3)
        assert call.result().model_version == "3"
    told = place.said(3)
    assert (told["in_flight"], told["waiting"], told["requests"]) == (0, 0, 1)


def test_a_call_waits_as_long_as_its_client_does(place: Place) -> None:
    place.revision(3)
    place.begin(**ANY)
    with client(place.grpc_port) as asked:
        call = asked.call("ModelInfer").future(question(), timeout=DEADLINE)
        wait_for(lambda: place.said(3)["waiting"] == 1, "it waits")
        call.cancel()
        wait_for(lambda: (place.said(3)["waiting"], place.said(3)["in_flight"]) == (0, 0), "it waits no more")
    with pytest.raises(grpc.RpcError) as refused:
        asks(place, seconds=0.2)
    assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    wait_for(lambda: (place.said(3)["waiting"], place.said(3)["in_flight"]) == (0, 0), "it waits no more")


def test_so_many_may_wait_and_none_without_a_token(place: Place) -> None:
    (place.folder / "tokens").write_text("a-long-secret\n")
    place.revision(3, queue=1, auth="bearer")
    place.table["bearer"] = "tokens"
    place.begin(**ANY)
    with pytest.raises(grpc.RpcError) as refused:
        asks(place)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    token = {"authorization": "Bearer a-long-secret"}
    with client(place.grpc_port) as asked:
        call = asked.call("ModelInfer").future(question(), timeout=DEADLINE, metadata=list(token.items()))
        wait_for(lambda: place.said(3)["waiting"] == 1, "it waits")
        with pytest.raises(grpc.RpcError) as refused:
            asks(place, **token)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        call.cancel()
