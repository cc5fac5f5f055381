"""Whose turn it is to run a pipeline that pods of a cluster run: that of who has the Lease that TIFFIN_LEASE names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event

from tiffin.errors import ConfigError

LEASE = "TIFFIN_LEASE"


@contextmanager
def turn(stopped: Event, *, wait: bool, environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Have the turn while a pipeline runs, where there is a Lease to take; `stopped` is set where it is lost.

    Raises ConflictError where another pod has it, unless it is to `wait`.
    """
    if not (named := environment.get(LEASE, "")):
        yield
        return
    from tiffin.deploy.kubernetes.client.kubeconfig import connect
    from tiffin.deploy.kubernetes.scheduled.lease import BRIEFLY, Lease

    namespace, slash, name = named.partition("/")
    if not (namespace and slash and name):
        raise ConfigError(f"{LEASE}={named!r} names no Lease", "write it as NAMESPACE/NAME")
    api, _ = connect(namespace=namespace, env=environment, patience=BRIEFLY)
    with Lease(api, namespace, name).held(stopped, wait=wait):
        yield
