"""Reading datasets: rows with what is right, their splits, and unlabelled text as a stream (without torch)."""

from edgebert.data.columns import Columns
from edgebert.data.hub import RowTask
from edgebert.data.readers import Answers, Gold, Reader, Row, Text, Words, read_rows, text_reader
from edgebert.data.splits import Splits, first_records, hold_out, load_evaluation, load_splits
from edgebert.data.unlabelled import stream_texts

__all__ = [
    "Answers",
    "Columns",
    "Gold",
    "Reader",
    "Row",
    "RowTask",
    "Splits",
    "Text",
    "Words",
    "first_records",
    "hold_out",
    "load_evaluation",
    "load_splits",
    "read_rows",
    "stream_texts",
    "text_reader",
]
