"""Places in a text in three units: code points (Python), bytes of UTF-8, and UTF-16 units (Java, JavaScript)."""

from __future__ import annotations

import numpy as np


def byte_offsets(text: str, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets in code points of `text`, int64 of any shape, as offsets in bytes and in UTF-16 units."""
    if text.isascii():
        return points, points
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    wide = codes > 0xFFFF
    size = 1 + (codes > 0x7F) + (codes > 0x7FF) + wide
    before = np.zeros((2, len(codes) + 1), np.int64)
    np.cumsum(size, out=before[0, 1:])
    np.cumsum(1 + wide, out=before[1, 1:])
    return before[0][points], before[1][points]
