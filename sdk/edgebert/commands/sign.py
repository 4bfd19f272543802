"""`edgebert sign`: a bundle that shows who made it."""

from __future__ import annotations

from pathlib import Path


def sign(bundle: str | Path, *, key: str | Path, out: str | Path | None = None) -> Path:
    """Sign a bundle. The last step before it is shipped: a signed one opens only with the public key.

    Args:
        key: private key on P-256, in PEM.
        out: the signed bundle; None replaces `bundle`.
    Returns:
        the signed bundle's path.
    Raises:
        BundleError: it is damaged, or signed already.
        UsageError: the key cannot be used.
        EdgeBertError: the file cannot be written; what stood there is untouched.
    """
    from edgebert_runtime.archive import FIRST, Archive, write_archive
    from edgebert_runtime.bundle import SIGNATURE, open_bundle
    from edgebert_runtime.errors import BundleError
    from edgebert_runtime.signing import sign as sign_manifest

    target = Path(bundle if out is None else out)
    with Archive(bundle) as archive:
        if SIGNATURE in archive.entries:
            raise BundleError(f"{bundle}: it is signed already. Sign the one that `export` wrote.")
    with open_bundle(bundle) as opened:
        entries: dict[str, bytes | Path] = {name: opened.read(name) for name in opened.names}
    manifest = entries[FIRST]
    assert isinstance(manifest, bytes)
    write_archive(target, entries | {SIGNATURE: sign_manifest(manifest, key)})
    return target
