"""The list lets nothing through that other scanners distrust, but for the few names that it has a reason for."""

from __future__ import annotations

import builtins
import importlib
import inspect
import types
import warnings

import pytest

from tiffin.models.allowed_imports import reason
from unit.models import hostile_pickles as hostile

KINDS = ("pickle", "joblib", "torch", "torchscript", "keras", "skops")
_LISTED = """
    _aix_support _ctypes _frozen_importlib _imp _io _operator _osx_support _pickle _posixsubprocess _signal _sqlite3
    _thread aiohttp asyncio atexit bdb builtins cProfile cloudpickle cloudpickle.cloudpickle code codeop compileall
    ctypes difflib dill distutils.file_util doctest ensurepip filecmp fileinput ftplib functools gc glob http
    http.client idlelib.autocomplete idlelib.calltip idlelib.pyshell idlelib.run imaplib importlib inspect io joblib
    lib2to3.pgen2 lib2to3.pgen2.grammar lib2to3.pgen2.pgen linecache logging logging.config marshal mmap
    multiprocessing numpy.f2py numpy.f2py.crackfortran numpy.testing._private.utils operator os pdb pexpect pickle
    pip pkgutil platform poplib posix posixpath profile pty py_compile pydoc requests requests.api runpy select
    selectors shelve shutil signal site smtplib socket socketserver sqlite3 ssl subprocess sys syslog tarfile
    tempfile test test.support.script_helper threading timeit torch._dynamo.guards torch._inductor.codecache
    torch.fx.experimental.symbolic_shapes torch.hub torch.jit.unsupported_tensor_ops torch.serialization
    torch.utils._config_module torch.utils.bottleneck.__main__ torch.utils.collect_env
    torch.utils.data.datapipes.utils.decoder trace types unittest urllib urllib.request uuid venv webbrowser xmlrpc
    zipfile zipimport
"""
DISTRUSTED = _LISTED.split()
"""Modules on the lists of picklescan 1.0.5, fickling 0.1.12 and modelscan 0.8.8."""
ALLOWED = {"functools:partial", "uuid:UUID", "uuid:SafeUUID"}
"""What is let through of them all the same: an allowed thing with arguments, and a plain value."""


@pytest.mark.parametrize("module", DISTRUSTED)
def test_no_name_of_a_module_that_others_distrust_is_let_through(module: str) -> None:
    names = {name for listed, name in hostile.CALLED if listed == module} | {"load", "loads", "run", "system", "Popen"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            names |= set(vars(importlib.import_module(module)))
        except (ImportError, SystemExit):
            names |= {"open", "Thing"}
    let = {f"{module}:{name}" for name in names for kind in KINDS if reason(module, name, kind)}
    harmless = {text for text in let if _is_value(text)} if module == "builtins" else set()
    assert let - harmless <= ALLOWED


def _is_value(text: str) -> bool:
    """Whether a builtin is a type of plain values: neither a function, nor `type`, which makes classes."""
    thing = getattr(builtins, text.partition(":")[2])
    return thing in (Ellipsis, NotImplemented) or (inspect.isclass(thing) and thing not in (type, super, property))


@pytest.mark.parametrize(("module", "name"), hostile.CALLED, ids=":".join)
def test_no_dangerous_name_is_let_through_in_any_kind_of_file(module: str, name: str) -> None:
    assert not [kind for kind in KINDS if reason(module, name, kind)]


@pytest.mark.parametrize("name", ["numpy", "pandas", "sklearn", "scipy", "joblib", "xgboost", "lightgbm"])
def test_no_function_that_a_package_has_at_its_top_reads_or_runs_anything(name: str) -> None:
    """Functions of a package that pass are arithmetic: they take no file, text of code or command by their names."""
    package = importlib.import_module(name)
    passing = {
        key for key, thing in vars(package).items() if reason(name, key, "joblib") and not inspect.isclass(thing)
    }
    words = ("load", "read", "save", "open", "eval", "exec", "file", "from", "import", "memmap", "run", "call", "test")
    assert not [key for key in passing if any(word in key for word in words)]
    assert not [key for key in passing if isinstance(getattr(package, key), types.ModuleType)]
