"""What `tiffin up` hands to systemd, and what a front is started with."""

from __future__ import annotations

import configparser
import sys
from pathlib import Path

import pytest

from tiffin.api.machine.home import Home
from tiffin.api.services.up import Bench, check_grpc, unit
from tiffin.deploy.service import Template
from tiffin.errors import ConfigError, NotFoundError, UnsupportedError
from tiffin.oci.digest import Digest


def test_a_unit_keeps_the_supervisor_and_leaves_services_alone() -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(unit(environment={"TIFFIN_HOME": "/srv/tiffin", "HOME": "/root"}))
    service = parser["Service"]
    assert service["ExecStart"] == f"{sys.executable} -m tiffin up"
    assert service["Environment"] == "TIFFIN_HOME=/srv/tiffin"
    assert service["KillMode"] == "process"
    assert service["Restart"] == "always"


def test_a_unit_listens_for_metrics_where_that_is_said() -> None:
    assert unit({}, metrics="9464").count("-m tiffin up --metrics 127.0.0.1:9464\n") == 1
    with pytest.raises(ConfigError, match="not an address"):
        unit({}, metrics="everywhere")


def test_a_front_is_this_tiffins_own(tmp_path: Path) -> None:
    argv, environment = Bench(Home.of({"TIFFIN_HOME": str(tmp_path)})).front()
    assert argv == (sys.executable, "-P", "-m", "tiffin_serve.front")
    assert (Path(environment["PYTHONPATH"]) / "tiffin_serve" / "front").is_dir()


def test_an_image_that_is_not_here_is_named_with_what_brings_it(tmp_path: Path) -> None:
    template = Template(image="registry.example/iris", digest=Digest.of(b"iris"), ports={"http": 8080})
    with pytest.raises(NotFoundError, match="is not on this machine") as told:
        Bench(Home.of({"TIFFIN_HOME": str(tmp_path)})).check(template)
    assert told.value.hint == "`tiffin pull registry.example/iris` brings it"


def test_an_image_that_answers_grpc_is_refused_where_the_front_could_not() -> None:
    with pytest.raises(UnsupportedError, match="iris answers gRPC, and its front on this machine needs grpc") as told:
        check_grpc("iris", lambda name: name != "grpc")
    assert told.value.hint is not None
    assert "pip install 'tiffin[serve,grpc]'" in told.value.hint
    check_grpc("iris", lambda _: True)
