"""Components of compiled pipelines in containers of any engine: like other steps, but for what the launcher does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from threading import Event

from msgspec.structs import replace

from tiffin.engine.plan import RunOptions
from tiffin.engine.spec import State
from tiffin.pipeline.benches.containers import ContainerBench, Equipment, Standing, outcome, step_options
from tiffin.pipeline.benches.endings import Why, why
from tiffin.pipeline.graph import Command, Step
from tiffin.pipeline.kubeflow.collected import collect
from tiffin.pipeline.kubeflow.launcher import TOLD, Where, launch
from tiffin.pipeline.workbench import Ended, Order


class LauncherBench(ContainerBench):
    """Does each step in a container; those with a `launcher` find what they would find on a cluster."""

    def __init__(self, equipment: Equipment, where: Where) -> None:
        super().__init__(equipment)
        self._where = where

    def do(self, order: Order, said: Callable[[str], None], stopped: Event) -> Ended:
        """Do it in a container, which is gone when this returns."""
        if not is_launched(order.step):
            return super().do(order, said, stopped)
        for folder in launch(order, self._where).folders:
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o777)  # the container's user has a number that depends on the engine
        try:
            return super().do(order, said, stopped)
        finally:
            shutil.rmtree(order.folder / TOLD, ignore_errors=True)

    def _options(self, order: Order, standing: Standing) -> RunOptions:
        if not is_launched(order.step):
            return super()._options(order, standing)
        launched = launch(order, self._where)
        plain = replace(order, step=replace(order.step, does=Command(argv=launched.argv, image=standing.name)))
        options = step_options(plain, standing, {})
        return replace(options, env=launched.env, mounts=launched.mounts, read_only=False)

    def _outcome(self, order: Order, code: int, stopped: str, state: State) -> Ended:
        if not is_launched(order.step):
            return outcome(order, code, stopped, state.reason)
        reason = stopped or why(Why(code=code, said=state.reason, step=order.step))
        return collect(order, self._where, Ended(exit_code=code, reason=reason))


def is_launched(step: Step) -> bool:
    """Say whether a step is a component of Kubeflow's."""
    return isinstance(step.does, Command) and step.does.launcher
