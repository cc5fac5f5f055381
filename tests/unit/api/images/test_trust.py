"""What is signed is run and pulled where that is required, and nothing else is, and the refusal says why."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from faulty_registry import Fault, FaultyRegistry, faulty_registry
from tiffin.api.containers.options import options
from tiffin.api.containers.run import run_detached
from tiffin.api.images.archives import load, save_file
from tiffin.api.images.copy import copy
from tiffin.api.images.pull import pull
from tiffin.api.images.push import State, plan_push, push
from tiffin.api.images.trust import generate_key, policy_file, sign, verify
from tiffin.api.machine.home import Home
from tiffin.errors import ConfigError, ConflictError, DeniedError, IntegrityError, NotFoundError, TiffinError
from tiffin.oci.artifact import attach
from tiffin.oci.documents import INDEX, LAYER, Descriptor, History, ImageConfig, Index, RootFS, encode
from tiffin.oci.image import Image
from tiffin.oci.platform import Platform
from tiffin.progress import Event, Noted, listening
from tiffin.store.layout import LayoutStore
from tiffin.trust.bundle import BUNDLE

PROVENANCE = "https://slsa.dev/provenance/v1"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home of its own, its configuration, and a working directory with two pairs of keys."""
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TIFFIN_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for name in ("ours", "theirs"):
        generate_key(name, b"")
    return Home.of()


@pytest.fixture
def registry(home: Home) -> Iterator[FaultyRegistry]:
    assert home
    with faulty_registry() as running:
        running.lists_referrers = True
        yield running


@pytest.fixture
def iris(home: Home) -> Image:
    return make(home.store)


def make(store: LayoutStore, title: str = "iris") -> Image:
    """An image of one layer, named after its title."""
    data = title.encode() * 100
    layer = Descriptor.of(data, LAYER)
    store.put(layer, io.BytesIO(data))
    here = Platform.here()
    config = ImageConfig(
        architecture=here.architecture,
        os=here.os,
        rootfs=RootFS(diff_ids=[layer.digest]),
        history=[History(created_by="tiffin", comment="code")],
    )
    image = Image.make(config, [layer], {})
    image.write(store)
    store.tag(f"{title}:latest", image.descriptor)
    return image


def signed(name: str, home: Home, key: str = "ours") -> None:
    sign(name, Path(f"{key}.key"), lambda: b"", home=home)


def reasons(refused: pytest.ExceptionInfo[TiffinError]) -> str:
    return refused.value.message


def require(text: str) -> None:
    """Write the machine's policy."""
    policy_file().parent.mkdir(parents=True, exist_ok=True)
    policy_file().write_text(text)


