"""Pipelines that tests render: named ones, and any that Hypothesis thinks of."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from tiffin.config.cron import Cron
from tiffin.deploy.kubernetes.scheduled.pipeline import Mounted, Room, ScheduledPipeline, name_of
from tiffin.deploy.kubernetes.scheduled.times import times_every, times_of
from tiffin.oci.digest import Digest

RUN = ("pipeline", "run", "--here", "--wait")
LOOK = ("pipeline", "watch", "--once", "--here", "--wait")
PLAIN = ScheduledPipeline(
    name="iris-pipeline",
    project="iris",
    image="registry.example/team/iris",
    digest=Digest.of(b"iris:pipeline"),
    times=times_of(Cron.parse("0 3 * * mon-fri"), "Europe/Berlin"),
    words=RUN,
    by_hand=RUN,
)
DEPLOYING = msgspec.structs.replace(
    PLAIN,
    times=times_every(15),
    words=LOOK,
    room=Room(cpus=3.5, memory=6 << 30, gpus=1, bounded=True),
    seconds=7200,
    state="iris-state",
    data=(Mounted(path="data", claim="flowers"),),
    login="registry",
    services="keep",
    context="production",
)

_names = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
_rooms = st.builds(
    Room,
    cpus=st.floats(0.1, 64),
    memory=st.sampled_from([0, 1 << 30, 3 << 40, 1000]),
    gpus=st.integers(0, 8),
    bounded=st.booleans(),
)
_mounted = st.builds(Mounted, path=_names, claim=_names)
_fields: dict[str, Any] = {
    "name": _names.map(name_of),
    "words": st.sampled_from([RUN, LOOK]),
    "room": _rooms,
    "seconds": st.integers(0, 10**6),
    "state": st.one_of(st.just(""), _names),
    "data": st.lists(st.builds(Mounted, path=_names, claim=_names), max_size=2, unique_by=lambda one: one.path).map(
        tuple
    ),
    "login": st.one_of(st.just(""), _names),
    "services": st.sampled_from(["none", "read", "keep"]),
    "context": st.sampled_from(["", "yes", "arn:aws:eks:eu-1:1:cluster/a"]),
}
pipelines = st.fixed_dictionaries(_fields).map(lambda fields: msgspec.structs.replace(PLAIN, **fields))
