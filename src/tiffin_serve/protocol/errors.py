"""What a client is told when its request cannot be answered."""

from __future__ import annotations


class RequestError(Exception):
    """A request was refused or failed; `status` and `message` are the whole of what the client sees."""

    def __init__(self, message: str, status: int = 400) -> None:
        """Keep the sentence for the client and its HTTP status."""
        super().__init__(message)
        self.message = message
        self.status = status
