"""`sign`, `verify`, and what is required of an image before it is used: here trust meets stores and keys."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tiffin.api.images.verbs import find_image
from tiffin.api.machine.folders import PROJECTS, policy
from tiffin.api.machine.home import Home
from tiffin.errors import ConfigError, ConflictError, DeniedError, IntegrityError, NotFoundError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import Descriptor
from tiffin.oci.image import Image, read_image
from tiffin.oci.reference import Reference
from tiffin.oci.store import Referrers, Store
from tiffin.progress import parallel, step

if TYPE_CHECKING:
    from tiffin.config.trust import Rule
    from tiffin.trust.decision import Attestation, Refused, Verdict
    from tiffin.trust.keys import PublicKey

PASSPHRASE = "TIFFIN_KEY_PASSPHRASE"  # noqa: S105 - the variable's name
"""The variable with the passphrase of a private key."""


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that lies beside an image now, signed; `referrer` is its manifest."""

    what: str
    referrer: Digest


class Signing(msgspec.Struct, frozen=True, kw_only=True):
    """What was signed: an image, by which key, and the statements about it."""

    name: str
    digest: Digest
    key: str
    statements: list[Statement]


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What was verified: the image's digest, and here its layers; by which keys; and what they said of it.

    In a registry layers are not read: each is checked against its digest when it is pulled.
    """

    name: str
    digest: Digest
    layers_read: bool
    keys: list[str]
    attestations: list[Attestation]
    refused: list[Refused]


def generate_key(stem: str, passphrase: bytes) -> str:
    """Make a key, write `stem.key` for its owner alone and `stem.pub`, and return the latter's path.

    Raises ConflictError where there is one already.
    """
    from tiffin.trust.keys import generate

    private, public = Path(f"{stem}.key"), Path(f"{stem}.pub")
    for path in (private, public):
        if path.exists():
            raise ConflictError(f"{path} exists", "name another: what it has signed is worth nothing without it")
    pair = generate(passphrase)
    for path, data, mode in ((private, pair.private, 0o600), (public, pair.public, 0o644)):
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
    return str(public)


def check_key(key: Path, passphrase: Callable[[], bytes]) -> str:
    """Return the ID of a private key; raises for one that cannot be read, or whose passphrase is wrong."""
    from tiffin.trust.keys import read_private

    return read_private(_read(key), str(key), passphrase).public.id


def sign(name: str, key: Path, passphrase: Callable[[], bytes], *, home: Home | None = None) -> list[Signing]:
    """Sign an image and what it says of itself; of an index in a registry, the index and each of its images.

    A name with a registry is there, any other here. Signing again with the same key changes nothing.
    """
    from tiffin.oci.referrers import manifests
    from tiffin.trust.beside import put_signed
    from tiffin.trust.keys import read_private

    owner = read_private(_read(key), str(key), passphrase)
    store, descriptor = _place(name, home or Home.of(), writing=True)
    signings = []
    with step("sign", name):
        for subject in manifests(store, descriptor):
            said = _statements(store, subject, name, local=not _is_remote(name))
            put = [Statement(what=what, referrer=put_signed(store, subject, data, owner).digest) for what, data in said]
            signings.append(
                Signing(
                    name=f"{bare(name)}@{subject.digest}", digest=subject.digest, key=owner.public.id, statements=put
                )
            )
    return signings


def verify(name: str, keys: Sequence[Path], *, home: Home | None = None) -> Verification:
    """Verify the signature of an image, or what an index has for this machine, with the keys or those required of it.

    Raises IntegrityError, with the reason for each bundle that lies beside it, where none of the keys has signed it.
    """
    from tiffin.trust.beside import bundles
    from tiffin.trust.decision import judge

    home = home or Home.of()
    paths = list(keys) or [key for rule in rules(bare(name), None) for key in rule.keys]
    if not paths:
        raise ConfigError(f"no key to verify {name} with", f"name one: `tiffin verify {name} --key NAME.pub`")
    known = [_public(path) for path in paths]
    store, descriptor = _place(name, home)
    image = read_image(store, descriptor)
    here = not _is_remote(name)
    with step("verify", name):
        verdict = judge(image.descriptor.digest, bundles(store, image.descriptor), known)
        if not verdict.signed:
            raise IntegrityError(_refusal(name, verdict, known), _mend(name))
        if here:
            _check_blobs(store, image)
    return Verification(
        name=f"{bare(name)}@{verdict.digest}",
        digest=verdict.digest,
        layers_read=here,
        keys=[key.id for key in known],
        attestations=verdict.attestations,
        refused=verdict.refused,
    )


def require(store: Referrers, image: Descriptor, name: str, *, project: Path | None = None) -> None:
    """Raise DeniedError unless an image has every signature that this machine, and the project, require of its name.

    The project is that of the folder `project`, else of the working directory where it has one. Nothing is read from
    the store where nothing is required.
    """
    found = rules(bare(name), project)
    if not found:
        return
    from tiffin.trust.beside import bundles
    from tiffin.trust.decision import judge

    with step("verify", name):
        beside = bundles(store, image)
        for rule in found:
            keys = [_public(path) for path in rule.keys]
            verdict = judge(image.digest, beside, keys)
            if not verdict.signed:
                raise DeniedError(_refusal(name, verdict, keys, f", required by {rule.said}"), _mend(name))


def rules(name: str, project: Path | None, environment: Mapping[str, str] = os.environ) -> list[Rule]:
    """Return what is required of images of a repository: by the machine's trust.toml, and by the project."""
    found = []
    machine = policy_file(environment)
    if os.path.lexists(machine):  # a link that leads nowhere is a policy that cannot be read
        from tiffin.config.trust import read_policy, rule_of

        found.append(rule_of(read_policy(machine), name, machine))
    folder = project or Path.cwd()
    if any((folder / file).is_file() for file in PROJECTS):
        from tiffin.config.read import read_project
        from tiffin.config.trust import make_rule

        with suppress(NotFoundError):  # a pyproject.toml that says nothing of tiffin
            file, said = read_project(folder, needs_model=False)
            found.append(make_rule(said.trust.require, file.absolute(), "[trust] require"))
    return [rule for rule in found if rule]


