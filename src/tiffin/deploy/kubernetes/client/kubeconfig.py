"""Find a cluster as kubectl does: `--kubeconfig`, KUBECONFIG, `~/.kube/config`, or the pod we are in."""

from __future__ import annotations

import os
from collections.abc import Mapping

from tiffin.deploy.kubernetes.client.cluster import Api


def connect(
    *, path: str = "", context: str = "", namespace: str = "", env: Mapping[str, str] = os.environ
) -> tuple[Api, str]:
    """Return a cluster as its kubeconfig says to talk to it, and the namespace to use; nothing is asked yet.

    What is not given is the kubeconfig's current context and that one's namespace, or `default`. Raises ConfigError
    with file and place for whatever is wrong there, and NotFoundError where there is neither one nor a pod around us.
    """
    raise NotImplementedError
