"""scikit-learn estimators saved by skops; what their files may name was decided when the image was built."""

from __future__ import annotations

from tiffin_serve.worker.loaders.sklearn import SklearnModel
from tiffin_serve.worker.model import Model
from tiffin_serve.worker.threads import one_for_each

FORMATS = ("skops",)


def load(format_: str, path: str, predictor: str) -> Model:
    """Load the estimator with every type it names: `tiffin build` let none pass that is not on its list of imports.

    A list of packages here would trust what that list refuses, and refuse what `allow-imports` adds.
    """
    del format_, predictor
    one_for_each()
    import skops.io

    return SklearnModel(skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path)))
