"""Keys are openssl's, and its signatures ours; what is no such key is refused with what it is."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tiffin.errors import ConfigError, DeniedError, TiffinError, UnsupportedError
from tiffin.trust.keys import PrivateKey, generate, read_private, read_public

SECRET = b"correct horse"


def openssl(*words: str, data: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *words], input=data, capture_output=True, check=True).stdout


def nobody() -> bytes:
    raise AssertionError("a key without a passphrase asks for none")


@pytest.mark.program("openssl")
def test_openssl_verifies_what_we_sign_and_we_what_it_signs(tmp_path: Path) -> None:
    pair = generate(b"")
    (tmp_path / "ours.key").write_bytes(pair.private)
    (tmp_path / "ours.pub").write_bytes(pair.public)
    (tmp_path / "data").write_bytes(b"data")
    (tmp_path / "sig").write_bytes(read_private(pair.private, "ours.key", nobody).sign(b"data"))
    said = openssl(
        "dgst", "-sha256", "-verify", f"{tmp_path}/ours.pub", "-signature", f"{tmp_path}/sig", f"{tmp_path}/data"
    )
    assert said == b"Verified OK\n"
    theirs = openssl("dgst", "-sha256", "-sign", f"{tmp_path}/ours.key", f"{tmp_path}/data")
    public = read_public(pair.public, "ours.pub")
    assert public.signed(b"data", theirs)
    assert not public.signed(b"datum", theirs)


@pytest.mark.program("openssl")
@pytest.mark.parametrize("command", [["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]])
def test_a_key_that_openssl_made_is_read_with_and_without_a_passphrase(command: list[str]) -> None:
    plain = openssl(*command)
    encrypted = openssl("pkcs8", "-topk8", "-passout", f"pass:{SECRET.decode()}", data=plain)
    public = openssl("pkey", "-pubout", data=plain)
    made = [read_private(plain, "a", nobody), read_private(encrypted, "b", lambda: SECRET)]
    assert len({key.public.id for key in made} | {read_public(public, "c").id}) == 1
    assert made[0].public.pem() == public


@pytest.mark.program("openssl")
def test_openssl_reads_an_encrypted_key_of_ours() -> None:
    pair = generate(SECRET)
    assert pair.private.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert openssl("pkey", "-passin", f"pass:{SECRET.decode()}", "-pubout", data=pair.private) == pair.public


def test_the_same_bytes_get_the_same_signature(key: PrivateKey) -> None:
    assert key.sign(b"data") == key.sign(b"data") != key.sign(b"datum")


def test_a_wrong_passphrase_is_said_to_be_one() -> None:
    with pytest.raises(DeniedError, match=r"the passphrase of ours\.key is wrong"):
        read_private(generate(SECRET).private, "ours.key", lambda: b"wrong")
    with pytest.raises(DeniedError, match="wrong"):
        read_private(generate(SECRET).private, "ours.key", lambda: b"")


@pytest.mark.parametrize("data", [b"", b"nonsense", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_key_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigError, match="a file is no public key in PEM"):
        read_public(data, "a file")
    with pytest.raises(ConfigError, match="a file is no private key in PEM"):
        read_private(data, "a file", nobody)


def test_a_private_key_is_not_taken_for_a_public_one() -> None:
    with pytest.raises(ConfigError, match="is a private key"):
        read_public(generate(b"").private, "ours.key")


@pytest.mark.program("openssl")
@pytest.mark.parametrize(
    "command",
    [["-algorithm", "ED25519"], ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]],
    ids=["ed25519", "p384"],
)
def test_keys_of_other_kinds_are_refused_by_name(command: list[str]) -> None:
    private = openssl("genpkey", *command)
    public = openssl("pkey", "-pubout", data=private)
    refused: list[TiffinError] = []
    for read in (lambda: read_private(private, "k", nobody), lambda: read_public(public, "k")):
        with pytest.raises(UnsupportedError, match="no ECDSA key on the curve P-256") as caught:
            read()
        refused.append(caught.value)
    assert all("--generate-key" in (error.hint or "") for error in refused)


def test_cosigns_own_encryption_is_refused_by_name() -> None:
    data = b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"
    with pytest.raises(UnsupportedError, match="cosign's own"):
        read_private(data, "cosign.key", nobody)
