"""Files of text, a row per line: cells between commas, semicolons, tabs, bars or blanks.

Arrow reads a block at a time, quickly, but locates errors poorly: a file that it refuses, or that
holds a cell which is no number, is read once more, row by row, to find the place.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import itertools
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.data.readers import base, column_files
from offset_autoencoder.data.readers.base import ColumnRoles, Columns, Table
from offset_autoencoder.data.readers.cells import (
    Cells,
    LevelCodes,
    refuse_obstacles,
    text_to_numbers,
)
from offset_autoencoder.data.readers.column_files import Convert, Group, read_groups, to_values
from offset_autoencoder.data.readers.role_values import WHOLE
from offset_autoencoder.errors import InputError, is_of_disk, short_repr
from offset_autoencoder.io.arrays import CHUNK_VALUES, TempArray
from offset_autoencoder.io.files import reading

_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
_FLOAT = r"^(-?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|(?i:nan|inf))$"
_BLOCK = 1 << 22  # bytes of text that Arrow reads at once, 30 times ahead: no row may be longer
# Numbers with a comma: in the place of a decimal point, or between thousands.
_DECIMAL = re.compile(r"[-+]?\d+(,\d+)?")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})*(\.\d+)?")
_WIDE = 4096  # columns from which Arrow takes longer to make the columns of a block than to read it
_PYTHONS_OWN = re.compile(r"[_\n]|[^\x00-\x7f]")  # in what float() takes for a number, not Arrow
_SEPARATORS = ",;\t|"
_LEAST_EVEN, _LEAST_SORTED = 3, 8  # numbers that are taken for names of columns


@dataclass(frozen=True)
class Format:
    """How a file of text is to be read.

    Attributes:
        separator: Between two cells; None: any number of blanks.
        names: Of the columns.
        header: Line (from 1) that names the columns; 0 where there is none.
        row_length: Characters of the longer one of the first two lines.
    """

    path: Path
    separator: str | None
    names: tuple[str, ...]
    header: int
    row_length: int

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Rows below the header, each with the line (from 1) at which it ends."""
        return itertools.islice(_lines(self.path, self.separator), int(self.header > 0), None)

    def line_of(self, row: int) -> int:
        """Line (from 1) at which a row (from 0, the header and empty lines not counted) ends."""
        for line, _ in itertools.islice(self.rows(), row, None):
            return line
        raise IndexError(row)


def read_csv_table(path: Path, roles: ColumnRoles) -> Table:
    """Read features, and labels, ids and splits where they are assigned, from a file of text.

    Features are float64. Labels and ids are text, and integers where every one is a whole number.
    Empty lines do not count. Without a header the columns are named 0, 1, ...; a first line that
    may be data is refused unless ``roles.header`` says what it is.

    Raises:
        InputError: where it is open whether there is a header, a column is missing, a row has too
            few or too many cells, or a feature's cell is empty or no number.
    """
    form = find_format(path, roles)
    features = base.choose_features(Columns(form.names), roles, str(path))
    x, columns, levels = _read(form, features, roles)
    values = {role: to_values(_to_numbers(role, texts)) for role, texts in columns.items()}
    return Table.from_roles(x, path, values, columns=features, line_of=form.line_of, levels=levels)


def _read_values(path: Path, roles: ColumnRoles) -> NDArray[Any]:
    form = find_format(path, roles)
    name = base.only_one(path, form.names, "column")
    columns = _read(form, (), ColumnRoles(label=name))[1]
    return to_values(_to_numbers("label", columns["label"]))


