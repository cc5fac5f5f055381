"""What each layer is made of. A recipe is a value; its digest is the key under which the layer it gave is remembered.

A recipe holds content digests and never a path, an address or a time, so that the same recipe means the same bytes on
every machine. `LAYOUT` is raised whenever the code would make other bytes of the same recipe.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode
from tiffin.packages.base_image import BaseLayer as BaseImageLayer
from tiffin.packages.base_image import PythonBuild
from tiffin.packages.pins import DebPin, WheelPin

LAYOUT = 2


class Recipe(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="kind", omit_defaults=True):
    """One layer, before it is made.

    `links` are folders of its paths that are links in a base image, with where they lead: the layer's files go there,
    since a folder in a link's place would take away all that is behind it. `label` is what people call its kind.
    """

    label: ClassVar[str] = ""
    links: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> Digest:
        """The digest of everything that decides the layer's bytes."""
        return Digest.of(encode({"layout": LAYOUT, "recipe": self}))

    @property
    def title(self) -> str:
        """What people call the layer."""
        return self.label


class Base(Recipe, frozen=True, kw_only=True, tag="base"):
    """The operating system: Debian packages unpacked, and the files their scripts would have made."""

    label: ClassVar[str] = "base"
    suite: str
    packages: tuple[DebPin, ...]


class Packages(Recipe, frozen=True, kw_only=True, tag="packages"):
    """The Debian packages that the project asks for, above base and interpreter."""

    label: ClassVar[str] = "packages"
    packages: tuple[DebPin, ...]


class Interpreter(Recipe, frozen=True, kw_only=True, tag="interpreter"):
    """Python from Debian packages, and the environment `/opt/venv` that user code runs in."""

    label: ClassVar[str] = "python"
    python: str
    packages: tuple[DebPin, ...]


class BaseLayer(Recipe, frozen=True, kw_only=True, tag="base-layer"):
    """A layer of a base image, as it is."""

    label: ClassVar[str] = "base"
    layer: BaseImageLayer


class PythonArchive(Recipe, frozen=True, kw_only=True, tag="python-archive"):
    """Python from an archive with all that it needs, and the environment `/opt/venv` that user code runs in."""

    label: ClassVar[str] = "python"
    python: str
    machine: str
    archive: PythonBuild


class Venv(Recipe, frozen=True, kw_only=True, tag="venv"):
    """The environment `/opt/venv` that user code runs in, and its user, on an interpreter of the base image.

    `layers` are the diff IDs of the base.
    """

    label: ClassVar[str] = "environment"
    python: str
    program: str
    layers: tuple[Digest, ...]


class LibraryBytecode(Recipe, frozen=True, kw_only=True, tag="library-bytecode"):
    """The bytecode of the standard library in `library`, a folder of the layers that `interpreter` stands for."""

    label: ClassVar[str] = "python bytecode"
    interpreter: Digest
    python: str
    library: str


class StandardBytecode(Recipe, frozen=True, kw_only=True, tag="standard-bytecode"):
    """The bytecode of the standard library, which Debian leaves to a script at installation."""

    label: ClassVar[str] = "python bytecode"
    python: str
    packages: tuple[DebPin, ...]


class Wheels(Recipe, frozen=True, kw_only=True, tag="wheels"):
    """One big wheel, or a bucket of small ones; a function of the wheels alone.

    `yields_to` are wheels of other layers that bring some of the same paths and provide them; `slim` leaves out what
    serving does not need.
    """

    wheels: tuple[WheelPin, ...]
    yields_to: tuple[WheelPin, ...] = ()
    slim: bool = False

    @property
    def title(self) -> str:
        """What people call the layer."""
        return ", ".join(wheel.name for wheel in self.wheels)


class WheelBytecode(Recipe, frozen=True, kw_only=True, tag="wheel-bytecode"):
    """The bytecode of some wheels, for one build of one interpreter."""

    interpreter: Digest
    python: str
    wheels: tuple[WheelPin, ...]
    yields_to: tuple[WheelPin, ...] = ()

    @property
    def title(self) -> str:
        """What people call the layer."""
        return "bytecode of " + ", ".join(wheel.name for wheel in self.wheels)


class SourceFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the user or of the tool: its path in the image and what it holds; `size` is in bytes."""

    path: str
    digest: Digest
    size: int
    executable: bool = False


class Server(Recipe, frozen=True, kw_only=True, tag="server"):
    """The front with its own packages, and the worker; `interpreter` is None where bytecode is left out."""

    label: ClassVar[str] = "server"
    python: str
    files: tuple[SourceFile, ...]
    wheels: tuple[WheelPin, ...]
    interpreter: Digest | None


class Grpc(Server, frozen=True, kw_only=True, tag="grpc"):
    """The packages that the front needs besides to answer gRPC."""

    label: ClassVar[str] = "grpc"


class Weights(Recipe, frozen=True, kw_only=True, tag="weights"):
    """The trained model's files under `/models/`; `packed` is off for one big file, which does not compress."""

    label: ClassVar[str] = "weights"
    files: tuple[SourceFile, ...]
    packed: bool


class Code(Recipe, frozen=True, kw_only=True, tag="code"):
    """The user's code under `/app/`."""

    label: ClassVar[str] = "code"
    files: tuple[SourceFile, ...]


class Metadata(Recipe, frozen=True, kw_only=True, tag="metadata"):
    """What the image knows of itself: small files by path, with their text."""

    label: ClassVar[str] = "metadata"
    texts: dict[str, str]


AnyRecipe = (
    Base
    | BaseLayer
    | Packages
    | Interpreter
    | PythonArchive
    | Venv
    | StandardBytecode
    | LibraryBytecode
    | Wheels
    | WheelBytecode
    | Server
    | Grpc
    | Weights
    | Code
    | Metadata
)
ROOTS = (Base, BaseLayer, Interpreter, PythonArchive)
"""What an image's own interpreter runs from, with all that lies below."""
