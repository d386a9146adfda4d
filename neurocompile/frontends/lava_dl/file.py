"""Reads the layers of a lava-dl ``.net`` file (netx's HDF5) without trusting it.

The file has a group ``layer`` with groups ``0`` to ``n - 1``, each with a text ``type``, fields of
its own and a group ``neuron``. Fields of inner groups come out as ``neuron/iDecay``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py

from neurocompile.diagnostics import Diagnostics
from neurocompile.frontends.raw import Budget, LimitReached, RawNode, shown
from neurocompile.frontends.stored import (
    H5_ERRORS,
    StoredReader,
    has,
    is_openable,
    keys,
    reason,
)

_MOST_LAYERS = 1000
_MOST_FIELDS = 100


def read_layers(path: Path, budget: Budget, diagnostics: Diagnostics) -> list[RawNode]:
    """The layers in their order; empty where there is nothing to go on with.

    Adds E101 to E106, E109, E112, E128 to E130 to ``diagnostics``.
    """
    name = shown(path.name)
    if not is_openable(path, name, ".net", "lava-dl's export_hdf5", diagnostics):
        return []
    try:
        with h5py.File(path, "r") as file:
            return _LayerReader(budget, diagnostics).layers(file, name)
    except LimitReached:
        return []
    except H5_ERRORS as error:
        diagnostics.add("E102", name, "the HDF5 file is truncated or damaged", got=reason(error),
                        hint="write or download the file again")
        return []


class _LayerReader(StoredReader):
    kinds = "fiub"  # gradedSpike is a bool

    def layers(self, file: Any, name: str) -> list[RawNode]:
        group = self.member(file, "layer", "layer") if has(file, "layer") else None
        if not isinstance(group, h5py.Group):
            found = ", ".join(shown(k) for k in keys(file)[:5])
            self.diagnostics.add("E130", name, "the file has no group 'layer'", got=found,
                                 hint="a .net file is written by lava-dl's export_hdf5; a .nir "
                                      "file needs no conversion")
            return []
        names = keys(group)
        expected = [str(i) for i in range(len(names))]
        if not names or len(names) > _MOST_LAYERS or sorted(names) != sorted(expected):
            self.diagnostics.add("E130", name, "layers are not numbered from 0 without gaps",
                                 got=", ".join(shown(k) for k in names[:8]) or "no layer",
                                 limit=f"0, 1, 2, ... (at most {_MOST_LAYERS})",
                                 hint="write the file again")
            return []
        return [self.layer(group, key) for key in expected]

    def layer(self, layers: Any, key: str) -> RawNode:
        subject = f"layer/{key}"
        group = self.member(layers, key, subject)
        if not isinstance(group, h5py.Group):
            if group is not None:
                self.diagnostics.add("E112", subject, "a layer must be a group of fields")
            return RawNode(None)
        node = RawNode(self.kind(group, subject))
        self.fields(group, subject, "", node)
        return node

    def kind(self, group: Any, subject: str) -> str | None:
        if not has(group, "type"):
            self.diagnostics.add("E109", subject, "the layer has no 'type'")
            return None
        member = self.member(group, "type", f"{subject}/type")
        if member is None:
            return None
        if not isinstance(member, h5py.Dataset):
            self.diagnostics.add("E112", subject, "'type' is not text")
            return None
        return self.text(member, f"{subject}/type")

    def fields(self, group: Any, subject: str, prefix: str, node: RawNode) -> None:
        names = keys(group)
        if len(names) > _MOST_FIELDS:
            self.diagnostics.add("E106", subject, "too many fields", got=len(names),
                                 limit=_MOST_FIELDS)
            return
        for key in sorted(names):
            if not prefix and key == "type":
                continue
            field, label = prefix + key, f"{subject}/{prefix}{key}"
            before = len(self.diagnostics)
            member = self.member(group, key, label)
            if isinstance(member, h5py.Group) and not prefix:
                self.fields(member, subject, f"{key}/", node)
                continue
            value = None
            if isinstance(member, h5py.Dataset):
                value = self.value(member, label)
            elif member is not None:
                self.diagnostics.add("E112", shown(label), "a field must be a dataset")
            if value is not None:
                node.fields[field] = value
            elif len(self.diagnostics) > before:
                node.lost.add(field)
