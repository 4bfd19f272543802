"""`edgebert sign`, and the commands that open what it signed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import edgebert

pytest.importorskip("cryptography")

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

Run = Callable[..., Result]


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    private, public = tmp_path / "key.pem", tmp_path / "public.pem"
    # As openssl writes it.
    form = serialization.PrivateFormat.TraditionalOpenSSL
    private.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


def test_sign_then_open(run: Run, bundle: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "signed.edgebert"
    before = bundle.read_bytes()
    result = run("sign", bundle, "--key", keys[0], "--out", out)
    assert result.exit_code == 0 and result.stdout == f"{out}\n" and bundle.read_bytes() == before
    assert run("predict", out, "great", "--public-key", keys[1]).stdout == run("predict", bundle, "great").stdout
    found = json.loads(run("inspect", out, "--json", "--public-key", keys[1]).stdout)
    assert found["outputs"][0]["labels"] == ["bad", "good"]
    assert edgebert.predict(out, "great", public_key=keys[1]) == edgebert.predict(bundle, "great")
    refused = run("predict", out, "great")
    assert refused.exit_code == 1 and refused.stderr.startswith(f"error: {out}: it is signed: give the public key")


def test_in_place_and_only_once(run: Run, bundle: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "film.edgebert"
    path.write_bytes(bundle.read_bytes())
    assert run("sign", path, "--key", keys[0]).exit_code == 0
    signed = path.read_bytes()
    again = run("sign", path, "--key", keys[0])
    assert again.exit_code == 1 and "it is signed already" in again.stderr
    assert path.read_bytes() == signed != bundle.read_bytes()


def test_a_key_that_is_none(run: Run, bundle: Path, keys: tuple[Path, Path]) -> None:
    before = bundle.read_bytes()
    result = run("sign", bundle, "--key", keys[1])
    assert result.exit_code == 2, result.stderr
    assert f"{keys[1]} is no private key in PEM" in result.stderr
    assert bundle.read_bytes() == before and list(bundle.parent.glob("*.part*")) == []
