"""What each layer is made of. A recipe is a value; its digest is the key under which the layer it gave is remembered.

A recipe holds content digests and never a path, an address or a time, so that the same recipe means the same bytes on
every machine. `LAYOUT` is raised whenever the code would make other bytes of the same recipe.
"""

from __future__ import annotations

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
    since a folder in a link's place would take away all that is behind it.
    """

    links: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> Digest:
        """The digest of everything that decides the layer's bytes."""
        return Digest.of(encode({"layout": LAYOUT, "recipe": self}))

    @property
    def title(self) -> str:
        """What people call the layer."""
        raise NotImplementedError


class Base(Recipe, frozen=True, kw_only=True, tag="base"):
    """The operating system: Debian packages unpacked, and the files their scripts would have made."""

    suite: str
    packages: tuple[DebPin, ...]

    @property
    def title(self) -> str:
        """What people call the layer."""
        return "base"


class Packages(Recipe, frozen=True, kw_only=True, tag="packages"):
    """The Debian packages that the project asks for, above base and interpreter."""

    packages: tuple[DebPin, ...]

    @property
    def title(self) -> str:
        """What people call the layer."""
        return "packages"


class Interpreter(Recipe, frozen=True, kw_only=True, tag="interpreter"):
    """Python from Debian packages, and the environment `/opt/venv` that user code runs in."""

    python: str
    packages: tuple[DebPin, ...]

    @property
    def title(self) -> str:
        """What people call the layer."""
        return "python"


class BaseLayer(Recipe, frozen=True, kw_only=True, tag="base-layer"):
    """A layer of a base image, as it is."""

    layer: BaseImageLayer

    @property
    def title(self) -> str:
        """What people call the layer."""
        return "base"


class PythonArchive(Recipe, frozen=True, kw_only=True, tag="python-archive"):
    """Python from an archive with all that it needs, and the environment `/opt/venv` that user code runs in."""

    python: str
    machine: str
    archive: PythonBuild

    @property
    def title(self) -> str:
        """What people call the layer."""
        return "python"


class Venv(Recipe, frozen=True, kw_only=True, tag="venv"):
    """The environment `/opt/venv` that user code runs in, and its user, on an interpreter of the base image.

    `layers` are the diff IDs of the base.
    """

    python: str
    program: str
    layers: tuple[Digest, ...]

    @property
    def title(self) -> str:
        """What people call the layer."""
        return "environment"


class LibraryBytecode(Recipe, frozen=True, kw_only=True, tag="library-bytecode"):
    """The bytecode of the standard library in `library`, a folder of the layers that `interpreter` stands for."""

    interpreter: Digest
    python: str
    library: str

    @property
    def title(self) -> str:
        """What people call the layer."""
        return "python bytecode"


class StandardBytecode(Recipe, frozen=True, kw_only=True, tag="standard-bytecode"):
    """The bytecode of the standard library, which Debian leaves to a script at installation."""

    python: str
    packages: tuple[DebPin, ...]

    @property
    def title(self) -> str:
        """What people call the layer."""
        return "python bytecode"


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

    python: str
    files: tuple[SourceFile, ...]
    wheels: tuple[WheelPin, ...]
    interpreter: Digest | None

    @property
    def title(self) -> str:
        """What people call the layer."""
        return "server"


class Weights(Recipe, frozen=True, kw_only=True, tag="weights"):
    """The trained model's files under `/models/`; `packed` is off for one big file, which does not compress."""

    files: tuple[SourceFile, ...]
    packed: bool

    @property
    def title(self) -> str:
        """What people call the layer."""
        return "weights"


class Code(Recipe, frozen=True, kw_only=True, tag="code"):
    """The user's code under `/app/`."""

    files: tuple[SourceFile, ...]

    @property
    def title(self) -> str:
        """What people call the layer."""
        return "code"


class Metadata(Recipe, frozen=True, kw_only=True, tag="metadata"):
    """What the image knows of itself: small files by path, with their text."""

    texts: dict[str, str]

    @property
    def title(self) -> str:
        """What people call the layer."""
        return "metadata"


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
    | Weights
    | Code
    | Metadata
)
ROOTS = (Base, BaseLayer, Interpreter, PythonArchive)
"""What an image's own interpreter runs from, with all that lies below."""
