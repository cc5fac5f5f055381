"""Which pod security profile a pod meets, decided as the cluster's own admission decides it, without a cluster.

Source: Kubernetes, "Pod Security Standards", as of 1.37. Fields are those of a pod's JSON. A control
is a function from a pod to the places that break it, and a profile is a table of controls by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from typing import Any

import msgspec

Pod = Mapping[str, Any]
Version = tuple[int, int]
LATEST: Version = (1, 37)


class Profile(Enum):
    """How little a pod may do, from everything to next to nothing."""

    PRIVILEGED = "privileged"
    BASELINE = "baseline"
    RESTRICTED = "restricted"


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """One place at which a pod breaks a control of a profile: a path in the pod, and what stands there."""

    control: str
    place: str
    found: str


Found = Iterator[tuple[str, Any]]
Control = Callable[[Pod, Version], Found]

_ADDED = frozenset(
    [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
)
_SECCOMP = ("RuntimeDefault", "Localhost")
_SELINUX = {"": (1, 0), "container_t": (1, 0), "container_init_t": (1, 0), "container_kvm_t": (1, 0)}
_SELINUX |= {"container_engine_t": (1, 31)}
_SYSCTLS: dict[str, Version] = {
    "kernel.shm_rmid_forced": (1, 0),
    "net.ipv4.ip_local_port_range": (1, 0),
    "net.ipv4.ip_unprivileged_port_start": (1, 0),
    "net.ipv4.tcp_syncookies": (1, 0),
    "net.ipv4.ping_group_range": (1, 0),
    "net.ipv4.ip_local_reserved_ports": (1, 27),
    "net.ipv4.tcp_keepalive_time": (1, 29),
    "net.ipv4.tcp_fin_timeout": (1, 29),
    "net.ipv4.tcp_keepalive_intvl": (1, 29),
    "net.ipv4.tcp_keepalive_probes": (1, 29),
    "net.ipv4.tcp_rmem": (1, 32),
    "net.ipv4.tcp_wmem": (1, 32),
    "net.ipv4.tcp_slow_start_after_idle": (1, 37),
    "net.ipv4.tcp_notsent_lowat": (1, 37),
}
"""Settings of the kernel that are a pod's own, and the version from which the profile says so."""

_VOLUMES = frozenset(
    [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ]
)
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_HOST_PROBES, _UNMASKED_IN_USER_NAMESPACES = (1, 34), (1, 35)


def violations(pod: Pod, profile: Profile, version: Version = LATEST) -> tuple[Violation, ...]:
    """List every place at which a pod (its `metadata` and `spec`) breaks the profile of this version of Kubernetes."""
    controls = {
        Profile.PRIVILEGED: {},
        Profile.BASELINE: _BASELINE,
        Profile.RESTRICTED: _BASELINE | _RESTRICTED,
    }[profile]
    return tuple(
        Violation(control=name, place=place, found=str(found))
        for name, control in controls.items()
        for place, found in control(pod, version)
    )


def profile_of(pod: Pod, version: Version = LATEST) -> Profile:
    """Name the strictest profile that a pod meets."""
    strictest_first = (Profile.RESTRICTED, Profile.BASELINE)
    return next((profile for profile in strictest_first if not violations(pod, profile, version)), Profile.PRIVILEGED)


def pods(objects: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Pod]]:
    """Find the pods that objects make, each with the name of its object: `Deployment/iris`."""
    for thing in objects:
        name = f"{thing['kind']}/{thing['metadata']['name']}"
        spec = _table(thing, "spec")
        if thing["kind"] == "Pod":
            yield name, thing
        elif thing["kind"] == "InferenceService":
            yield name, {"spec": spec["predictor"]}
            yield from ((f"{name} (canary)", {"spec": canary["predictor"]}) for canary in spec.get("canary") or ())
        elif thing["kind"] == "CronJob":
            yield name, spec["jobTemplate"]["spec"]["template"]
        elif "template" in spec:
            yield name, spec["template"]


