"""Do the user's constraints make sense for this network and this target? Everything at once."""

from __future__ import annotations

from collections import Counter

from neurocompile.diagnostics import Diagnostics
from neurocompile.ir.constraints import Constraints, MeshTile
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.target import ChipLayout
from neurocompile.verification.mesh import faulty_cores, working_cores


def check_wanted(quantized: QuantizedNetwork, wanted: Constraints, found: Diagnostics) -> None:
    """Populations that are not on the chip (E544), tiles that do not exist or have no room (E547).
    Limits of pinned cores are found when these are cut (E546, ``neurocompile.passes.cores``)."""
    on_chip = [p.name for p in quantized.populations if p.role != "source"]
    for key, names in (("partition.cores", wanted.cores), ("place.populations", wanted.chips)):
        for name in names:
            if name not in on_chip:
                found.add("E544", f"{key}.{name}", "no population of this name is on the chip",
                          limit="one of " + ", ".join(on_chip))
    chip = quantized.target.chip
    for i, fault in enumerate(wanted.faults):
        where = f"place.forbidden[{i}]"
        if _exists(fault.tile, chip, where, found) and faulty_cores(
                fault, chip) > chip.cores_per_tile:
            found.add("E547", where, "more cores are faulty than a tile has", got=fault.cores,
                      limit=f"cores_per_tile = {chip.cores_per_tile}")
    for number, tile in sorted(wanted.tiles.items()):
        _exists(tile, chip, f"place.cores.{number}", found)
    for name, number in wanted.chips.items():
        if number >= chip.chips:
            found.add("E547", f"place.populations.{name}", "there is no such chip",
                      got=f"chip {number}", limit=f"{chip.chips} chips")
    _check_room(wanted, chip, found)


def _exists(tile: MeshTile, chip: ChipLayout, where: str, found: Diagnostics) -> bool:
    if tile.chip < chip.chips and tile.x < chip.mesh_width and tile.y < chip.mesh_height:
        return True
    found.add("E547", where, "the target has no such tile",
              got=f"chip {tile.chip}, x {tile.x}, y {tile.y}",
              limit=f"{chip.chips} chips of {chip.mesh_width} x {chip.mesh_height} tiles")
    return False


def _check_room(wanted: Constraints, chip: ChipLayout, found: Diagnostics) -> None:
    """Pinned cores for each tile, for each chip and for the whole target."""
    faulty = {(f.tile.chip, f.tile.x, f.tile.y): faulty_cores(f, chip) for f in wanted.faults}
    on_tile = Counter((t.chip, t.x, t.y) for t in wanted.tiles.values())
    for tile, n in sorted(on_tile.items()):
        room = max(chip.cores_per_tile - faulty.get(tile, 0), 0)
        if n > room:
            found.add("E547", "chip {}, x {}, y {}".format(*tile),
                      "more cores are pinned to this tile than work there", got=n, limit=room)
    chip_of = {number: tile.chip for number, tile in wanted.tiles.items()}
    for name, where in wanted.chips.items():
        chip_of.update(dict.fromkeys(wanted.cores.get(name, ()), where))
    for where, n in sorted(Counter(chip_of.values()).items()):
        room = max(chip.cores - sum(n for (on, _, _), n in faulty.items() if on == where), 0)
        if n > room:
            found.add("E547", f"chip {where}", "more cores are pinned to this chip than work there",
                      got=n, limit=room)
    room = working_cores(chip, wanted)
    if len(wanted.pinned) > room:
        found.add("E547", "partition.cores", "more cores are pinned than work", limit=room,
                  got=len(wanted.pinned))
