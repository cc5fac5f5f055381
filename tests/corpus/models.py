"""Models that are no pickles and hostile all the same."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Iterator, Mapping

from corpus.case import Case, made
from unit.models import hostile_pickles as hostile

Json = dict[str, object]


def cases() -> Iterator[Case]:
    """Every hostile model."""
    yield from _safetensors()
    yield from _onnx()
    yield from _keras()
    yield from _skops()
    yield from _saved_models()
    yield from _folders()


def safetensors(header: bytes | Mapping[str, object], data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(shape: list[object], begin: object, end: object, dtype: object = "F32") -> Json:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def _weights(name: str, data: bytes, *says: str) -> Case:
    return Case(name, "weights", "m.safetensors", made(data), ("m.safetensors", *says) if says else ())


def _safetensors() -> Iterator[Case]:
    one = tensor([2], 0, 8)
    yield _weights("honest weights", safetensors({"a": one}, bytes(8)))
    for name, data, says in [
        ("a header of 2^63 bytes", safetensors({"a": one}, bytes(8), 1 << 63), "a header of"),
        ("a header of 2^64 - 1 bytes", safetensors({"a": one}, bytes(8), (1 << 64) - 1), "a header of"),
        ("a header longer than the file", safetensors({"a": one}, b"", 999), "a header of"),
        ("a header of no bytes", safetensors(b""), "no JSON"),
        ("seven bytes", b"\0" * 7, "a header of"),
        ("a header that is a list", safetensors(b"[]"), "no JSON object"),
        ("a header that begins with a space", safetensors(b" {}"), "no JSON object"),
        ("a header nested deep", safetensors(b'{"a":' * 100_000), "no JSON"),
        ("a header that is no UTF-8", safetensors(b'{"\xff":1}'), "no JSON"),
        ("a tensor twice", safetensors(b'{"a":%s,"a":%s}' % ((json.dumps(one).encode(),) * 2), bytes(8)), "'a' twice"),
        ("tensors that overlap", safetensors({"a": one, "b": tensor([2], 4, 12)}, bytes(12)), "'b' begins at byte 4"),
        ("two tensors in one place", safetensors({"a": one, "b": one}, bytes(8)), "begins at byte 0"),
        ("a hole between tensors", safetensors({"a": one, "b": tensor([1], 12, 16)}, bytes(16)), "'b' begins"),
        ("a hole at the end", safetensors({"a": one}, bytes(9)), "end at byte 8"),
        ("a tensor beyond the end", safetensors({"a": one}, bytes(4)), "end at byte 8"),
        ("a tensor that ends before it begins", safetensors({"a": tensor([2], 8, 0)}, bytes(8)), "'a' is not"),
        ("a shape that says more", safetensors({"a": tensor([3], 0, 8)}, bytes(8)), "'a' is not"),
        ("a shape that overflows", safetensors({"a": tensor([1 << 40] * 9, 0, 8)}, bytes(8)), "'a' is not"),
        ("a negative shape", safetensors({"a": tensor([-2], 0, 8)}, bytes(8)), "'a' is not"),
        ("a shape of truth", safetensors({"a": tensor([True], 0, 4)}, bytes(4)), "'a' is not"),
        ("a fraction of a byte", safetensors({"a": tensor([2], 0.0, 8.0)}, bytes(8)), "'a' is not"),
        ("an unknown type", safetensors({"a": tensor([2], 0, 8, "O")}, bytes(8)), "'a' is not"),
        ("a type of no text", safetensors({"a": tensor([2], 0, 8, ["F32"])}, bytes(8)), "'a' is not"),
        ("a place of three numbers", safetensors({"a": {**one, "data_offsets": [0, 8, 9]}}, bytes(8)), "'a' is not"),
        ("a tensor that is a text", safetensors({"a": "x"}), "'a' is not"),
        ("a pickle", hostile.malicious(), "a header of"),
    ]:
        yield _weights(name, data, says)


def field(number: int, value: bytes | int) -> bytes:
    """A field of protobuf."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def external(location: str | bytes, number: int = 5) -> bytes:
    """A graph with a tensor whose bytes are elsewhere."""
    where = location.encode() if isinstance(location, str) else location
    pair = field(1, b"location") + field(2, where)
    told = field(8, b"w") + field(13, pair) + field(14, 1)
    return field(number, told)


