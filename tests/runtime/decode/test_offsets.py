"""Code points as bytes and as UTF-16 units, against Python's own codecs."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgebert_runtime.decode.offsets import byte_offsets


@given(st.text(max_size=40))
def test_offsets_are_those_of_the_codecs(text: str) -> None:
    points = np.arange(len(text) + 1)
    in_bytes, in_utf16 = byte_offsets(text, points)
    assert in_bytes.tolist() == [len(text[:point].encode()) for point in points]
    assert in_utf16.tolist() == [len(text[:point].encode("utf-16-le")) // 2 for point in points]


def test_a_table_keeps_its_shape() -> None:
    in_bytes, in_utf16 = byte_offsets("é😀x", np.asarray([[0, 1], [1, 3]]))
    assert in_bytes.tolist() == [[0, 2], [2, 7]] and in_utf16.tolist() == [[0, 1], [1, 4]]
