"""`edgebert predict`: ask a bundle. Texts are read and answered in batches, so a file may be of any size."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebert_runtime.errors import DataError, EdgeBertError, UsageError

if TYPE_CHECKING:
    from edgebert_runtime.features import Text
    from edgebert_runtime.model import EdgeModel

BATCH = 32


def predict(
    bundle: str | Path,
    text: Text | Sequence[Text] = (),
    *,
    file: str | Path | None = None,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    threshold: float | None = None,
    public_key: str | Path | None = None,
) -> list[Any]:
    """Answer texts with a bundle; the answers are those of its task, such as `Prediction`.

    Args:
        text: one text, a pair as a tuple, or a list of either.
        file: a file of texts instead: one a line (a pair with a tab between), or any data file.
        threshold: answers of a lower probability are not sure ones.
        public_key: of a signed bundle, in PEM.
    Raises:
        UsageError: neither or both of `text` and `file` are given.
        BundleError, DataError: the bundle or the texts cannot be used.
    """
    from edgebert_runtime.model import EdgeModel

    texts: list[Text] = [text] if isinstance(text, str) or _is_pair(text) else list(text)  # type: ignore[list-item]
    if bool(texts) == (file is not None):
        raise UsageError("say what to predict: give texts, or a file of them, and not both.")
    with EdgeModel.load(bundle, public_key=public_key) as model:
        source = texts if file is None else read_file(file, takes_pairs(model), text_column, text_pair_column)
        return [answer for _, answer in answers(model, source, threshold=threshold)]


def answers(
    model: EdgeModel, texts: Iterable[Text], batch_size: int = BATCH, threshold: float | None = None
) -> Iterator[tuple[Text, Any]]:
    """Yield each text with its answer, in order, with `batch_size` texts in memory at a time.

    The model sees one text at a time, as on a device: what a text is answered never depends on its neighbours.
    Where a text cannot be read, those before it are answered and then the error is raised.
    """
    from edgebert_runtime.decode import get_decoder

    check = get_decoder(model.manifest.task).check_text
    remaining = enumerate(texts, start=1)
    while True:
        batch: list[Text] = []
        failure: EdgeBertError | None = None
        try:
            for number, text in itertools.islice(remaining, batch_size):
                if check is not None:
                    check(text, number)
                batch.append(text)
        except EdgeBertError as error:
            failure = error
        yield from zip(batch, model.predict(batch, batch_size=1, threshold=threshold), strict=True)
        if failure is not None:
            raise failure
        if not batch:
            return


def takes_pairs(model: EdgeModel) -> bool:
    """Whether this model wants two texts at a time."""
    return bool(model.manifest.featurizer.get("pair"))


def read_file(
    path: str | Path, pair: bool, text_column: str | None = None, text_pair_column: str | None = None
) -> Iterator[Text]:
    """The texts of a file: each line of a .txt file or of one without a suffix, else the rows of a data file.

    A blank line is an empty text, so that answers and lines stay side by side.

    Raises:
        DataError: naming the line.
    """
    from edgebert.data.columns import Columns
    from edgebert.data.formats import stem_and_format, text_lines
    from edgebert.data.readers import read_rows, text_reader

    path = Path(path)
    plain = stem_and_format(path)[1] == ".txt" or not Path(path.name.removesuffix(".gz")).suffix
    if plain and not path.is_dir():
        if text_column is not None or text_pair_column is not None:
            raise UsageError(f"{path} has lines and no columns: leave out --text-column and --text-pair-column.")
        for number, line in text_lines(path):
            yield to_text(line, pair, f"{path}:{number}")
        return
    columns = Columns(text=text_column, text_pair=text_pair_column)
    for row in read_rows(path, lambda where, found: text_reader(where, found, columns, labelled=False), labelled=False):
        if isinstance(row.text, tuple) != pair:
            wanted = "pairs of texts, and this file has one" if pair else "one text, and this file has pairs"
            raise DataError(f"{row.source}: the model takes {wanted}. Name the columns, or use another file.")
        yield row.text


def read_stream(lines: Iterable[bytes], pair: bool, name: str = "stdin") -> Iterator[Text]:
    """One text a line of UTF-8 bytes; `name` stands for the stream in messages.

    Raises:
        DataError: naming the line.
    """
    for number, raw in enumerate(lines, start=1):
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{name}:{number}: invalid UTF-8: byte 0x{raw[error.start]:02x} at byte {error.start} of the line. "
                "Send UTF-8."
            ) from error
        line = line.removeprefix("\ufeff") if number == 1 else line
        yield to_text(line.rstrip("\r\n"), pair, f"{name}:{number}")


def to_text(line: str, pair: bool, where: str) -> Text:
    """A line as the model takes it: itself, or the pair on both sides of its tab.

    Raises:
        DataError: a pair is wanted and there is not exactly one tab.
    """
    if not pair:
        return line
    first, tab, second = line.partition("\t")
    if not tab or "\t" in second:
        count = line.count("\t")
        raise DataError(f"{where}: this model takes two texts with one tab between them, and there are {count} tabs.")
    return first, second


def _is_pair(text: object) -> bool:
    return isinstance(text, tuple) and len(text) == 2 and all(isinstance(half, str) for half in text)