def policy_file(environment: Mapping[str, str] = os.environ) -> Path:
    """Where this machine says whose signatures it requires."""
    return Path(policy(environment))


def _statements(store: Referrers, subject: Descriptor, name: str, *, local: bool) -> list[tuple[str, bytes]]:
    """What is signed about an image, and what people call it.

    The bill of materials lies in the image. Provenance lies beside it, where anybody may have put it who may push: it
    is signed here, where the image was made, and not in a registry.
    """
    from tiffin.api.images.sbom import FORMATS, document
    from tiffin.build.provenance import provenance_of
    from tiffin.oci.documents import INDEXES
    from tiffin.trust.statement import CYCLONEDX, SIGNATURE, read_statement, write_statement

    said = [("signature", write_statement(subject.digest, SIGNATURE))]
    if subject.media_type in INDEXES:
        return said
    with suppress(NotFoundError):  # an image that tiffin did not make
        bom = document(store, read_image(store, subject), FORMATS["cyclonedx"], name).encode()
        bill = write_statement(subject.digest, CYCLONEDX, msgspec.json.format(bom, indent=-1))
        said.append(("bill of materials", bill))
    made = provenance_of(store, subject) if local else []
    return said + [("provenance", data) for data in made if read_statement(data, name).speaks_of(subject.digest)]


def _refusal(name: str, verdict: Verdict, keys: Sequence[PublicKey], who: str = "") -> str:
    """Say which image, which key, and why not, one line for each bundle that was there."""
    called = " or ".join(f"{key.called} ({key.id})" for key in keys)
    reasons = "".join(f"\n    {refused.referrer}: {refused.why}" for refused in verdict.refused)
    others = "".join(
        f"\n    {one.referrer}: it is a {one.what} ({one.predicate_type}), which approves of nothing"
        for one in verdict.attestations
    )
    why = reasons + others or ": no signature lies beside it"
    return f"{bare(name)}@{verdict.digest} is not signed with {called}{who}{why}"


def _mend(name: str) -> str:
    brings = f"`tiffin pull {name}` brings signatures made since; " if _is_remote(name) else ""
    return f"{brings}whoever has the key signs it: `tiffin sign {name} --key NAME.key`"


def _check_blobs(store: Store, image: Image) -> None:
    """Read config and layers; raises IntegrityError for one that is not what the manifest says."""

    def check(blob: Descriptor) -> None:
        with store.open(blob) as stream:
            digest = Digest.of_stream(stream)
        if digest != blob.digest:
            raise IntegrityError(f"{blob.digest}: the stored bytes have the digest {digest}", "pull or build it again")

    parallel(check, {blob.digest: blob for blob in (image.manifest.config, *image.manifest.layers)}.values(), workers=2)


def _place(name: str, home: Home, *, writing: bool = False) -> tuple[Referrers, Descriptor]:
    """Find an image where its name says that it is: in its registry, or here."""
    if not _is_remote(name):
        return home.store, find_image(home.store, name).descriptor
    from tiffin.store.remote.store import RemoteStore

    reference = Reference.parse(name)
    remote = RemoteStore.of(reference, writing=writing)
    remote.turns = home.turns
    return remote, remote.resolve(reference.digest or reference.tag or "latest")


def _is_remote(name: str) -> bool:
    return not name.startswith("sha256:") and bool(Reference.parse(name).registry)


def bare(name: str) -> str:
    """The repository of a name; of a digest alone, that."""
    return name if name.startswith("sha256:") else Reference.parse(name).name


def _public(path: Path) -> PublicKey:
    from tiffin.trust.keys import read_public

    return read_public(_read(path), str(path))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"no key {path}", "`tiffin sign --generate-key NAME` makes NAME.key and NAME.pub") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", "name the file of a key in PEM") from error
