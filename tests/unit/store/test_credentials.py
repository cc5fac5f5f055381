"""Credentials are found where docker and podman keep them, and shown to whom they are for."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faulty_registry import Fault, FaultyRegistry, faulty_registry
from programs.registry import make_authority
from tiffin.errors import CommandError, ConfigError, DeniedError, TiffinError, UnsupportedError
from tiffin.network import Patience
from tiffin.oci.image import Image
from tiffin.oci.reference import Reference
from tiffin.store.memory import MemoryStore
from tiffin.store.remote.address import Address, is_loopback
from tiffin.store.remote.auth import Challenge, parse_challenges
from tiffin.store.remote.client import HTTP_REGISTRIES, Registry
from tiffin.store.remote.credentials import Credentials, find_credentials
from tiffin.store.remote.store import RemoteStore

PATIENCE = Patience(pause=lambda _: None)
SECRET = "s3cret"  # noqa: S105 - of registries that tests run
KNOWN = Credentials(username="me", password=SECRET)
ME = {"auth": base64.b64encode(b"me:s3cret").decode()}


def write(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def found(environment: dict[str, str], reference: str = "registry.test/team/iris") -> Credentials | None:
    return find_credentials(Address.of(Reference.parse(reference)).keys(), environment)


def remote(registry: FaultyRegistry, environment: dict[str, str]) -> RemoteStore:
    return RemoteStore.of(Reference.parse(f"{registry.host}/team/iris"), environment, PATIENCE)


def logged_in(registry: FaultyRegistry, tmp_path: Path, entry: Any = ME) -> RemoteStore:
    auth = write(tmp_path / "auth.json", {"auths": {registry.host: entry}})
    return remote(registry, {"REGISTRY_AUTH_FILE": str(auth), "HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("text", "host", "name"),
    [
        ("python:3.12", "registry-1.docker.io", "docker.io/library/python"),
        ("docker.io/python", "registry-1.docker.io", "docker.io/library/python"),
        ("team/iris", "registry-1.docker.io", "docker.io/team/iris"),
        ("index.docker.io/team/iris", "registry-1.docker.io", "docker.io/team/iris"),
        ("localhost:5000/iris", "localhost:5000", "localhost:5000/iris"),
        ("registry.test/a/b/c", "registry.test", "registry.test/a/b/c"),
    ],
)
def test_a_reference_leads_to_the_registry_that_docker_would_ask(text: str, host: str, name: str) -> None:
    address = Address.of(Reference.parse(text))
    assert (address.host, address.name) == (host, name)


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1:1", "127.9.9.9", "[::1]:5000"])
def test_this_machine_is_known_by_its_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.evil.test", "127.0.0.1.evil.test", "10.0.0.1", "registry", "[::2]"])
def test_other_machines_are_not_taken_for_this_one(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"REGISTRY_AUTH_FILE": "/told"}, "told"),
        ({"XDG_RUNTIME_DIR": "/run"}, "run/containers/auth.json"),
        ({"XDG_CONFIG_HOME": "/config"}, "config/containers/auth.json"),
        ({}, "home/.config/containers/auth.json"),
        ({"DOCKER_CONFIG": "/docker"}, "docker/config.json"),
        ({}, "home/.docker/config.json"),
    ],
)
def test_every_place_is_looked_into(variables: dict[str, str], place: str, tmp_path: Path) -> None:
    environment = {key: f"{tmp_path}{path}" for key, path in ({"HOME": "/home"} | variables).items()}
    assert found(environment) is None
    write(tmp_path / place, {"auths": {"registry.test": ME}})
    assert found(environment) == KNOWN


@pytest.mark.parametrize(
    ("key", "reference"),
    [
        ("https://registry.test", "registry.test/team/iris"),
        ("https://registry.test/v1/", "registry.test/team/iris"),
        ("registry.test/team", "registry.test/team/iris"),
        ("registry.test/team/iris", "registry.test/team/iris"),
        ("https://index.docker.io/v1/", "python:3.12"),
        ("docker.io", "python:3.12"),
        ("docker.io/library/python", "python:3.12"),
    ],
)
def test_a_key_is_understood_as_docker_and_podman_write_it(key: str, reference: str, tmp_path: Path) -> None:
    auth = write(tmp_path / "auth.json", {"auths": {key: ME, "registry.test/other": {}}})
    assert found({"REGISTRY_AUTH_FILE": str(auth)}, reference) == KNOWN


def test_the_closest_key_counts(tmp_path: Path) -> None:
    entries = {"registry.test": {"username": "all", "password": "x"}, "registry.test/team": ME}
    auth = write(tmp_path / "auth.json", {"auths": entries})
    assert found({"REGISTRY_AUTH_FILE": str(auth)}) == KNOWN
    assert (found({"REGISTRY_AUTH_FILE": str(auth)}, "registry.test/iris") or Credentials()).username == "all"


@pytest.mark.parametrize("text", ['{"auths": []}', "{", '{"auths": {"registry.test": {"auth": "?"}}}'])
def test_a_file_that_cannot_be_read_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "auth.json").write_text(text)
    with pytest.raises(ConfigError, match=r"auth\.json"):
        found({"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")})


HELPER = """\
#!/bin/sh
read server
case "$server" in
  registry.test) echo '{"ServerURL": "x", "Username": "%s", "Secret": "s3cret"}' ;;
  broken.test) echo the keychain is locked; exit 1 ;;
  odd.test) echo hello ;;
  *) echo credentials not found in native keychain; exit 1 ;;
