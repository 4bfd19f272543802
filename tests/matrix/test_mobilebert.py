"""The cells of MobileBERT, whose three presets are one network in three sizes."""

from __future__ import annotations

from matrix_tests import (  # noqa: F401
    test_cell,
    test_swapped_columns_are_found,
    test_the_list_holds_what_was_proved,
)

STUDENT = "mobilebert-mini"
