"""What tiffin.toml may say, one frozen value a section; unknown keys are refused with their place."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from tiffin.config.deploy import DeploySection, EnvironmentSection
from tiffin.config.pipeline import PipelineSection
from tiffin.config.release import ReleaseSection
from tiffin.config.section import Section

MOST_LAYERS = 100
"""Layers that an image may be allowed to have: docker's overlay2 loads 125, containerd 127."""


TOLERANCE = 1e-4
"""How far answers of a converted model may be from the model's own."""


class ModelSection(Section, frozen=True, kw_only=True):
    """What is served: a file whose format is detected, or the user's own class."""

    path: str = ""
    predictor: str = ""
    version: str = "1"
    gpu: Literal["", "required", "optional", "none"] = ""
    allow_imports: tuple[str, ...] = ()
    training_data: str = ""
    target: str = ""
    convert: Literal["", "onnx"] = ""
    tolerance: float = TOLERANCE
    samples: str = ""


class PythonSection(Section, frozen=True, kw_only=True):
    """Which Python and which packages the model runs with."""

    version: str = "3.11"
    requirements: str = ""
    dependencies: tuple[str, ...] = ()
    build: str = ""
    sha256: str = ""


class ImageSection(Section, frozen=True, kw_only=True):
    """What the image is made of; `weights` says whether registries get them as an image of their own as well."""

    base: str = "debian:bookworm"
    packages: tuple[str, ...] = ()
    include: tuple[str, ...] = ("*.py",)
    bytecode: bool = True
    slim: bool = False
    layers: Annotated[int, msgspec.Meta(ge=20, le=MOST_LAYERS)] = 40
    mirror: str = ""
    platform: str = ""
    allow_missing: tuple[str, ...] = ()
    weights: Literal["inside", "separate"] = "inside"


class ServeSection(Section, frozen=True, kw_only=True):
    """How the server in the image answers."""

    workers: int = 1
    max_batch: int = 64
    max_delay_ms: float = 2.0
    max_body_bytes: int = 64 << 20
    deadline_ms: float = 30_000.0
    queue: int = 16_384
    drain_seconds: float = 1.0
    load_seconds: float = 600.0
    grpc: bool = False
    access_log: bool = False
    compress: bool = False
    cors: tuple[str, ...] = ()
    auth: Literal["none", "bearer"] = "none"


class DataSection(Section, frozen=True, kw_only=True):
    """A file or folder that must be mounted before the container starts; it is read-only unless `write` is set."""

    name: str
    path: str
    write: bool = False


class CheckSection(Section, frozen=True, kw_only=True):
    """A request that the server answers before it is ready, and the answer it must give within the tolerance."""

    request: str
    expect: str = ""
    tolerance: Annotated[float, msgspec.Meta(ge=0)] = 1e-5


class TrustSection(Section, frozen=True, kw_only=True):
    """Whose signature an image must have before it is run, pulled or deployed from here."""

    require: str | tuple[str, ...] = ()


class Project(Section, frozen=True, kw_only=True):
    """A whole tiffin.toml."""

    name: str
    model: ModelSection = ModelSection()
    python: PythonSection = PythonSection()
    image: ImageSection = ImageSection()
    serve: ServeSection = ServeSection()
    data: tuple[DataSection, ...] = ()
    check: tuple[CheckSection, ...] = ()
    trust: TrustSection = TrustSection()
    deploy: DeploySection = DeploySection()
    environment: dict[str, EnvironmentSection] = msgspec.field(default_factory=dict)
    pipeline: PipelineSection = PipelineSection()
    release: ReleaseSection = ReleaseSection()
