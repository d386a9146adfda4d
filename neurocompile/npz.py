"""NumPy archives: read without trust, written the same bytes for the same arrays.

``numpy.load`` allocates what a header declares before it looks at the data. Here the declared
size of every array is compared with the archive's own directory and with a limit first, objects
are never unpickled, and whatever is wrong becomes an :class:`NpzError` with a plain message.
"""

from __future__ import annotations

import ast
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from neurocompile.ir.base import Array, Shape, n_elements

MAX_MEMBERS = 65536
MAX_HEADER_BYTES = 65536
_EPOCH = (1980, 1, 1, 0, 0, 0)
_CHUNK = 1 << 20
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError,
           RuntimeError, struct.error, OverflowError, MemoryError)
"""What zipfile and zlib raise on damaged or hostile archives."""


class NpzError(Exception):
    """``subject`` is the array at fault ('' for the whole file), ``kind`` one of unreadable,
    malformed, dtype, size, limit."""

    def __init__(self, kind: str, message: str, *, subject: str = "", got: object = "",
                 limit: object = ""):
        super().__init__(message)
        self.kind, self.message, self.subject = kind, message, subject
        self.got, self.limit = str(got), str(limit)


@dataclass(frozen=True)
class Header:
    """What an array claims to be. ``data_at`` is where its bytes begin in the member."""

    shape: Shape
    dtype: np.dtype[Any]
    fortran: bool
    data_at: int

    @property
    def n_bytes(self) -> int:
        return n_elements(self.shape) * self.dtype.itemsize


class NpzReader:
    """An open archive: ``headers`` by array name, :meth:`read` for the values.

    Use as a context manager. ``source`` is a path or a seekable binary file. Raises
    :class:`NpzError`; no array is read before it is asked for. The headers of structured or
    object arrays are refused when they are read, not when the archive is opened.
    """

    def __init__(self, source: Path | IO[bytes]):
        try:
            self._zip = zipfile.ZipFile(source)
        except _BROKEN as error:
            raise NpzError("unreadable", "is not a readable .npz archive",
                           got=_reason(error)) from error
        try:
            self._members = _members(self._zip)
        except NpzError:
            self._zip.close()
            raise

    def __enter__(self) -> NpzReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    @property
    def names(self) -> list[str]:
        return list(self._members)

    def header(self, name: str) -> Header:
        """The checked header of an array: a plain dtype, and as many bytes as it declares."""
        info = self._members[name]
        try:
            with self._zip.open(info) as file:
                header = _parse_header(file, name)
        except _BROKEN as error:
            raise NpzError("malformed", "the array cannot be read", subject=name,
                           got=_reason(error)) from error
        if header.data_at + header.n_bytes != info.file_size:
            raise NpzError("size", "the array declares another size than it has", subject=name,
                           got=f"{info.file_size - header.data_at} bytes",
                           limit=f"{header.n_bytes} bytes for {header.dtype} {header.shape}")
        return header

    def read(self, names: Iterable[str], limit_bytes: int) -> dict[str, Array]:
        """The named arrays, in native byte order. All headers are checked, and their total
        compared with ``limit_bytes``, before the first is read."""
        headers = {name: self.header(name) for name in names}
        total = sum(header.n_bytes for header in headers.values())
        if total > limit_bytes:
            raise NpzError("limit", "the arrays are larger than the limit", got=f"{total} bytes",
                           limit=f"{limit_bytes} bytes")
        return {name: self._values(name, header) for name, header in headers.items()}

    def _values(self, name: str, header: Header) -> Array:
        try:
            raw = np.empty(header.n_bytes, np.uint8)
            with self._zip.open(self._members[name]) as file:
                file.read(header.data_at)
                at = 0
                while chunk := file.read(_CHUNK):
                    raw[at:at + len(chunk)] = np.frombuffer(chunk, np.uint8)
                    at += len(chunk)
        except _BROKEN as error:
            raise NpzError("malformed", "the array is damaged", subject=name,
                           got=_reason(error)) from error
        if at != header.n_bytes:
            raise NpzError("size", "the array is shorter than it declares", subject=name,
                           got=f"{at} bytes", limit=f"{header.n_bytes} bytes")
        if header.dtype.kind == "b" and raw.size and raw.max() > 1:
            raise NpzError("malformed", "the array holds bytes that are no booleans", subject=name)
        order: Literal["C", "F"] = "F" if header.fortran else "C"
        try:
            array = raw.view(header.dtype).reshape(header.shape, order=order)
        except ValueError as error:  # an empty array whose other axes overflow
            raise NpzError("size", "the array's shape is too large", subject=name,
                           got=header.shape) from error
        return array.astype(header.dtype.newbyteorder("="), copy=False)


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        raise NpzError("limit", "the archive has too many members", got=len(infos),
                       limit=MAX_MEMBERS)
    for info in infos:
        if not info.filename.endswith(".npy"):
            continue
        name = info.filename[:-4]
        if name in found:
            raise NpzError("malformed", "the archive holds the array twice", subject=name)
        if info.flag_bits & 1:
            raise NpzError("malformed", "the array is encrypted", subject=name)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise NpzError("malformed", "the array is compressed in an unusual way", subject=name,
                           got=f"method {info.compress_type}", limit="stored or deflated")
        found[name] = info
    return found


