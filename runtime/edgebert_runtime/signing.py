"""A bundle's signature: ECDSA on P-256 with SHA-256 over the manifest, which holds the SHA-256 of everything else.

It shows that a bundle is its maker's and unchanged. It hides nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgebert_runtime.errors import BundleError, UsageError, require

EXTRA = "sign"
MAKE_KEY = "openssl ecparam -name prime256v1 -genkey -noout -out KEY"


def sign(manifest: bytes, private_key: str | Path) -> bytes:
    """The signature of a manifest, in DER; the same key and manifest give the same bytes (RFC 6979).

    Args:
        private_key: a file in PEM, without a password, as `openssl ecparam -name prime256v1 -genkey` writes it.
    Raises:
        UsageError: no such file, or no private key on P-256.
        MissingExtraError: the package `cryptography` is not installed.
    """
    serialization, ec, hashes = _cryptography()
    content = _read(private_key)
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except TypeError as error:
        raise UsageError(f"the key {private_key} has a password: write it without one for this command.") from error
    except ValueError as error:
        raise UsageError(f"{private_key} is no private key in PEM. Make one with: {MAKE_KEY}") from error
    _check_curve(key, private_key)
    return bytes(key.sign(manifest, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))


def check_signature(manifest: bytes, signature: bytes | None, public_key: str | Path | None) -> None:
    """Raise unless a bundle is signed by this key, or is not signed and no key was given.

    Raises:
        BundleError: signed and no key given, a key given and not signed, or another signature.
        UsageError: no such file, or no public key on P-256.
        MissingExtraError: the package `cryptography` is not installed.
    """
    if public_key is None:
        if signature is not None:
            # An unchecked signature is worse than none: who reads "signed" would believe it.
            raise BundleError("it is signed: give the public key, so that the signature is checked")
        return
    if signature is None:
        raise BundleError("it is not signed, but a public key was given to check it with")
    serialization, ec, hashes = _cryptography()
    try:
        key = serialization.load_pem_public_key(_read(public_key))
    except ValueError as error:
        raise UsageError(
            f"{public_key} is no public key in PEM. Take it out of the private one with: openssl ec -in KEY -pubout"
        ) from error
    _check_curve(key, public_key)
    try:
        key.verify(signature, manifest, ec.ECDSA(hashes.SHA256()))
    except require("cryptography.exceptions", EXTRA).InvalidSignature:
        raise BundleError("its signature is not of this manifest by the public key given") from None


def _cryptography() -> tuple[Any, Any, Any]:
    base = "cryptography.hazmat.primitives"
    serialization, ec, hashes = (
        require(f"{base}.{name}", EXTRA) for name in ("serialization", "asymmetric.ec", "hashes")
    )
    return serialization, ec, hashes


def _check_curve(key: Any, path: str | Path) -> None:
    curve = getattr(getattr(key, "curve", None), "name", None)
    if curve != "secp256r1":
        raise UsageError(f"the key {path} must be an EC key on P-256. Make one with: {MAKE_KEY}")


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the key {path}: {error.strerror or error}.") from error
