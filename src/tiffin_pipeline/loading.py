"""From the name of a module to the graph of the pipeline in it, or to what is wrong and where."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, List, Optional

from tiffin_pipeline.errors import PipelineError, Place, is_ours, known, meant
from tiffin_pipeline.pipelines import Pipeline


def traced(module: str, name: str = "", root: "Optional[str]" = None) -> Dict[str, Any]:
    """`{"graph": …}` of a module's pipeline, or `{"error": {"message", "hint", "place"}}`.

    `module` is `pipeline`, or `pipeline.py`; `root` is the folder of the code, and is the current one by default.
    """
    root = str(Path(root or ".").resolve())
    try:
        return {"graph": find(imported(module, root), name).trace(root)}
    except PipelineError as error:
        return {"error": error.document(root)}
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the module is the user's, and may raise anything
        return {"error": _foreign(error, module, root)}


def imported(module: str, root: str) -> ModuleType:
    """Import a module of the code's folder; raises PipelineError where there is none."""
    dotted = module[: -len(".py")].replace("/", ".") if module.endswith(".py") else module
    if root not in sys.path:
        sys.path.insert(0, root)
    try:
        return importlib.import_module(dotted)
    except ModuleNotFoundError as error:
        if error.name != dotted.partition(".")[0] and error.name != dotted:
            raise
        file = Path(root, dotted.replace(".", "/") + ".py")
        hint = "write it, with a function under `@pipeline`"
        raise PipelineError("there is no %s" % file.relative_to(root), hint, Place(str(file), 0)) from None


def find(module: ModuleType, name: str = "") -> Pipeline:
    """The pipeline of a name in a module, or its only one; raises PipelineError where there is none, or several."""
    place = Place(module.__file__ or module.__name__, 0)
    pipelines = _pipelines(module)
    names = [one.__name__ for one in pipelines]
    if not pipelines:
        raise PipelineError("no pipeline is in this file", "write `@pipeline` above a function that calls steps", place)
    if name:
        for one in pipelines:
            if name in (one.name, one.__name__):
                return one
        raise PipelineError("no pipeline `%s` is in this file" % name, meant(name, names), place)
    if len(pipelines) > 1:
        raise PipelineError(
            "several pipelines are in this file: %s" % known(names),
            "name one: `--name %s`, or `[pipeline] name`" % names[0],
            place,
        )
    return pipelines[0]


def _pipelines(module: ModuleType) -> List[Pipeline]:
    """Those that are written in a module; where there are none, those that it imports."""
    every = list(dict.fromkeys(one for one in vars(module).values() if isinstance(one, Pipeline)))
    return [one for one in every if one.function.__module__ == module.__name__] or every


def _foreign(error: BaseException, module: str, root: str) -> Dict[str, Any]:
    """What a module raised, at the last line of the user's that it went through."""
    import traceback

    place = Place(str(Path(root, module.replace(".", "/") + ".py")), 0)
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if Path(root) in Path(file).resolve().parents and not is_ours(file):
            place = Place(file, line)
    if isinstance(error, SyntaxError) and error.filename:
        place = Place(error.filename, error.lineno or 0)
    hint = "the file must import without an error: try `python %s`" % place.document(root)["file"]
    if isinstance(error, ModuleNotFoundError):
        hint = "add it to the project's requirements and `tiffin lock`, or import it within the step that uses it"
    message = "%s: %s" % (type(error).__name__, getattr(error, "msg", None) or error)
    return {"message": message, "hint": hint, "place": place.document(root)}
