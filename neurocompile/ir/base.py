"""What every phase of the IR has in common: immutability, a digest and a printed form.

IR classes are frozen dataclasses without generated ``==`` (arrays make it raise), registered
by :func:`register`. Their arrays are read-only. Any IR object

* has a :func:`digest`, the SHA-256 over its structure and the bytes of its arrays,
* prints losslessly with :func:`to_text` and is read back by :func:`from_text`,
* splits into a JSON document and a list of arrays with :func:`to_document`, which is how a build
  directory stores it (no pickle, arrays shared between phases are stored once).
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import zlib
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]
Shape = tuple[int, ...]

_T = TypeVar("_T")
_REGISTRY: dict[str, type[Any]] = {}

INLINE_ELEMENTS = 64
"""Arrays up to this size are printed element by element; larger ones as compressed base64."""


def register(cls: type[_T]) -> type[_T]:
    """Class decorator: makes a frozen dataclass printable and readable by its class name."""
    if cls.__name__ in _REGISTRY:
        raise TypeError(f"IR class name {cls.__name__} is registered twice")
    _REGISTRY[cls.__name__] = cls
    return cls


class Node:
    """Base of all IR classes: freezes the arrays of a dataclass after construction."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray) and value.flags.writeable:
                frozen = np.ascontiguousarray(value).view()
                frozen = frozen.reshape(value.shape)  # ascontiguousarray makes 0-d arrays 1-d
                frozen.flags.writeable = False
                object.__setattr__(self, field.name, frozen)

    def digest(self) -> str:
        """SHA-256 (hex) over structure and array bytes; equal for equal content."""
        return digest(self)

    def to_text(self) -> str:
        """The lossless printed form; :func:`from_text` reads it back."""
        return to_text(self)


def n_elements(shape: Shape) -> int:
    """The number of elements of a shape, as a Python integer (cannot overflow)."""
    count = 1
    for extent in shape:
        count *= int(extent)
    return count


def _encode(value: Any, array: Callable[[Array], Any]) -> Any:
    if isinstance(value, Node):
        body = {f.name: _encode(getattr(value, f.name), array)
                for f in dataclasses.fields(value)}  # type: ignore[arg-type]
        return {"is": type(value).__name__, **body}
    if isinstance(value, np.ndarray):
        return array(value)
    if isinstance(value, dict):
        return {"map": [[_encode(k, array), _encode(v, array)] for k, v in value.items()]}
    if isinstance(value, (tuple, list)):
        return [_encode(item, array) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{type(value).__name__} cannot be part of the IR")


def _decode(value: Any, array: Callable[[Any], Array]) -> Any:
    if isinstance(value, list):
        return tuple(_decode(item, array) for item in value)
    if not isinstance(value, dict):
        return value
    if "map" in value:
        return {_decode(k, array): _decode(v, array) for k, v in value["map"]}
    if "array" in value:
        return array(value)
    name = value["is"]
    if name not in _REGISTRY:
        raise ValueError(f"unknown IR class {name!r}")
    fields = {k: _decode(v, array) for k, v in value.items() if k != "is"}
    return _REGISTRY[name](**fields)


def _canonical(array: Array) -> Array:
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))


def array_digest(array: Array) -> str:
    """SHA-256 (hex) of dtype, shape and little-endian bytes of an array."""
    head = f"{array.dtype.str.lstrip('<>=|')}{array.shape}".encode()
    sha = hashlib.sha256(head)
    # A view of the bytes: no second copy of large weights.
    sha.update(_canonical(array).reshape(-1).view(np.uint8).data)
    return sha.hexdigest()


def digest(value: Any) -> str:
    """SHA-256 (hex) of any IR value."""
    seen: dict[int, str] = {}

    def by_digest(array: Array) -> dict[str, str]:
        # Phases share arrays with the phases before them: hash each once.
        key = id(array)
        if key not in seen:
            seen[key] = array_digest(array)
        return {"array": seen[key]}

    document = _encode(value, by_digest)
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _dtype(array: Array) -> str:
    return str(array.dtype.str).lstrip("<>=|")


def _array_to_json(array: Array) -> dict[str, Any]:
    head: dict[str, Any] = {"array": _dtype(array), "shape": list(array.shape)}
    if array.size > 1 and bool(np.all(array == array.flat[0])):
        return {**head, "fill": array.flat[0].item()}
    if array.size <= INLINE_ELEMENTS:
        return {**head, "values": array.reshape(-1).tolist()}
    packed = zlib.compress(_canonical(array).tobytes(), 6)
    return {**head, "zlib": base64.b64encode(packed).decode()}


def _array_from_json(value: dict[str, Any]) -> Array:
    dtype, shape = np.dtype("<" + value["array"]), tuple(value["shape"])
    if "fill" in value:
        return np.full(shape, value["fill"], dtype)
    if "values" in value:
        return np.array(value["values"], dtype).reshape(shape)
    raw = zlib.decompress(base64.b64decode(value["zlib"]))
    return np.frombuffer(raw, dtype).reshape(shape)


def _is_flat(value: Any) -> bool:
    if isinstance(value, dict):
        return all(not isinstance(v, dict) and _is_flat(v) for v in value.values())
    if isinstance(value, list):
        return all(not isinstance(v, (dict, list)) for v in value)
    return True


def _layout(value: Any, indent: int) -> str:
    """JSON with one short line for flat parts, so that a golden reads like a listing."""
    pad = " " * (indent + 1)
    if isinstance(value, dict) and value and not _is_flat(value):
        rows = [f"{json.dumps(k)}: {_layout(v, indent + 1)}" for k, v in value.items()]
        return "{\n" + ",\n".join(pad + row for row in rows) + "\n" + " " * indent + "}"
    if isinstance(value, list) and value and not _is_flat(value):
        rows = [_layout(v, indent + 1) for v in value]
        return "[\n" + ",\n".join(pad + row for row in rows) + "\n" + " " * indent + "]"
    return json.dumps(value, ensure_ascii=True)


def to_text(value: Any) -> str:
    """The lossless printed form of an IR value: JSON laid out for reading."""
    return _layout(_encode(value, _array_to_json), 0) + "\n"


def from_text(text: str) -> Any:
    """Read back what :func:`to_text` printed. Raises ``ValueError`` on anything else."""
    return _decode(json.loads(text), _array_from_json)


def to_document(value: Any) -> tuple[Any, dict[str, Array]]:
    """Split an IR value into a JSON document and its arrays, keyed by their digest."""
    arrays: dict[str, Array] = {}
    seen: dict[int, str] = {}

    def by_reference(array: Array) -> dict[str, str]:
        key = seen.get(id(array))
        if key is None:
            key = seen[id(array)] = array_digest(array)
        arrays.setdefault(key, array)
        return {"array": key}

    return _encode(value, by_reference), arrays


def from_document(document: Any, arrays: dict[str, Array]) -> Any:
    """Rebuild an IR value from :func:`to_document`'s parts."""
    return _decode(document, lambda reference: arrays[reference["array"]])
