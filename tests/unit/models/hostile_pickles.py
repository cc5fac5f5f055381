"""Pickles that would run code, assembled opcode by opcode; each with what a scan must name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np

WRAPPER = ("joblib.numpy_pickle", "NumpyArrayWrapper")

CALLED = [
    ("os", "system"),
    ("posix", "system"),
    ("nt", "system"),
    ("os", "popen"),
    ("os", "execv"),
    ("os", "remove"),
    ("subprocess", "Popen"),
    ("subprocess", "check_output"),
    ("subprocess", "getoutput"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "compile"),
    ("builtins", "open"),
    ("builtins", "getattr"),
    ("builtins", "setattr"),
    ("builtins", "__import__"),
    ("builtins", "type"),
    ("builtins", "map"),
    ("builtins", "globals"),
    ("builtins", "breakpoint"),
    ("importlib", "import_module"),
    ("importlib._bootstrap", "_gcd_import"),
    ("operator", "attrgetter"),
    ("operator", "methodcaller"),
    ("operator", "itemgetter"),
    ("functools", "reduce"),
    ("itertools", "starmap"),
    ("pty", "spawn"),
    ("runpy", "run_path"),
    ("runpy", "_run_code"),
    ("webbrowser", "open"),
    ("code", "InteractiveInterpreter"),
    ("codeop", "compile_command"),
    ("types", "FunctionType"),
    ("types", "CodeType"),
    ("pickle", "loads"),
    ("_pickle", "loads"),
    ("_pickle", "Unpickler"),
    ("marshal", "loads"),
    ("cloudpickle.cloudpickle", "_make_function"),
    ("dill._dill", "_create_function"),
    ("copyreg", "add_extension"),
    ("logging", "FileHandler"),
    ("logging.config", "dictConfig"),
    ("ctypes", "CDLL"),
    ("asyncio", "create_subprocess_shell"),
    ("socket", "create_connection"),
    ("urllib.request", "urlopen"),
    ("http.client", "HTTPSConnection"),
    ("ssl", "get_server_certificate"),
    ("shutil", "rmtree"),
    ("tempfile", "mktemp"),
    ("zipimport", "zipimporter"),
    ("timeit", "timeit"),
    ("cProfile", "run"),
    ("pdb", "run"),
    ("doctest", "debug_script"),
    ("trace", "Trace"),
    ("bdb", "Bdb"),
    ("pip", "main"),
    ("venv", "create"),
    ("ensurepip", "_run_pip"),
    ("lib2to3.pgen2.grammar", "Grammar.loads"),
    ("collections", "namedtuple"),
    ("idlelib.run", "Executive"),
    ("_posixsubprocess", "fork_exec"),
    ("_osx_support", "_read_output"),
    ("uuid", "_get_command_stdout"),
    ("pydoc", "pipepager"),
    ("numpy", "load"),
    ("numpy", "memmap"),
    ("numpy", "fromfile"),
    ("numpy", "vectorize"),
    ("numpy", "loadtxt"),
    ("numpy._core", "_ufunc_reconstruct"),
    ("numpy.core", "_ufunc_reconstruct"),
    ("numpy.testing._private.utils", "runstring"),
    ("numpy.f2py.crackfortran", "myeval"),
    ("numpy.lib._npyio_impl", "NpzFile"),
    ("numpy.ctypeslib", "load_library"),
    ("scipy.stats._continuous_distns", "norm_gen"),
    ("scipy.stats._distn_infrastructure", "rv_continuous"),
    ("scipy.io", "loadmat"),
    ("joblib", "load"),
    ("joblib", "Parallel"),
    ("joblib.memory", "Memory"),
    ("joblib.numpy_pickle", "load"),
    ("joblib.numpy_pickle_compat", "ZNDArrayWrapper"),
    ("joblib.externals.loky.backend.fork_exec", "fork_exec"),
    ("sklearn.datasets", "load_files"),
    ("sklearn.datasets", "load_svmlight_file"),
    ("sklearn.datasets", "fetch_openml"),
    ("sklearn.datasets._base", "_fetch_remote"),
    ("sklearn.externals.array_api_compat.common", "_helpers"),
    ("sklearn.utils._testing", "check_skip_network"),
    ("sklearn.utils.parallel", "Parallel"),
    ("sklearn.ensemble._forest", "Parallel"),
    ("sklearn.model_selection._search", "Parallel"),
    ("sklearn.ensemble._base", "ABCMeta"),
    ("sklearn.tree._export", "export_graphviz"),
    ("pandas", "read_pickle"),
    ("pandas", "read_csv"),
    ("pandas", "eval"),
    ("pandas", "HDFStore"),
    ("pandas.io.pickle", "read_pickle"),
    ("pandas.core.computation.eval", "eval"),
    ("pandas.core.frame", "DataFrame.query"),
    ("pandas.core.frame", "DataFrame.eval"),
    ("pandas.core.frame", "DataFrame.to_csv"),
    ("torch", "load"),
    ("torch.storage", "_load_from_bytes"),
    ("torch.hub", "load"),
    ("torch.jit", "load"),
    ("torch._dynamo.guards", "GuardBuilder.get"),
    ("torch.utils.cpp_extension", "load_inline"),
    ("torch.utils.bottleneck.__main__", "run_autograd_prof"),
    ("torch.nn.modules.module", "Module._call_impl"),
    ("xgboost.callback", "TrainingCheckPoint"),
    ("xgboost.core", "DMatrix"),
    ("lightgbm.basic", "Dataset"),
    ("tensorflow.python.platform.gfile", "GFile"),
    ("sys", "exit"),
    ("sys", "settrace"),
    ("signal", "signal"),
    ("gc", "get_objects"),
    ("site", "addsitedir"),
    ("atexit", "register"),
    ("threading", "Thread"),
    ("multiprocessing.util", "spawnv_passfds"),
    ("test.support.script_helper", "assert_python_ok"),
    ("_aix_support", "_read_cmd_output"),
    ("_io", "FileIO"),
    ("_operator", "attrgetter"),
    ("_operator", "methodcaller"),
    ("_pyrepl.pager", "pipe_pager"),
    ("aiohttp.client", "ClientSession"),
    ("asyncio.unix_events", "_UnixSubprocessTransport._start"),
    ("bdb", "Bdb.run"),
    ("builtins", "apply"),
    ("cProfile", "runctx"),
    ("cloudpickle.cloudpickle", "_builtin_type"),
    ("cloudpickle.cloudpickle", "_function_setstate"),
    ("cloudpickle.cloudpickle", "_make_cell"),
    ("cloudpickle.cloudpickle", "_make_empty_cell"),
    ("cloudpickle.cloudpickle", "subimport"),
    ("code", "InteractiveInterpreter.runcode"),
    ("distutils.file_util", "write_file"),
    ("idlelib.autocomplete", "AutoComplete.fetch_completions"),
    ("idlelib.autocomplete", "AutoComplete.get_entity"),
    ("idlelib.calltip", "Calltip.fetch_tip"),
    ("idlelib.calltip", "get_entity"),
    ("idlelib.debugobj", "ObjectTreeItem.SetText"),
    ("idlelib.pyshell", "ModifiedInterpreter.runcode"),
    ("idlelib.pyshell", "ModifiedInterpreter.runcommand"),
    ("idlelib.run", "Executive.runcode"),
    ("imaplib", "IMAP4_stream"),
    ("lib2to3.pgen2.pgen", "ParserGenerator.make_label"),
    ("numpy.f2py.crackfortran", "getlincoef"),
    ("pkgutil", "resolve_name"),
    ("profile", "Profile.run"),
    ("profile", "Profile.runctx"),
    ("profile", "run"),
    ("pydoc", "locate"),
    ("requests.api", "get"),
    ("subprocess", "run"),
    ("torch._inductor.codecache", "compile_file"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.evaluate_guards_expression"),
    ("torch.jit.unsupported_tensor_ops", "execWrapper"),
    ("torch.serialization", "load"),
    ("torch.utils._config_module", "ConfigModule.load_config"),
    ("torch.utils.bottleneck.__main__", "run_cprofile"),
    ("torch.utils.collect_env", "run"),
    ("torch.utils.collect_env", "run_and_read_all"),
    ("torch.utils.data.datapipes.utils.decoder", "basichandlers"),
    ("torch", "_utils"),
    ("trace", "Trace.run"),
    ("trace", "Trace.runctx"),
    ("numpy", "fromregex"),
    ("numpy", "genfromtxt"),
    ("numpy", "save"),
    ("numpy", "savez"),
    ("numpy", "lib.npyio.load"),
    ("numpy", "DataSource"),
    ("numpy", "apply_along_axis"),
    ("numpy", "frompyfunc"),
    ("numpy", "piecewise"),
    ("numpy", "fromfunction"),
    ("joblib", "delayed"),
    ("joblib", "Memory"),
    ("joblib.func_inspect", "get_func_code"),
    ("joblib.numpy_pickle_utils", "_read_fileobject"),
    ("sklearn.utils", "_joblib"),
    ("sklearn.utils.metaestimators", "available_if"),
    ("sklearn.base", "clone"),
    ("statsmodels.base.data", "ModelData"),
    ("statsmodels.iolib.smpickle", "load_pickle"),
    ("patsy.eval", "EvalFactor"),
    ("pandas", "read_sql"),
    ("pandas.core.generic", "NDFrame.pipe"),
    ("pandas.io.common", "get_handle"),
    ("scipy.io.matlab", "loadmat"),
    ("scipy.integrate._quadpack_py", "quad"),
    ("scipy.optimize._minpack_py", "fsolve"),
    ("torch", "compile"),
    ("torch.jit", "script"),
    ("torch.package", "PackageImporter"),
    ("torch.distributed.rpc", "rpc_sync"),
    ("torch.nn.modules.module", "Module.__setattr__"),
    ("xgboost.core", "Booster.load_model"),
    ("lightgbm.basic", "Booster.save_model"),
    ("tensorflow.python.ops.io_ops", "read_file"),
    ("keras.src.utils.file_utils", "get_file"),
    ("mlflow.pyfunc", "load_model"),
    ("skops.io", "load"),
    ("onnx.external_data_helper", "load_external_data_for_model"),
    ("mypackage.steps", "Scaler"),
]
"""Names that no model needs; calling them runs code, or can be made to.

