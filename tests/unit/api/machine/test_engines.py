"""Which engine is meant: the option, else the variable, else what the machine has."""

from __future__ import annotations

import pytest

from tiffin.api.machine.engines import NAMES, choosing, engine_name
from tiffin.errors import ConfigError


def test_it_is_the_embedded_one_on_linux_and_docker_elsewhere() -> None:
    assert engine_name({}, "linux") == "embedded"
    assert engine_name({}, "darwin") == "docker"


@pytest.mark.parametrize("name", NAMES)
def test_the_variable_says_which(name: str) -> None:
    assert engine_name({"TIFFIN_ENGINE": name}, "linux") == name


def test_what_is_chosen_for_a_verb_goes_before_the_variable_and_ends_with_it() -> None:
    with choosing("podman"):
        assert engine_name({"TIFFIN_ENGINE": "docker"}, "linux") == "podman"
    assert engine_name({"TIFFIN_ENGINE": "docker"}, "linux") == "docker"


def test_a_name_that_no_engine_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no engine is called 'lxc'") as refusal:
        engine_name({"TIFFIN_ENGINE": "lxc"}, "linux")
    assert "embedded, docker, podman" in str(refusal.value.hint)
