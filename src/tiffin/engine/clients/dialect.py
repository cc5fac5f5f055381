"""What docker and podman say differently: two values; all else is one language."""

from __future__ import annotations

import re

import msgspec

from tiffin.errors import CommandError, DeniedError, FullError, NotFoundError, TiffinError, UnavailableError

_OTHERS = "or leave `--engine` out: tiffin runs containers by itself"


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Words of a program and what they mean; `message` and `hint` may use the groups of the pattern."""

    words: str
    error: type[TiffinError]
    message: str
    hint: str

    def read(self, text: str) -> TiffinError | None:
        """The error, where these words are in the text."""
        found = re.search(self.words, text, re.IGNORECASE)
        return self.error(found.expand(self.message), found.expand(self.hint)) if found else None


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One program: its name, what `create` needs to be told besides, where `info` says who it is, its words."""

    name: str
    create: tuple[str, ...] = ()
    tmpfs: str = "rw,exec,mode=1777"
    identity: str = "{{.ID}}"
    refusals: tuple[Refusal, ...] = ()


_EVERYWHERE = (
    Refusal(
        words=r"no space left on device",
        error=FullError,
        message="no space left on the disk of the engine",
        hint="see what takes it: `df -h`; `docker system prune` or `podman system prune` makes room",
    ),
)

DOCKER = Dialect(
    name="docker",
    refusals=(
        Refusal(
            words=r"permission denied while trying to connect to .*? at (\S+?)[.:;]?(?:\s|$)",
            error=DeniedError,
            message=r"docker's daemon at \1 is not yours to use",
            hint=f"join its group, `sudo usermod -aG docker $USER`, and log in again, {_OTHERS}",
        ),
        Refusal(
            words=r"(?:cannot connect to the docker daemon|connect to the docker API) at (\S+?)[.:;]?(?:\s|$)",
            error=UnavailableError,
            message=r"docker's daemon does not answer at \1",
            hint=f"start it: `sudo systemctl start docker`, {_OTHERS}",
        ),
        *_EVERYWHERE,
    ),
)

PODMAN = Dialect(
    name="podman",
    # Its own defaults would write the log to a journal, and make a read-only root's /run and /var/tmp writable.
    create=("--log-driver", "k8s-file", "--read-only-tmpfs=false"),
    tmpfs="rw,exec,mode=1777,notmpcopyup",
    identity="{{.Store.GraphRoot}}",
    refusals=(
        Refusal(
            words=r"error setting rlimit",
            error=DeniedError,
            message="podman asks for higher limits than this machine lets it have",
            hint="say which in containers.conf: `[containers]` and `default_ulimits = "
            '["nofile=4096:4096", "nproc=4096:4096"]`',
        ),
        Refusal(
            words=r"(cannot set up namespace using .newuidmap.|no subuid ranges found)",
            error=DeniedError,
            message="podman has no range of user IDs for you",
            hint="give it one: `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER`, "
            + _OTHERS,
        ),
        Refusal(
            words=r"cannot connect to podman",
            error=UnavailableError,
            message="podman's machine does not answer",
            hint="start it: `podman machine start`",
        ),
        *_EVERYWHERE,
    ),
)

DIALECTS = {dialect.name: dialect for dialect in (DOCKER, PODMAN)}


def refusal(dialect: Dialect, command: str, status: int, said: str) -> TiffinError:
    """What a failed command means: one of the refusals that are known, or its own last words."""
    for known in dialect.refusals:
        if error := known.read(said):
            return error
    if re.search(r"no such (container|object|image)|no container with name|image not known", said, re.IGNORECASE):
        return NotFoundError(f"{dialect.name}: {_last(said)}", f"`{dialect.name} ps -a` lists what it has")
    return CommandError(f"`{dialect.name} {command}` exited with {status}: {_last(said)}", "its words say what to mend")


def _last(said: str) -> str:
    """The line that says what went wrong; docker repeats itself in a further one."""
    lines = [line for line in said.strip().splitlines() if not line.startswith("Error: failed to start containers")]
    return (lines or ["nothing was said"])[-1].removeprefix("Error: ").removeprefix("Error response from daemon: ")