def onnx(graph: bytes = b"", *more: bytes) -> bytes:
    return field(1, 8) + field(7, graph) + field(8, field(2, 17)) + b"".join(more)


def _onnx_case(name: str, data: bytes, *says: str) -> Case:
    return Case(name, "model", "m.onnx", made(data), ("m.onnx", *says) if says else ())


def _onnx() -> Iterator[Case]:
    yield _onnx_case("an honest graph", onnx(field(2, b"g")))
    for name, location in [
        ("CVE-2022-25882: dots", "../../../etc/passwd"),
        ("CVE-2024-5187: an absolute path", "/etc/passwd"),
        ("CVE-2024-27318: dots in the middle", "data/../../../etc/passwd"),
        ("a drive", "C:\\x"),
        ("backslashes", "..\\..\\x"),
        ("NUL", "x\0/../y"),
        ("nothing", ""),
        ("dots alone", ".."),
        ("the folder itself", "."),
        ("a file that is not there", "weights.bin"),
        ("a path of a megabyte", "x/" * 500_000),
        ("a stream", "file:///etc/passwd"),
    ]:
        yield _onnx_case(f"a tensor at {name}", onnx(external(location)), "a tensor is in")
    inner = {
        "an attribute of a node": field(1, field(5, field(1, b"value") + external("../x", 5))),
        "a list of an attribute": field(1, field(5, external("../x", 10))),
        "a graph within a graph": field(1, field(5, field(6, external("../x")))),
        "a sparse tensor": field(15, external("../x", 1)),
    }
    for name, graph in inner.items():
        yield _onnx_case(f"a tensor outside in {name}", onnx(graph), "../x")
    yield _onnx_case(
        "a tensor outside in a function", onnx(b"", field(25, field(7, field(5, external("../x", 5))))), "../x"
    )
    yield _onnx_case("a tensor outside in training", onnx(b"", field(20, field(1, external("../x")))), "../x")
    deep = b""
    for _ in range(300):
        deep = field(1, field(5, field(6, deep)))
    yield _onnx_case("graphs without end", onnx(deep), "nested deeper")
    yield _onnx_case("a graph that is a number", field(1, 8) + field(7, 5), "no whole ONNX")
    yield _onnx_case("a message of 2^63 bytes", field(1, 8) + b"\x3a" + varint(1 << 63), "no whole ONNX")
    yield _onnx_case("a number that never ends", field(1, 8) + b"\x40" + b"\xff" * 50, "no whole ONNX")
    yield _onnx_case("a field of no number", field(1, 8) + b"\x02\x00", "no whole ONNX")
    yield _onnx_case("a type that is no more", field(1, 8) + b"\x3b\x3c", "no whole ONNX")


