"""Which place is meant: what is typed, else where a name is known, else the one environment, else this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiffin.api.machine.home import Home
from tiffin.api.services.targets import Place, Where, choose, forget, known_places, remember
from tiffin.config.deploy import EnvironmentSection
from tiffin.errors import ConfigError, NotFoundError

STAGING = EnvironmentSection(target="kubernetes", kube_context="far", namespace="models")
CLUSTER = Place(target="kubernetes", context="far", namespace="models")
AS_STAGING = Place(target="kubernetes", context="far", namespace="models", environment="staging")


@pytest.mark.parametrize(
    ("where", "environments", "known", "place"),
    [
        (Where(), {}, [], Place()),
        (Where(to="local"), {"staging": STAGING}, [CLUSTER], Place()),
        (Where(to="kubernetes"), {"staging": STAGING}, [Place()], Place(target="kubernetes")),
        (Where(namespace="models"), {}, [], Place(target="kubernetes", namespace="models")),
        (Where(context="far"), {}, [Place()], Place(target="kubernetes", context="far")),
        (Where(), {"a": STAGING, "b": STAGING}, [CLUSTER], CLUSTER),
        (Where(), {"staging": STAGING}, [], AS_STAGING),
        (Where(environment="staging"), {"staging": STAGING}, [Place()], AS_STAGING),
        (
            Where(environment="staging", namespace="other", context="near"),
            {"staging": STAGING},
            [],
            Place(target="kubernetes", context="near", namespace="other", environment="staging"),
        ),
        (Where(environment="here"), {"here": EnvironmentSection()}, [], Place(environment="here")),
    ],
)
def test_one_place_is_meant(
    where: Where, environments: dict[str, EnvironmentSection], known: list[Place], place: Place
) -> None:
    assert choose(where, environments, known) == place


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (Where(to="local", namespace="models"), "are a cluster's"),
        (Where(environment="staging", to="local"), "the target of staging is kubernetes"),
        (Where(environment="here", namespace="models"), "this machine, which has no contexts"),
        (Where(), "several environments: staging, here"),
    ],
)
def test_what_does_not_go_together_is_told(where: Where, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        choose(where, {"staging": STAGING, "here": EnvironmentSection()}, [])


def test_an_environment_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(NotFoundError, match="no environment 'prod'") as caught:
        choose(Where(environment="prod"), {"staging": STAGING}, [])
    assert "staging" in str(caught.value.hint)


def test_a_name_in_several_places_is_asked_about() -> None:
    with pytest.raises(ConfigError, match="this machine; the cluster of far, namespace models"):
        choose(Where(), {}, [Place(), CLUSTER])


def test_places_are_remembered_by_name_until_they_are_forgotten(tmp_path: Path) -> None:
    home = Home(data=tmp_path / "data", cache=tmp_path / "cache")
    remember(home, "iris", Place())
    remember(home, "iris", CLUSTER)
    remember(home, "iris", AS_STAGING)
    assert known_places(home, "iris") == [AS_STAGING, Place()]
    assert known_places(home, "other") == []
    forget(home, "iris", CLUSTER)
    assert known_places(home, "iris") == [Place()]
    forget(home, "iris", Place())
    assert known_places(home, "iris") == []