def _read(
    form: Format, features: tuple[str, ...], roles: ColumnRoles
) -> tuple[NDArray[Any], dict[str, Any], dict[str, tuple[str, ...]]]:
    """Features ``(n, D)``, the Arrow column of each other role, and levels of columns of text.

    All are read as numbers, but for what is known to be text. Where Arrow then meets what is no
    number, or nothing where something must be, all cells are counted, and either refused or read
    once more as text.
    """
    import pyarrow as pa

    def null_error(row: int, name: str, role: str) -> InputError:
        if not features:
            return InputError(f"{form.path}, line {form.line_of(row)}", "is empty")
        return InputError(_location(form, row, name), f"the {role} is empty", base.DROP_ROWS)

    def read(converters: Mapping[str, Convert]) -> tuple[NDArray[Any], dict[str, Any]]:
        blocks, dtype = _blocks(form, features, roles, converters), np.dtype(np.float64)
        blocks = _joined(blocks) if converters else blocks
        sources = dict.fromkeys(features)
        return read_groups(blocks, sources, roles, dtype, null_error, converters=converters)

    levels = {name: LevelCodes() for name in features if name in (roles.text or ())}
    if len(features) >= _WIDE and not levels and (wide := _read_rows(form, features, roles)):
        return *wide, {}
    try:
        try:
            x, columns = read(levels)
        except (pa.ArrowException, OSError, InputError):
            cells = [Cells(name) for name in features]
            for _, read_group in _joined(_blocks(form, features, roles, {*features})):
                for column, texts in zip(cells, read_group([]).columns, strict=False):
                    column.count_texts(texts)
            refuse_obstacles(
                cells,
                roles,
                lambda row, index: _location(form, row, features[index]),
                lambda row, mend: _mend(form, cells, roles.keys, row, mend),
            )
            is_text = {c.column: c.is_text for c in cells}
            levels = {
                name: LevelCodes()
                for name in features
                if (is_text[name] if roles.text is None else name in roles.text)
            }
            x, columns = read({name: levels.get(name, text_to_numbers) for name in features})
    except (pa.ArrowException, OSError) as error:
        if is_of_disk(error):
            raise
        raise _locate_error(form, error) from None
    return x, columns, {name: codes.levels for name, codes in levels.items()}


def _read_rows(
    form: Format, features: tuple[str, ...], roles: ColumnRoles
) -> tuple[NDArray[Any], dict[str, Any]] | None:
    """:func:`_read` row by row; None where a row has not a plain number or text for each column."""
    import pyarrow as pa

    place = {name: index for index, name in enumerate(form.names)}
    indices = None if features == form.names else [place[name] for name in features]
    x, rows = TempArray(), 0
    texts: dict[str, list[str]] = {role: [] for role in roles.named}
    places = [(texts[role], place[name]) for role, name in roles.named.items()]
    for _, cells in form.rows():
        if len(cells) != len(form.names):
            return None
        numbers = cells if indices is None else [cells[index] for index in indices]
        if _PYTHONS_OWN.search("".join(numbers)):
            return None
        try:
            x.write(np.fromiter(map(float, numbers), np.float64, len(numbers)))
        except ValueError:
            return None
        for column, index in places:
            if not cells[index]:
                return None
            column.append(cells[index])
        rows += 1
    columns = {role: pa.chunked_array([some], pa.string()) for role, some in texts.items()}
    return x.array(np.dtype(np.float64), (rows, len(features))), columns


def _location(form: Format, row: int, name: str) -> str:
    return f"{form.path}, row {row} (line {form.line_of(row)}), column {name!r}"


def _mend(form: Format, cells: Sequence[Cells], keys: base.RoleKeys, row: int, mend: str) -> str:
    """Mend of cells that are no numbers, the first of them in a row."""
    for pattern, option in ((_THOUSANDS, "thousands"), (_DECIMAL, "decimal")):
        if option == "thousands" and form.separator != ",":
            continue  # 1,234 is a fraction where cells are not between commas
        if any(cell.other and all(map(pattern.fullmatch, cell.levels)) for cell in cells):
            blanks = r"\s+"
            read = f"pandas.read_csv(path, sep={form.separator or blanks!r}, {option}=',')"
            return f"write numbers with a point: {read}.to_csv(path, index=False)"
    if not row and not form.header:
        return f"set {keys.header_is(True)} if that line names the columns; else {mend}"
    return mend


