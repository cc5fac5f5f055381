"""Services as who watches them sees them: one in the middle of a rollout, and one with a name that wants quoting."""

from __future__ import annotations

from tiffin.deploy.local.seen import Stage
from tiffin.deploy.local.watched import Scaling, Watched, WatchedReplica, WatchedRevision
from tiffin.deploy.target import Phase

SERVICES = [
    Watched(
        name="iris",
        phase=Phase.PROGRESSING,
        wanted=3,
        looked=1000.5,
        created=900.0,
        waiting=4,
        in_flight=6,
        counts={"events": {"apply": 2}, "restarts": {"memory": 2}, "rollouts": {"given-up": 1}},
        revisions=(
            WatchedRevision(number=4, weight=10.0, replicas=1),
            WatchedRevision(number=3, weight=90.0, replicas=2, ready=2),
        ),
        replicas=(WatchedReplica(name="iris-4-a", revision=4, stage=Stage.STARTING, since=990.0),),
        scaling=Scaling(least=1, most=9, wanted=3, stable=2.5, panic=7.0, panics=True),
    ),
    Watched(name='odd "one"\\\n', phase=Phase.AVAILABLE, wanted=0),
]
