"""Reading datasets: labelled rows, their splits, and unlabelled text as a stream (without torch)."""

from edgebert.data.columns import Columns
from edgebert.data.readers import Row, Text, read_rows
from edgebert.data.splits import Splits, load_evaluation, load_splits
from edgebert.data.unlabelled import stream_texts

__all__ = ["Columns", "Row", "Splits", "Text", "load_evaluation", "load_splits", "read_rows", "stream_texts"]
