"""What a supervisor tells Prometheus: its services as families of samples. Pure, but for what its own process uses."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tiffin import __version__
from tiffin.deploy.local.casualties import WHY
from tiffin.deploy.local.exposition import Family, Sample
from tiffin.deploy.local.reasons import REASONS
from tiffin.deploy.local.seen import Stage
from tiffin.deploy.local.tally import CRASHES, EVENTS, OUTCOMES, RESTARTS, ROLLOUTS, WORKERS
from tiffin.deploy.local.watched import Scaling, Watched, WatchedRevision
from tiffin.deploy.target import Phase

Number = Callable[[Watched], float]
_SERVICE: tuple[tuple[str, str, Number], ...] = (
    ("wanted_replicas", "Replicas that are wanted.", lambda one: one.wanted),
    ("ready_replicas", "Replicas that requests may come to.", lambda one: one.ready),
    ("starting_replicas", "Replicas that are not ready yet.", lambda one: one.staged(Stage.STARTING)),
    ("sleeping_replicas", "Replicas that have their model loaded and wait.", lambda one: one.staged(Stage.ASLEEP)),
    ("stopping_replicas", "Replicas that finish what they have.", lambda one: one.staged(Stage.STOPPING)),
    ("waiting_requests", "Requests that no replica has begun.", lambda one: one.waiting),
    ("in_flight_requests", "Requests in the front.", lambda one: one.in_flight),
    ("last_look_timestamp_seconds", "When the supervisor last looked at the service.", lambda one: one.looked),
    ("created_timestamp_seconds", "When the oldest revision that is kept was made.", lambda one: one.created),
)
_COUNTED = (
    ("tiffin_service_events_total", EVENTS, "kind", (), "Decisions and what was seen, by their kind in the journal."),
    ("tiffin_service_restarts_total", RESTARTS, "reason", REASONS, "Replicas that were lost, and replaced."),
    ("tiffin_service_crashes_total", CRASHES, "reason", REASONS, "Replicas that were lost soon after they were ready."),
    ("tiffin_service_worker_restarts_total", WORKERS, "reason", tuple(WHY), "Workers lost in a replica that lived on."),
    ("tiffin_service_rollouts_total", ROLLOUTS, "outcome", OUTCOMES, "Rollouts that came to an end."),
)
_REVISION: tuple[tuple[str, str, Callable[[WatchedRevision], float]], ...] = (
    ("weight_ratio", "The share of requests that the revision gets.", lambda one: one.weight / 100),
    ("replicas", "Replicas of the revision.", lambda one: one.replicas),
    ("ready_replicas", "Replicas of the revision that requests may come to.", lambda one: one.ready),
)

_SCALING: tuple[tuple[str, str, Callable[[Scaling], float]], ...] = (
    ("panic", "1 while the short window decides.", lambda one: one.panics),
    ("wanted_replicas", "Replicas that the load wants, within what is allowed.", lambda one: one.wanted),
    ("min_replicas", "Replicas at least.", lambda one: one.least),
    ("max_replicas", "Replicas at most.", lambda one: one.most),
)


def families(services: Sequence[Watched]) -> Iterator[Family]:
    """Everything about services: as wanted, as seen, and what happened to them since they were first deployed."""
    yield _gauge("tiffin_supervisor_build_info", "The supervisor, always 1.", [({"version": __version__}, 1)])
    yield _gauge("tiffin_supervisor_services", "Services that are kept.", [({}, len(services))])
    phases = [({**_named(one), "phase": phase.value}, one.phase is phase) for one in services for phase in Phase]
    yield _gauge("tiffin_service_phase", "1 for the phase that the service is in.", phases)
    for name, meaning, number in _SERVICE:
        yield _gauge(f"tiffin_service_{name}", meaning, [(_named(one), number(one)) for one in services])
    for name, meaning, number_of in _REVISION:
        samples = [
            ({**_named(one), "revision": str(each.number)}, number_of(each))
            for one in services
            for each in one.revisions
        ]
        yield _gauge(f"tiffin_revision_{name}", meaning, samples)
    for name, count, label, always, meaning in _COUNTED:
        yield Family(
            name, "counter", meaning, [each for one in services for each in _counts(one, count, label, always)]
        )
    yield from _scaling(services)


def _scaling(services: Sequence[Watched]) -> Iterator[Family]:
    """What autoscalers go by, of services whose number of replicas follows the load."""
    scaled = [(_named(one), one.scaling) for one in services if one.scaling]
    averages: list[Sample] = []
    for labels, one in scaled:
        averages += (({**labels, "window": "stable"}, one.stable), ({**labels, "window": "panic"}, one.panic))
    yield _gauge("tiffin_autoscaler_concurrency", "Requests at once on average, by the window.", averages)
    for name, meaning, number in _SCALING:
        yield _gauge(f"tiffin_autoscaler_{name}", meaning, [(labels, number(one)) for labels, one in scaled])


def _counts(one: Watched, count: str, label: str, always: Sequence[str]) -> list[Sample]:
    """One counter of a service; a rate needs the 0 that it began with."""
    counts = {**dict.fromkeys(always, 0), **one.counts.get(count, {})}
    return [({**_named(one), label: kind}, number) for kind, number in sorted(counts.items())]


def _named(one: Watched) -> dict[str, str]:
    return {"service": one.name}


def _gauge(name: str, meaning: str, samples: Sequence[Sample]) -> Family:
    return Family(name, "gauge", meaning, samples)


def process(proc: Path = Path("/proc")) -> Iterator[Family]:
    """What the supervisor itself uses, by the names that every dashboard knows; nothing where /proc is not there."""
    try:
        fields = (proc / "self" / "stat").read_text().rpartition(")")[2].split()
        files = len(os.listdir(proc / "self" / "fd"))  # noqa: PTH208 - a count; paths would be made for nothing
        booted = next(line for line in (proc / "stat").read_text().splitlines() if line.startswith("btime "))
    except OSError:
        return
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    cpu = (int(fields[11]) + int(fields[12])) / ticks  # proc(5): the fields after the name begin with the third
    yield Family("process_cpu_seconds_total", "counter", "CPU time of the supervisor.", [({}, cpu)])
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    for name, meaning, value in (
        ("resident_memory_bytes", "Memory of the supervisor.", float(int(fields[21]) * page)),
        ("virtual_memory_bytes", "Address space of the supervisor.", float(fields[20])),
        ("open_fds", "Files the supervisor has open.", float(files)),
        ("max_fds", "Files the supervisor may have open.", float(most)),
        ("start_time_seconds", "When the supervisor was started.", int(booted.split()[1]) + int(fields[19]) / ticks),
    ):
        yield _gauge(f"process_{name}", meaning, [({}, value)])