def _table(value: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """Go down a path of tables; what is absent or null is empty."""
    for key in path:
        value = value.get(key) or {}
    return value


def _containers(pod: Pod) -> Found:
    spec = _table(pod, "spec")
    for key in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(key) or ()):
            yield f"spec.{key}[{index}]", container


def _contexts(pod: Pod) -> Found:
    """Every security context: the pod's, then each container's."""
    yield "spec.securityContext", _table(pod, "spec", "securityContext")
    yield from _container_contexts(pod)


def _container_contexts(pod: Pod) -> Found:
    for place, container in _containers(pod):
        yield f"{place}.securityContext", _table(container, "securityContext")


def _is_windows(pod: Pod) -> bool:
    """Whether a pod says that it is for Windows, which knows none of what these controls look at."""
    return _table(pod, "spec", "os").get("name") == "windows"


def _host_process(pod: Pod, _: Version) -> Found:
    for place, context in _contexts(pod):
        if _table(context, "windowsOptions").get("hostProcess"):
            yield f"{place}.windowsOptions.hostProcess", True


def _host_namespaces(pod: Pod, _: Version) -> Found:
    spec = _table(pod, "spec")
    yield from ((f"spec.{key}", True) for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key))


def _privileged(pod: Pod, _: Version) -> Found:
    for place, context in _container_contexts(pod):
        if context.get("privileged"):
            yield f"{place}.privileged", True


def _capabilities(pod: Pod, _: Version) -> Found:
    for place, context in _container_contexts(pod):
        for name in _table(context, "capabilities").get("add") or ():
            if name not in _ADDED:
                yield f"{place}.capabilities.add", name


def _host_path(pod: Pod, _: Version) -> Found:
    for index, volume in enumerate(_table(pod, "spec").get("volumes") or ()):
        if volume.get("hostPath") is not None:
            yield f"spec.volumes[{index}].hostPath", _table(volume, "hostPath").get("path", "")


def _host_ports(pod: Pod, _: Version) -> Found:
    for place, container in _containers(pod):
        for index, port in enumerate(container.get("ports") or ()):
            if port.get("hostPort"):
                yield f"{place}.ports[{index}].hostPort", port["hostPort"]


def _host_probes(pod: Pod, version: Version) -> Found:
    """Probes and lifecycle hooks that have the node ask another host."""
    if version < _HOST_PROBES:
        return
    for place, container in _containers(pod):
        probes = [("livenessProbe",), ("readinessProbe",), ("startupProbe",)]
        hooks = [("lifecycle", "postStart"), ("lifecycle", "preStop")]
        for path in (*probes, *hooks):
            for action in ("httpGet", "tcpSocket"):
                host = _table(container, *path, action).get("host")
                if host:
                    yield ".".join((place, *path, action, "host")), host


def _app_armor(pod: Pod, _: Version) -> Found:
    for key, value in _table(pod, "metadata", "annotations").items():
        fine = value in ("", "runtime/default") or value.startswith("localhost/")
        if key.startswith(_APPARMOR) and not fine:
            yield f"metadata.annotations[{key}]", value
    for place, context in _contexts(pod):
        profile = context.get("appArmorProfile")
        if profile is not None and profile.get("type") not in _SECCOMP:
            yield f"{place}.appArmorProfile.type", profile.get("type")


def _selinux(pod: Pod, version: Version) -> Found:
    for place, context in _contexts(pod):
        options = _table(context, "seLinuxOptions")
        kind = options.get("type") or ""
        if _SELINUX.get(kind, (99, 0)) > version:
            yield f"{place}.seLinuxOptions.type", kind
        yield from ((f"{place}.seLinuxOptions.{key}", options[key]) for key in ("user", "role") if options.get(key))


def _proc_mount(pod: Pod, version: Version) -> Found:
    """A pod in a user namespace of its own sees no more of the node through an unmasked /proc."""
    if version >= _UNMASKED_IN_USER_NAMESPACES and _table(pod, "spec").get("hostUsers") is False:
        return
    yield from _unmasked(pod, version)


