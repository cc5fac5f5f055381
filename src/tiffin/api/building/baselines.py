"""The baseline of a project's training data, computed once for the same file."""

from __future__ import annotations

import msgspec

from tiffin.api.building.projects import Checkout
from tiffin.api.machine.home import Home
from tiffin.build.fingerprint import Fingerprints
from tiffin.errors import ConfigError
from tiffin.models.baseline import VERSION, baseline_of, baseline_text
from tiffin.models.training_data import read_training_data
from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode
from tiffin.progress import step


class Computed(msgspec.Struct, frozen=True):
    """The text of a baseline, as it is remembered."""

    text: str


def project_baseline(checkout: Checkout, seen: Fingerprints, home: Home) -> str:
    """Write what the server is told of the training data; "" where tiffin.toml names none."""
    path = checkout.training_data
    if path is None:
        return ""
    if not path.exists():
        raise ConfigError(
            f"no training data at {path} - at `$.model.training-data`", "the path is relative to tiffin.toml's folder"
        )
    target = checkout.project.model.target
    (file,) = seen.files({f"training{path.suffix.lower()}": path})
    key, records = Digest.of(encode([VERSION, file.path, file.digest, target])), home.records("baselines")
    known = records.get(key, Computed)
    if known is None:
        with step("baseline", path.name):
            known = Computed(baseline_text(baseline_of(read_training_data(path), target, path)))
        records.put(key, known)
    return known.text
