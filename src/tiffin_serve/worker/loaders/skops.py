"""scikit-learn estimators saved by skops: only types of the frameworks themselves are made."""

from __future__ import annotations

from tiffin_serve.worker.loaders.sklearn import SklearnModel, one_thread
from tiffin_serve.worker.model import Model

FORMATS = ("skops",)

TRUSTED = ("sklearn", "numpy", "scipy", "pandas", "xgboost", "lightgbm", "imblearn", "category_encoders")
"""Packages whose names may be in the file, beside those that skops trusts by itself."""
PLAIN = ("collections.OrderedDict",)
"""Python's own types that may be there as well: LightGBM's estimators hold this one."""


def load(format_: str, path: str, predictor: str) -> Model:
    """Load the estimator; raises ValueError that names the types which no framework brings."""
    del format_, predictor
    one_thread()
    import skops.io

    asked = skops.io.get_untrusted_types(file=path)
    foreign = [name for name in asked if name.partition(".")[0] not in TRUSTED and name not in PLAIN]
    if foreign:
        raise ValueError("the model holds types that are not the frameworks' own: %s" % ", ".join(sorted(foreign)))
    return SklearnModel(skops.io.load(path, trusted=asked))
