"""Runs in sc-neurocore's own interpreter: writes the Verilog that it makes of a NIR file.

    python -I _sc_worker.py NETWORK.nir FOLDER INTERCONNECT

``INTERCONNECT``: ``auto`` (what its compiler chooses) or ``folded`` (neurons one after the other).
Prints what it says of the result, as JSON.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import nir
from sc_neurocore.nir_bridge import compile_network_to_fpga, from_nir, from_scnetwork


def main(network, folder, interconnect):
    # Its fixed-point numbers have 8 bits behind the point: a step of 1 ms is 1 only in ms.
    graph = from_scnetwork(from_nir(nir.read(network), dt=1.0))
    made = compile_network_to_fpga(
        graph, module_name="peer", interconnect=None if interconnect == "auto" else interconnect)
    files = {"top": made.top_module, "rom": made.weight_rom, **made.neuron_modules,
             **made.scnir_source_modules, **dict(made.scnir_hierarchy_modules)}
    for name, text in files.items():
        Path(folder, f"{name}.v").write_text(text, encoding="utf-8")
    folded = made.folded_metrics
    print(json.dumps({"version": version("sc-neurocore"), "interconnect": made.interconnect,
                      "format": made.q_format, "neurons": made.total_neurons,
                      "synapses": made.total_synapses, "warnings": made.warnings,
                      "cycles_a_step": None if folded is None else folded.cycles_per_tick}))


if __name__ == "__main__":
    main(*sys.argv[1:])
