"""What the servers that want a program of the user's all do alike: load the artefact and predict."""

from __future__ import annotations

from collections.abc import Mapping

from .peer import Job

MODULE = '''\
import os

FILE = os.environ["MODEL_FILE"]
DTYPE = "float32" if FILE.endswith(".onnx") else "float64"


def load():
    """Give a function from an array to an array."""
    if not FILE:
        return lambda rows: rows.sum(axis=1)
    if FILE.endswith(".joblib"):
        import joblib

        return joblib.load(FILE).predict
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(FILE, options, providers=["CPUExecutionProvider"])
    return lambda rows: session.run(["predict"], {"input": rows})[0]
'''
FILES = {"artefact.py": MODULE}


def variables(job: Job) -> Mapping[str, str]:
    """Tell the program what to load, and numeric libraries to use one thread, as all others are told."""
    one = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    return {"MODEL_FILE": str(job.file) if job.file.suffix else "", "PYTHONPATH": str(job.folder), **one}