esac
"""


@pytest.fixture(params=["credHelpers", "credsStore"])
def helped(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """An environment whose docker keeps credentials in a program's hands."""
    program = tmp_path / "docker-credential-chain"
    program.write_text(HELPER % "me")
    program.chmod(0o755)
    hosts = ["registry.test", "broken.test", "odd.test"]
    told = dict.fromkeys(hosts, "chain") if request.param == "credHelpers" else "chain"
    write(tmp_path / "config.json", {request.param: told, "auths": {"other.test": ME, "registry.test": {}}})
    return {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)}


def test_a_credential_helper_is_asked(helped: dict[str, str], tmp_path: Path) -> None:
    assert found(helped) == KNOWN
    (tmp_path / "docker-credential-chain").write_text(HELPER % "<token>")
    assert found(helped) == Credentials(identity_token=SECRET)


def test_what_a_helper_does_not_keep_may_be_in_the_file(helped: dict[str, str]) -> None:
    assert found(helped, "other.test/iris") == KNOWN
    assert found(helped, "unknown.test/iris") is None


@pytest.mark.parametrize(("host", "message"), [("broken.test", "the keychain is locked"), ("odd.test", "no answer")])
def test_a_helper_that_fails_is_quoted(helped: dict[str, str], host: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        found(helped, f"{host}/iris")


@pytest.mark.parametrize(("name", "error"), [("absent", CommandError), ("../../bin/sh", ConfigError)])
def test_a_helper_that_is_none_is_named(name: str, error: type[TiffinError], tmp_path: Path) -> None:
    write(tmp_path / "config.json", {"credsStore": name})
    with pytest.raises(error, match=name):
        found({"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path), "PATH": str(tmp_path)})


def test_credentials_do_not_show_their_secret() -> None:
    assert SECRET not in repr(Credentials(username="me", password=SECRET, identity_token=SECRET))


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        ('Basic realm="x"', Challenge(scheme="basic", realm="x")),
        (
            'Bearer realm="https://a.test/token?x=1,2",service="a \\"b\\"",scope="repository:x:pull"',
            Challenge(scheme="bearer", realm="https://a.test/token?x=1,2", service='a "b"'),
        ),
        ("bearer Realm=https://a.test", Challenge(scheme="bearer", realm="https://a.test")),
        ("Basic", Challenge(scheme="basic")),
    ],
)
def test_a_challenge_is_read(header: str, challenge: Challenge) -> None:
    assert parse_challenges(["Negotiate", header]) == [challenge]


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_a_registry_gets_the_credentials_it_asks_for(scheme: str, registry: FaultyRegistry, tmp_path: Path) -> None:
    registry.scheme = scheme
    assert logged_in(registry, tmp_path).resolve("1")
    assert registry.asked[1].authorization == "", "nothing is shown to who did not ask"
    with pytest.raises(DeniedError, match=r"does not let us in without credentials|401") as caught:
        remote(registry, {"HOME": "/nonexistent"}).resolve("1")
    assert f"`tiffin login {registry.host}`" in (caught.value.hint or "")


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_wrong_credentials_are_refused_once_and_named(scheme: str, registry: FaultyRegistry, tmp_path: Path) -> None:
    registry.scheme, registry.login = scheme, "me:another"
    with pytest.raises(DeniedError) as caught:
        logged_in(registry, tmp_path).resolve("1")
    assert "as me" in str(caught.value) or "401" in str(caught.value)
    assert len(registry.asked) <= 4


def test_a_token_is_for_reading_one_repository_and_is_used_again(registry: FaultyRegistry, tmp_path: Path) -> None:
    registry.scheme = "bearer"
    store = logged_in(registry, tmp_path)
    store.resolve("1")
    store.resolve("1")
    assert registry.bought == ["repository:team/iris:pull"]


def test_public_content_needs_an_anonymous_token(registry: FaultyRegistry) -> None:
    registry.scheme, registry.login = "bearer", ""
    assert remote(registry, {"HOME": "/nonexistent"}).resolve("1")
    assert registry.bought == ["repository:team/iris:pull"]


@pytest.mark.parametrize(("uses", "expires"), [(1, 300), (1 << 30, 0)])
def test_a_token_that_ended_is_bought_anew(
    uses: int, expires: int, registry: FaultyRegistry, held: tuple[Image, MemoryStore], tmp_path: Path
) -> None:
    registry.scheme, registry.token_uses, registry.expires_in = "bearer", uses, expires
    store = logged_in(registry, tmp_path)
    registry.faults[held[0].manifest.layers[0].digest] = [Fault(cut=1_000_000), Fault(cut=1_000_000)]
    store.resolve("1")
    with store.open(held[0].manifest.layers[0]) as stream:
        assert len(stream.read()) == held[0].manifest.layers[0].size
    assert len(registry.bought) >= 3


def test_a_registry_that_never_lets_in_is_not_asked_for_ever(registry: FaultyRegistry, tmp_path: Path) -> None:
    registry.scheme, registry.token_uses = "bearer", 0
    with pytest.raises(DeniedError):
        logged_in(registry, tmp_path).resolve("1")
    assert len(registry.asked) < 10


def test_an_identity_token_buys_others(registry: FaultyRegistry, tmp_path: Path) -> None:
    registry.scheme, registry.identity = "bearer", "refresh-me"
    assert logged_in(registry, tmp_path, {"identitytoken": "refresh-me"}).resolve("1")
    assert [asked.method for asked in registry.asked if asked.path == "/token"] == ["POST"]


def test_a_registry_token_is_shown_as_it_is(registry: FaultyRegistry, tmp_path: Path) -> None:
    registry.scheme, registry.tokens = "bearer", {"mine": 10}
    assert logged_in(registry, tmp_path, {"registrytoken": "mine"}).resolve("1")
    assert registry.bought == []


def test_a_token_server_that_is_busy_is_asked_again(registry: FaultyRegistry, tmp_path: Path) -> None:
    registry.scheme = "bearer"
    registry.faults["/token"] = [Fault(status=503), Fault(hang_up=True)]
    assert logged_in(registry, tmp_path).resolve("1")


@pytest.mark.parametrize("realm", ["http://tokens.test/token", "file:///etc/passwd", "/token"])
def test_passwords_are_not_sent_in_the_clear(realm: str, registry: FaultyRegistry, tmp_path: Path) -> None:
    registry.scheme, registry.realm = "bearer", realm
    with pytest.raises(DeniedError, match="no https address"):
        logged_in(registry, tmp_path).resolve("1")


def test_a_challenge_that_nobody_understands_is_named(registry: FaultyRegistry) -> None:
    registry.faults["manifests"] = [Fault(status=401, headers=(("WWW-Authenticate", "Negotiate"),))]
    with pytest.raises(UnsupportedError, match="Negotiate"):
        remote(registry, {"HOME": "/nonexistent"}).resolve("1")


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificate of an authority of our own, and one for this machine that it signed."""
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secured(authority: Path, held: tuple[Image, MemoryStore]) -> Iterator[FaultyRegistry]:
    """A registry that speaks TLS, on this machine."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority / "own.pem", authority / "key.pem")
    with faulty_registry(tls) as running:
        running.hold(*held, "1")
        yield running


@pytest.mark.program("openssl")
def test_a_registry_with_a_certificate_of_an_own_authority_is_trusted_when_told(
    secured: FaultyRegistry, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DeniedError, match="not trusted") as caught:
        remote(secured, {"HOME": "/nonexistent"}).resolve("1")
    assert "SSL_CERT_FILE" in (caught.value.hint or "")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    assert remote(secured, {"HOME": "/nonexistent"}).resolve("1")


def test_a_registry_elsewhere_is_asked_without_tls_only_when_named(registry: FaultyRegistry) -> None:
    address = Address(host="registry.test:5000", repository="iris")
    assert Registry(address, {})._address() == "https://registry.test:5000/v2/"
    named = Registry(address, {HTTP_REGISTRIES: "a.test, registry.test:5000"})
    assert named._address() == "http://registry.test:5000/v2/"
    assert remote(registry, {"HOME": "/nonexistent"}).resolve("1"), "this machine's own may speak plainly"


def test_a_registry_elsewhere_is_asked_by_way_of_the_proxy_and_our_own_is_not(
    registry: FaultyRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{registry.host}")
    named = {"HOME": "/nonexistent", HTTP_REGISTRIES: "registry.test:5000"}
    assert RemoteStore.of(Reference.parse("registry.test:5000/team/iris"), named, PATIENCE).resolve("1")
    assert registry.asked[-1].path.startswith("http://registry.test:5000/v2/")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert remote(registry, {"HOME": "/nonexistent"}).resolve("1")
