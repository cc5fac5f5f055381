"""What an image needs of the machine before it is run: its GPUs chosen, and whatever is in the way said at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

import msgspec

from tiffin.api.machine.engines import EMBEDDED, engine_name
from tiffin.engine.declared import DRIVER, GPU
from tiffin.engine.gpus import Asked, Sight, choose, countable, parse_gpus
from tiffin.engine.plan import SOCKETS, RunOptions, parse_sockets
from tiffin.engine.spec import ContainerSpec, Engine, Foresees, Obstacle, Port
from tiffin.oci.image import Image
from tiffin.progress import note

GRPC = "grpc"
"""The socket, and the layer of an image that answers there."""


def with_gpus(name: str, image: Image, options: RunOptions) -> RunOptions:
    """Choose the GPUs of a container and say a word where there is one to say; raises where it cannot be as it must."""
    labels = image.config.config.labels | options.labels
    asked = parse_gpus(options.gpus)
    if asked is None and not ({GPU, DRIVER} & set(labels)):
        return options  # most images: nothing is looked for
    choice = choose(name, labels, asked, _sight())
    if choice.word:
        note(choice.word)
    return msgspec.structs.replace(options, devices=(*choice.devices, *options.devices))


def gpus_of(name: str, image: Image, asked: Asked) -> tuple[str, ...]:
    """The GPUs that are asked for a container of an image, as CDI names; raises where it cannot have them."""
    return choose(name, image.config.config.labels, asked, _sight()).devices


def gpus_here() -> tuple[str, ...]:
    """The GPUs of the machine where the engine is, by name; none where it cannot be looked at."""
    sight = _sight()
    return countable(sight.known) if sight else ()


def mention_grpc(name: str, image: Image, ports: Sequence[Port]) -> None:
    """Say a word where the port of gRPC is published and nobody will answer there."""
    grpc = parse_sockets(image.config.config.labels.get(SOCKETS, "")).get(GRPC)
    asked = grpc is not None and any(port.container_port == grpc for port in ports)
    if asked and not any(made.comment == GRPC for made in image.config.history):
        note(
            f"{name} answers no gRPC on port {grpc}: `grpc = true` below [serve] in tiffin.toml and a build turn it on"
        )


def foreseen(engine: Engine, spec: ContainerSpec) -> list[Obstacle]:
    """What would keep a container from starting, where the engine can say."""
    return list(engine.obstacles(spec)) if isinstance(engine, Foresees) else []


def _sight(environment: Mapping[str, str] = os.environ) -> Sight | None:
    """Look at the GPUs of the machine where the engine is; None where that is another one."""
    engine = engine_name()
    if engine != EMBEDDED:
        from tiffin.engine.clients.seeing import is_here

        if not is_here(engine, environment, sys.platform):
            return None
    from tiffin.engine.gpu_sight import gpu_sight

    return gpu_sight()