def _unmasked(pod: Pod, _: Version) -> Found:
    for place, context in _container_contexts(pod):
        if context.get("procMount") not in (None, "Default"):
            yield f"{place}.procMount", context["procMount"]


def _seccomp(pod: Pod, _: Version) -> Found:
    for place, context in _contexts(pod):
        profile = context.get("seccompProfile")
        if profile is not None and profile.get("type") not in _SECCOMP:
            yield f"{place}.seccompProfile.type", profile.get("type")


def _sysctls(pod: Pod, version: Version) -> Found:
    for index, sysctl in enumerate(_table(pod, "spec", "securityContext").get("sysctls") or ()):
        if _SYSCTLS.get(sysctl["name"], (99, 0)) > version:
            yield f"spec.securityContext.sysctls[{index}].name", sysctl["name"]


def _volume_types(pod: Pod, _: Version) -> Found:
    for index, volume in enumerate(_table(pod, "spec").get("volumes") or ()):
        kinds = {key for key, value in volume.items() if key != "name" and value is not None}
        yield from ((f"spec.volumes[{index}]", kind) for kind in sorted(kinds - _VOLUMES))


def _escalation(pod: Pod, _: Version) -> Found:
    if not _is_windows(pod):
        for place, context in _container_contexts(pod):
            if context.get("allowPrivilegeEscalation") is not False:
                yield f"{place}.allowPrivilegeEscalation", context.get("allowPrivilegeEscalation")


def _non_root(pod: Pod, _: Version) -> Found:
    """Said for the pod and contradicted by no container, or said for every container."""
    said = _table(pod, "spec", "securityContext").get("runAsNonRoot")
    if said is False:
        yield "spec.securityContext.runAsNonRoot", said
    for place, context in _container_contexts(pod):
        own = context.get("runAsNonRoot")
        if (said if own is None else own) is not True:
            yield f"{place}.runAsNonRoot", own


def _root_user(pod: Pod, _: Version) -> Found:
    for place, context in _contexts(pod):
        if context.get("runAsUser") == 0:
            yield f"{place}.runAsUser", 0


def _seccomp_said(pod: Pod, _: Version) -> Found:
    """As the baseline has it, and moreover said: for the pod, or for every container."""
    if _is_windows(pod) or _table(pod, "spec", "securityContext", "seccompProfile").get("type") in _SECCOMP:
        return
    for place, context in _container_contexts(pod):
        if context.get("seccompProfile") is None:
            yield f"{place}.seccompProfile", None


def _drops_all(pod: Pod, _: Version) -> Found:
    if _is_windows(pod):
        return
    for place, context in _container_contexts(pod):
        capabilities = _table(context, "capabilities")
        dropped = capabilities.get("drop") or ()
        if "ALL" not in dropped:
            yield f"{place}.capabilities.drop", ", ".join(dropped)
        for name in capabilities.get("add") or ():
            if name != "NET_BIND_SERVICE":
                yield f"{place}.capabilities.add", name


_BASELINE: dict[str, Control] = {
    "HostProcess": _host_process,
    "Host Namespaces": _host_namespaces,
    "Privileged Containers": _privileged,
    "Capabilities": _capabilities,
    "HostPath Volumes": _host_path,
    "Host Ports": _host_ports,
    "Host Probes / Lifecycle Hooks": _host_probes,
    "AppArmor": _app_armor,
    "SELinux": _selinux,
    "/proc Mount Type": _proc_mount,
    "Seccomp": _seccomp,
    "Sysctls": _sysctls,
}
_RESTRICTED: dict[str, Control] = {
    "Volume Types": _volume_types,
    "Privilege Escalation": _escalation,
    "Running as Non-root": _non_root,
    "Running as Non-root user": _root_user,
    "Seccomp (restricted)": _seccomp_said,
    "Capabilities (restricted)": _drops_all,
    "/proc Mount Type (restricted)": _unmasked,
}
