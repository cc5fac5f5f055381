"""Those who wait for the model on behalf of a gRPC call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.outputs import Output

UNAVAILABLE = 503
TOO_LATE = 504


class Patience:
    """How long a call may take, in seconds of the loop's clock."""

    __slots__ = ("_loop", "_until")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._until = loop.time() + seconds

    def judge(self, error: RequestError) -> RequestError:
        """Tell a call that ran out of time from a server that cannot answer: HTTP has one status for both."""
        if error.status == UNAVAILABLE and self._loop.time() >= self._until:
            return RequestError(error.message, TOO_LATE)
        return error


class Waiter:
    """Waits for one whole answer."""

    __slots__ = ("_patience", "outputs")

    def __init__(self, loop: asyncio.AbstractEventLoop, patience: Patience) -> None:
        self.outputs: asyncio.Future[list[Output]] = loop.create_future()
        self._patience = patience

    @property
    def gone(self) -> bool:
        """Say whether nobody waits any more: the client cancelled, or its deadline passed."""
        return self.outputs.done()

    def part(self, outputs: list[Output]) -> None:
        """Take no part: an answer of this form is whole."""
        raise NotImplementedError

    def deliver(self, outputs: list[Output]) -> None:
        """Take the outputs."""
        if not self.outputs.done():
            self.outputs.set_result(outputs)

    def fail(self, error: RequestError) -> None:
        """Take the reason."""
        if not self.outputs.done():
            self.outputs.set_exception(self._patience.judge(error))


class StreamWaiter:
    """Waits for an answer in parts; one whole answer is one part."""

    def __init__(self, patience: Patience) -> None:
        self._parts: asyncio.Queue[list[Output] | RequestError | None] = asyncio.Queue()
        self._patience = patience
        self.gone = False

    def part(self, outputs: list[Output]) -> None:
        """Take a part."""
        self._parts.put_nowait(outputs)

    def deliver(self, outputs: list[Output]) -> None:
        """Take the end, which may be a part, too."""
        if outputs:
            self._parts.put_nowait(outputs)
        self._parts.put_nowait(None)

    def fail(self, error: RequestError) -> None:
        """Take the reason why it ends here."""
        self._parts.put_nowait(self._patience.judge(error))

    async def parts(self) -> AsyncIterator[list[Output]]:
        """Give the parts as they come; raises RequestError."""
        while True:
            part = await self._parts.get()
            if part is None:
                return
            if isinstance(part, RequestError):
                raise part
            yield part
