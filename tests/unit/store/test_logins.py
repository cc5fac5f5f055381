"""Logins are tried first, kept for their owner alone, and read by whoever reads docker's file."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from faulty_registry import FaultyRegistry
from tiffin.api.images.login import login, logout
from tiffin.errors import CommandError, ConfigError, DeniedError, NotFoundError
from tiffin.network import Patience
from tiffin.store.remote.address import Address
from tiffin.store.remote.credentials import Credentials, find_credentials

ME = Credentials(username="me", password="s3cret")  # noqa: S106 - a test registry's
PATIENCE = Patience(pause=lambda _: None)
HELPER = """\
#!/bin/sh
# keeps one login, as docker's helpers speak
case $1 in
  store) cat > "$0.kept" ;;
  get) if test -f "$0.kept"; then cat "$0.kept"; else echo "credentials not found in native keychain"; exit 1; fi ;;
  erase) rm "$0.kept" ;;
esac
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}


def kept(tmp_path: Path) -> Path:
    return tmp_path / ".docker" / "config.json"


def found(host: str, environment: dict[str, str]) -> Credentials | None:
    return find_credentials(Address.of_host(host).keys(), environment)


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_a_login_that_works_is_kept_for_its_owner_alone_and_found_again(
    registry: FaultyRegistry, environment: dict[str, str], tmp_path: Path, scheme: str
) -> None:
    registry.scheme = scheme
    assert login(registry.host, "me", "s3cret", environment=environment, patience=PATIENCE) == registry.host
    assert kept(tmp_path).stat().st_mode & 0o777 == 0o600
    assert kept(tmp_path).parent.stat().st_mode & 0o777 == 0o700
    assert found(registry.host, environment) == ME


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_a_login_that_is_refused_is_not_kept(
    registry: FaultyRegistry, environment: dict[str, str], tmp_path: Path, scheme: str
) -> None:
    registry.scheme = scheme
    with pytest.raises(DeniedError, match=registry.host):
        login(registry.host, "me", "wrong", environment=environment, patience=PATIENCE)
    assert not kept(tmp_path).exists()


def test_what_else_the_file_says_stays_and_a_link_to_it_too(
    registry: FaultyRegistry, environment: dict[str, str], tmp_path: Path
) -> None:
    elsewhere = tmp_path / "dotfiles.json"
    other = {"auth": base64.b64encode(b"a:b").decode()}
    elsewhere.write_text(json.dumps({"auths": {"other": other}, "detachKeys": "ctrl-e", "HttpHeaders": {"X": "1"}}))
    kept(tmp_path).parent.mkdir()
    kept(tmp_path).symlink_to(elsewhere)
    login(registry.host, "me", "s3cret", environment=environment, patience=PATIENCE)
    document = json.loads(elsewhere.read_text())
    assert kept(tmp_path).is_symlink()
    assert document["detachKeys"] == "ctrl-e"
    assert document["auths"].keys() == {"other", registry.host}
    logout(registry.host, environment=environment)
    assert json.loads(elsewhere.read_text())["auths"] == {"other": other}


@pytest.mark.parametrize("where", ["credsStore", "credHelpers"])
def test_a_login_goes_to_the_helper_that_is_configured(
    registry: FaultyRegistry, environment: dict[str, str], tmp_path: Path, where: str
) -> None:
    program = tmp_path / "docker-credential-test"
    program.write_text(HELPER)
    program.chmod(0o755)
    kept(tmp_path).parent.mkdir()
    kept(tmp_path).write_text(json.dumps({where: "test" if where == "credsStore" else {registry.host: "test"}}))
    login(registry.host, "me", "s3cret", environment=environment, patience=PATIENCE)
    secret = json.loads((tmp_path / "docker-credential-test.kept").read_text())
    assert secret == {"ServerURL": registry.host, "Username": "me", "Secret": "s3cret"}
    assert "s3cret" not in kept(tmp_path).read_text()
    assert found(registry.host, environment) == ME
    logout(registry.host, environment=environment)
    assert found(registry.host, environment) is None


def test_a_helper_that_is_not_there_is_named_and_the_file_stays(
    registry: FaultyRegistry, environment: dict[str, str], tmp_path: Path
) -> None:
    kept(tmp_path).parent.mkdir()
    kept(tmp_path).write_text('{"credsStore": "absent"}')
    with pytest.raises(CommandError, match="docker-credential-absent"):
        login(registry.host, "me", "s3cret", environment=environment, patience=PATIENCE)
    assert kept(tmp_path).read_text() == '{"credsStore": "absent"}'


def test_a_login_goes_where_the_environment_says(
    registry: FaultyRegistry, environment: dict[str, str], tmp_path: Path
) -> None:
    login(registry.host, "me", "1", environment=environment | {"DOCKER_CONFIG": f"{tmp_path}/d"}, patience=PATIENCE)
    login(
        registry.host, "me", "2", environment=environment | {"REGISTRY_AUTH_FILE": f"{tmp_path}/a"}, patience=PATIENCE
    )
    assert json.loads((tmp_path / "d" / "config.json").read_text())["auths"].keys() == {registry.host}
    assert json.loads((tmp_path / "a").read_text())["auths"].keys() == {registry.host}


def test_a_logout_of_nowhere_says_where_was_looked(environment: dict[str, str]) -> None:
    with pytest.raises(NotFoundError, match=r"no login to registry\.example in .*config\.json"):
        logout("registry.example", environment=environment)


def test_docker_hubs_login_has_the_key_that_docker_has_for_it() -> None:
    assert Address.of_host("docker.io").login_key == "https://index.docker.io/v1/"
    assert Address.of_host("registry.example:5000").login_key == "registry.example:5000"


@pytest.mark.parametrize(
    ("host", "username", "password", "message"),
    [
        ("http://registry.example", "me", "x", "not a registry's host"),
        ("registry.example/team", "me", "x", "not a registry's host"),
        ("registry.example", "m:e", "x", "not a user name"),
        ("registry.example", "", "x", "not a user name"),
        ("registry.example", "me", "", "password is empty"),
    ],
)
def test_what_is_no_login_is_refused_before_anybody_is_asked(
    host: str, username: str, password: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        login(host, username, password, environment={}, patience=PATIENCE)


def test_a_damaged_file_is_not_written_over(
    registry: FaultyRegistry, environment: dict[str, str], tmp_path: Path
) -> None:
    kept(tmp_path).parent.mkdir()
    kept(tmp_path).write_text("{not json")
    with pytest.raises(ConfigError, match=r"config\.json"):
        login(registry.host, "me", "s3cret", environment=environment, patience=PATIENCE)
    assert kept(tmp_path).read_text() == "{not json"
