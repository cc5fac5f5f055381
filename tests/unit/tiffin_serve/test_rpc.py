"""gRPC as a client sees it: grpcio's own client against a running front."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import joblib
import pytest

from tiffin_serve.front.rpc import inference_pb2 as inference
from unit.tiffin_serve.fronts import ROWS, Serve, Server, start, train
from unit.tiffin_serve.rpcs import Client, bare, client, refusal, request, typed

LABELS = [b"setosa", b"virginica", b"versicolor"]
ECHO = """
class Predictor:
    def predict(self, inputs):
        return inputs
"""
COUNTED = """
class Predictor:
    inputs = {"n": ("INT64", [-1]), "text": ("BYTES", [-1])}
    outputs = {"n": ("INT64", [-1]), "said": ("BYTES", [-1])}
    batch = False

    def predict(self, inputs, parameters):
        return {"n": inputs["n"] + parameters.get("more", 0), "said": [parameters.get("say", "nothing")]}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("iris")
    joblib.dump(train(), folder / "model.joblib")
    model = {"format": "sklearn-joblib", "path": str(folder / "model.joblib")}
    server = start(folder, model, serve={"grpc": True, "max_body_bytes": 100_000})
    yield server.ready()
    assert server.stop() == 0
    assert "Traceback" not in server.log


@pytest.fixture(scope="module")
def asked(served: Server) -> Iterator[Client]:
    with client(served.grpc_port) as made:
        yield made


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("echo")
    (folder / "own.py").write_text(ECHO)
    server = start(folder, {"format": "python", "predictor": "own:Predictor"}, serve={"grpc": True})
    with client(server.ready().grpc_port) as made:
        yield made
    assert server.stop() == 0
    assert "Traceback" not in server.log


def matrix(rows: list[list[float]]) -> Any:
    return typed("input", "FP64", [len(rows), 4], "fp64_contents", [value for row in rows for value in row])


# --- what there is


def test_the_server_says_that_it_lives_is_ready_and_who_it_is(asked: Client) -> None:
    assert asked.ask("ServerLive").live
    assert asked.ask("ServerReady").ready
    assert asked.ask("ModelReady", inference.ModelReadyRequest(name="iris", version="1")).ready
    assert asked.ask("ServerMetadata").name == "tiffin"


def test_the_model_says_what_it_takes_and_gives_as_over_http(asked: Client, served: Server) -> None:
    over_http = served.ask("GET", "/v2/models/iris")[1]
    found = asked.ask("ModelMetadata", inference.ModelMetadataRequest(name="iris"))
    assert (found.name, list(found.versions), found.platform) == ("iris", ["1"], over_http["platform"])
    for ours, theirs in ((found.inputs, over_http["inputs"]), (found.outputs, over_http["outputs"])):
        assert [{"name": t.name, "datatype": t.datatype, "shape": list(t.shape)} for t in ours] == theirs
    assert dict(found.properties) == over_http["properties"]


def test_the_repository_has_the_one_model(asked: Client) -> None:
    (model,) = asked.ask("RepositoryIndex").models
    assert (model.name, model.version, model.state, model.reason) == ("iris", "1", "READY", "")


def test_the_statistics_count_rows_and_batches(asked: Client) -> None:
    before = asked.ask("ModelStatistics", inference.ModelStatisticsRequest(name="iris")).model_stats[0]
    asked.ask("ModelInfer", request(matrix(ROWS)))
    after = asked.ask("ModelStatistics").model_stats[0]
    assert after.inference_count - before.inference_count == len(ROWS)
    assert after.execution_count - before.execution_count == 1
    assert after.inference_stats.compute_infer.ns > before.inference_stats.compute_infer.ns


# --- inference


def test_a_typed_request_gets_a_typed_answer_with_its_id(asked: Client) -> None:
    answer = asked.ask("ModelInfer", request(matrix(ROWS), id="seven"))
    assert (answer.model_name, answer.model_version, answer.id) == ("iris", "1", "seven")
    assert [output.name for output in answer.outputs] == ["predict", "predict_proba"]
    assert list(answer.outputs[0].contents.bytes_contents) == LABELS
    assert list(answer.outputs[1].shape) == [3, 3]
    assert not answer.raw_output_contents


