"""What a compiled pipeline says to Kubernetes (its second document), sorted by what it is to a run on one machine.

Where a pod runs and how it is labelled changes nothing for the program in it. What the program would read, or be, does:
that is done here, or the pipeline is refused. A secret that is optional may be missing on a cluster too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from tiffin.pipeline.kubeflow.document import Path
from tiffin.pipeline.kubeflow.remarks import Remarks
from tiffin.pipeline.kubeflow.validate import Spec

_DEPLOYMENT: Path = ("platforms", "kubernetes", "deploymentSpec", "executors")
_TOLD = {
    "imagePullPolicy": "images are pulled when they are missing",
    "imagePullSecret": "registries are logged in to with `tiffin login`",
    "nodeSelector": "there is one machine",
    "nodeAffinity": "there is one machine",
    "podAffinity": "there is one machine",
    "tolerations": "there is one machine",
    "podMetadata": "there is no pod to label",
    "enabledSharedMemory": "/dev/shm is always there",  # noqa: S108 - the container's own
    "hostUsers": "users of containers never are those of the machine",
}
_NEEDED = {
    "secretAsEnv": "a secret of the cluster in the environment",
    "secretAsVolume": "a secret of the cluster as files",
    "configMapAsEnv": "a ConfigMap of the cluster in the environment",
    "configMapAsVolume": "a ConfigMap of the cluster as files",
    "pvcMount": "a volume of the cluster",
    "genericEphemeralVolume": "a volume of the cluster",
    "emptyDirMounts": "an empty folder beside the container's own files",
    "securityContext": "another user, or other rights, than the image has",
    "initContainers": "containers that run before",
}
_HINTS = {
    "secretAsEnv": "give the component an input for it, or an image that has it",
    "secretAsVolume": "give the component an input for it, or an image that has it",
    "configMapAsEnv": "write the values as the component's environment",
    "configMapAsVolume": "give the files to the component as an artifact",
    "pvcMount": "hand the data on as artifacts, or ask for a workspace",
    "securityContext": "set the user in the image",
}
_CONFIG_TOLD = {
    "resourceTtl": "what is kept is removed with `tiffin pipeline prune`",
    "resourceTtlOnCompletion": "what is kept is removed with `tiffin pipeline prune`",
    "semaphoreKey": "there are never two runs of one pipeline at once",
    "mutexName": "there are never two runs of one pipeline at once",
}
_FIELD = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What is done here of what an executor's settings say: seconds that it may take, and its environment."""

    timeout: float = 0.0
    env: dict[str, str] = {}


def wants_workspace(spec: Spec) -> bool:
    """Say whether a pipeline asks for a folder that all its tasks share."""
    return "workspace" in spec.kubernetes.get("pipelineConfig", {})


def settings_of(spec: Spec, label: str, remarks: Remarks) -> Settings:
    """Read the settings of one executor."""
    given = spec.kubernetes.get("deploymentSpec", {}).get("executors", {}).get(label, {})
    env: dict[str, str] = {}
    timeout = 0.0
    for name, setting in given.items():
        path = (*_DEPLOYMENT, label, name)
        if name in _TOLD:
            remarks.tell(path, f"{name} changes nothing here: {_TOLD[name]}")
        elif name == "activeDeadlineSeconds":
            timeout = float(setting)
        elif name == "fieldPathAsEnv":
            env |= dict(_fields(given, path, remarks))
        elif not _is_optional(setting):
            what = _NEEDED.get(name, "a setting that is not known here")
            remarks.refuse(path, f"{name}: {what}", _HINTS.get(name, "take it out of the pipeline's source"))
        else:
            remarks.tell(path, f"{name} is optional, and there is none here")
    return Settings(timeout=timeout, env=env)


def read_config(spec: Spec, remarks: Remarks) -> None:
    """Read the settings of the whole pipeline."""
    for name, setting in spec.kubernetes.get("pipelineConfig", {}).items():
        path = ("platforms", "kubernetes", "pipelineConfig", name)
        if name == "workspace":
            remarks.tell(
                path, f"the workspace is a folder of the run; its size ({setting.get('size', 'any')}) has no bound"
            )
        elif name in _CONFIG_TOLD:
            remarks.tell(path, f"{name} changes nothing here: {_CONFIG_TOLD[name]}")
        else:
            remarks.refuse(path, f"{name}: a setting that is not done here", "take it out of the pipeline's source")


def _is_optional(setting: Any) -> bool:
    """Say whether all of what is asked for may be missing."""
    return isinstance(setting, list) and all(
        isinstance(each, dict) and each.get("optional") is True for each in setting
    )


def _fields(given: dict[str, Any], path: Path, remarks: Remarks) -> Iterator[tuple[str, str]]:
    """Variables that hold what the pipeline itself says of its pods."""
    metadata = given.get("podMetadata", {})
    for each in given["fieldPathAsEnv"]:
        match = _FIELD.fullmatch(each.get("fieldPath", ""))
        value = metadata.get(match[1], {}).get(match[2]) if match else None
        if value is None:
            remarks.refuse(path, f"{each.get('fieldPath', '')} of a pod, which there is none of here", "set a variable")
        else:
            yield each.get("name", ""), str(value)
