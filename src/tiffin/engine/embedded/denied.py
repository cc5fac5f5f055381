"""Why this machine forbids containers, and what to do: the settings that forbid user namespaces, asked one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from tiffin.errors import DeniedError

_ROOT_HINT = "or run tiffin where the machine's owner allows it"


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A setting of the kernel that can forbid user namespaces, and the command that changes it."""

    path: str
    value: str
    fix: str
    forbids: Callable[[str], bool]


def _zero(value: str) -> bool:
    return value == "0"


SETTINGS = (
    Setting(
        path="/proc/sys/kernel/unprivileged_userns_clone",
        value="0",
        fix="sudo sysctl -w kernel.unprivileged_userns_clone=1",
        forbids=_zero,
    ),
    Setting(
        path="/proc/sys/user/max_user_namespaces",
        value="0",
        fix="sudo sysctl -w user.max_user_namespaces=15000",
        forbids=_zero,
    ),
    Setting(
        path="/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        value="1",
        fix="sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        forbids=lambda value: value == "1",
    ),
)


def forbidding(read: Callable[[str], str]) -> list[Setting]:
    """The settings that forbid user namespaces; `read` gives a file's text, or nothing for one that is absent."""
    return [setting for setting in SETTINGS if setting.forbids(read(setting.path).strip())]


def explain(read: Callable[[str], str]) -> tuple[str, str]:
    """Say in words what forbids namespaces here, and what to do about it."""
    if found := forbidding(read):
        names = " and ".join(f"{setting.path} is {read(setting.path).strip()}" for setting in found)
        return names, "; ".join(f"`{setting.fix}`" for setting in found) + f", {_ROOT_HINT}"
    if _field(read("/proc/self/status"), "Seccomp") == "2":
        return (
            "a seccomp filter around this process forbids them, as in a container of docker or podman",
            "start the outer one with `--security-opt seccomp=unconfined --security-opt systempaths=unconfined`",
        )
    return (
        "the kernel refused and no known setting says why",
        "see `dmesg` for a security module that denied it, or use `--engine docker`",
    )


def denied(message: str) -> DeniedError:
    """Make the error of a container that this machine did not let be."""
    why, hint = explain(text)
    return DeniedError(f"this machine does not let containers be made ({message}): {why}", hint)


def text(path: str) -> str:
    """Read one of the kernel's small files; an absent one is empty."""
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _field(status: str, name: str) -> str:
    for line in status.splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    return ""
