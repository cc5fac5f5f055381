"""What keeps a pod from being ready, read from its status and from what was said of it. Pure, over plain objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tiffin.deploy.kubernetes.words import EXEC_FORMAT, missing, pull_hint, unschedulable
from tiffin.deploy.target import Finding

Object = dict[str, Any]
PULLS = {
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
}
_REFUSALS = {
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "StartError",
    "ContainerCannotRun",
}
_KILLED, _SEGMENT, _EXEC_STATUS = 137, 139, 255
_TAIL = 20
"""Lines of a log that a finding quotes."""
_PULL_SECRET = "FailedToRetrieveImagePullSecret"  # noqa: S105 - an event's reason
_PULL_FAILED = "Failed to pull image"
_PROBES = {"Readiness": "is not ready", "Startup": "has not come up", "Liveness": "is killed again and again"}
_LOGS_HINT = "`tiffin logs` shows what it wrote"
ARCHITECTURE = "has a program for another processor than its node's"
ARCHITECTURE_HINT = "build with `[image] platform` for the nodes' processors, or choose other nodes"


def findings(pod: Object, said: Sequence[Object], log: Sequence[str], now: datetime) -> Iterator[Finding]:
    """What keeps one pod from being ready; `said` are the events about it, `log` its container's last lines."""
    status = pod.get("status", {})
    if found := _place(status):
        yield found
        return
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    for container in containers:
        if found := _container(container, pod, said, log, now):
            yield found
            return
    yield from (_pulls(pod, containers, said) or _mounts(said))


def _place(status: Object) -> Finding | None:
    """Whether a node has it at all, and whether that node kept it."""
    if status.get("phase") == "Failed" and status.get("reason"):
        words = status.get("message") or "its node does not say why"
        return Finding(
            message=f"was taken from its node ({status['reason']}): {words}", hint=_eviction(status["reason"])
        )
    for condition in status.get("conditions", []):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            if condition.get("reason") == "SchedulingGated":
                return Finding(
                    message="waits for whoever gates its scheduling", hint="`kubectl get pod -o yaml` names the gates"
                )
            words, hint = unschedulable(condition.get("message", ""))
            return Finding(message=f"finds no node: {words}", hint=hint)
    return None


def _eviction(reason: str) -> str:
    if reason == "Evicted":
        return "the node ran out of memory or disk: ask for as much memory as it uses, or for other nodes"
    return "`kubectl describe pod` has more; the cluster makes another one"


def _container(
    container: Object, pod: Object, said: Sequence[Object], log: Sequence[str], now: datetime
) -> Finding | None:
    """What keeps one container: it cannot be pulled, cannot be made, ends, or does not answer."""
    state, last = container.get("state", {}), container.get("lastState", {})
    waiting = state.get("waiting", {})
    reason = waiting.get("reason", "")
    if reason in PULLS:
        return _pull(container, waiting, said)
    ended = state.get("terminated") or last.get("terminated")
    if reason in _REFUSALS or (ended and ended.get("reason") in _REFUSALS):
        return _refusal(waiting.get("message") or (ended or {}).get("message", ""), reason)
    if ended and (ended.get("exitCode") or reason == "CrashLoopBackOff"):
        return _crash(container, pod, ended, said, log)
    if "running" in state and not container.get("ready"):
        return _silent(container, pod, said, log, now)
    return None


def _pull(container: Object, waiting: Object, said: Sequence[Object]) -> Finding:
    """The registry's words are in the event of the last try; a back-off has them only sometimes."""
    words = next(
        (event["message"] for event in reversed(said) if event.get("message", "").startswith(_PULL_FAILED)),
        "",
    )
    words = words or waiting.get("message", "") or waiting["reason"]
    for event in said:
        if event.get("reason") == _PULL_SECRET:
            return Finding(
                message=f"cannot pull {container.get('image', 'its image')}: {words}",
                hint=f"its pull secret is missing: {event.get('message', '')}",
            )
    return Finding(message=f"cannot pull {container.get('image', 'its image')}: {words}", hint=pull_hint(words))


def _pulls(pod: Object, containers: Sequence[Object], said: Sequence[Object]) -> list[Finding]:
    """What becomes of an image that is pulled, or pulled once more; its container is only `ContainerCreating` then."""
    last = next((event for event in reversed(said) if _is_of_pull(event)), {})
    if not containers or last.get("reason") not in {"Pulling", "Failed"}:
        return []
    if last["reason"] == "Failed":
        return [_pull(containers[-1], {"reason": "ErrImagePull"}, said)]
    earlier = [event for event in said if event.get("message", "").startswith(_PULL_FAILED)]
    again = f", again: {earlier[-1]['message']}" if earlier else ""
    where = pod.get("spec", {}).get("nodeName", "its node")
    hint = "the first pull of a large image takes its time; `kubectl describe node` shows how its node is"
    return [Finding(message=f"is pulling its image to {where}{again}", hint=hint)]


