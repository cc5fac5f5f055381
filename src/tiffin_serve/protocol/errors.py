"""What a client is told when its request cannot be answered."""

from __future__ import annotations


class RequestError(Exception):
    """A request was refused or failed; `status` and `message` are the whole of what the client sees.

    `retry_seconds` says when to come again, where that is known: of a server that is busy (503) it is told.
    """

    def __init__(self, message: str, status: int = 400, retry_seconds: int = 1) -> None:
        """Keep the sentence for the client, its HTTP status, and when to come again."""
        super().__init__(message)
        self.message = message
        self.status = status
        self.retry_seconds = retry_seconds
