"""Other weights in a bitstream, without synthesis, placing or routing (iCE40).

Possible where the new network's design is the old one's but for what its memories hold: the same
Verilog and the same shapes of memories. What stands against it is said in full.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurocompile.diagnostics import Diagnostics, fail
from neurocompile.ir.target import Fpga
from neurocompile_backends.rtl.synthesize.contents import (
    Layout,
    exchangeable,
    fill,
    level_of,
    levels_of,
    shape_of,
)
from neurocompile_backends.rtl.synthesize.flow import (
    FAMILIES,
    LAYOUT,
    PLACED,
    RESOURCES,
    Report,
    check_contents,
    find_tool,
    run_tool,
    write_layout,
)
from neurocompile_backends.rtl.synthesize.folders import whole_folder

BUILD_AGAIN = "neurocompile compile and build, for this network"

SHAPE = "this memory belongs to the shape of the network, which is another"
TRAINED = "thresholds, decays or biases are others, on which the logic of this bitstream depends"

CONSTANTS = ("KEEP_U", "KEEP_V", "THRESHOLD", "BIAS", "INITIAL", "U_LIMIT", "V_LIMIT", "SHIFT",
             "F_SHIFT", "SHIFTS", "FILTER")
"""Parameters of a core that are values in its logic."""

WIDTHS = ("ACC", "U", "V", "SUM", "WEIGHT", "PRODUCT", "PAYLOAD", "SENT", "CARRIED", "LOADED",
          "DENSE_BITS", "SPARSE_BITS", "NEURON_RECORD", "LATE_RECORD",
          *(f"{name}_{part}" for name in ("KEEP_U", "KEEP_V", "THRESHOLD", "BIAS", "INITIAL")
            for part in ("BITS", "AT")))
"""Parameters of a core that say how wide its values are."""

KINDS = (("constants", CONSTANTS, "constants in the logic are others"),
         ("widths", WIDTHS, "its values need other widths"))


@dataclass(frozen=True)
class Patched:
    """What was patched.

    changed
        By memory, how many of its words are others than before.
    loaded
        Memories among ``changed`` that the host loads: they are in no bitstream.
    bits
        Bits of memories that were read back from the new bitstream and compared.
    mhz
        The clock that place and route reached.
    seconds
        Contents put into the text of the bitstream; the text packed; unpacked and compared.
    """

    bitstream: str
    changed: dict[str, int]
    loaded: tuple[str, ...]
    bits: int
    mhz: float
    seconds: dict[str, float]


def read_design(folder: Path, fpga: Fpga) -> dict[str, bytes]:
    """The files of the design in a folder that ``build`` wrote, by path.

    Raises ``CompileError``: E890 (the device), E892 (no bitstream there, or none that takes other
    contents).
    """
    family = FAMILIES.get(fpga.family)
    if family is None or not family.block:
        raise fail("E890", fpga.device, "weights are exchanged in bitstreams of an iCE40 only",
                   got=fpga.family, limit="ice40", hint=BUILD_AGAIN)
    try:
        resources = json.loads(_read(folder / RESOURCES))
        patchable, why_not = resources["patchable"], resources["why_not"]
        float(resources["mhz"])
    except (OSError, ValueError, KeyError, TypeError):
        raise fail("E892", str(folder), "there is no bitstream", hint="neurocompile build BUILD; "
                   "or name where it is with --bitstream") from None
    if not patchable:
        raise fail("E892", str(folder), "this bitstream does not take other weights", got=why_not,
                   hint=BUILD_AGAIN)
    digests = read_layout(folder).digests
    files = {path: _read(folder / path) for path in sorted(digests) if (folder / path).is_file()}
    changed = [path for path in sorted({*digests, PLACED, "rtl.json"})
               if path not in files
               or hashlib.sha256(files[path]).hexdigest() != digests[path]]
    if changed:
        raise fail("E892", str(folder), "files of this bitstream were changed or are missing",
                   got=", ".join(changed[:5]), hint=BUILD_AGAIN)
    return {path: content for path, content in files.items() if path != PLACED}


def _read(path: Path) -> bytes:
    """A regular file: a pipe would be waited for. Raises ``OSError``."""
    if not path.is_file():
        raise FileNotFoundError(path)
    return path.read_bytes()


def read_layout(folder: Path) -> Layout:
    """Where the memories of a bitstream are. Raises ``CompileError``: E892."""
    try:
        return Layout.from_dict(json.loads(_read(folder / LAYOUT)))
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise fail("E892", str(folder / LAYOUT), "where its memories are is missing or damaged",
                   hint=BUILD_AGAIN) from error


def check_same(old: Mapping[str, bytes], new: Mapping[str, bytes], patchable: bool) -> None:
    """Do two designs differ in nothing but what their memories hold? ``patchable``: the old one
    was compiled with this option. Raises ``CompileError``: E891, for everything that differs."""
    found = Diagnostics()
    hint = BUILD_AGAIN if patchable else (
        "build once with compile --patchable; networks of this shape then differ in memories only")
    ours, theirs = json.loads(old["rtl.json"]), json.loads(new["rtl.json"])
    if len(ours["cores"]) != len(theirs["cores"]):
        found.add("E891", "cores", "the network is on another number of cores",
                  got=len(theirs["cores"]), limit=f"{len(ours['cores'])} in the bitstream",
                  hint=BUILD_AGAIN)
    for number, (was, now) in enumerate(zip(ours["cores"], theirs["cores"], strict=False)):
        names = [*was, *(name for name in now if name not in was)]
        differ = [name for name in names if was.get(name) != now.get(name)]
        for kind, known, message in (*KINDS, ("shape", None, "the network has another shape")):
            mine = [name for name in differ if (
                name in known if known is not None else name not in (*CONSTANTS, *WIDTHS))]
            if mine:
                found.add("E891", f"core {number}, {kind}", message,
                          got=_values(now, mine), limit=_values(was, mine),
                          hint=BUILD_AGAIN if known is None else hint)
    if not list(found):
        _check_files(old, new, found, patchable, hint)
    found.raise_if_errors()


def _values(parameters: Mapping[str, Any], names: list[str]) -> str:
    return ", ".join(f"{name} {parameters.get(name, 'none')}" for name in names)


def _check_files(old: Mapping[str, bytes], new: Mapping[str, bytes], found: Diagnostics,
                 patchable: bool, hint: str) -> None:
    """What the parameters of cores do not say: words of the host, the library, memories."""
    for path in sorted({*old, *new}):
        if path.endswith(".v") and old.get(path) != new.get(path):
            found.add("E891", path, "this file of the design differs",
                      got="none" if path not in new else "another one", hint=BUILD_AGAIN)
        elif path.startswith("mem/"):
            was, now = (shape_of(files[path]) if path in files else None for files in (old, new))
            if was != now:
                found.add("E891", path, "this memory has another shape (words, digits)", got=now,
                          limit=was, hint=BUILD_AGAIN)
            elif level_of(path) >= levels_of(patchable) and old[path] != new[path]:
                shape = level_of(path) >= levels_of(True)
                found.add("E891", path, SHAPE if shape else TRAINED,
                          got=f"{_words_differ(old[path], new[path])} words",
                          hint=BUILD_AGAIN if shape else hint)


def patch_bitstream(folder: Path, old: Mapping[str, bytes], new: Mapping[str, bytes], fpga: Fpga,
                    output: Path, *, report: Report | None = None) -> Patched:
    """A copy of the folder of a bitstream with the memories of another design, in ``output``,
    which appears whole. ``check_same`` holds for the designs.

    Every bit of every memory is then read from the bitstream and compared. Raises
    ``CompileError``: E865, E867 (tools), E892 (files that are damaged), E893 (contents).
    """
    say = report or (lambda _: None)
    family = FAMILIES[fpga.family]
    pack = [*find_tool(family.tools[2], native=True), *family.pack]
    find_tool("iceunpack", native=True)
    memories = exchangeable(new, levels_of(fpga.patchable))
    layout = read_layout(folder)
    if layout.shapes != {path: shape_of(content) for path, content in memories.items()}:
        raise fail("E892", str(folder / LAYOUT), "where its memories are is of other ones",
                   hint=BUILD_AGAIN)
    asc = _read(folder / PLACED).decode()
    with whole_folder(output) as work:
        _copy(folder, work)
        for path, content in new.items():
            (work / path).write_bytes(content)
        resources = json.loads(_read(work / RESOURCES))
        resources.pop("samples", None)  # what these samples took was of the other network
        (work / RESOURCES).write_text(json.dumps(resources, indent=1) + "\n")
        write_layout(work, layout, {**new, PLACED: asc.encode()})
        say("contents")
        began = time.perf_counter()
        try:
            (work / "design.asc").write_text(fill(asc, layout, memories))
        except (KeyError, IndexError) as error:
            raise fail("E892", str(folder / PLACED), "a block RAM is not where it was",
                       got=str(error), hint=BUILD_AGAIN) from error
        filled = time.perf_counter()
        say("packing")
        run_tool(pack, work)
        packed = time.perf_counter()
        say("reading back")
        check_contents(work, family.bitstream, memories)
        seconds = {"contents": filled - began, "packing": packed - filled,
                   "check": time.perf_counter() - packed}
    changed = {path: count for path in sorted(new) if path.startswith("mem/")
               and (count := _words_differ(old[path], new[path]))}
    return Patched(family.bitstream, changed,
                   tuple(path for path in changed if path not in memories),
                   256 * len(layout.columns), float(resources["mhz"]),
                   {n: round(s, 4) for n, s in seconds.items()})


def _copy(folder: Path, work: Path) -> None:
    """The regular files of a bitstream."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        place = work / path.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)


def _words_differ(was: bytes, now: bytes) -> int:
    return sum(a != b for a, b in zip(was.split(), now.split(), strict=True))