def _is_of_pull(event: Object) -> bool:
    return event.get("reason") in {"Pulling", "Pulled"} or event.get("message", "").startswith(_PULL_FAILED)


def _refusal(words: str, reason: str) -> Finding:
    if found := missing(words):
        return Finding(message=f"cannot start: {found[0]}", hint=found[1])
    if EXEC_FORMAT in words:
        return Finding(message=ARCHITECTURE, hint=ARCHITECTURE_HINT)
    hint = "`kubectl describe pod` has more"
    if "runAsNonRoot" in words:
        hint = "the image runs as root, which is not allowed here: give it a USER by number"
    return Finding(message=f"cannot start: {words or reason}", hint=hint)


def _crash(container: Object, pod: Object, ended: Object, said: Sequence[Object], log: Sequence[str]) -> Finding:
    lines = tuple(log or ended.get("message", "").splitlines())[-_TAIL:]
    times = container.get("restartCount", 0)
    again = f", {'once' if times == 1 else f'{times} times'} so far" if times else ""
    if ended.get("reason") == "OOMKilled":
        most = _limit(container, pod)
        return Finding(
            message=f"was killed for more memory than its limit{f' of {most}' if most else ''}{again}",
            hint="give it more: `[deploy] memory`, or fewer rows at once: `[serve] max-batch`",
            log=lines,
        )
    if any(EXEC_FORMAT in line for line in (*lines, ended.get("message", ""))):
        return Finding(message=ARCHITECTURE, hint=ARCHITECTURE_HINT)
    if late := _late(pod, said):
        return late
    code = ended.get("exitCode", 0)
    how = {_KILLED: "was killed (137)", _SEGMENT: "broke off with a memory fault (139)"}.get(code, f"ends with {code}")
    return Finding(message=f"{how}{again}", hint=_LOGS_HINT, log=lines)


def _late(pod: Object, said: Sequence[Object]) -> Finding | None:
    """Whether it was killed because it had not come up in the time it has for that."""
    if not any("startup probe" in event.get("message", "") for event in said if event.get("reason") == "Killing"):
        return None
    seconds = _patience(pod)
    return Finding(
        message=f"was killed because it had not come up {seconds:.0f} s after its start",
        hint="give the model longer to load: `[serve] load-seconds`",
    )


def _silent(container: Object, pod: Object, said: Sequence[Object], log: Sequence[str], now: datetime) -> Finding:
    """It runs, and is not ready: what its probes hear, or how long it has been loading."""
    heard = _probed(said)
    since = _time(container["state"]["running"].get("startedAt", ""))
    ran, may = (now - since).total_seconds() if since else 0.0, _patience(pod)
    if container.get("started") is False and may and ran < may:
        words = f"; its probe last heard: {heard[1]}" if heard else ""
        return Finding(
            message=f"is still loading: it has run for {ran:.0f} s and may take {may:.0f} s{words}",
            hint="`[serve] load-seconds` says how long it may load, `[deploy.rollout] progress-seconds` when to stop",
            log=tuple(log)[-_TAIL:],
        )
    if heard:
        kind, words = heard
        return Finding(
            message=f"{_PROBES[kind]}: its {kind.lower()} probe heard: {words}",
            log=tuple(log)[-_TAIL:],
            hint=_LOGS_HINT,
        )
    return Finding(message="runs, and is not ready", log=tuple(log)[-_TAIL:], hint=_LOGS_HINT)


def _probed(said: Sequence[Object]) -> tuple[str, str] | None:
    """The last output of a probe that failed: `Readiness probe failed: HTTP probe failed with statuscode: 503`."""
    for event in reversed(said):
        kind, found, words = event.get("message", "").partition(" probe failed: ")
        if event.get("reason") == "Unhealthy" and found and kind in _PROBES:
            return kind, words.strip()
    return None


def _mounts(said: Sequence[Object]) -> Iterator[Finding]:
    """What a pod whose containers are not made yet waits for: volumes, secrets, the network."""
    for event in reversed(said):
        words = event.get("message", "")
        if event.get("reason") in {"FailedMount", "FailedAttachVolume"}:
            found = missing(words)
            message = f"cannot start: {found[0]}" if found else f"waits for a volume: {words}"
            yield Finding(message=message, hint=found[1] if found else "`kubectl describe pvc` says how its claim is")
            return
        if event.get("reason") == "FailedCreatePodSandBox":
            yield Finding(
                message=f"gets no sandbox on its node: {words}", hint="the node's network or runtime is not well"
            )
            return


def _limit(container: Object, pod: Object) -> str:
    for one in pod.get("spec", {}).get("containers", []):
        if one.get("name") == container.get("name"):
            return str(one.get("resources", {}).get("limits", {}).get("memory", ""))
    return ""


def _patience(pod: Object) -> float:
    """For how many seconds a container may be loading, as its startup probe has it."""
    for container in pod.get("spec", {}).get("containers", []):
        if probe := container.get("startupProbe"):
            return float(
                probe.get("initialDelaySeconds", 0) + probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3)
            )
    return 0.0


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Say whether a pod takes requests."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)
