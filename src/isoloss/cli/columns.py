"""Read columns from Parquet, CSV, Arrow and npz files in batches."""

from __future__ import annotations

import os
import re
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import csv, ipc, parquet

from .errors import InputError, close_to

BATCH = 1 << 16  # rows: a batch of ten columns is 5 MB
BUFFER = 1 << 20  # bytes of a column read at a time
KINDS = (
    ".parquet, .csv, .tsv, .arrow, .feather, .arrows and .npz; .csv.gz, .csv.bz2 and .csv.zst too"
)
HEADER = 10_000  # largest npy header that NumPy reads, in bytes
LETTERS = 1 << 14  # length of the longest label in an npz archive
Shown = Callable[[float], None]


class Column(NamedTuple):
    """Values of some rows of a column, a mask of nulls, and the labels of integer codes."""

    values: np.ndarray
    nulls: np.ndarray | None = None
    labels: Sequence[Any] = ()


Columns = dict[str | None, Column]  # number columns by name, the group column by None


class Table(ABC):
    """A file of columns; reading reports progress as a ``share`` from 0 to 1."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: list[str] = []

    @abstractmethod
    def open(self) -> None:
        """Read the names of the columns."""

    @abstractmethod
    def _batches(
        self, numbers: Sequence[str], group: str | None, rows: int, shown: Shown
    ) -> Iterator[Columns]:
        """Yield the rows of a file, assuming that it is valid."""

    def batches(
        self, numbers: Sequence[str], group: str | None, rows: int, shown: Shown
    ) -> Iterator[Columns]:
        """Yield batches of number columns and of one label column."""
        try:
            yield from self._batches(numbers, group, rows, shown)
        except InputError:
            raise
        except Exception as error:  # damaged files raise errors of any type
            raise self.unreadable(error) from error

    def unreadable(self, error: Exception) -> InputError:
        if isinstance(error, UnicodeEncodeError):  # Arrow requires paths in UTF-8
            message = f"{self.path} cannot be read: its path is not UTF-8"
            return InputError(f"{message}; rename the file")
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        return InputError(f"{self.path} cannot be read: {reason}")

    def check(self, wanted: Sequence[str]) -> None:
        """Raise an error for names of missing columns."""
        names = self.names
        for name in wanted:
            if name not in names:
                there = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
                raise InputError(
                    f"{self.path} has no column {name!r}: it has {there}{close_to(name, names)}"
                )
            if names.count(name) > 1:
                raise InputError(
                    f"{self.path} has {names.count(name)} columns {name!r}: rename them"
                )


def _check_file(path: Path) -> None:
    """Raise an error if the path is not a file, or the file is empty."""
    try:
        size = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        near = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        raise InputError(f"there is no file {path}{close_to(path.name, near)}") from None
    if path.is_dir():
        raise InputError(f"{path} is a folder: name one file in it")
    if size == 0:
        raise InputError(f"{path} is empty")


def opened(path: Path) -> Table:
    """Return the table of a file, selected by the file extension."""
    try:
        _check_file(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in (".gz", ".bz2", ".zst"):
        suffixes = [suffix for suffix in suffixes[-2:-1] if suffix in (".csv", ".tsv")]
    readers: dict[str, type[Table]] = {
        ".parquet": _Parquet, ".pq": _Parquet, ".csv": _Csv, ".tsv": _Csv, ".arrow": _Arrow,
        ".arrows": _Arrow, ".feather": _Arrow, ".ipc": _Arrow, ".npz": _Npz,
    }  # fmt: skip
    reader = readers.get(suffixes[-1] if suffixes else "")
    if reader is None:
        raise InputError(f"{path}: the format is not known by its name; there are {KINDS}")
    table = reader(path)
    try:
        table.open()
    except InputError:
        raise
    except Exception as error:  # damaged files raise errors of any type
        raise table.unreadable(error) from error
    return table


# --- Arrow files ----------------------------------------------------------------------------------


class _Parquet(Table):
    def open(self) -> None:
        with parquet.ParquetFile(self.path) as file:
            self.names, self._rows = list(file.schema_arrow.names), file.metadata.num_rows

    def _batches(
        self, numbers: Sequence[str], group: str | None, rows: int, shown: Shown
    ) -> Iterator[Columns]:
        done = 0
        # pre-buffering, the default, would hold the whole file in memory
        with parquet.ParquetFile(self.path, pre_buffer=False, buffer_size=BUFFER) as file:
            for batch in file.iter_batches(rows, columns=_once(numbers, group)):
                yield _of_arrow(self.path, batch, numbers, group)
                done += batch.num_rows
                shown(done / max(self._rows, 1))


class _Csv(Table):
    def open(self) -> None:
        with pa.OSFile(os.fspath(self.path)) as raw, self._reader(raw) as reader:
            self.names = list(reader.schema.names)

    def _reader(self, raw: Any, numbers: Sequence[str] = (), group: str | None = None) -> Any:
        compression = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}.get(self.path.suffix.lower())
        stream = pa.CompressedInputStream(raw, compression) if compression else raw
        tabs = ".tsv" in (suffix.lower() for suffix in self.path.suffixes[-2:])
        types = {name: pa.string() for name in [group] if name}
        types |= dict.fromkeys(numbers, pa.float64())
        return csv.open_csv(
            stream,
            # without threads, errors name the row; reading is as fast, batch by batch
            read_options=csv.ReadOptions(use_threads=False),
            parse_options=csv.ParseOptions(delimiter="\t" if tabs else ","),
            convert_options=csv.ConvertOptions(
                column_types=types, include_columns=list(types), strings_can_be_null=True
            ),
        )

    def _batches(
        self, numbers: Sequence[str], group: str | None, rows: int, shown: Shown
    ) -> Iterator[Columns]:
        size = self.path.stat().st_size
        with pa.OSFile(os.fspath(self.path)) as raw, self._reader(raw, numbers, group) as reader:
            for batch in _joined(reader, rows):
                yield _of_arrow(self.path, batch, numbers, group)
                shown(raw.tell() / size)

    def unreadable(self, error: Exception) -> InputError:
        pattern = r"column #(\d+): Row #(\d+): .*invalid value '(.*)'"
        found = re.search(pattern, str(error), re.DOTALL)
        if found is None:
            return super().unreadable(error)
        name = self.names[int(found[1])]
        return InputError(
            f"{self.path}: column {name!r} holds {found[3]!r} in row {found[2]} (the header is row "
            "1), which is no number: name another column, or mend the file"
        )


class _Arrow(Table):
    """An Arrow file (also Feather version 2) or an Arrow stream."""

    def _reader(self) -> Any:
        source = pa.memory_map(os.fspath(self.path))
        if source.read(6) == b"ARROW1":
            return ipc.open_file(source)
        source.seek(0)
        return ipc.open_stream(source)

    def open(self) -> None:
        self.names = list(self._reader().schema.names)

    def _batches(
        self, numbers: Sequence[str], group: str | None, rows: int, shown: Shown
    ) -> Iterator[Columns]:
        reader = self._reader()
        count = getattr(reader, "num_record_batches", None)
        every = map(reader.get_batch, range(count)) if count is not None else reader
        for number, whole in enumerate(every):
            chosen = whole.select(_once(numbers, group))
            for start in range(0, chosen.num_rows, rows):
                yield _of_arrow(self.path, chosen.slice(start, rows), numbers, group)
            shown((number + 1) / count if count else 0.0)


def _joined(batches: Iterator[Any], rows: int) -> Iterator[Any]:
    """Yield batches of a given number of rows from batches of any length."""
    kept: list[Any] = []
    for batch in batches:
        kept.append(batch)
        if sum(one.num_rows for one in kept) < rows:
            continue
        table = pa.Table.from_batches(kept).combine_chunks()
        whole = table.num_rows - table.num_rows % rows
        for start in range(0, whole, rows):
            yield from table.slice(start, rows).to_batches()
        kept = table.slice(whole).to_batches()
    if any(one.num_rows for one in kept):
        yield from pa.Table.from_batches(kept).combine_chunks().to_batches()


def _once(numbers: Sequence[str], group: str | None) -> list[str]:
    """Return the names of the columns to read, without duplicates."""
    return list(dict.fromkeys([*numbers, *([group] if group else [])]))


def _of_arrow(path: Path, batch: Any, numbers: Sequence[str], group: str | None) -> Columns:
    """Return columns as NumPy arrays."""
    found: Columns = {}
    for name in numbers:
        column = _validated(path, batch, name)
        kind = column.type
        if pa.types.is_decimal(kind):
            column = column.cast(pa.float64())
        elif pa.types.is_boolean(kind):
            column = column.cast(pa.int8())
        elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise not_numbers(path, name, kind)
        found[name] = Column(column.to_numpy(zero_copy_only=False), _nulls(column))
    if group is not None:
        column = _validated(path, batch, group)
        if pa.types.is_nested(column.type):
            message = f"{path}: column {group!r} is of type {column.type}; groups need a column of"
            raise InputError(f"{message} text, numbers or dates")
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        codes = column.indices.fill_null(0).to_numpy(zero_copy_only=False)
        found[None] = Column(codes, _nulls(column), _labels(column.dictionary.to_pylist()))
    return found


def _validated(path: Path, batch: Any, name: str) -> Any:
    """Return a column after checking that its offsets and codes are in bounds.

    Arrow trusts the offsets in a file, and invalid ones would read memory out of bounds.
    """
    column = batch.column(name)
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        reason = str(error).removeprefix("Invalid: ")
        raise InputError(
            f"{path}: column {name!r} is damaged ({reason}): copy the file again, or write it again"
        ) from error
    return column


def _labels(values: list[Any]) -> list[Any]:
    """Return labels; floats with integer values become integers."""
    return [int(x) if isinstance(x, float) and x.is_integer() else x for x in values]


def _nulls(column: Any) -> np.ndarray | None:
    if not column.null_count:
        return None
    found: np.ndarray = column.is_null().to_numpy(zero_copy_only=False)
    return found


def not_numbers(path: Path, name: str, kind: object) -> InputError:
    """Return the error for a column that does not hold numbers."""
    return InputError(f"{path}: column {name!r} is of type {kind}, not of numbers; name another")


# --- NumPy archives -------------------------------------------------------------------------------


class _Npz(Table):
    """One-dimensional arrays in an npz archive, read in pieces since archives cannot be mapped."""

    def open(self) -> None:
        with zipfile.ZipFile(self.path) as archive:
            members = archive.namelist()
        self.names = [name.removesuffix(".npy") for name in members if name.endswith(".npy")]

    def _batches(
        self, numbers: Sequence[str], group: str | None, rows: int, shown: Shown
    ) -> Iterator[Columns]:
        with zipfile.ZipFile(self.path) as archive, ExitStack() as files:
            wanted: dict[str | None, tuple[str, bool]] = {name: (name, False) for name in numbers}
            if group is not None:
                wanted[None] = (group, True)
            members = {
                key: _Member(
                    self.path, name, files.enter_context(archive.open(f"{name}.npy")), text
                )
                for key, (name, text) in wanted.items()
            }
            lengths = {member.name: member.length for member in members.values()}
            if len(set(lengths.values())) > 1:
                text = ", ".join(f"{name}: {length}" for name, length in lengths.items())
                raise InputError(f"{self.path}: arrays of one length are compared, not of {text}")
            length = next(iter(lengths.values()))
            for start in range(0, length, rows):
                count = min(rows, length - start)
                yield {key: member.read(count) for key, member in members.items()}
                shown((start + count) / length)


def _header(path: Path, name: str, version: tuple[int, int], file: Any) -> BytesIO:
    """Return the header of an array, with its length, after checking the length.

    NumPy reads as many bytes as the file claims; a small archive may claim gigabytes.
    """
    count = file.read(2 if version == (1, 0) else 4)
    length = int.from_bytes(count, "little")
    if length > HEADER:
        message = f"{path}: {name!r} is damaged, with a header of {length:,} bytes"
        raise InputError(f"{message}: copy the file again, or write it again")
    return BytesIO(count + file.read(length))


class _Member:
    """An array in an archive, with its header already read."""

    def __init__(self, path: Path, name: str, file: Any, labels: bool) -> None:
        self.name, self._file, self._labels = name, file, labels
        headers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        version = np.lib.format.read_magic(self._file)
        if version not in headers:
            raise InputError(f"{path}: {name!r} is of version {version} of npy, which has fields")
        shape, _, self._dtype = headers[version](_header(path, name, version, self._file))
        if self._dtype.hasobject:
            message = f"{path}: {name!r} holds objects of Python, which are not unpickled"
            raise InputError(f"{message}; save it as numbers or text, e.g. {name}.astype(float)")
        if self._dtype.kind not in ("biufUS" if labels else "biuf"):
            raise not_numbers(path, name, self._dtype)
        if self._dtype.kind in "US" and self._dtype.itemsize > 4 * LETTERS:
            message = f"{path}: {name!r} has labels of {self._dtype.itemsize:,} bytes each"
            raise InputError(f"{message}; labels have at most {LETTERS:,} letters")
        if len(shape) != 1:
            raise InputError(
                f"{path}: {name!r} has shape {shape}: columns have one axis; save "
                f"{name}[:, 0], say, under a name of its own"
            )
        self.length = int(shape[0])

    def read(self, count: int) -> Column:
        """Return the next values or labels."""
        size = count * self._dtype.itemsize
        data = self._file.read(size)
        if len(data) < size:
            raise ValueError(f"{self._file.name} ends before its last number")
        array = np.frombuffer(data, self._dtype)
        if self._labels:
            labels, codes = np.unique(array, return_inverse=True)
            return Column(codes, None, _labels(labels.tolist()))
        return Column(array.astype(self._dtype.newbyteorder("="), copy=False))