def test_a_key_is_its_owners_alone_and_never_written_over(home: Home, tmp_path: Path) -> None:
    assert home
    assert generate_key(str(tmp_path / "new"), b"") == str(tmp_path / "new.pub")
    assert (tmp_path / "new.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConflictError, match=r"new\.key exists"):
        generate_key(str(tmp_path / "new"), b"")
    (tmp_path / "new.key").unlink()
    with pytest.raises(ConflictError, match=r"new\.pub exists"):
        generate_key(str(tmp_path / "new"), b"")


def test_an_image_here_is_signed_and_verified(home: Home, iris: Image) -> None:
    signed("iris", home)
    found = verify("iris", [Path("ours.pub")], home=home)
    assert (found.digest, found.layers_read) == (iris.descriptor.digest, True)
    assert [one.what for one in found.attestations] == ["signature"]


def test_signing_twice_is_the_same_as_once(home: Home, iris: Image) -> None:
    for _ in range(2):
        signed("iris", home)
    assert len(home.store.referrers(iris.descriptor)) == 1


def test_an_unsigned_image_is_refused_with_the_command_that_signs_it(home: Home, iris: Image) -> None:
    with pytest.raises(IntegrityError, match="no signature lies beside it") as refused:
        verify("iris", [Path("ours.pub")], home=home)
    assert f"iris@{iris.descriptor.digest}" in reasons(refused)
    assert "ours.pub" in reasons(refused)
    assert "`tiffin sign iris --key" in (refused.value.hint or "")


def test_a_signature_with_another_key_is_refused(home: Home, iris: Image) -> None:
    assert iris
    signed("iris", home, "theirs")
    with pytest.raises(IntegrityError, match="it is signed with another key"):
        verify("iris", [Path("ours.pub")], home=home)
    signed("iris", home)
    assert len(verify("iris", [Path("ours.pub")], home=home).refused) == 1, "two signatures, one of which is good"


def test_a_tampered_manifest_is_refused(home: Home, iris: Image) -> None:
    signed("iris", home)
    path = home.store.path(iris.descriptor)
    path.write_bytes(iris.manifest_bytes.replace(b"schemaVersion", b"schemaversion"))
    with pytest.raises(IntegrityError, match=f"{iris.descriptor.digest}: the stored bytes differ"):
        verify("iris", [Path("ours.pub")], home=home)


@pytest.mark.parametrize("part", ["config", "layer"])
def test_a_tampered_part_is_refused(home: Home, iris: Image, part: str) -> None:
    signed("iris", home)
    blob = iris.manifest.config if part == "config" else iris.manifest.layers[0]
    path = home.store.path(blob)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(IntegrityError, match=blob.digest):
        verify("iris", [Path("ours.pub")], home=home)


def bundle_path(home: Home, image: Image) -> Path:
    """Where the only bundle beside an image is."""
    (referrer,) = home.store.referrers(image.descriptor)
    manifest = json.loads(home.store.path(referrer).read_bytes())
    return home.data / "blobs" / "sha256" / manifest["layers"][0]["digest"].removeprefix("sha256:")


def test_a_tampered_bundle_is_refused(home: Home, iris: Image) -> None:
    signed("iris", home)
    path = bundle_path(home, iris)
    path.write_bytes(path.read_bytes().replace(b"sig", b"gis"))
    with pytest.raises(IntegrityError, match="the stored bytes differ from the digest"):
        verify("iris", [Path("ours.pub")], home=home)


def test_a_changed_signature_in_a_whole_bundle_is_refused(home: Home, iris: Image) -> None:
    other = make(home.store, "other")
    signed("other", home)
    theirs = json.loads(bundle_path(home, other).read_bytes())
    signed("iris", home, "theirs")
    ours = json.loads(bundle_path(home, iris).read_bytes())
    ours["dsseEnvelope"]["signatures"] = theirs["dsseEnvelope"]["signatures"]
    ours["verificationMaterial"] = theirs["verificationMaterial"]
    attach(home.store, iris.descriptor, BUNDLE, json.dumps(ours).encode(), {})
    with pytest.raises(IntegrityError, match="its signature does not fit what it signs"):
        verify("iris", [Path("ours.pub")], home=home)


def test_the_bundle_of_another_image_does_not_count(home: Home, iris: Image) -> None:
    other = make(home.store, "other")
    signed("other", home)
    attach(home.store, iris.descriptor, BUNDLE, bundle_path(home, other).read_bytes(), {})
    with pytest.raises(IntegrityError, match=f"it speaks of another image: {other.descriptor.digest}"):
        verify("iris", [Path("ours.pub")], home=home)


def test_an_image_in_a_registry_is_signed_there(home: Home, iris: Image, registry: FaultyRegistry) -> None:
    name = f"{registry.host}/team/iris:1"
    push("iris", name, home=home)
    signed(name, home)
    assert home.store.referrers(iris.descriptor) == [], "it was signed there, and not here"
    found = verify(name, [Path("ours.pub")], home=home)
    assert (found.digest, found.layers_read) == (iris.descriptor.digest, False)


@pytest.mark.parametrize("lists", [True, False], ids=["list", "tag"])
def test_signatures_travel_with_the_image(
    home: Home,
    iris: Image,
    registry: FaultyRegistry,
    tmp_path: Path,
    lists: bool,  # noqa: FBT001 - a parameter of a test
) -> None:
    registry.lists_referrers = lists
    signed("iris", home)
    names = [f"{registry.host}/team/iris:1", f"{registry.host}/mirror/iris:1"]
    planned = {part.title: part.state for part in plan_push("iris", names[0], home=home).parts}
    assert planned["signature"] is State.SEND
    push("iris", names[0], home=home)
    assert {part.state for part in plan_push("iris", names[0], home=home).parts} == {State.THERE}
    copy(names[0], f"oci:{tmp_path}/layout:iris", home=home)
    copy(f"oci:{tmp_path}/layout:iris", names[1], home=home)
    other = Home.of({"TIFFIN_HOME": str(tmp_path / "other")})
    pull(names[1], home=other)
    (here,), (there,) = (one.store.referrers(iris.descriptor) for one in (home, other))
    assert there == here
    assert verify(f"sha256:{iris.descriptor.digest.hex}", [Path("ours.pub")], home=other).layers_read


def test_signatures_travel_in_an_archive(home: Home, iris: Image, tmp_path: Path) -> None:
    signed("iris", home)
    save_file(["iris"], tmp_path / "iris.tar", home)
    other = Home.of({"TIFFIN_HOME": str(tmp_path / "other")})
    with (tmp_path / "iris.tar").open("rb") as stream:
        assert load(stream, "iris.tar", other) == [f"iris:latest@{iris.descriptor.digest}"]
    assert verify("iris", [Path("ours.pub")], home=other).digest == iris.descriptor.digest
    assert copy(f"oci-archive:{tmp_path}/iris.tar", "again", home=other)


def test_the_name_is_there_only_when_the_signatures_are(home: Home, iris: Image, registry: FaultyRegistry) -> None:
    assert iris
    signed("iris", home)
    push("iris", f"{registry.host}/team/iris:1", home=home)
    put = [asked.path for asked in registry.asked if asked.method == "PUT" and "/manifests/" in asked.path]
    assert put[-1].endswith("/manifests/1")
    assert len(put) == 3


def test_a_signature_that_is_lost_in_the_registry_is_left_behind(
    home: Home, iris: Image, registry: FaultyRegistry, tmp_path: Path
) -> None:
    signed("iris", home)
    name = f"{registry.host}/team/iris:1"
    push("iris", name, home=home)
    del registry.blobs[f"sha256:{bundle_path(home, iris).name}"]
    other = Home.of({"TIFFIN_HOME": str(tmp_path / "other")})
    assert pull(name, home=other).endswith(iris.descriptor.digest)
    assert other.store.referrers(iris.descriptor) == []
    with pytest.raises(IntegrityError, match="404"):
        verify(name, [Path("ours.pub")], home=home)


@pytest.mark.parametrize("status", [400, 403])
def test_what_a_registry_does_not_take_keeps_no_image_from_it(
    home: Home, iris: Image, registry: FaultyRegistry, status: int
) -> None:
    signed("iris", home)
    registry.faults[f"manifests/{home.store.referrers(iris.descriptor)[0].digest}"] = [Fault(), Fault(status=status)]
    events: list[Event] = []
    with listening(events.append):
        push("iris", f"{registry.host}/team/iris:1", home=home)
    (said,) = [event.message for event in events if isinstance(event, Noted)]
    assert said.startswith(f"the signature of {iris.descriptor.digest.short} is left behind")
    assert "1" in registry.manifests
    push("iris", f"{registry.host}/team/iris:1", home=home)
    assert len(registry.referrers(iris.descriptor.digest)) == 1, "the next push brings it"


def test_a_pull_of_what_is_here_brings_the_signatures_made_since(
    home: Home, iris: Image, registry: FaultyRegistry
) -> None:
    assert iris
    name = f"{registry.host}/team/iris:1"
    push("iris", name, home=home)
    signed(name, home)
    pull(name, home=home)
    assert verify("iris", [Path("ours.pub")], home=home).attestations


def test_an_index_is_signed_with_each_of_its_images(home: Home, iris: Image, registry: FaultyRegistry) -> None:
    push("iris", f"{registry.host}/team/iris:1", home=home)
    entry = Descriptor(
        media_type=iris.descriptor.media_type,
        digest=iris.descriptor.digest,
        size=iris.descriptor.size,
        platform=Platform.here(),
    )
    index = registry.add_manifest(encode(Index(manifests=[entry])), INDEX, "all")
    name = f"{registry.host}/team/iris:all"
    done = sign(name, Path("ours.key"), lambda: b"", home=home)
    assert [one.digest for one in done] == [index.digest, iris.descriptor.digest]
    assert verify(name, [Path("ours.pub")], home=home).digest == iris.descriptor.digest
    assert len(registry.referrers(index.digest)) == 1


class TestRequire:
    def test_what_is_not_signed_is_not_pulled_and_nothing_is_moved(
        self, home: Home, iris: Image, registry: FaultyRegistry, tmp_path: Path
    ) -> None:
        name = f"{registry.host}/team/iris:1"
        push("iris", name, home=home)
        other = Home.of({"TIFFIN_HOME": str(tmp_path / "other")})
        require(f'require = "{tmp_path}/ours.pub"')
        registry.asked.clear()
        with pytest.raises(DeniedError) as refused:
            pull(name, home=other)
        assert f"{registry.host}/team/iris@{iris.descriptor.digest} is not signed with {tmp_path}/ours.pub" in reasons(
            refused
        )
        assert f"required by {policy_file()}, require" in reasons(refused)
        assert "`tiffin sign " in (refused.value.hint or "")
        assert not [asked for asked in registry.asked if iris.manifest.layers[0].digest in asked.path]
        assert not other.store.exists(iris.descriptor)
        signed(name, home)
        assert pull(name, home=other).endswith(iris.descriptor.digest)

    def test_what_is_not_signed_is_not_run(self, home: Home, iris: Image, tmp_path: Path) -> None:
        assert iris
        require(f'require = "{tmp_path}/ours.pub"')
        with pytest.raises(DeniedError, match="no signature lies beside it"):
            run_detached(options("iris"))
        assert not (home.data / "containers").exists()

    def test_a_registry_that_hides_the_signature_is_refused(
        self, home: Home, iris: Image, registry: FaultyRegistry, tmp_path: Path
    ) -> None:
        signed("iris", home)
        name = f"{registry.host}/team/iris:1"
        push("iris", name, home=home)
        other = Home.of({"TIFFIN_HOME": str(tmp_path / "other")})
        require('require = "../../ours.pub"')
        registry.hidden = {home.store.referrers(iris.descriptor)[0].digest}
        with pytest.raises(DeniedError, match="no signature lies beside it"):
            pull(name, home=other)
        registry.hidden = set()
        registry.faults["/referrers/"] = [Fault(status=403)]
        with pytest.raises(DeniedError, match="403"):
            pull(name, home=other)
        assert pull(name, home=other)

    def test_a_registry_that_shows_another_image_under_the_name_is_refused(
        self, home: Home, iris: Image, registry: FaultyRegistry, tmp_path: Path
    ) -> None:
        assert iris
        signed("iris", home)
        name = f"{registry.host}/team/iris:1"
        push("iris", name, home=home)
        evil = make(home.store, "evil")
        registry.hold(evil, home.store, "1")
        require(f'require = "{tmp_path}/ours.pub"')
        with pytest.raises(DeniedError, match=evil.descriptor.digest):
            pull(name, home=Home.of({"TIFFIN_HOME": str(tmp_path / "other")}))

    def test_a_repository_has_rules_of_its_own(
        self, home: Home, iris: Image, registry: FaultyRegistry, tmp_path: Path
    ) -> None:
        assert iris
        signed("iris", home, "theirs")
        names = [f"{registry.host}/{repository}:1" for repository in ("open/iris", "team/iris", "team-b/iris")]
        for name in names:
            push("iris", name, home=home)
        require(
            f'require = "{tmp_path}/ours.pub"\n[repositories]\n"{registry.host}/team" = "{tmp_path}/theirs.pub"\n'
            f'"{registry.host}/open" = []\n'
        )
        other = Home.of({"TIFFIN_HOME": str(tmp_path / "other")})
        assert pull(names[0], home=other)
        assert pull(names[1], home=other)
        with pytest.raises(DeniedError, match="another key"):
            pull(names[2], home=other)

    def test_a_project_requires_it_of_what_is_run_in_its_folder(self, home: Home, iris: Image, tmp_path: Path) -> None:
        assert iris
        (tmp_path / "tiffin.toml").write_text(
            'name = "x"\n[model]\npath = "m"\n[trust]\nrequire = ["theirs.pub", "ours.pub"]\n'
        )
        with pytest.raises(DeniedError, match=r"tiffin\.toml, \[trust\] require") as refused:
            run_detached(options("iris"))
        assert "theirs.pub" in reasons(refused)
        assert "ours.pub" in reasons(refused)
        signed("iris", home)
        assert verify("iris", [], home=home).attestations, "its keys are those that `verify` takes by itself"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("require = 7", "Expected `str | array`"),
            ('requires = "ours.pub"', "unknown field `requires`"),
            ("require =", "trust.toml: "),
            ('require = "nobody.pub"', "nobody.pub"),
            ('require = "../../ours.key"', "is a private key"),
        ],
    )
    def test_a_policy_that_cannot_be_followed_is_not_passed_by(
        self, home: Home, iris: Image, text: str, message: str
    ) -> None:
        assert home
        assert iris
        require(text)
        with pytest.raises((ConfigError, NotFoundError)) as refused:
            run_detached(options("iris"))
        assert message in reasons(refused)


def test_a_policy_that_is_a_link_to_nowhere_is_not_passed_by(home: Home, iris: Image, tmp_path: Path) -> None:
    assert home
    assert iris
    policy_file().parent.mkdir(parents=True)
    policy_file().symlink_to(tmp_path / "gone.toml")
    with pytest.raises(ConfigError, match=r"trust\.toml"):
        run_detached(options("iris"))


def test_a_statement_about_an_image_is_signed_with_it(home: Home, iris: Image) -> None:
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "iris", "digest": {"sha256": iris.descriptor.digest.hex}}],
        "predicateType": PROVENANCE,
        "predicate": {"buildDefinition": {}},
    }
    for digest in (iris.descriptor.digest.hex, "0" * 64):  # the second speaks of another image
        statement["subject"] = [{"digest": {"sha256": digest}}]
        said = {"in-toto.io/predicate-type": PROVENANCE}
        attach(home.store, iris.descriptor, "application/vnd.in-toto+json", encode(statement), said)
    signed("iris", home)
    found = verify("iris", [Path("ours.pub")], home=home)
    assert [one.what for one in found.attestations] == ["signature", "provenance"]
    assert json.loads(encode(found))["attestations"][1]["statement"]["predicate"] == {"buildDefinition": {}}