def archive(members: Mapping[str, bytes | Json]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made_:
        for name, data in members.items():
            made_.writestr(zipfile.ZipInfo(name), data if isinstance(data, bytes) else json.dumps(data))
    return out.getvalue()


def keras(config: object) -> bytes:
    told = config if isinstance(config, bytes) else json.dumps(config).encode()
    return archive({"metadata.json": {"keras_version": "3.12.0"}, "config.json": told, "model.weights.h5": b"\x89HDF"})


def layer(class_name: object, module: object = "keras.layers", config: object = None, **more: object) -> Json:
    return {"module": module, "class_name": class_name, "config": config or {}, **more}


def sequential(*layers: object) -> Json:
    return layer("Sequential", "keras", {"layers": list(layers)})


def _keras_case(name: str, data: bytes, *says: str) -> Case:
    return Case(name, "model", "m.keras", made(data), ("m.keras", *says) if says else ())


def _keras() -> Iterator[Case]:
    yield _keras_case("an honest network", keras(sequential(layer("Dense"), layer("Relu", "keras.src.ops.nn"))))
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None, "closure": None}}
    for name, bad, says in [
        ("CVE-2024-3660: a Lambda layer", layer("Lambda", config={"function": code}), "keras.layers:Lambda"),
        ("a lambda in another layer", layer("Dense", config={"activation": code}), "keras:__lambda__"),
        ("CVE-2025-1550: a module of Python", layer("system", "os"), "os:system"),
        ("CVE-2025-1550: a function of Python", layer("function", "builtins", "eval", registered_name="eval"), "eval"),
        ("CVE-2025-8747: a function of Keras", layer("get_file", "keras.utils"), "keras.utils:get_file"),
        ("CVE-2025-9906: a switch of Keras", layer("enable_unsafe_deserialization", "keras.config"), "enable_unsafe"),
        ("CVE-2025-49655: a wrapper that unpickles", layer("TorchModuleWrapper"), "keras.layers:TorchModuleWrapper"),
        ("another model inside", layer("TFSMLayer", config={"filepath": "/x"}), "keras.layers:TFSMLayer"),
        (
            "CVE-2025-12058: a vocabulary that is a file",
            layer("StringLookup", config={"vocabulary": "/etc/passwd"}),
            "/etc/passwd",
        ),
        ("a vocabulary from elsewhere", layer("TextVectorization", config={"vocabulary": "http://x/"}), "http://x/"),
        ("a registered class", layer("Mine", None, registered_name="pkg>Mine"), "pkg:Mine"),
        ("a registered class that seems to be Keras's", layer("Dense", registered_name="evil>Dense"), "evil:Dense"),
        (
            "a function by a path",
            layer("function", "builtins", "os.system", registered_name="function"),
            "keras:os.system",
        ),
        ("a module beside Keras", layer("Dense", "keras_evil.layers"), "keras_evil.layers:Dense"),
        ("a module within Keras with a dot too many", layer("Dense", "keras..layers"), "keras..layers"),
        ("a type of TensorFlow", layer("__typespec__", config={"spec_name": "x"}), "__typespec__"),
        ("a class that is a list", layer(["Dense"]), "Dense"),
        ("a class behind a million lists", layer("Dense", config={"a": [[[layer("system", "os")]]]}), "os:system"),
    ]:
        yield _keras_case(name, keras(sequential(bad)), says)
    yield _keras_case("no config", archive({"metadata.json": {"keras_version": "3.12.0"}}), "config.json")
    yield _keras_case("a config nested deep", keras(b'{"a":' * 100_000), "config.json")
    yield _keras_case(
        "a config of thirty megabytes of brackets", keras(b'{"a":[' + b"{}," * 10_000_000 + b"{}]}"), "config.json"
    )
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as made_:
        made_.writestr("metadata.json", b'{"keras_version": "3.12.0"}')
        made_.writestr("config.json", b'{"a": "' + bytes(200 << 20) + b'"}')
    yield _keras_case("a config of two hundred megabytes", bomb.getvalue(), "config.json")


def node(module: object, name: object, loader: str = "ObjectNode", **more: object) -> Json:
    return {"__module__": module, "__class__": name, "__loader__": loader, **more}


def skops(schema: Json) -> bytes:
    return archive({"schema.json": {**schema, "_skops_version": "0.16.0", "protocol": 2}})


def _skops() -> Iterator[Case]:
    inner = node("builtins", "dict", "DictNode")
    yield Case(
        "an honest estimator", "model", "m.skops", made(skops(node("sklearn.svm._classes", "SVC", content=inner)))
    )
    state: Json = {"bit_generator": {"content": {"bit_generator": {"content": '"seed"'}}}}
    for name, bad, says in [
        ("a command", node("os", "system", "FunctionNode"), "os:system"),
        ("a class of its own", node("mypackage", "Thing"), "mypackage:Thing"),
        (
            "CVE-2025-54412: a function of an operator",
            node("operator", "methodcaller", "OperatorFuncNode"),
            "operator:methodcaller",
        ),
        (
            "CVE-2025-54413: a method of an estimator",
            node("sklearn.svm._classes", "SVC", "MethodNode", content={"func": "__reduce__"}),
            "SVC.__reduce__",
        ),
        (
            "CVE-2024-37065: a function of an older release",
            {"module_path": "os", "function": "system", **node("builtins", "function")},
            "os:system",
        ),
        ("a loader of datasets", node("sklearn.datasets._base", "load_files", "FunctionNode"), "load_files"),
        ("a trusted package's loader", node("numpy", "load", "FunctionNode"), "numpy:load"),
        ("a trusted package's memory", node("sklearn.externals.joblib", "Memory"), "Memory"),
        (
            "a generator that is a function",
            node("numpy.random._generator", "Generator", "RandomGeneratorNode", content=state),
            "numpy.random:seed",
        ),
        (
            "a class in a list in a dict",
            node("builtins", "dict", "DictNode", content={"a": [node("subprocess", "Popen")]}),
            "subprocess:Popen",
        ),
        ("a class that is a number", node("builtins", 7), "builtins:7"),
        ("a type of a type", node("builtins", "type", "TypeNode"), "builtins:type"),
        ("a reduction", node("builtins", "eval", "ConstructorFromReduceNode"), "builtins:eval"),
    ]:
        schema = node("sklearn.svm._classes", "SVC", content=node("builtins", "dict", "DictNode", content={"x": bad}))
        yield Case(f"skops with {name}", "model", "m.skops", made(skops(schema)), ("m.skops", says))


