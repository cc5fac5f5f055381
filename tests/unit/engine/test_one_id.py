"""Images of others run by a user who has no range of ids: one user, who may write, or the reason why not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from contract.engine_fixtures import EmbeddedBench
from programs.waiting import until
from tiffin.engine.embedded.machine import Machine
from tiffin.engine.listening import listens
from tiffin.engine.spec import Port
from tiffin.errors import UnsupportedError

pytestmark = pytest.mark.skipif(
    os.geteuid() == 0 or Machine.here().ids is not None, reason="needs an ordinary user without a range of ids"
)
OTHERS: dict[str, Any] = {"read_only": False, "several_ids": True, "user": (1000, 1000)}


@pytest.fixture
def bench(tmp_path: Path) -> EmbeddedBench:
    return EmbeddedBench(tmp_path / "data")


def test_its_user_owns_everything_and_may_write_anywhere(bench: EmbeddedBench) -> None:
    script = "id -u; echo more >> /app/readme; cat /app/readme; rm /bin/touch; stat -c %u /app /bin"
    assert bench.run(script, **OTHERS) == (0, ["1000", "made", "more", "1000", "1000"])
    assert not [path for path in (bench.data / "containers").iterdir() if path.name != "names"]


def test_its_ports_are_relayed(bench: EmbeddedBench) -> None:
    script = "while :; do echo hi | busybox nc -l -p 80; done"
    container = bench.engine.create(bench.spec("a", script, ports=(Port(container_port=80),), **OTHERS))
    container.start()
    until(lambda: listens(container.state().pid, 80))
    container.remove(force=True)


def test_an_image_that_runs_as_root_is_refused(bench: EmbeddedBench) -> None:
    with pytest.raises(UnsupportedError, match="has no range of ids") as refusal:
        bench.run("id", **(OTHERS | {"user": (0, 0)}))
    assert "sudo usermod --add-subuids" in str(refusal.value.hint)
