"""A model server as a value: what to install, how it is started, how it is asked, how its answer is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tiffin.traffic.address import Question

from .cases import TABLES, Case
from .samples import Samples

MODEL_PACKAGES = ("scikit-learn==1.7.2", "joblib", "numpy", "onnxruntime")
"""What every environment has, so that all serve the same artefacts with the same code below them."""


@dataclass(frozen=True)
class Job:
    """What one process is to serve, and with what: `file` is the trained artefact, `folder` a place of its own."""

    model: str
    file: Path
    folder: Path
    programs: Path
    port: int
    spare: Sequence[int] = ()
    """Further free ports, for those who open more."""

    @property
    def python(self) -> str:
        """The interpreter of the peer's environment."""
        return str(self.programs / "python")


@dataclass(frozen=True)
class Launch:
    """What to start: files that are written into the job's folder, what runs before and is not timed, the server."""

    argv: Sequence[str]
    files: Mapping[str, str] = field(default_factory=dict)
    before: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Peer:
    """A model server with certain settings; `settings` says in words what differs from its defaults."""

    name: str
    setting: str
    settings: str
    requirements: Sequence[str]
    launch: Callable[[Job], Launch]
    ask: Callable[[Case, Samples], Question]
    read: Callable[[bytes], list[float]]
    """Gives the numbers of an answer, flat; raises ValueError, KeyError or TypeError for what is no answer."""
    cases: Sequence[Case] = tuple(TABLES)
    fast: bool = False
    """Whether it answers more than the load in Python can ask, so that wrk asks it where there is one."""

    @property
    def who(self) -> str:
        """Its column or row in a table."""
        return f"{self.name}, {self.setting}" if self.setting else self.name
