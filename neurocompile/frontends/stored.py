"""Opens HDF5 files and reads what lies in them without trusting them.

h5py reads whatever a file declares. Here every link and dataset is looked at before it is opened
or read: nothing outside the file, nothing larger than the limits, no endless heaps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from neurocompile.diagnostics import Diagnostics
from neurocompile.frontends.heaps import has_endless_heap
from neurocompile.frontends.raw import Budget, Value, shown
from neurocompile.ir.base import n_elements

# What h5py raises on damaged files; MemoryError where a limit is set above the machine's memory.
H5_ERRORS = (OSError, RuntimeError, LookupError, ValueError, TypeError, OverflowError,
             MemoryError, SystemError)


def is_openable(path: Path, name: str, suffix: str, writer: str,
                diagnostics: Diagnostics) -> bool:
    """Whether the path is a file that the HDF5 library may look at; E101 or E102 if not.

    ``suffix`` and ``writer`` say what was expected: the ".nir" file that "nir.write" writes.
    """
    try:
        if not path.exists():
            diagnostics.add("E101", name, "no such file")
            return False
        if not path.is_file():
            diagnostics.add("E101", name, "not a regular file",
                            hint=f"give the {suffix} file itself")
            return False
        with path.open("rb") as file:
            empty = not file.read(1)
        if empty or not h5py.is_hdf5(path):
            diagnostics.add("E102", name, "the file is empty" if empty else "not an HDF5 file",
                            hint=f"a {suffix} file is written by {writer}")
            return False
        if has_endless_heap(path):
            diagnostics.add("E102", name, "the HDF5 file is truncated or damaged",
                            got="a text heap without an end",
                            hint="write or download the file again")
            return False
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        diagnostics.add("E101", name, "the file cannot be opened", got=reason(error))
        return False
    return True


def reason(error: BaseException) -> str:
    """The last clause of an HDF5 message, without addresses and paths, which vary."""
    text = type(error).__name__ if isinstance(error, MemoryError) else str(error)
    detail = text[text.rfind("(") + 1:].rstrip(")'\"") if "(" in text else ""
    if isinstance(error, OSError) and error.strerror and not detail:
        detail = error.strerror
    return shown(detail.split(", eof")[0].split(":")[0].strip()) if detail else type(error).__name__


class StoredReader:
    """Reads links, arrays and texts of one open file, counting them against a budget."""

    kinds = "fiu"
    """The kinds of numbers (numpy's letters) that an array may hold."""

    def __init__(self, budget: Budget, diagnostics: Diagnostics):
        self.budget = budget
        self.diagnostics = diagnostics

    def member(self, group: Any, key: str, subject: str) -> Any:
        """The object behind a hard link; None, with a diagnostic, for everything else."""
        self.budget.stored_object(shown(subject))
        try:
            link = group.get(key, getlink=True)
            if not isinstance(link, h5py.HardLink):
                kind = "an external link" if isinstance(link, h5py.ExternalLink) else "a soft link"
                self.diagnostics.add("E104", shown(subject), f"{kind} is not followed",
                                     hint="store the data in the file itself")
                return None
            return group[key]
        except H5_ERRORS as error:
            self.damaged(subject, error)
            return None

    def damaged(self, subject: str, error: BaseException) -> None:
        self.diagnostics.add("E129", shown(subject), "this part of the file cannot be read",
                             got=reason(error), hint="write or download the file again")

    def field(self, group: Any, key: str, label: str) -> Value | None:
        member = self.member(group, key, label)
        if member is None:
            return None
        if not isinstance(member, h5py.Dataset):
            self.diagnostics.add("E112", shown(label), "a field must be a dataset")
            return None
        return self.value(member, label)

    def value(self, data: Any, subject: str) -> Value | None:
        """A number array or a text; None if absent (HDF5's empty dataset) or refused."""
        try:
            if data.shape is None or not self.is_safe(data, subject):
                return None
            if h5py.check_string_dtype(data.dtype) is not None:
                return self.text(data, subject)
            if data.dtype.kind not in self.kinds:
                self.diagnostics.add("E112", shown(subject), "the field must hold real numbers",
                                     got=f"dtype {data.dtype}")
                return None
            return np.asarray(data[()])
        except H5_ERRORS as error:
            self.damaged(subject, error)
            return None

    def is_safe(self, data: Any, subject: str) -> bool:
        """Whether the data lie in this file and fit the budget; checked before reading."""
        if data.is_virtual or data.external:
            self.diagnostics.add("E105", shown(subject), "the array is stored in another file",
                                 hint="store the data in the file itself")
            return False
        size = n_elements(data.shape)
        # One chunk is decompressed whole, and may be declared larger than the array.
        n_bytes = max(size, n_elements(data.chunks or ())) * data.dtype.itemsize
        what = f"the declared array {data.shape} of {data.dtype}"
        if not self.budget.take(n_bytes, shown(subject), what):
            return False
        if size and not data.id.get_storage_size():
            self.diagnostics.add("E128", shown(subject), "the array is declared but never written")
            return False
        return True

    def text(self, data: Any, subject: str) -> str | None:
        try:
            if data.shape is None or n_elements(data.shape) != 1 or \
                    h5py.check_string_dtype(data.dtype) is None:
                self.diagnostics.add("E112", shown(subject), "the field must be one text",
                                     got=f"dtype {data.dtype}, shape {data.shape}")
                return None
            if not self.is_safe(data, subject):
                return None
            if _outgrows_its_file(data):
                raise ValueError("(a text longer than the file)")
            value = np.asarray(data[()], dtype=object).reshape(-1)[0]
            return value.decode("utf8") if isinstance(value, bytes) else str(value)
        except H5_ERRORS as error:
            self.damaged(subject, error)
            return None


def _outgrows_its_file(data: Any) -> bool:
    """Whether a text of variable length states more bytes than the file has. The library would
    allocate them (up to 4 GB) before it looks for them."""
    at = data.id.get_offset()
    if h5py.check_string_dtype(data.dtype).length is not None or at is None:
        return False
    path = Path(data.file.filename)
    with path.open("rb") as file:
        file.seek(at)
        return int.from_bytes(file.read(4), "little") > path.stat().st_size


def has(group: Any, key: str) -> bool:
    """Like ``key in group``, which would follow a soft or external link to look."""
    return bool(group.id.links.exists(key.encode()))


def keys(group: Any) -> list[str]:
    """Names in a group; h5py gives bytes for those that are not UTF-8, here not printable."""
    return [key.decode("utf8", "surrogateescape") if isinstance(key, bytes) else key
            for key in group]


def described(data: Any) -> str:
    return f"dtype {data.dtype}, shape {data.shape}" if isinstance(data, h5py.Dataset) \
        else "a group"