Those of files that other scanners were tested with are here too: picklescan 1.0.5 (MIT License, Copyright (c) 2022
Matthieu Maitre) has 87 of them, of which only the names are taken.
"""


def text(value: str) -> bytes:
    """Push a text as protocol 4 does."""
    return b"\x8c" + bytes([len(value.encode())]) + value.encode()


def by_stack(module: str, name: str) -> bytes:
    """Import by two texts on the stack."""
    return text(module) + text(name) + b"\x93"


def by_global(module: str, name: str) -> bytes:
    """Import by two lines."""
    return f"c{module}\n{name}\n".encode()


def pickled(*parts: bytes, protocol: int = 4) -> bytes:
    """Put parts between begin and end."""
    return b"\x80" + bytes([protocol]) + b"".join(parts) + b"."


def called(imported: bytes) -> bytes:
    """Call what was imported with one text."""
    return imported + text("x") + b"\x85R"


def by_every_opcode(module: str, name: str) -> Iterator[bytes]:
    """Call one name in every way there is."""
    yield pickled(called(by_stack(module, name)))
    yield pickled(called(by_global(module, name)), protocol=3)
    yield called(by_global(module, name)) + b"."  # protocol 0 needs no begin
    yield pickled(b"(", text("x"), f"i{module}\n{name}\n".encode())
    yield pickled(b"(", by_stack(module, name), text("x"), b"o")
    yield pickled(by_stack(module, name), text("x"), b"\x85\x81")
    yield pickled(by_stack(module, name), text("x"), b"\x85}\x92")
    yield pickled(by_stack("copyreg", "_reconstructor"), by_stack(module, name), b"N", b"N\x87R")
    yield pickled(by_stack(module, name))  # kept as a value, for a model to call later
    yield pickled(text(name), b"\x94", text(module), b"h\x00\x93")  # out of the memo
    yield pickled(text(module), b"q\x07", b"0", b"h\x07", text(name), b"\x93")
    yield pickled(by_stack(module, name), b"0N")  # imported and dropped
    yield pickled(b"]", by_stack(module, name), b"a")
    yield pickled(b"K\x01.")[:-1] + pickled(called(by_stack(module, name)))  # a second pickle behind the first
    yield pickled(b"\x95" + struct.pack("<Q", len(called(by_stack(module, name))) + 1) + called(by_stack(module, name)))


def wrapper(state: bytes, make: bytes = b")\x81") -> bytes:
    """Announce an array as joblib does."""
    return by_stack(*WRAPPER) + make + state + b"b"


def dtype(code: str = "f8", width: bytes = b"J\xff\xff\xff\xff", flags: int = 0) -> bytes:
    """Make a dtype as numpy does."""
    made = by_stack("numpy", "dtype") + text(code) + b"\x89\x88\x87R"
    return made + b"(K\x03" + text("<") + b"NNN" + width + b"J\xff\xff\xff\xffK" + bytes([flags]) + b"tb"


def announcement(shape: bytes = b"K\x02\x85", item: bytes = b"", *more: bytes) -> bytes:
    """Say what array follows."""
    return b"}(" + text("shape") + shape + text("dtype") + (item or dtype()) + b"".join(more) + b"u"


HIDDEN = called(by_stack("os", "system"))

DISGUISED: dict[str, tuple[bytes, str]] = {
    "a computed module": (
        pickled(by_stack("builtins", "str"), text("os"), b"\x85R", text("system"), b"\x93"),
        "computed",
    ),
    "a name of bytes": (pickled(b"C\x02os", b"C\x06system", b"\x93"), "computed"),
    "a name longer than names are": (
        pickled(b"X" + struct.pack("<I", 600) + b"o" * 600, text("x"), b"\x93"),
        "computed",
    ),
    "an escaped name": (b"Vo\\u0073\nVsystem\n\x93.", "computed"),
    "a quoted and escaped name": (b"S'o\\x73'\nS'system'\n\x93.", "computed"),
    "a partial call": (
        pickled(by_stack("functools", "partial"), by_stack("os", "system"), text("x"), b"\x86R"),
        "os:system",
    ),
    "an extension": (pickled(b"\x82\x07"), "extension 7"),
    "a wide extension": (pickled(b"\x83\x07\x01"), "extension 263"),
    "the widest extension": (pickled(b"\x84\x07\x00\x00\x01"), "extension 16777223"),
    "a persistent id": (b"Pwhatever\n.", "persistent id"),
    "a persistent id on the stack": (pickled(text("x"), b"Q"), "persistent id"),
    "a buffer from outside": (pickled(b"\x97", protocol=5), "buffer"),
    "a call of an instance": (pickled(by_stack("collections", "Counter"), b")R)R"), "not imported by name"),
    "a call of a list": (pickled(b"])R"), "not imported by name"),
    "a class out of a call": (pickled(by_stack("builtins", "dict"), b")R)\x81"), "not imported by name"),
    "a change of a class": (
        pickled(by_stack("sklearn.svm._classes", "SVC"), b"N}", text("fit"), b"Ns\x86b"),
        "a change of",
    ),
    "an item put into a global": (
        pickled(by_stack("sklearn.svm._classes", "SVC"), text("a"), text("b"), b"s"),
        "a change of",
    ),
    "an item added to a global": (pickled(by_stack("sklearn.svm._classes", "SVC"), text("a"), b"a"), "a change of"),
    "Python 2's builtins": (b"c__builtin__\neval\n(Vx\ntR.", "builtins:eval"),
    "Python 2's commands": (b"ccommands\ngetoutput\n(Vx\ntR.", "subprocess:getoutput"),
    "Python 2's cPickle": (b"ccPickle\nloads\n(Vx\ntR.", "pickle:loads"),
    "an attribute of an allowed class": (pickled(by_stack("numpy", "ndarray.tofile")), "numpy:ndarray.tofile"),
    "a module within a module": (pickled(by_stack("sklearn.svm", "_classes.os.system")), "_classes.os.system"),
    "a trailing space": (pickled(by_stack("collections ", "OrderedDict")), "collections :"),
    "a trailing line feed": (pickled(by_stack("collections", "OrderedDict\n")), "OrderedDict\n"),
}
"""Pickles whose danger is in how they say it."""

MISTAKEN: dict[str, tuple[bytes, str]] = {
    "objects in a joblib array": (
        pickled(wrapper(announcement(b"K\x01\x85", dtype("O8", flags=63))) + pickled(HIDDEN)),
        "os:system",
    ),
    "code where another reader sees an array": (
        pickled(by_stack("sklearn.neighbors._kd_tree", "newObj"), by_stack(*WRAPPER), b"\x85R", announcement(), b"b"),
        "as joblib does not",
    ),
    "the announcement by reduce": (pickled(wrapper(announcement(), b")R") + bytes(16)), "as joblib does not"),
    "the announcement as a class's": (
        pickled(by_stack("sklearn.svm._classes", "SVC"), b")\x81N}", text("__class__"), by_stack(*WRAPPER), b"s\x86b"),
        "as joblib does not",
    ),
    "the announcement in a list": (pickled(b"]", by_stack(*WRAPPER), b"a"), "as joblib does not"),
    "code behind an array": (pickled(wrapper(announcement()) + bytes(16) + HIDDEN), "os:system"),
    "code behind a padded array": (
        pickled(
            wrapper(announcement(b"K\x02\x85", b"", text("numpy_array_alignment_bytes"), b"K\x10"))
            + b"\x03\xff\xff\xff"
            + bytes(16)
            + HIDDEN
        ),
        "os:system",
    ),
}
"""joblib files whose danger is in what lies between the opcodes."""

UNFOLLOWED: dict[str, bytes] = {
    "a type that says two things": pickled(wrapper(announcement(item=dtype("f8", b"K\x04"))) + bytes(16)),
    "objects that claim to be none": pickled(wrapper(announcement(item=dtype("O8", flags=0))) + bytes(16)),
    "numbers that claim to be objects": pickled(wrapper(announcement(item=dtype("f8", flags=1))) + bytes(16)),
    "a negative length": pickled(wrapper(announcement(b"J\xff\xff\xff\xff\x85")) + bytes(16)),
    "a length that overflows": pickled(wrapper(announcement(b"\x8a\x09" + bytes(8) + b"\x01\x85")) + bytes(16)),
    "no shape": pickled(wrapper(b"}")),
    "no dict": pickled(wrapper(b"N")),
    "an array within a frame": pickled(b"\x95" + struct.pack("<Q", 4096) + wrapper(announcement()) + bytes(16)),
    "a frame within a frame": pickled(b"\x95" + struct.pack("<Q", 100) + b"\x95" + struct.pack("<Q", 10) + b"N" * 100),
    "two kinds of memo": pickled(b"Nq\x01\x94N\x94"),
    "a name across the end of a frame, of which C reads the second half": pickled(
        b"\x95" + struct.pack("<Q", 14), b"csklearn.tree.", b"subprocess\nPopen\n"
    ),
    "a text across the end of a frame": pickled(b"\x95" + struct.pack("<Q", 3), text("os"), text("system"), b"\x93"),
    "a number across the end of a frame": pickled(b"\x95" + struct.pack("<Q", 3), b"J\x01\x02\x03\x04"),
    "a pickle that ends within a frame": pickled(b"\x95" + struct.pack("<Q", 9), b"N") + b"N" * 20,
    "a memo of four thousand million": pickled(b"Nr\xff\xff\xff\xff"),
    "an unknown opcode": pickled(b"\xfe"),
    "a protocol to come": pickled(b"N", protocol=9),
    "nothing on the stack": pickled(b"R"),
    "no mark": pickled(b"t"),
    "nothing at all": b"",
    "noise": b"\xff\x00\x17" * 20,
    "noise behind the end": pickled(b"N") + b"\xff\xff",
    "a stack without end": b"\x80\x04" + b"N" * 1_100_000 + b".",
    "marks without end": b"\x80\x04" + b"(" * 1_100_000 + b".",
}
"""Files that no reader could be followed in."""


def malicious() -> bytes:
    """One that every container below holds."""
    return pickled(called(by_stack("os", "system")))


def containers() -> Iterator[tuple[str, bytes]]:
    """Put the same code into every kind of file: name -> bytes."""
    bad = malicious()
    yield "plain.joblib", bad
    yield "zlib.joblib", zlib.compress(bad)
    yield "gzip.joblib", gzip.compress(bad)
    yield "bz2.joblib", bz2.compress(bad)
    yield "xz.joblib", lzma.compress(bad)
    yield "lzma.joblib", lzma.compress(bad, lzma.FORMAT_ALONE)
    yield "two-streams.joblib", zlib.compress(bad[:7]) + zlib.compress(bad[7:])
    yield "torch.pt", zipped({"archive/data.pkl": bad, "archive/data/0": bytes(64)})
    yield "two-names.pt", zipped({"a/data.pkl": pickled(b"N"), "b/data.pkl": bad})
    yield "deflated.pth", zipped({"archive/data.pkl": bad}, zipfile.ZIP_DEFLATED)
    yield "script.pt", zipped({"m/constants.pkl": pickled(b")"), "m/data.pkl": bad})
    yield "exported.pt2", zipped({"m/data/sample_inputs/model.pt": zipped({"x/data.pkl": bad})})
    yield "legacy.pt", legacy_torch(bad)
    yield "objects.npy", with_objects()
    yield "objects.npz", zipped({"x.npy": with_objects()})
    yield "weights.bin", bad
    yield "no-suffix", bad
    yield "array.joblib", joblibbed()


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Make a zip as torch does."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def legacy_torch(object_: bytes) -> bytes:
    """Make a file as torch did before it made zips."""
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    return b"".join(pickle.dumps(part, 2) for part in head) + object_ + pickle.dumps(["0"], 2) + bytes(99)


class Runs:
    """An object whose pickle runs `os.system`."""

    def __reduce__(self) -> Any:
        import os  # noqa: PLC0415 - what it would call

        return os.system, ("true",)


def with_objects() -> bytes:
    """Make an array of one object that runs code."""
    out = io.BytesIO()
    np.save(out, np.array([Runs()], dtype=object), allow_pickle=True)
    return out.getvalue()


def joblibbed() -> bytes:
    """Make a joblib file that runs code behind its arrays and out of them."""
    out = io.BytesIO()
    joblib.dump([np.arange(9.0), np.array([[Runs()]], dtype=object)], out)
    return out.getvalue()
