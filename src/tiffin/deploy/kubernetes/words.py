"""What a cluster's own words mean, and what to do about them: pure functions of messages.

The words are those of kubelet (`pkg/kubelet/images`), containerd, kube-scheduler (`framework/plugins/*`), the resource
quota and the pod security admission plugins of Kubernetes 1.33 to 1.37.
"""

from __future__ import annotations

import re

_NODES = re.compile(r"^\d+/\d+ nodes? (?:is|are) available:?\s*")
_PREEMPTION = re.compile(r"\s*(?:no new claims to deallocate, )?preemption: .*$", re.DOTALL)
_LACKS = (
    (r"Insufficient nvidia\.com/gpu", "a GPU: nodes with a free `nvidia.com/gpu`, or fewer `[deploy] gpus`"),
    (r"Insufficient cpu", "processors: a smaller `[deploy] cpu`, fewer replicas, or another node"),
    (r"Insufficient memory", "memory: a smaller `[deploy] memory`, fewer replicas, or another node"),
    (r"Insufficient ephemeral-storage", "disk: nodes are full of images and logs"),
    (r"Insufficient pods|Too many pods", "room: the nodes have as many pods as they may"),
    (
        r"persistentvolumeclaim \"?(?P<one>[\w.-]+)\"? not found",
        "the claim {one}: `kubectl get pvc` lists those there are",
    ),
    (
        r"unbound immediate PersistentVolumeClaims",
        "a volume for its claim: `kubectl describe pvc` says why it is not bound",
    ),
    (r"volume node affinity conflict", "a node where its volume is"),
    (r"untolerated taint(?:\(s\))?(?: \{(?P<one>[^}]*)\})?", "a node without the taint {one}"),
    (r"didn't match Pod's node affinity|didn't match node selector", "a node with the labels that it asks for"),
    (r"node\(s\) were unschedulable", "a node that takes pods: `kubectl uncordon NODE` lets one do so again"),
    (r"didn't match pod topology spread", "a node by which its replicas stay spread"),
)
_PULLS = (
    (
        r"unauthorized|denied|no basic auth|401|403 Forbidden|authorization failed|credentials",
        "the nodes may not read it: `kubectl create secret docker-registry` makes a secret for the service account",
    ),
    (
        r"no match for platform|no matching manifest|image operating system",
        "the image is for another processor than the nodes': build with `[image] platform`, or choose other nodes",
    ),
    (r"not found|manifest unknown|404|NAME_UNKNOWN", "it is not in that registry: `tiffin push` brings it there"),
    (
        r"x509|certificate|HTTP response to HTTPS client",
        "the nodes do not trust the registry's certificate, or it speaks plain HTTP: containerd's hosts.toml says so",
    ),
    (r"no such host|lookup .* on ", "the nodes know no such host: is it a name that only this machine knows?"),
    (r"refused|timeout|timed out|unreachable|i/o", "the nodes do not reach the registry: network, proxy or firewall"),
    (r"toomanyrequests|429", "the registry wants to be left alone for a while: the cluster tries again by itself"),
    (
        r"no space left",
        "the disk of the node is full: it deletes images that nobody uses by itself, or needs a bigger one",
    ),
)
_SECURED = (
    "where the image runs as root, give it a user by number (`USER 1000`), or choose a namespace that takes "
    "`baseline`; else a webhook of the cluster changes its pods"
)
_REFUSALS = (
    (
        r"exceeded quota: (?P<name>[\w.-]+), requested: (?P<asked>.*), used: (?P<used>.*), limited: (?P<most>.*)",
        "the quota {name} is used up: it asks for {asked}, and {used} of {most} are used",
        "ask for less (`[deploy] cpu`, `memory`, `replicas`), free something, or have the quota raised",
    ),
    (
        r"failed quota: (?P<name>[\w.-]+): must specify (?P<what>.*)",
        "the quota {name} wants every pod to say {what}",
        "give the namespace a LimitRange that says it",
    ),
    (
        r'violates PodSecurity "(?P<level>[^"]*)": (?P<what>.*)',
        "the namespace takes only pods of the level {level}: {what}",
        _SECURED,
    ),
    (
        r'admission webhook "(?P<name>[^"]*)" denied the request:?\s*(?P<what>.*)',
        "the webhook {name} refuses them: {what}",
        "whoever runs the cluster knows its rules",
    ),
    (
        r'serviceaccount "(?P<name>[^"]*)" not found',
        "the service account {name} is missing",
        "`tiffin deploy` makes it anew",
    ),
    (
        r"forbidden: \[?(?P<what>(?:minimum|maximum) (?:cpu|memory)[^\]]*)",
        "a LimitRange of the namespace refuses them: {what}",
        "change `[deploy] cpu` or `memory`",
    ),
)
_MISSING = re.compile(
    r'(?:MountVolume\.SetUp failed for volume "[^"]*" : )?(?P<kind>secret|configmap) "(?P<name>[^"]*)" not found',
    re.IGNORECASE,
)
_KEY = re.compile(
    r"couldn't find key (?P<key>\S+) in (?P<kind>Secret|ConfigMap) (?P<name>\S+)"
    r"|references non-existent (?:secret|config) key: (?P<other>\S+)"
)
EXEC_FORMAT = "exec format error"


def unschedulable(message: str) -> tuple[str, str]:
    """Say what a pod waits for that no node takes, and what to do: the scheduler's words, and a hint."""
    words = _PREEMPTION.sub("", _NODES.sub("", message)).strip().rstrip(".")
    lacks = [
        hint.format(one=found.groupdict().get("one") or "")
        for form, hint in _LACKS
        if (found := re.search(form, message))
    ]
    return (
        words or "no reason is given",
        f"it needs {'; and '.join(lacks)}" if lacks else "`kubectl describe nodes` shows what is free",
    )


def pull_hint(message: str) -> str:
    """Say what to do where an image cannot be pulled."""
    return next(
        (hint for form, hint in _PULLS if re.search(form, message, re.IGNORECASE)), "`kubectl describe pod` has more"
    )


def refused(message: str) -> tuple[str, str]:
    """Say why a cluster does not take a pod at all, and what to do about it."""
    for form, said, hint in _REFUSALS:
        if found := re.search(form, message, re.DOTALL):
            return said.format(**{key: words.strip() for key, words in found.groupdict().items()}), hint
    return message.strip(), "`kubectl get events` has more"


def missing(message: str) -> tuple[str, str] | None:
    """Say which Secret or ConfigMap a container waits for; None where it is none."""
    if found := _KEY.search(message):
        if found["other"]:
            return (
                f"the key {found['other']} is missing from its Secret",
                "add the key, or name another in [deploy] secrets",
            )
        said = f"{found['kind']} {found['name']} has no key {found['key']}"
        return said, "add the key, or name another in [deploy] secrets"
    if not (found := _MISSING.search(message)):
        return None
    name = found["name"].rpartition("/")[2]
    if found["kind"].lower() == "secret":
        return f"the Secret {name} is missing", f"`kubectl create secret generic {name} --from-file=KEY=FILE` makes it"
    return f"the ConfigMap {name} is missing", f"`kubectl create configmap {name} --from-file=KEY=FILE` makes it"
