"""Who is measured: a file for each, with what it is started with."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.serving.peer import Peer

from . import bare, bento, kserve, lit, mlflow, mlserver, ray, tiffin, uvicorn

EVERYONE: Sequence[Peer] = [
    *tiffin.PEERS,
    *bare.PEERS,
    *uvicorn.PEERS,
    *mlserver.PEERS,
    *kserve.PEERS,
    *lit.PEERS,
    *bento.PEERS,
    *mlflow.PEERS,
    *ray.PEERS,
]
"""In the order of the tables; the slowest to start come last."""
NAMES = list(dict.fromkeys(peer.name for peer in EVERYONE))
