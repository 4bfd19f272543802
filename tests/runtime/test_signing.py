"""Signatures: one that fits opens, and everything else is one sentence."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from core_builds import need
from runtime_helpers import write_small

from edgebert_runtime.archive import Archive, write_archive
from edgebert_runtime.bundle import open_bundle
from edgebert_runtime.errors import BundleError, MissingExtraError, UsageError
from edgebert_runtime.signing import sign

pytest.importorskip("cryptography")

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


def write_key(folder: Path, name: str, key: PrivateKeyTypes, password: bytes = b"") -> tuple[Path, Path]:
    """Private and public key, in PEM."""
    folder.mkdir(exist_ok=True)
    private, public = folder / f"{name}.pem", folder / f"{name}-public.pem"
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    private.write_bytes(key.private_bytes(PEM, PKCS8, hidden))  # type: ignore[union-attr]
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(PEM, form))  # type: ignore[union-attr]
    return private, public


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_key(tmp_path_factory.mktemp("keys"), "key", ec.generate_private_key(ec.SECP256R1()))


def contents(path: Path) -> dict[str, bytes | Path]:
    with Archive(path) as opened:
        return {name: opened.read(name) for name in opened.entries}


def signed(folder: Path, private: Path) -> Path:
    entries = contents(write_small(folder / "small.edgebert"))
    manifest = entries["manifest.json"]
    assert isinstance(manifest, bytes)
    write_archive(folder / "signed.edgebert", entries | {"signature": sign(manifest, private)})
    return folder / "signed.edgebert"


def refused(path: Path, public: Path | None) -> str:
    with pytest.raises(BundleError) as caught:
        open_bundle(path, public)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


def test_a_signature_that_fits_opens(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    private, public = keys
    with open_bundle(signed(tmp_path, private), public) as bundle:
        assert "signature" in bundle.names and bundle.manifest.files.keys() == {"golden.jsonl", "model.onnx"}


def test_the_same_key_gives_the_same_bytes(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    assert sign(b"{}", keys[0]) == sign(b"{}", keys[0]) != sign(b"{ }", keys[0])


def test_openssl_agrees(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    need("openssl")
    (tmp_path / "manifest").write_bytes(b"a manifest")
    (tmp_path / "signature").write_bytes(sign(b"a manifest", keys[0]))
    command = ["openssl", "dgst", "-sha256", "-verify", str(keys[1]), "-signature", "signature", "manifest"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "Verified OK" in done.stdout


def test_no_key_another_key_and_no_signature(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    private, public = keys
    path = signed(tmp_path, private)
    assert refused(path, None) == "it is signed: give the public key, so that the signature is checked"
    other = write_key(tmp_path / "other", "other", ec.generate_private_key(ec.SECP256R1()))[1]
    assert refused(path, other) == "its signature is not of this manifest by the public key given"
    unsigned = tmp_path / "small.edgebert"
    assert refused(unsigned, public) == "it is not signed, but a public key was given to check it with"


@pytest.mark.parametrize("signature", [b"", b"nonsense", bytes(72), bytes(100_000)])
def test_what_is_no_signature(tmp_path: Path, keys: tuple[Path, Path], signature: bytes) -> None:
    path = tmp_path / "x.edgebert"
    write_archive(path, contents(write_small(tmp_path / "small.edgebert")) | {"signature": signature})
    assert refused(path, keys[1]) == "its signature is not of this manifest by the public key given"


def test_a_manifest_that_was_changed(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    path = signed(tmp_path, keys[0])
    entries = contents(path)
    manifest = entries["manifest.json"]
    assert isinstance(manifest, bytes)
    write_archive(path, entries | {"manifest.json": manifest.replace(b'"student": "test"', b'"student": "best"')})
    assert refused(path, keys[1]) == "its signature is not of this manifest by the public key given"


def test_keys_that_cannot_be_used(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    path = signed(tmp_path, keys[0])
    p384 = write_key(tmp_path, "p384", ec.generate_private_key(ec.SECP384R1()))
    long = write_key(tmp_path, "rsa", rsa.generate_private_key(65537, 2048))
    locked = write_key(tmp_path, "locked", ec.generate_private_key(ec.SECP256R1()), b"secret")[0]
    text = tmp_path / "text"
    text.write_text("no key\n")
    for private, reason in [
        (tmp_path / "none", "cannot read the key"),
        (text, "is no private key in PEM"),
        (keys[1], "is no private key in PEM"),
        (locked, "has a password"),
        (p384[0], "must be an EC key on P-256"),
        (long[0], "must be an EC key on P-256"),
    ]:
        with pytest.raises(UsageError, match=reason):
            sign(b"{}", private)
    for public, reason in [
        (tmp_path / "none", "cannot read the key"),
        (text, "is no public key in PEM"),
        (keys[0], "is no public key in PEM"),
        (p384[1], "must be an EC key on P-256"),
        (long[1], "must be an EC key on P-256"),
    ]:
        with pytest.raises(UsageError, match=reason):
            open_bundle(path, public)


def test_without_the_package(tmp_path: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = signed(tmp_path, keys[0])
    monkeypatch.setitem(__import__("sys").modules, "cryptography.hazmat.primitives.serialization", None)
    with pytest.raises(MissingExtraError, match=r'pip install "edgebert\[sign\]"'):
        open_bundle(path, keys[1])
