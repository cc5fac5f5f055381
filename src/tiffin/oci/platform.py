"""Which machines an image runs on: operating system and architecture in Go's names (image-spec, image-index.md)."""

from __future__ import annotations

import platform as host
import sys

import msgspec

from tiffin.errors import ConfigError

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Go's name of an architecture -> the kernel's."""


class Platform(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An operating system and an architecture, such as linux/amd64."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read `linux/amd64` or `linux/arm64`; raises ConfigError for what no image is built for."""
        os, _, architecture = text.partition("/")
        if os != "linux" or architecture not in MACHINES:
            raise ConfigError(f"unknown platform: {text!r}", "use `linux/amd64` or `linux/arm64`")
        return cls(os=os, architecture=architecture)

    @classmethod
    def here(cls) -> Platform:
        """The platform whose containers this machine runs."""
        machine = host.machine().lower()
        names = {kernel: go for go, kernel in MACHINES.items()} | {"arm64": "arm64", "amd64": "amd64"}
        return cls(os="linux", architecture=names.get(machine, machine))

    @property
    def machine(self) -> str:
        """The kernel's name of the architecture, such as x86_64."""
        return MACHINES[self.architecture]

    @property
    def native(self) -> bool:
        """Whether programs for this platform run here."""
        return sys.platform == "linux" and self == Platform.here()

    def suits(self, wanted: Platform) -> bool:
        """Whether what is made for this platform is meant by the wanted one: arm64 is another name of arm64/v8."""
        return self._plain() == wanted._plain()

    def _plain(self) -> Platform:
        usual = self.architecture == "arm64" and self.variant == "v8"
        return Platform(os=self.os, architecture=self.architecture, variant="" if usual else self.variant)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)