def _to_numbers(role: str, texts: Any) -> Any:
    """Arrow column of labels or ids as integers, or as floats where labels are measurements."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if role == "split" or not len(texts):
        return texts
    with contextlib.suppress(pa.ArrowInvalid):  # a tenth of the time that a pattern takes
        integers = texts.cast(pa.int64())
        low, high = pc.min_max(integers).as_py().values()
        if -(10**18) < low <= high < 10**18 and integers.cast(pa.string()).equals(texts):
            return integers
    if pc.all(pc.match_substring_regex(texts, f"^{WHOLE}$")).as_py():
        return pc.replace_substring_regex(texts, r"\.0*$", "").cast(pa.int64())
    if role == "label" and pc.all(pc.match_substring_regex(texts, _FLOAT)).as_py():
        numbers = texts.cast(pa.float64())
        if not pc.all(pc.equal(numbers, pc.floor(numbers))).as_py():
            return numbers
    return texts


def _blocks(
    form: Format, features: Sequence[str], roles: ColumnRoles, are_text: Collection[str]
) -> Iterator[Group]:
    """Groups of rows; features are read as numbers or, where they are said to be, as text."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    types = {name: pa.string() if name in are_text else pa.float64() for name in features}
    types |= dict.fromkeys(roles.named.values(), pa.string())
    compression = "gzip" if _is_gzipped(form.path) else None
    with pa.input_stream(form.path, compression=compression) as stream:
        if form.separator is None:
            stream = pa.TransformInputStream(stream, _join_blanks())
        reader = arrow.open_csv(
            stream,
            read_options=arrow.ReadOptions(
                block_size=max(_BLOCK, 4 * form.row_length),
                column_names=form.names,
                skip_rows=form.header,
            ),
            parse_options=arrow.ParseOptions(
                delimiter=form.separator or "\t", newlines_in_values=form.separator is not None
            ),
            convert_options=arrow.ConvertOptions(
                include_columns=list(types),
                column_types=types,
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        yield from map(column_files.whole_group, reader)


def _joined(blocks: Iterator[Group]) -> Iterator[Group]:
    """Blocks put together to larger groups: to convert a column costs a call per group."""
    import pyarrow as pa

    batches: list[Any] = []
    for _, read in itertools.chain(blocks, [(0, None)]):
        batches += [read([])] if read else []
        if batches and (not read or sum(b.nbytes for b in batches) >= 4 * CHUNK_VALUES):
            table = pa.Table.from_batches(batches).combine_chunks()
            yield column_files.whole_group(table)
            batches = []


def _join_blanks() -> Callable[[Any], bytes]:
    """Function that puts a tab for blanks between two cells, of a text block by block."""
    rest = b"\n"  # what ended the block before, from its last character that is no blank

    def transform(block: Any) -> bytes:
        nonlocal rest
        text = rest + bytes(block)
        whole = text.rstrip(b" \t")
        rest = whole[-1:] + text[len(whole) :]
        lines = re.sub(rb"[ \t]*([\r\n]+)[ \t]*", rb"\1", whole)
        return re.sub(rb"[ \t]+", b"\t", lines)[1:]

    return transform


def find_format(path: Path, roles: ColumnRoles) -> Format:
    """Separator and columns of a file, by its name and its first lines.

    Raises:
        InputError: where the file is empty, or its first line may be data.
    """
    separator = _separator(path)
    first, second = itertools.islice(
        itertools.chain(_lines(path, separator), [(0, []), (0, [])]), 2
    )
    line, header = first
    if not header:
        raise InputError(str(path), "is empty, expected a header and rows")
    length = max(len(cells) + sum(map(len, cells)) for cells in (header, second[1]))
    if roles.header is False:
        return Format(path, separator, tuple(map(str, range(len(header)))), 0, length)
    # NumPy's savetxt writes its header as a comment.
    header = [re.sub(r"^#\s+", "", header[0]), *header[1:]]
    if separator is None and header[0].startswith("#"):
        header = [name for name in (header[0][1:], *header[1:]) if name]
    named = {*(roles.features or ()), *roles.named.values()}
    if roles.header is None and not named.intersection(header) and _is_data(header, second[1]):
        what = f"looks like data ({short_repr(header[0])}, ...), expected a header"
        hint = f"set {roles.keys.header_is(False)} where there is none, the columns are then 0, 1, "
        hint += f"...; or {roles.keys.header_is(True)} where these are names"
        raise InputError(f"{path}, line 1", what, hint)
    return Format(path, separator, tuple(header), line, length)


def _is_data(header: Sequence[str], row: Sequence[str]) -> bool:
    """Whether half of a first line or more are numbers that count or measure nothing.

    Names of columns may be numbers, too: 0, 1, ... or wavelengths, which the row below is not like.
    """
    numbers = [float(name) for name in header if _NUMBER.fullmatch(name)]
    if 2 * len(numbers) < len(header) or not numbers:
        return False
    if numbers in [[float(i + start) for i in range(len(numbers))] for start in (0, 1)]:
        return False
    below = [float(cell) for cell in row if _NUMBER.fullmatch(cell)]
    return not _is_axis(numbers) or _is_axis(below)


def _is_axis(numbers: Sequence[float]) -> bool:
    steps = np.diff(numbers)
    if not len(steps) or not (np.all(steps > 0) or np.all(steps < 0)):
        return False
    is_even = np.ptp(steps) <= 0.01 * np.abs(steps).max()
    return len(numbers) >= (_LEAST_EVEN if is_even else _LEAST_SORTED)


def _separator(path: Path) -> str | None:
    name = path.name.lower().removesuffix(".gz")
    if name.endswith((".tsv", ".tab")):
        return "\t"
    _, (text,) = next(_lines(path, ""), (0, [""]))
    found = [sign for sign in _SEPARATORS if sign in re.sub('"[^"]*"', "", text)]
    if found or name.endswith(".csv"):
        return found[0] if found else ","
    return None if re.search(r"\S\s+\S", text.removeprefix("#").strip()) else ","


def _lines(path: Path, separator: str | None) -> Iterator[tuple[int, list[str]]]:
    """Cells of each line that is not empty, with its number (from 1).

    ``separator`` is that of :class:`Format`; of "" a line is one cell.
    """
    line = 0
    with reading(path, "is a damaged or truncated gzip"), _open(path) as stream:
        try:
            if not separator:
                for line, text in enumerate(stream, start=1):
                    if text.strip():
                        yield line, text.split() if separator is None else [text.strip("\r\n")]
                return
            reader = csv.reader(stream, delimiter=separator)
            for cells in reader:
                line = reader.line_num
                if cells:
                    yield line, cells
        except UnicodeDecodeError as error:
            what = f"is not UTF-8 text: {error}"
            raise InputError(str(path), what, "save it as UTF-8") from None
        except csv.Error as error:
            raise InputError(f"{path}, line {line}", f"is not csv: {error}") from None


def _is_gzipped(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _open(path: Path) -> TextIO:
    if _is_gzipped(path):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _locate_error(form: Format, reason: Exception) -> InputError:
    """Error of the first row that has not one cell per column."""
    for line, cells in form.rows():
        if len(cells) != len(form.names):
            what = f"has {len(cells)} cells, the {'header' if form.header else 'first line'} "
            what += f"has {len(form.names)}"
            hint = "the file may be truncated, or a cell with a comma lacks its quotes"
            return InputError(f"{form.path}, line {line}", what, hint)
    return InputError(str(form.path), f"is not csv: {reason}")


CSV = base.Reader(
    name="csv",
    file_names=".csv, .tsv, .txt (.gz)",
    pattern=re.compile(r"\.(csv|tsv|tab|txt|dat|data|asc)(\.gz)?$"),
    layout="columns",
    read=read_csv_table,
    values=_read_values,
    columns=lambda path, roles: Columns(find_format(path, roles).names),
)
