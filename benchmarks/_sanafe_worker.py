"""Runs in SANA-FE's own interpreter: loads a network once, then answers requests.

    python -I _sanafe_worker.py FOLDER

``FOLDER/network.npz`` has the network (``sanafe.py``: export). Each line of standard input is a
JSON request, each line of standard output a JSON answer. A request runs in a fork of the process
as it was after loading, so that all runs start from the same state.
"""

import ctypes
import gc
import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np
import sanafe

ARCHITECTURE = Path(sanafe.__file__).parent / "examples" / "loihi.yaml"
UNITS = {"soma_hw_name": "loihi_lif", "default_synapse_hw_name": "loihi_sparse_synapse",
         "default_dendrite_hw_name": "loihi_dendrites"}
MESSAGE = ("src_neuron_offset", "src_core_id", "dest_core_id", "hops", "spikes", "placeholder",
           "generation_delay", "processing_delay", "network_delay", "blocking_delay",
           "send_timestamp", "received_timestamp", "processed_timestamp")


def resident():
    """Bytes of this process in memory, after free memory went back to the system."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def load(data):
    """The chip with the network on it, and what loading took."""
    at_start = resident()
    architecture = sanafe.load_arch(str(ARCHITECTURE))
    chip = sanafe.SpikingChip(architecture)
    before, start = resident(), time.process_time()
    cores = architecture.cores()
    net = sanafe.Network()
    n = len(data["core"])
    group = net.create_neuron_group("p", n, log_spikes=True, **UNITS)
    for i in range(n):
        # Not soma_attributes: 2.2.9 has these and the dendrite's the wrong way round.
        group[i].set_attributes(model_attributes={
            "threshold": float(data["threshold"][i]), "bias": float(data["bias"][i]),
            "leak_decay": float(data["leak_decay"][i]), "reset_mode": "hard"})
    for i in data["order"].tolist():
        group[i].map_to_core(cores[int(data["core"][i])])
    synapses = len(data["weight"])
    for a in range(0, synapses, 100_000):
        part = slice(a, a + 100_000)
        pairs = list(zip(data["source"][part].tolist(), data["target"][part].tolist(),
                         strict=True))
        group.connect_neurons_sparse(group, {"weight": data["weight"][part].tolist()}, pairs)
    chip.load(net)
    seconds = time.process_time() - start
    both = resident()
    del net, group, pairs
    return chip, {"synapses": synapses, "load_cpu_s": seconds, "chip_bytes": before - at_start,
                  "bytes_with_network": both - before, "bytes": resident() - before,
                  "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def run(chip, request, folder):
    steps, model = request["steps"], request["timing_model"]
    if request["do"] == "time":
        if request["warm_up"]:
            chip.sim(request["warm_up"], timing_model=model, processing_threads=1)
        start = time.process_time()
        chip.sim(steps, timing_model=model, processing_threads=1)
        return {"cpu_s_a_step": (time.process_time() - start) / steps}
    if request["skip"]:
        chip.sim(request["skip"], timing_model="simple", processing_threads=1)
    result = chip.sim(steps, timing_model=model, processing_threads=1, spike_trace=True,
                      perf_trace=True, message_trace=True if request["messages"] else None)
    spikes = [(t, address.neuron_offset) for t, fired in enumerate(result["spike_trace"])
              for address in fired]
    arrays = {"raster": np.array(spikes, np.int64).reshape(-1, 2)}
    arrays.update({name: np.array(v) for name, v in result["perf_trace"].items()})
    if request["messages"]:
        rows = [(t, m) for t, step in enumerate(result["message_trace"]) for m in step]
        arrays["message_step"] = np.array([t for t, _ in rows])
        for name in MESSAGE:
            arrays["message_" + name] = np.array([m[name] for _, m in rows])
    np.savez(folder / "run.npz", **arrays)
    return {}


def main():
    folder = Path(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # its progress; errors are exceptions
    with np.load(folder / "network.npz") as data:
        chip, loaded = load(dict(data))
    print(json.dumps(loaded), file=answers, flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            print(json.dumps(run(chip, json.loads(line), folder)), file=answers, flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            sys.exit("a run of SANA-FE failed")


if __name__ == "__main__":
    main()