def test_a_raw_request_gets_a_raw_answer_of_the_outputs_it_names(asked: Client) -> None:
    data = struct.pack("<12d", *(value for row in ROWS for value in row))
    wanted = [inference.ModelInferRequest.InferRequestedOutputTensor(name="predict")]
    answer = asked.ask("ModelInfer", request(bare("input", "FP64", [3, 4]), raw_input_contents=[data], outputs=wanted))
    assert [output.name for output in answer.outputs] == ["predict"]
    assert not answer.outputs[0].HasField("contents")
    assert answer.raw_output_contents[0] == b"".join(struct.pack("<I", len(label)) + label for label in LABELS)


def test_contents_with_nothing_in_them_beside_raw_ones_are_none(asked: Client) -> None:
    """KServe's and MLServer's clients send them."""
    tensor = typed("input", "FP64", [1, 4], "fp64_contents", [])
    answer = asked.ask("ModelInfer", request(tensor, raw_input_contents=[struct.pack("<4d", *ROWS[0])]))
    assert len(answer.raw_output_contents) == 2


def test_one_tensor_a_column_makes_the_matrix(asked: Client) -> None:
    names = ["sepal length", "sepal width", "petal length", "petal width"]
    columns = [typed(n, "FP64", [3], "fp64_contents", [row[i] for row in ROWS]) for i, n in enumerate(names)]
    assert list(asked.ask("ModelInfer", request(*columns)).outputs[0].contents.bytes_contents) == LABELS


def test_whole_numbers_become_floats_where_each_fits(asked: Client) -> None:
    numbers = typed("input", "INT32", [1, 4], "int_contents", [5, 3, 1, 0])
    assert asked.ask("ModelInfer", request(numbers)).outputs[0].contents.bytes_contents == [b"setosa"]
    raw = request(bare("input", "INT64", [1, 4]), raw_input_contents=[struct.pack("<4q", 5, 3, 1, 2**53 + 1)])
    with pytest.raises(grpc.RpcError) as caught:
        asked.ask("ModelInfer", raw)
    assert refusal(caught.value) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "input 'input': FP64 does not hold 9007199254740993 exactly",
    )


VALUES: dict[str, tuple[str, str, list[Any]]] = {
    "BOOL": ("bool_contents", "<3?", [True, False, True]),
    "INT8": ("int_contents", "<3b", [-128, 0, 127]),
    "INT16": ("int_contents", "<3h", [-(2**15), 0, 2**15 - 1]),
    "INT32": ("int_contents", "<3i", [-(2**31), 0, 2**31 - 1]),
    "INT64": ("int64_contents", "<3q", [-(2**63), 0, 2**63 - 1]),
    "UINT8": ("uint_contents", "<3B", [0, 1, 255]),
    "UINT16": ("uint_contents", "<3H", [0, 1, 2**16 - 1]),
    "UINT32": ("uint_contents", "<3I", [0, 1, 2**32 - 1]),
    "UINT64": ("uint64_contents", "<3Q", [0, 1, 2**64 - 1]),
    "FP16": ("", "<3e", [0.5, -65504.0, 1.0]),
    "FP32": ("fp32_contents", "<3f", [0.5, -0.25, float("inf")]),
    "FP64": ("fp64_contents", "<3d", [0.1, -1e300, 5e-324]),
}


@pytest.mark.parametrize("datatype", VALUES)
def test_every_datatype_goes_there_and_back_raw(echo: Client, datatype: str) -> None:
    _, code, values = VALUES[datatype]
    data = struct.pack(code, *values)
    answer = echo.ask("ModelInfer", request(bare("x", datatype, [3]), raw_input_contents=[data]))
    assert (answer.outputs[0].datatype, list(answer.outputs[0].shape)) == (datatype, [3])
    assert list(answer.raw_output_contents) == [data]


@pytest.mark.parametrize("datatype", [name for name in VALUES if name != "FP16"])
def test_every_datatype_with_a_field_goes_there_and_back_typed(echo: Client, datatype: str) -> None:
    field, _, values = VALUES[datatype]
    answer = echo.ask("ModelInfer", request(typed("x", datatype, [3, 1], field, values)))
    assert (answer.outputs[0].datatype, list(answer.outputs[0].shape)) == (datatype, [3, 1])
    assert list(getattr(answer.outputs[0].contents, field)) == values


def test_text_goes_there_and_back_raw_and_typed(echo: Client) -> None:
    texts = ["Zürich".encode(), b"", b"a" * 300]
    raw = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    answer = echo.ask("ModelInfer", request(bare("x", "BYTES", [3]), raw_input_contents=[raw]))
    assert list(answer.raw_output_contents) == [raw]
    answer = echo.ask("ModelInfer", request(typed("x", "BYTES", [3], "bytes_contents", texts)))
    assert list(answer.outputs[0].contents.bytes_contents) == texts


