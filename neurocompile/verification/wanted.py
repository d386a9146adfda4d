"""Does a mapping keep what the user wanted? Asked of the mapping alone, as the recount asks it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurocompile.diagnostics import Diagnostics
from neurocompile.ir.mapping import Mapping

Ints = npt.NDArray[np.int64]


def check_wanted(mapping: Mapping, homes: dict[str, Ints], found: Diagnostics) -> None:
    """Who is on which core (E537), and which core where (E538, E539). ``homes``: the core of each
    neuron of each population, -1 for none."""
    wanted = mapping.constraints
    on_core: dict[int, list[str]] = {}
    for name, home in homes.items():
        for core in np.unique(home[home >= 0]).tolist():
            on_core.setdefault(core, []).append(name)
    pinned = sorted({number for numbers in wanted.cores.values() for number in numbers})
    for name in wanted.cores:
        allowed = [pinned.index(number) for number in wanted.cores[name]]
        home = homes.get(name, np.zeros(0, np.int64))
        away = int(np.count_nonzero(~np.isin(home, allowed)))
        if away or name not in homes:
            found.add("E537", name, "neurons are not on the cores they are pinned to",
                      got=away if name in homes else "no such population", limit="0")
    for core, names in sorted(on_core.items()):
        guests = [name for name in names if name not in wanted.cores]
        if core < len(pinned) and guests:
            found.add("E537", f"core {core}", "a pinned core holds what is not pinned to it",
                      got=", ".join(guests))
        if core >= len(pinned) and len(names) > 1 and not wanted.share_cores:
            found.add("E537", f"core {core}", "it holds several populations",
                      got=", ".join(names), limit="share_cores = false")
    if wanted.neurons_per_core is not None:
        on = np.concatenate([np.zeros(0, np.int64), *homes.values()])
        cores, sizes = np.unique(on[on >= 0], return_counts=True)
        for core, size in zip(cores.tolist(), sizes.tolist(), strict=True):
            if size > wanted.neurons_per_core:
                found.add("E537", f"core {core}", "it holds more neurons than wanted", got=size,
                          limit=f"neurons_per_core = {wanted.neurons_per_core}")
    if mapping.placement is not None and not any(d.code == "E535" for d in found):
        _check_places(mapping, on_core, pinned, found)


def _check_places(mapping: Mapping, on_core: dict[int, list[str]], pinned: list[int],
                  found: Diagnostics) -> None:
    wanted, placement, chip = mapping.constraints, mapping.placement, mapping.target.chip
    assert placement is not None
    places = list(zip(placement.chip.tolist(), placement.x.tolist(), placement.y.tolist(),
                      strict=True))
    for number, tile in sorted(wanted.tiles.items()):
        core, asked = pinned.index(number), (tile.chip, tile.x, tile.y)
        if core >= len(places) or places[core] != asked:
            found.add("E538", f"core {core}", "it is not on the tile it is pinned to",
                      got="chip {}, x {}, y {}".format(*places[core]) if core < len(places)
                      else "no tile", limit="chip {}, x {}, y {}".format(*asked))
    for core, names in sorted(on_core.items()):
        if core >= len(places):
            continue  # a core that is not accounted for has no place: E534
        for name in names:
            where = wanted.chips.get(name)
            if where is not None and places[core][0] != where:
                found.add("E538", f"core {core}", f"{name} is not on the chip it is pinned to",
                          got=f"chip {places[core][0]}", limit=f"chip {where}")
    for fault in wanted.faults:
        faulty = (fault.tile.chip, fault.tile.x, fault.tile.y)
        works = chip.cores_per_tile - (chip.cores_per_tile if fault.cores is None
                                       else fault.cores)
        if places.count(faulty) > works:
            found.add("E539", f"tile {faulty}", "more cores are on it than work",
                      got=places.count(faulty), limit=works)
