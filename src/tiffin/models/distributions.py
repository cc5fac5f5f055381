"""Which distribution brings what a model needs: several may bring the same modules."""

from __future__ import annotations

from collections.abc import Collection

ALTERNATIVES = {
    "keras": ("keras", "keras-nightly"),
    "mlflow": ("mlflow", "mlflow-skinny"),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "tensorflow": ("tensorflow-cpu", "tensorflow"),
    "xgboost": ("xgboost-cpu", "xgboost"),
}
"""Need -> distributions that bring it, the smaller first: one without CUDA saves hundreds of megabytes."""


def chosen(need: str, installed: Collection[str]) -> str:
    """Return the distribution that brings a need where the model was trained, or the need itself where none does."""
    return next((name for name in ALTERNATIVES.get(need, (need,)) if name in installed), need)