def test_several_tensors_keep_their_names(echo: Client) -> None:
    one, two = typed("a", "INT64", [1], "int64_contents", [1]), typed("b", "FP32", [2], "fp32_contents", [0.5, 2])
    answer = echo.ask("ModelInfer", request(one, two))
    assert {output.name: output.datatype for output in answer.outputs} == {"a": "INT64", "b": "FP32"}


def test_parameters_reach_the_model_and_those_of_the_protocol_do_not(predictor: Callable[..., Server]) -> None:
    server = predictor(COUNTED, serve={"grpc": True}).ready()
    tensors = typed("n", "INT64", [1], "int64_contents", [1]), typed("text", "BYTES", [1], "bytes_contents", [b""])
    parameters = {
        "more": inference.InferParameter(int64_param=41),
        "say": inference.InferParameter(string_param="so"),
        "binary_data_output": inference.InferParameter(bool_param=True),
        "empty": inference.InferParameter(),
    }
    with client(server.grpc_port) as asked:
        answer = asked.ask("ModelInfer", request(*tensors, parameters=parameters))
    assert list(answer.outputs[0].contents.int64_contents) == [42]
    assert list(answer.outputs[1].contents.bytes_contents) == [b"so"]


# --- what is refused

INVALID, MISSING = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
GOOD = matrix(ROWS[:1])
REFUSED: dict[str, tuple[Any, grpc.StatusCode, str]] = {
    "garbage": (b"\xff\xff\xff", INVALID, "not a ModelInferRequest"),
    "an end too early": (request(GOOD).SerializeToString()[:-3], INVALID, "not a ModelInferRequest"),
    "a length beyond the end": (b"\x0a\xff\xff\xff\xff\x0firis", INVALID, "not a ModelInferRequest"),
    "a name that is not UTF-8": (b"\x0a\x02\xc3\x28", INVALID, "not a ModelInferRequest"),
    "another model": (request(GOOD, model_name="rose"), MISSING, "there is no model 'rose'; this server has 'iris'"),
    "another version": (request(GOOD, model_version="2"), MISSING, "this server has version '1'"),
    "nothing": (b"", MISSING, "there is no model ''"),
    "no inputs": (request(), INVALID, "the request has no inputs"),
    "an unknown input": (request(typed("x", "FP64", [1], "fp64_contents", [1])), INVALID, "unknown input 'x'"),
    "an input twice": (request(GOOD, GOOD), INVALID, "input 'input' is given twice"),
    "an unknown output": (
        request(GOOD, outputs=[inference.ModelInferRequest.InferRequestedOutputTensor(name="y")]),
        INVALID,
        "unknown output 'y'; the model gives 'predict', 'predict_proba'",
    ),
    "an unknown datatype": (request(bare("input", "FLOAT", [1, 4])), INVALID, "unknown datatype 'FLOAT'"),
    "text for numbers": (
        request(typed("input", "BYTES", [1, 4], "bytes_contents", [b"1"] * 4)),
        INVALID,
        "input 'input': datatype must be FP64, not BYTES",
    ),
    "no rows": (request(typed("input", "FP64", [0, 4], "fp64_contents", [])), INVALID, "the request has no rows"),
    "another width": (
        request(typed("input", "FP64", [1, 3], "fp64_contents", [1, 2, 3])),
        INVALID,
        "input 'input': shape [1, 3] does not fit [-1, 4]",
    ),
    "too few values": (
        request(typed("input", "FP64", [1, 4], "fp64_contents", [1])),
        INVALID,
        "input 'input': shape [1, 4] needs 4 values, not 1",
    ),
    "a negative size": (request(bare("input", "FP64", [-1, 4])), INVALID, "shape [-1, 4] has a negative size"),
    "an enormous size": (
        request(bare("input", "FP64", [2**62, 2**62]), raw_input_contents=[b"12345678"]),
        INVALID,
        "bytes of FP64, not 8",
    ),
    "too many dimensions": (request(bare("input", "FP64", [1] * 33)), INVALID, "33 dimensions; at most 32"),
    "the wrong field": (
        request(typed("input", "FP64", [1, 4], "fp32_contents", [1, 2, 3, 4])),
        INVALID,
        "input 'input': FP64 belongs in fp64_contents, not in fp32_contents",
    ),
    "a value out of range": (
        request(typed("input", "INT8", [1, 4], "int_contents", [1, 2, 3, 400])),
        INVALID,
        "a value does not fit INT8",
    ),
    "FP16 as typed contents": (
        request(typed("input", "FP16", [1, 4], "fp32_contents", [1, 2, 3, 4])),
        INVALID,
        "FP16 has no typed contents; send it in raw_input_contents",
    ),
    "raw contents for one of two": (
        request(bare("a", "FP64", [1]), bare("b", "FP64", [1]), raw_input_contents=[b"12345678"]),
        INVALID,
        "raw_input_contents has 1 entries for 2 inputs",
    ),
    "both kinds of contents": (
        request(GOOD, raw_input_contents=[bytes(32)]),
        INVALID,
        "input 'input' has contents although raw_input_contents are given",
    ),
    "raw contents too short": (
        request(bare("input", "FP64", [1, 4]), raw_input_contents=[bytes(31)]),
        INVALID,
        "input 'input': shape [1, 4] needs 32 bytes of FP64, not 31",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_bad_request_is_refused_with_its_reason_and_the_next_one_answered(asked: Client, what: str) -> None:
    bad, status, words = REFUSED[what]
    with pytest.raises(grpc.RpcError) as caught:
        asked.ask("ModelInfer", bad)
    assert caught.value.code() is status
    assert words in caught.value.details()
    assert asked.ask("ModelInfer", request(GOOD)).outputs


TEXT = {
    "a length beyond the end": (struct.pack("<I", 9) + b"a", "a BYTES element is longer than its tensor"),
    "an end within a length": (b"\1\0", "a BYTES tensor ends within the length of an element"),
    "an element too many": (struct.pack("<I", 0) * 2, "shape [1] needs 1 elements, not 2"),
}


@pytest.mark.parametrize("what", TEXT)
def test_raw_text_that_does_not_keep_to_its_lengths_is_refused(echo: Client, what: str) -> None:
    data, words = TEXT[what]
    with pytest.raises(grpc.RpcError) as caught:
        echo.ask("ModelInfer", request(bare("x", "BYTES", [1]), raw_input_contents=[data]))
    assert refusal(caught.value) == (INVALID, f"input 'x': {words}")


def test_a_truth_value_is_0_or_1(echo: Client) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        echo.ask("ModelInfer", request(bare("x", "BOOL", [1]), raw_input_contents=[b"\2"]))
    assert refusal(caught.value) == (INVALID, "input 'x': a byte of BOOL is neither 0 nor 1")


def test_a_message_larger_than_the_limit_is_refused(asked: Client) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        asked.ask("ModelInfer", request(matrix(ROWS * 2000)))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert asked.ask("ModelInfer", request(GOOD)).outputs


def test_a_small_message_that_unpacks_to_a_large_one_is_refused(asked: Client, served: Server) -> None:
    status = Path(f"/proc/{served.process.pid}/status")

    def peak() -> int:
        return int(status.read_text().partition("VmHWM:")[2].split()[0])

    before = peak()
    bomb = request(bare("input", "FP64", [1, 4]), raw_input_contents=[bytes(200_000_000)])
    with pytest.raises(grpc.RpcError) as caught:
        asked.ask("ModelInfer", bomb, compression=grpc.Compression.Gzip)
    assert caught.value.code() in {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNIMPLEMENTED}
    assert peak() - before < 50_000  # kB
    assert asked.ask("ModelInfer", request(GOOD)).outputs


def test_a_method_that_does_not_exist_is_unimplemented(asked: Client) -> None:
    call = asked.channel.unary_unary("/inference.GRPCInferenceService/ModelConfig")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"", timeout=30)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_model_that_fails_says_so_and_one_that_refuses_its_input_too(predictor: Callable[..., Server]) -> None:
    source = """
class Predictor:
    inputs = {"n": ("INT64", [-1])}
    batch = False
    def predict(self, inputs):
        if inputs["n"][0]:
            raise ValueError("no such number")
        raise KeyError("lost")
"""
    server = predictor(source, serve={"grpc": True}).ready()
    with client(server.grpc_port) as asked:
        found = []
        for number in (1, 0):
            with pytest.raises(grpc.RpcError) as caught:
                asked.ask("ModelInfer", request(typed("n", "INT64", [1], "int64_contents", [number])))
            found.append(refusal(caught.value))
    assert found[0] == (INVALID, "the model refused the input: no such number")
    assert found[1][0] is grpc.StatusCode.INTERNAL
    assert "Traceback" not in found[1][1]


def test_without_the_setting_nothing_is_imported_and_no_port_is_opened(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(ECHO)
    server = serve({"format": "python", "predictor": "own:Predictor"}).ready()
    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "cygrpc" not in maps
    assert "protobuf" not in maps
    assert "gRPC" not in server.log