def _parse_header(file: IO[bytes], name: str) -> Header:
    start = file.read(8)
    if len(start) != 8 or start[:6] != b"\x93NUMPY" or start[6] not in (1, 2, 3):
        raise NpzError("malformed", "the member is not a NumPy array", subject=name)
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(file.read(width), "little")
    if length > MAX_HEADER_BYTES:
        raise NpzError("malformed", "the array's header is too long", subject=name,
                       got=f"{length} bytes", limit=f"{MAX_HEADER_BYTES} bytes")
    text = file.read(length).decode("utf-8" if start[6] == 3 else "latin-1")
    try:
        fields = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise NpzError("malformed", "the array's header is not readable", subject=name) from error
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise NpzError("malformed", "the array's header lacks its fields", subject=name)
    shape = fields["shape"]
    if not isinstance(shape, tuple) or len(shape) > 32 or not all(
            type(extent) is int and extent >= 0 for extent in shape):
        raise NpzError("malformed", "the array's shape is no shape", subject=name,
                       got=repr(shape)[:60])
    return Header(shape, _plain_dtype(fields["descr"], name), bool(fields["fortran_order"]),
                  8 + width + length)


def _plain_dtype(descr: object, name: str) -> np.dtype[Any]:
    try:
        dtype = np.dtype(descr) if isinstance(descr, str) else None
    except (TypeError, ValueError, SyntaxError):
        dtype = None
    # Numbers only: no objects, texts, dates or records; long doubles differ between machines.
    if dtype is None or dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise NpzError("dtype", "the array does not hold plain numbers", subject=name,
                       got=repr(descr)[:60], limit="bool, integers or floats up to 64 bits")
    return dtype


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [""])[0][:120] or type(error).__name__


def write_npz(file: IO[bytes], arrays: Mapping[str, Array]) -> None:
    """Write an uncompressed ``.npz``: members sorted by name, little-endian, C order, and no
    times, so that equal arrays give equal bytes."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name in sorted(arrays):
            array = arrays[name]
            # ascontiguousarray makes 0-d arrays 1-d, hence the reshape.
            canonical = np.ascontiguousarray(
                array.astype(array.dtype.newbyteorder("<"), copy=False)).reshape(array.shape)
            info = zipfile.ZipInfo(name + ".npy", _EPOCH)
            info.create_system = 3
            info.external_attr = 0o600 << 16
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, canonical, version=(1, 0), allow_pickle=False)
