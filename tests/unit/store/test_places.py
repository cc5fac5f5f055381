"""What containers' registries.conf and certs.d say of registries holds here as it does for podman and docker."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from faulty_registry import Fault, FaultyRegistry, faulty_registry
from programs.registry import make_authority
from tiffin.errors import ConfigError, DeniedError, NotFoundError
from tiffin.network import Patience, Tls
from tiffin.oci.copy import copy
from tiffin.oci.documents import Descriptor
from tiffin.oci.image import Image
from tiffin.oci.reference import Reference
from tiffin.store.layout import LayoutStore
from tiffin.store.memory import MemoryStore
from tiffin.store.remote.address import Address
from tiffin.store.remote.places import Pulls, find_places, find_tls
from tiffin.store.remote.store import RemoteStore

PATIENCE = Patience(pause=lambda _: None)
NOBODY = "127.0.0.1:1"


def said(tmp_path: Path, text: str) -> dict[str, str]:
    """An environment whose registries.conf says this."""
    path = tmp_path / "registries.conf"
    path.write_text(text)
    return {"HOME": str(tmp_path), "CONTAINERS_REGISTRIES_CONF": str(path)}


def address(name: str) -> Address:
    return Address.of(Reference.parse(name))


@pytest.mark.parametrize(
    ("rule", "name", "found"),
    [
        ('location = "a.test"', "a.test/team/iris", "a.test/team/iris"),
        ('prefix = "a.test/team"\nlocation = "b.test/x"', "a.test/team/iris", "b.test/x/iris"),
        ('prefix = "a.test/team"\nlocation = "b.test/x"', "a.test/teams/iris", "a.test/teams/iris"),
        ('prefix = "a.test"\nlocation = "b.test:5000"', "a.test/team/iris", "b.test:5000/team/iris"),
        ('prefix = "a.test"\nlocation = "b.test"', "a.test:5000/iris", "a.test:5000/iris"),
        ('prefix = "docker.io"\nlocation = "hub.lan"', "python:3.11", "hub.lan/library/python"),
        ('prefix = "a.test"\nlocation = "docker.io"', "a.test/library/python", "docker.io/library/python"),
        ('prefix = "*.test"\nlocation = "b.lan"', "x.y.test/team/iris", "b.lan/team/iris"),
        ('prefix = "*.test"', "x.test/team/iris", "x.test/team/iris"),
    ],
)
def test_a_name_leads_where_its_location_says(rule: str, name: str, found: str, tmp_path: Path) -> None:
    places = find_places(address(name), said(tmp_path, f"[[registry]]\n{rule}\n"))
    assert places.own.address.name == found
    assert not places.own.insecure


def test_the_longest_beginning_counts(tmp_path: Path) -> None:
    environment = said(
        tmp_path,
        """
        unqualified-search-registries = ["docker.io"]
        [[registry]]
        location = "a.test"
        blocked = true
        [[registry]]
        location = "a.test/open"
        insecure = true
        mirror-by-digest-only = true
        [[registry.mirror]]
        location = "m.test/open"
        [[registry.mirror]]
        location = "n.test"
        insecure = true
        pull-from-mirror = "tag-only"
        """,
    )
    places = find_places(address("a.test/open/iris"), environment)
    assert places.own.insecure
    assert [place.address.name for place in places.mirrors] == ["m.test/open/iris", "n.test/iris"]
    assert [place.insecure for place in places.mirrors] == [False, True]
    assert {place.pulls for place in places.mirrors} == {Pulls.DIGESTS}
    with pytest.raises(DeniedError, match=r"a\.test/shut/iris is blocked by .*registries\.conf") as caught:
        find_places(address("a.test/shut/iris"), environment)
    assert caught.value.hint


def test_a_users_files_go_before_the_systems_and_what_is_dropped_in_replaces_them(tmp_path: Path) -> None:
    own = tmp_path / ".config" / "containers"
    (own / "registries.conf.d").mkdir(parents=True)
    (own / "registries.conf").write_text('[[registry]]\nprefix = "a.test"\nlocation = "b.test"\n')
    environment = {"HOME": str(tmp_path)}
    assert find_places(address("a.test/iris"), environment).own.address.host == "b.test"
    (own / "registries.conf.d" / "50.conf").write_text('[[registry]]\nprefix = "a.test"\nlocation = "c.test"\n')
    assert find_places(address("a.test/iris"), environment).own.address.host == "c.test"


@pytest.mark.parametrize(
    "text", ["[[registry", "registry = 3", "[[registry]]\nmirror = [{}]", "[[registry]]\nblocked = 1"]
)
def test_a_damaged_file_is_named(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"registries\.conf"):
        find_places(address("a.test/iris"), said(tmp_path, text))


@pytest.fixture
def mirror(held: tuple[Image, MemoryStore]) -> Iterator[FaultyRegistry]:
    with faulty_registry() as running:
        running.hold(*held, "1")
        yield running


def mirrored(tmp_path: Path, registry: str, *mirrors: str, more: str = "") -> RemoteStore:
    """The repository team/iris of a registry that has mirrors."""
    tables = "".join(f'[[registry.mirror]]\nlocation = "{mirror}"\n{more}\n' for mirror in mirrors)
    environment = said(tmp_path, f'[[registry]]\nlocation = "{registry}"\n{tables}')
    return RemoteStore.of(Reference.parse(f"{registry}/team/iris"), environment, PATIENCE)


def pull(source: RemoteStore, folder: Path) -> Descriptor:
    found = source.resolve("1")
    copy(source, LayoutStore(folder), found)
    return found


def test_a_mirror_is_asked_in_place_of_its_registry(mirror: FaultyRegistry, tmp_path: Path) -> None:
    store = mirrored(tmp_path, NOBODY, mirror.host)
    assert LayoutStore(tmp_path / "store").exists(pull(store, tmp_path / "store"))


def test_a_mirror_that_lacks_it_is_passed_over(
    registry: FaultyRegistry, mirror: FaultyRegistry, layer: Descriptor, tmp_path: Path
) -> None:
    del mirror.blobs[layer.digest]
    pull(mirrored(tmp_path, registry.host, mirror.host), tmp_path / "store")
    assert [asked.path for asked in registry.asked if asked.path != "/v2/"] == [f"/v2/team/iris/blobs/{layer.digest}"]


def test_a_mirror_that_fails_is_asked_no_more_even_within_a_blob(
    registry: FaultyRegistry, mirror: FaultyRegistry, layer: Descriptor, tmp_path: Path
) -> None:
    mirror.faults[layer.digest] = [Fault(cut=1_200_000), Fault(status=500)]
    store = mirrored(tmp_path, registry.host, NOBODY, mirror.host)
    pull(store, tmp_path / "store")
    asked = [asked for asked in registry.asked if layer.digest in asked.path]
    assert [one.range.startswith("bytes=") for one in asked] == [True], "the registry gives the rest"


def test_a_mirror_for_digests_is_not_asked_for_a_tag(
    registry: FaultyRegistry, mirror: FaultyRegistry, tmp_path: Path
) -> None:
    mirror.manifests["1"] = registry.manifests["1"]
    pull(mirrored(tmp_path, registry.host, mirror.host, more='pull-from-mirror = "digest-only"'), tmp_path / "store")
    assert not [asked for asked in mirror.asked if asked.path.endswith("manifests/1")]
    assert [asked for asked in mirror.asked if "/blobs/" in asked.path]


def test_what_nobody_has_is_not_found_where_the_name_says(
    registry: FaultyRegistry, mirror: FaultyRegistry, tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match=registry.host):
        mirrored(tmp_path, registry.host, mirror.host).resolve("2")


def test_a_push_goes_to_the_registry_and_never_to_a_mirror(mirror: FaultyRegistry, tmp_path: Path) -> None:
    with faulty_registry() as own:
        text = (
            f'[[registry]]\nprefix = "a.test"\nlocation = "{own.host}"\n[[registry.mirror]]\nlocation = "{mirror.host}"'
        )
        store = RemoteStore.of(Reference.parse("a.test/team/iris"), said(tmp_path, text), PATIENCE, writing=True)
        source = RemoteStore.of(Reference.parse(f"{mirror.host}/team/iris"), {"HOME": "/nonexistent"}, PATIENCE)
        copy(source, store, source.resolve("1"))
        assert own.blobs == mirror.blobs
    assert not [asked for asked in mirror.asked if asked.method not in {"GET", "HEAD"}]


# --- certificates ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secure(authority: Path, held: tuple[Image, MemoryStore]) -> Iterator[FaultyRegistry]:
    """A registry that wants to know who we are by a certificate of the same authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "own.pem", authority / "key.pem")
    context.load_verify_locations(authority / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with faulty_registry(context) as running:
        running.hold(*held, "1")
        yield running


def certificates(home: Path, host: str) -> Path:
    folder = home / ".config" / "containers" / "certs.d" / host
    folder.mkdir(parents=True)
    return folder


@pytest.mark.program("openssl")
def test_certs_d_says_whom_to_trust_and_who_we_are(secure: FaultyRegistry, authority: Path, tmp_path: Path) -> None:
    name, environment = Reference.parse(f"{secure.host}/team/iris"), {"HOME": str(tmp_path)}
    with pytest.raises(DeniedError, match="not trusted"):
        RemoteStore.of(name, environment, PATIENCE).resolve("1")
    folder = certificates(tmp_path, secure.host)
    os.link(authority / "ca.pem", folder / "ca.crt")
    os.link(authority / "own.pem", folder / "client.cert")
    with pytest.raises(ConfigError, match=r"client\.cert has no key"):
        RemoteStore.of(name, environment, PATIENCE)
    os.link(authority / "key.pem", folder / "client.key")
    assert RemoteStore.of(name, environment, PATIENCE).resolve("1")


def test_certificates_are_for_their_own_host_and_port(tmp_path: Path) -> None:
    folder = certificates(tmp_path, "a.test:5000")
    (folder / "ca.crt").write_text("x")
    environment = {"HOME": str(tmp_path)}
    assert find_tls("a.test:5000", environment).authorities == (str(folder / "ca.crt"),)
    assert find_tls("a.test", environment) == find_tls("b.test:5000", environment) == Tls()


def test_certificates_that_are_none_are_named(registry: FaultyRegistry, tmp_path: Path) -> None:
    (certificates(tmp_path, registry.host) / "ca.crt").write_text("x")
    with pytest.raises(ConfigError, match=r"ca\.crt"):
        RemoteStore.of(Reference.parse(f"{registry.host}/team/iris"), {"HOME": str(tmp_path)}, PATIENCE).resolve("1")


@pytest.mark.program("openssl")
def test_an_insecure_registry_may_have_anybodys_certificate(
    authority: Path, held: tuple[Image, MemoryStore], tmp_path: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "own.pem", authority / "key.pem")
    with faulty_registry(context) as running:
        running.hold(*held, "1")
        name = Reference.parse(f"{running.host}/team/iris")
        with pytest.raises(DeniedError, match="not trusted"):
            RemoteStore.of(name, {"HOME": str(tmp_path)}, PATIENCE).resolve("1")
        environment = said(tmp_path, f'[[registry]]\nlocation = "{running.host}"\ninsecure = true\n')
        assert RemoteStore.of(name, environment, PATIENCE).resolve("1")
