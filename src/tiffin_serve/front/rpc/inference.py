"""The protocol's service `inference.GRPCInferenceService` (spec/inference.proto) over the front's own queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from tiffin_serve import __version__
from tiffin_serve.front.batching.batches import Job
from tiffin_serve.front.log import report
from tiffin_serve.front.rpc import inference_pb2 as messages
from tiffin_serve.front.rpc.calls import Calls
from tiffin_serve.front.rpc.health import Readiness
from tiffin_serve.front.rpc.requests import bind, parse, respond
from tiffin_serve.front.rpc.switch import Served
from tiffin_serve.front.rpc.waiters import Patience, StreamWaiter, Waiter
from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.outputs import select
from tiffin_serve.protocol.signature import Signature

SERVICE = "inference.GRPCInferenceService"
EXTENSIONS = ["model_repository", "statistics"]
AHEAD = 64
"""So many requests of one stream are with the model at once."""
_BUSY = 429
_FINAL = "triton_final_response"
_WANTS_FINAL = "triton_enable_empty_final_response"


class Inference:
    """What is asked, one method a question; each reads its message, and raises RequestError where it must refuse."""

    def __init__(self, loop: asyncio.AbstractEventLoop, served: Served, readiness: Readiness, calls: Calls) -> None:
        self._loop = loop
        self._service = served.service
        self._workers = served.workers
        self._metrics = served.metrics
        self._readiness = readiness
        self._calls = calls

    # --- what there is

    async def server_live(self, data: bytes) -> messages.ServerLiveResponse:
        """Say that the process answers."""
        parse(messages.ServerLiveRequest, data)
        return messages.ServerLiveResponse(live=True)

    async def server_ready(self, data: bytes) -> messages.ServerReadyResponse:
        """Say whether requests are answered."""
        parse(messages.ServerReadyRequest, data)
        self._readiness.look()
        return messages.ServerReadyResponse(ready=self._readiness.now)

    async def model_ready(self, data: bytes) -> messages.ModelReadyResponse:
        """Say whether requests to the model are answered."""
        request = parse(messages.ModelReadyRequest, data)
        self._check_name(request.name, request.version)
        self._readiness.look()
        return messages.ModelReadyResponse(ready=self._readiness.now)

    async def server_metadata(self, data: bytes) -> messages.ServerMetadataResponse:
        """Say who answers."""
        parse(messages.ServerMetadataRequest, data)
        return messages.ServerMetadataResponse(name="tiffin", version=__version__, extensions=EXTENSIONS)

    async def model_metadata(self, data: bytes) -> messages.ModelMetadataResponse:
        """Say what the model takes and gives."""
        request = parse(messages.ModelMetadataRequest, data)
        self._check_name(request.name, request.version)
        signature = self._signature()
        metadata = messages.ModelMetadataResponse(
            name=self._service.name, versions=[self._service.version], platform=signature.platform
        )
        for field, specs in ((metadata.inputs, signature.inputs), (metadata.outputs, signature.outputs)):
            for spec in specs:
                field.add(name=spec.name, datatype=spec.datatype, shape=spec.shape)
        for name, values in signature.properties.items():
            metadata.properties[name] = values
        return metadata

    # --- inference

    async def model_infer(self, data: bytes, seconds: float | None) -> messages.ModelInferResponse:
        """Ask the model; `seconds` is how long the client waits."""
        request = parse(messages.ModelInferRequest, data)
        self._check_name(request.model_name, request.model_version)
        call = bind(request, self._signature())
        waiter = Waiter(self._loop, self._patience(seconds))
        job = self._submit(call, waiter, seconds)
        try:
            outputs = await waiter.outputs
        except asyncio.CancelledError:  # the client's doing
            self._workers.dispatcher.forget(job)
            raise
        return respond(request, self._service, select(outputs, call.kind.outputs))

    async def model_stream_infer(
        self, requests: AsyncIterator[bytes], seconds: float | None
    ) -> AsyncIterator[messages.ModelStreamInferResponse]:
        """Ask the model again and again; answers come in the order of requests, a refused one as a message."""
        asked: asyncio.Queue[Any] = asyncio.Queue(AHEAD)
        waiting: dict[StreamWaiter, Job] = {}

        async def ask() -> None:
            try:
                async for data in requests:
                    await asked.put(self._begin(data, seconds, waiting))
            except Exception as error:  # noqa: BLE001 - who reads the queue waits for its end, however it comes
                report("a gRPC stream could not be read", error=repr(error))
            await asked.put(None)

        asking = self._loop.create_task(ask())
        try:
            while (begun := await asked.get()) is not None:
                async for response in self._answer(*begun):
                    yield response
                if begun[1] in waiting:
                    del waiting[begun[1]]
                    self._calls.in_flight -= 1
        finally:
            asking.cancel()
            self._calls.in_flight -= len(waiting)
            for waiter, job in waiting.items():
                waiter.gone = True
                self._workers.dispatcher.forget(job)

    def _begin(self, data: bytes, seconds: float | None, waiting: dict[StreamWaiter, Job]) -> tuple[Any, StreamWaiter]:
        """Queue one request of a stream; a refusal is kept for its turn."""
        request, waiter = messages.ModelInferRequest(), StreamWaiter(self._patience(seconds))
        try:
            request = parse(messages.ModelInferRequest, data)
            self._check_name(request.model_name, request.model_version)
            signature = self._signature()
            waiting[waiter] = self._submit(bind(request, signature, stream=signature.streams), waiter, seconds)
            self._calls.in_flight += 1
        except RequestError as error:
            waiter.fail(error)
        return request, waiter

    async def _answer(
        self, request: messages.ModelInferRequest, waiter: StreamWaiter
    ) -> AsyncIterator[messages.ModelStreamInferResponse]:
        names = [output.name for output in request.outputs]
        try:
            async for outputs in waiter.parts():
                response = respond(request, self._service, select(outputs, names))
                yield messages.ModelStreamInferResponse(infer_response=response)
        except RequestError as error:
            failed = messages.ModelInferResponse(id=request.id)
            yield messages.ModelStreamInferResponse(error_message=error.message, infer_response=failed)
            return
        if _WANTS_FINAL in request.parameters and request.parameters[_WANTS_FINAL].bool_param:
            final = respond(request, self._service, ())
            final.parameters[_FINAL].bool_param = True
            yield messages.ModelStreamInferResponse(infer_response=final)

    def _patience(self, seconds: float | None) -> Patience:
        most = self._service.serve.deadline_ms / 1000
        return Patience(self._loop, most if seconds is None else min(seconds, most))

    def _submit(self, call: Any, waiter: Any, seconds: float | None) -> Job:
        """Queue a call; what is refused at once is refused because there are too many."""
        try:
            return self._workers.dispatcher.submit(call, waiter, seconds)
        except RequestError as error:
            raise RequestError(error.message, _BUSY) from error

    # --- the model's coming and going

    async def repository_index(self, data: bytes) -> messages.RepositoryIndexResponse:
        """List the one model."""
        request = parse(messages.RepositoryIndexRequest, data)
        index = messages.RepositoryIndexResponse()
        ready = self._workers.ready and not self._workers.unloaded
        if ready or not request.ready:
            state = "READY" if ready else "UNAVAILABLE" if self._workers.unloaded else "LOADING"
            reason = "unloaded" if self._workers.unloaded else ""
            index.models.add(name=self._service.name, version=self._service.version, state=state, reason=reason)
        return index

    async def repository_model_load(self, data: bytes) -> messages.RepositoryModelLoadResponse:
        """Have the model again, and answer when it is there."""
        request = parse(messages.RepositoryModelLoadRequest, data)
        self._check_name(request.model_name, "")
        self._workers.load()
        while not self._workers.ready:
            await self._readiness.change()
        return messages.RepositoryModelLoadResponse()

    async def repository_model_unload(self, data: bytes) -> messages.RepositoryModelUnloadResponse:
        """Let the model go."""
        request = parse(messages.RepositoryModelUnloadRequest, data)
        self._check_name(request.model_name, "")
        self._workers.unload()
        self._readiness.look()
        return messages.RepositoryModelUnloadResponse()

    async def model_statistics(self, data: bytes) -> messages.ModelStatisticsResponse:
        """Count what was asked, and how long it took, over every protocol; an empty name asks for all models."""
        request = parse(messages.ModelStatisticsRequest, data)
        if request.name:
            self._check_name(request.name, request.version)
        found = self._metrics.statistics()
        took = {name: messages.StatisticDuration(**duration) for name, duration in found["inference_stats"].items()}
        statistics = messages.ModelStatistics(
            name=self._service.name,
            version=self._service.version,
            last_inference=found["last_inference"],
            inference_count=found["inference_count"],
            execution_count=found["execution_count"],
            inference_stats=messages.InferStatistics(**took),
        )
        for entry in found["batch_stats"]:
            size = entry.pop("batch_size")
            durations = {name: messages.StatisticDuration(**duration) for name, duration in entry.items()}
            statistics.batch_stats.add(batch_size=size, **durations)
        return messages.ModelStatisticsResponse(model_stats=[statistics])

    # --- what is refused

    def _check_name(self, name: str, version: str) -> None:
        own = self._service
        if name != own.name:
            raise RequestError(f"there is no model '{name[:200]}'; this server has '{own.name}'", 404)
        if version not in {"", own.version}:
            raise RequestError(
                f"there is no such version of '{own.name}'; this server has version '{own.version}'", 404
            )

    def _signature(self) -> Signature:
        signature = self._workers.signature
        if signature is None:
            raise RequestError("the model is not loaded yet", 503)
        if self._workers.unloaded:
            raise RequestError("the model is unloaded", 503)
        return signature
