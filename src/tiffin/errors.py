"""What can go wrong, named for what the caller can do about it.

    TiffinError              anything this product refuses or fails at
    ├── ConfigError          fix what you wrote: tiffin.toml, an option, a request
    ├── NotFoundError        name something that exists
    ├── DeniedError          get the permission, or ask the machine's owner for the setting
    ├── ConflictError        something else holds that name, port or lock: free it or choose another
    ├── UnavailableError     try again later; the network or a service did not answer
    ├── IntegrityError       bytes are not what their digest or signature says: get them anew
    ├── UnsupportedError     this is not done here; the hint names what is
    ├── CommandError         another program failed; its words are in the message
    └── FullError            make room: a disk, a quota or a limit on file sizes is used up

`code` is both the anchor in docs/reference/errors.md and, through `exit_status`, the exit status of the command line.
"""

from __future__ import annotations

TYPE_CHECKING = False  # what `typing` calls the same; importing it would delay what is started again
if TYPE_CHECKING:
    from typing import ClassVar


class TiffinError(Exception):
    """Tiffin refused or failed, and says what to do about it."""

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1
    temporary: ClassVar[bool] = False

    def __init__(self, message: str, hint: str | None = None) -> None:
        """Keep what happened, to what and where (`message`), and what to do about it (`hint`)."""
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(TiffinError):
    """What the user wrote cannot be used; the message names file and place."""

    code = "config"
    exit_status = 3


class NotFoundError(TiffinError):
    """Nothing by that name exists."""

    code = "not-found"
    exit_status = 4


class DeniedError(TiffinError):
    """This machine or service does not permit it."""

    code = "denied"
    exit_status = 5


class ConflictError(TiffinError):
    """Something else already holds that name, port or lock."""

    code = "conflict"
    exit_status = 6


class UnavailableError(TiffinError):
    """A network or service did not answer; trying again later may work."""

    code = "unavailable"
    exit_status = 7
    temporary = True


class IntegrityError(TiffinError):
    """Bytes are not what their digest, checksum or signature says."""

    code = "integrity"
    exit_status = 8


class UnsupportedError(TiffinError):
    """This is not done here; the hint names what is."""

    code = "unsupported"
    exit_status = 9


class CommandError(TiffinError):
    """Another program, or a container, failed."""

    code = "command"
    exit_status = 10


class FullError(TiffinError):
    """A disk is full, a quota used up, or a file as big as it may become; what was there before is whole."""

    code = "full"
    exit_status = 11
