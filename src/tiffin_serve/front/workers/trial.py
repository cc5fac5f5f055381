"""What a new worker is asked before clients' requests come to it: the checks, or a row of zeros to warm it up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import structs

from tiffin_serve.front.batching.dispatch import Dispatcher
from tiffin_serve.front.metrics.counters import Metrics
from tiffin_serve.front.workers.answers import explain_difference
from tiffin_serve.front.workers.lines import WorkerLine
from tiffin_serve.protocol.call import Call, Tensor, make_call
from tiffin_serve.protocol.datatypes import DATATYPES, Kind
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.infer import bind, read_request
from tiffin_serve.protocol.outputs import Output, as_json
from tiffin_serve.protocol.rows import bind_rows, plain, read_rows
from tiffin_serve.protocol.service import Service
from tiffin_serve.protocol.signature import Signature

_OWN_CODE = "python_predictor"
"""The platform of the user's own classes: what a made-up row would do there, nobody knows."""


class Question(NamedTuple):
    """One call and, where an answer is expected, what to hold it against."""

    name: str
    call: Call
    expected: Any = None
    tolerance: float = 0.0
    is_tensors: bool = False


class Verdict(NamedTuple):
    """How it went: an empty sentence is a pass; `lost` says that the worker did not live through it."""

    sentence: str = ""
    lost: bool = False


def questions(service: Service, signature: Signature) -> list[Question]:
    """Read the checks; raises ValueError with a sentence where one cannot be asked."""
    return [_question(check.request, check.expect, check.tolerance, signature) for check in service.checks]


def _question(request: str, expect: str, tolerance: float, signature: Signature) -> Question:
    try:
        body = Path(request).read_bytes()
        expected = msgspec.json.decode(Path(expect).read_bytes()) if expect else None
        if is_tensors(msgspec.json.decode(body)):
            call = bind(read_request(body), signature)
        else:
            call = bind_rows(read_rows(body), signature)
    except RequestError as error:
        raise ValueError(f"the check {request} cannot be asked: {error.message}") from error
    except (OSError, msgspec.MsgspecError) as error:
        raise ValueError(f"the check {request} cannot be read: {error}") from error
    return Question(request, call, expected, tolerance, is_tensors(msgspec.json.decode(body)))


def is_tensors(document: Any) -> bool:
    """Say whether a request is one of the Open Inference Protocol, and not plain rows."""
    inputs = document.get("inputs") if isinstance(document, dict) else None
    return isinstance(inputs, list) and bool(inputs) and isinstance(inputs[0], dict) and "datatype" in inputs[0]


def zeros(signature: Signature) -> list[Question]:
    """Make one row of zeros and empty texts, where the model says what it takes and is nobody's own code."""
    if not signature.inputs or signature.platform == _OWN_CODE:
        return []
    tensors = []
    for spec in signature.inputs:
        datatype, shape = DATATYPES[spec.datatype], tuple(1 if size == -1 else size for size in spec.shape)
        size = 4 if datatype.kind is Kind.TEXT else datatype.size  # an empty text is its length, a uint32 of 0
        tensors.append(Tensor(spec.name, spec.datatype, shape, bytes(prod(shape) * size)))
    return [Question("a row of zeros", make_call(tuple(tensors), batches=signature.batches))]


class Trial:
    """One worker's questions, asked one after the other through a dispatcher that has this worker alone."""

    def __init__(
        self,
        line: WorkerLine,
        service: Service,
        signature: Signature,
        loop: asyncio.AbstractEventLoop,
        done: Callable[[Verdict], None],
    ) -> None:
        self.gone = False
        self._line = line
        self._service = service
        self._signature = signature
        self._loop = loop
        self._done = done
        self._questions: list[Question] = []
        self._asked: Question | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, asked: Sequence[Question], seconds: float) -> None:
        """Ask; a worker that has not answered everything after so many seconds is killed."""
        self._questions = list(asked)
        patient = structs.replace(self._service.serve, deadline_ms=2000 * seconds)  # the deadline here is ours
        self._line.dispatcher = Dispatcher(self._loop, patient, Metrics(self._service.name))
        self._timer = self._loop.call_later(seconds, self._line.kill, "deadline")
        self._line.dispatcher.join(self._line)
        self._next()

    def lost(self) -> None:
        """Hear that the worker is gone."""
        how = "took too long over" if self._line.why == "deadline" else "did not live through"
        self._end(Verdict(f"the worker {how} {self._asked.name if self._asked else 'its start'}", lost=True))

    def part(self, outputs: list[Output]) -> None:
        """Take no part: nothing here is asked for in parts."""
        raise NotImplementedError

    def deliver(self, outputs: list[Output]) -> None:
        """Compare one answer and ask the next question."""
        question = self._asked
        if question is None or self.gone:
            return
        difference = ""
        if question.expected is not None:
            got = _document(outputs, question, self._signature)
            difference = explain_difference(question.expected, got, question.tolerance)
        if difference:
            self._end(Verdict(f"the check {question.name} was answered wrongly: {difference}"))
        else:
            self._next()

    def fail(self, error: RequestError) -> None:
        """End at an error: no question is one that may fail."""
        if self._asked is not None:
            self._end(Verdict(f"{self._asked.name} was not answered: {error.message}"))

    def _next(self) -> None:
        if not self._questions:
            self._end(Verdict())
            return
        self._asked = self._questions.pop(0)
        if self._line.dispatcher is not None:
            self._line.dispatcher.submit(self._asked.call, self)

    def _end(self, verdict: Verdict) -> None:
        if self.gone:
            return
        self.gone = True
        if self._timer is not None:
            self._timer.cancel()
        self._done(verdict)


def _document(outputs: list[Output], question: Question, signature: Signature) -> Any:
    """Write the answer as a client would get it, and read it again."""
    wanted = question.call.kind.outputs
    tensors = [as_json(output) for output in outputs if not wanted or output.name in wanted]
    document = {"outputs": tensors} if question.is_tensors else plain(tensors, signature)
    return msgspec.json.decode(msgspec.json.encode(document))
