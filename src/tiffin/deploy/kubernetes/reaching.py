"""Which replica of a service is reached, and by which port."""

from __future__ import annotations

from typing import Any

from tiffin.deploy.kubernetes.client.channels import V4, Channels
from tiffin.deploy.kubernetes.client.cluster import Api
from tiffin.deploy.kubernetes.client.kinds import POD
from tiffin.deploy.kubernetes.execute import Pod
from tiffin.deploy.kubernetes.manifests.names import CONTAINER
from tiffin.deploy.kubernetes.manifests.network import HTTP
from tiffin.deploy.kubernetes.manifests.pod import main_port
from tiffin.deploy.kubernetes.order import NAME
from tiffin.deploy.kubernetes.pods import is_ready
from tiffin.deploy.service import Template
from tiffin.errors import NotFoundError

Object = dict[str, Any]


def reached(api: Api, namespace: str, name: str, which: str = "") -> Pod:
    """The replica that is named, else a ready one, else one that runs; raises NotFoundError with those there are."""
    pods = [pod for pod in api.list(POD, namespace, {NAME: name}) if _runs(pod)]
    ordered = sorted(pods, key=lambda pod: (not is_ready(pod), pod["metadata"]["name"]))
    found = next((pod for pod in ordered if which in {"", pod["metadata"]["name"]}), None)
    if found is None:
        names = ", ".join(pod["metadata"]["name"] for pod in ordered)
        said = f"{name} has no replica {which} that runs" if which else f"no replica of {name} runs"
        raise NotFoundError(said, f"those that run: {names}" if names else f"`tiffin status {name}` says why")
    return Pod(namespace=namespace, name=found["metadata"]["name"], container=_container(found))


def dialled(api: Api, namespace: str, name: str, port: int) -> Channels:
    """Channels to a port of a replica that is ready now."""
    pod = reached(api, namespace, name)
    return api.channels(namespace, pod.name, "portforward", {"ports": str(port)}, (V4,))


def port_of(template: Template, remote: str) -> int:
    """The number that a port has in a replica: by its name, its number there, or that of the service."""
    if not remote:
        return template.ports[main_port(template)]
    if remote in template.ports:
        return template.ports[remote]
    if remote.isdecimal() and int(remote) in template.ports.values():
        return int(remote)
    if remote == str(HTTP) and "http" in template.ports:
        return template.ports["http"]
    there = ", ".join(f"{name} ({number})" for name, number in template.ports.items())
    raise NotFoundError(f"{template.image} has no port {remote}", f"it listens on: {there}")


def _runs(pod: Object) -> bool:
    going = "deletionTimestamp" in pod["metadata"]
    return not going and pod.get("status", {}).get("phase") == "Running"


def _container(pod: Object) -> str:
    """The container of ours: KServe and meshes add others."""
    names: list[str] = [one["name"] for one in pod["spec"]["containers"]]
    return next((name for name in names if name in {CONTAINER, "kserve-container"}), names[0])