def saved_model(*operations: str, library: bool = False) -> bytes:
    nodes = [field(1 if not library else 3, field(1, b"n") + field(2, op.encode())) for op in operations]
    graph = field(2, field(1, b"".join(nodes))) if library else b"".join(nodes)
    return field(1, 1) + field(2, field(2, graph))


def _saved_models() -> Iterator[Case]:
    honest = saved_model("Placeholder", "MatMul", "SaveV2", "RestoreV2", "MergeV2Checkpoints", "PartitionedCall")
    yield Case("an honest SavedModel", "model", "saved", made({"saved_model.pb": honest}))
    for operation in ("ReadFile", "WriteFile", "PyFunc", "EagerPyFunc", "MatchingFiles", "TFRecordDatasetV2"):
        for library in (False, True):
            data = saved_model("MatMul", operation, library=library)
            place = "in a function" if library else "in the graph"
            yield Case(
                f"{operation} {place}", "model", "saved", made({"saved_model.pb": data}), ("saved_model.pb", operation)
            )
    cut = saved_model("MatMul")[:-3]
    yield Case(
        "a SavedModel that is cut off", "model", "saved", made({"saved_model.pb": cut}), ("saved_model.pb", "whole")
    )


MLMODEL = "flavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\n    {}\n  x:\n    y: z\n"


def _folders() -> Iterator[Case]:
    for name, line in [
        ("data elsewhere", "data: ../../outside"),
        ("code elsewhere", "code: /etc"),
        ("a model elsewhere", "python_model: ../x.pkl"),
        ("a model by backslashes", "python_model: ..\\x.pkl"),
        ("a model config elsewhere", "model_path: ../../../x"),
    ]:
        files = {"MLmodel": MLMODEL.format(line).encode()}
        yield Case(f"MLflow with {name}", "model", "mlflow", made(files), ("MLmodel", "leads out"))
    with_pickle = {"MLmodel": MLMODEL.format("python_model: p.pkl").encode(), "p.pkl": hostile.malicious()}
    yield Case("MLflow with a pickle", "model", "mlflow", made(with_pickle), ("p.pkl", "os:system"))
    hidden = {"MLmodel": MLMODEL.format("data: d").encode(), "d/weights": hostile.malicious()}
    yield Case("MLflow with a pickle of no suffix", "model", "mlflow", made(hidden), ("weights", "os:system"))
    wrapped = {"MLmodel": b"flavors:\n  sklearn:\n    pickled_model: ../../outside/precious\n"}
    yield Case("MLflow around a file elsewhere", "model", "mlflow", made(wrapped), ("MLmodel", "leads out"))
    bombs = {"MLmodel": b"flavors:\n" + b"".join(b"%sa%d:\n" % (b" " * (n + 1), n) for n in range(500))}
    yield Case("MLflow nested deep", "model", "mlflow", made(bombs), ("MLmodel",))
    own = {"config.json": b'{"model_type":"x","architectures":["XForCausalLM"],"auto_map":{"A":"evil.A"}}'}
    yield Case("transformers with code of its own", "model", "hf", made(own), ("hf", "code of its own"))
    lying = {"config.json": b'{"model_type":"x","architectures":["XForCausalLM"]}', "tokenizer.json": b"{}",
             "model.safetensors": safetensors(b"{}", b"", 1 << 62)}  # fmt: skip
    yield Case("transformers with lying weights", "model", "hf", made(lying), ("model.safetensors", "a header of"))
    hidden = {**lying, "model.safetensors": safetensors(b"{}"), "training_args.bin": hostile.malicious()}
    yield Case("transformers with a pickle beside", "model", "hf", made(hidden), ("training_args.bin", "os:system"))
