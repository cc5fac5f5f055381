"""What we sign is verified by others' programs, out of a registry without a list of referrers and out of a layout."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf.json_format import Parse
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
from sigstore_models.bundle.v1 import Bundle

from programs.iris import Iris
from programs.process import run

pytestmark = pytest.mark.program("docker-registry", "skopeo", "openssl")


@pytest.fixture
def environment(home: Path, tmp_path: Path) -> dict[str, str]:
    """Who has the iris image, and no policy."""
    passed = {name: value for name, value in os.environ.items() if name in {"PATH", "PYTHONPATH"}}
    return {**passed, "TIFFIN_HOME": str(home), "HOME": str(tmp_path)}


def tiffin(environment: dict[str, str], *words: str, status: int = 0) -> str:
    """Run the command line; returns what it printed, or its errors where another status than 0 is expected."""
    done = subprocess.run(
        [sys.executable, "-m", "tiffin", *words],
        env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return (done.stderr if status else done.stdout).strip()


def raw(name: str) -> dict[str, object]:
    """A manifest as skopeo reads it."""
    document: dict[str, object] = json.loads(
        run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}")
    )
    return document


def test_others_find_and_verify_what_was_signed(
    iris: Iris, own_registry: str, environment: dict[str, str], tmp_path: Path
) -> None:
    key = tmp_path / "team"
    assert tiffin(environment, "sign", "--generate-key", str(key)) == f"{key}.pub"
    name = f"{own_registry}/signed/iris"
    tiffin(environment, "push", iris.name, f"{name}:1")
    tiffin(environment, "sign", f"{name}:1", "--key", f"{key}.key")
    listed = raw(f"{name}:{iris.digest.replace(':', '-')}")
    said = {entry["annotations"].get("dev.sigstore.bundle.predicateType"): entry for entry in listed["manifests"]}  # type: ignore[attr-defined]
    signature = said["https://sigstore.dev/cosign/sign/v1"]
    manifest = raw(f"{name}@{signature['digest']}")
    assert manifest["artifactType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert manifest["subject"]["digest"] == iris.digest  # type: ignore[index]
    run(
        "skopeo", "copy", "--src-tls-verify=false",
        f"docker://{name}@{signature['digest']}", f"oci:{tmp_path}/bundle:it",
    )  # fmt: skip
    data = (tmp_path / "bundle/blobs" / manifest["layers"][0]["digest"].replace(":", "/")).read_bytes()  # type: ignore[index]
    judged(data, Path(f"{key}.pub"), iris.digest, tmp_path)


def judged(data: bytes, public: Path, digest: str, scratch: Path) -> None:
    """Let Sigstore's models read a bundle, securesystemslib and openssl verify it, and in-toto read its statement."""
    bundle = Bundle.from_json(data)
    assert bundle.media_type == "application/vnd.dev.sigstore.bundle.v0.3+json"
    document = json.loads(data)["dsseEnvelope"]
    envelope = Envelope.from_dict({**document, "signatures": [{"keyid": "", **one} for one in document["signatures"]]})
    verifier = SSlibKey.from_crypto(load_pem_public_key(public.read_bytes()))  # type: ignore[arg-type]
    envelope.signatures[""].keyid = verifier.keyid
    envelope.verify([verifier], 1)
    (scratch / "pae").write_bytes(envelope.pae())
    (scratch / "sig").write_bytes(base64.b64decode(document["signatures"][0]["sig"]))
    run("openssl", "dgst", "-sha256", "-verify", str(public), "-signature", f"{scratch}/sig", f"{scratch}/pae")
    statement = Parse(envelope.payload, StatementMessage())
    assert [subject.digest["sha256"] for subject in statement.subject] == [digest.removeprefix("sha256:")]


def test_what_is_said_of_an_image_is_signed_and_travels(
    iris: Iris, own_registry: str, environment: dict[str, str], tmp_path: Path
) -> None:
    key, elsewhere = f"{tmp_path}/team", {**environment, "TIFFIN_HOME": str(tmp_path / "elsewhere")}
    tiffin(environment, "sign", "--generate-key", key)
    tiffin(environment, "sign", iris.name, "--key", f"{key}.key")
    name = f"{own_registry}/told/iris:1"
    tiffin(environment, "push", iris.name, name)
    tiffin(elsewhere, "pull", name)
    found = json.loads(tiffin(elsewhere, "verify", iris.digest, "--key", f"{key}.pub", "--json"))
    assert [one["what"] for one in found["attestations"]] == ["signature", "bill of materials", "provenance"]
    bill, provenance = (one["statement"] for one in found["attestations"][1:])
    assert bill["predicateType"] == "https://cyclonedx.org/bom"
    assert bill["predicate"] == json.loads(tiffin(elsewhere, "sbom", iris.digest))
    assert provenance == json.loads(tiffin(elsewhere, "inspect", iris.digest, "--show", "provenance"))


def test_several_who_sign_at_once_all_have_signed(
    iris: Iris, own_registry: str, environment: dict[str, str], tmp_path: Path
) -> None:
    name = f"{own_registry}/crowd/iris:1"
    keys = [f"{tmp_path}/key-{number}" for number in range(3)]
    tiffin(environment, "push", iris.name, name)
    with ThreadPoolExecutor(len(keys)) as pool:
        for made in pool.map(lambda key: tiffin(environment, "sign", "--generate-key", key), keys):
            assert made
        for said in pool.map(lambda key: tiffin(environment, "sign", name, "--key", f"{key}.key"), keys):
            assert "is signed by" in said
    for key in keys:
        assert iris.digest in tiffin(environment, "verify", name, "--key", f"{key}.pub")


def test_what_is_required_holds_for_the_command_line(
    iris: Iris, own_registry: str, environment: dict[str, str], tmp_path: Path
) -> None:
    name = f"{own_registry}/required/iris:1"
    tiffin(environment, "sign", "--generate-key", f"{tmp_path}/team")
    tiffin(environment, "push", iris.name, name)
    policy = tmp_path / ".config" / "tiffin" / "trust.toml"
    policy.parent.mkdir(parents=True)
    policy.write_text(f'[repositories]\n"{own_registry}/required" = "../../team.pub"\n')
    elsewhere = {**environment, "TIFFIN_HOME": str(tmp_path / "elsewhere")}
    assert "is not signed with" in tiffin(elsewhere, "run", name, status=5)
    tiffin(environment, "sign", name, "--key", f"{tmp_path}/team.key")
    assert tiffin(elsewhere, "pull", name).endswith(iris.digest)
