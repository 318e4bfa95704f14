"""Tables that people upload: CSV in UTF-8, or the first sheet of an Excel workbook, as rows by column name."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from werkzeug.datastructures import FileStorage

from later import later
from models.errors import Invalid

if TYPE_CHECKING:
    import openpyxl
    from openpyxl.utils import exceptions
else:
    openpyxl = later("openpyxl")
    exceptions = later("openpyxl.utils.exceptions")

MOST_ROWS = 20_000
MOST_BYTES = 10 * 1024 * 1024
MOST_UNPACKED = 200 * 1024 * 1024  # a workbook is a zip: what it unpacks to is limited too
COLUMNS = ("client", "contact", "email", "external_id")

Row = tuple[int, dict[str, str]]


def read_table(file: FileStorage, needed: Sequence[str]) -> list[Row]:
    """(line number in the file, cells by column) of each row that isn't empty. Raises Invalid (`file`)."""
    data = file.stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise _wrong("The file is larger than 10 MB. Split it.")
    cells = _of_workbook(data) if data.startswith(b"PK\x03\x04") else _of_csv(data)
    rows = iter(cells)
    heading = [name.strip().lower().replace(" ", "_") for name in next(rows, [])]
    if not set(needed) <= set(heading):
        raise _wrong(
            f"The first line must name the columns {', '.join(COLUMNS)} (the last one may be missing)."
        )
    found: list[Row] = []
    for number, row in enumerate(rows, start=2):
        values = {name: cell.strip() for name, cell in zip(heading, row, strict=False) if name in COLUMNS}
        if any(values.values()):
            found.append((number, values))
        if len(found) > MOST_ROWS:
            raise _wrong(f"The file has more than {MOST_ROWS:,} lines. Split it.")
    if not found:
        raise _wrong("There is no line below the heading.")
    return found


def _of_csv(data: bytes) -> Iterator[list[str]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _wrong(
            "The file is neither an Excel workbook nor text in UTF-8. Save it as CSV UTF-8."
        ) from error
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    except csv.Error as error:
        raise _wrong(f"The file can't be read as CSV: {error}.") from error


def _of_workbook(data: bytes) -> Iterator[list[str]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            if sum(part.file_size for part in packed.infolist()) > MOST_UNPACKED:
                raise _wrong("This workbook is too large. Split it, or save it as CSV.")
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        try:
            yield from _texts(book.worksheets[0].iter_rows(values_only=True))
        finally:
            book.close()
    except (
        zipfile.BadZipFile,
        exceptions.InvalidFileException,
        KeyError,
        IndexError,
        ValueError,
        OSError,
    ) as error:
        raise _wrong("This workbook can't be read. Save it again as .xlsx, or as CSV.") from error


def _texts(rows: Iterable[Sequence[Any]]) -> Iterator[list[str]]:
    for row in rows:
        yield [_text(cell) for cell in row]


def _text(cell: Any) -> str:
    """A number without a decimal point that isn't there: an external id of 17 is 17, not 17.0."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def _wrong(sentence: str) -> Invalid:
    return Invalid({"file": [sentence]})
