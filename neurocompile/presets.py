"""Contracts named after the tools that train networks, with the reason for every field.

A preset states what its tool does and nothing more: what the tool leaves to its user (usually
dt) stays ``None`` and has to be stated. The table in ``docs/contract.md`` is made from here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from neurocompile.ir.contract import Contract

UNLIMITED_SPIKES = 1 << 15
"""Stands for "as many spikes a step as the membrane holds thresholds"."""


@dataclass(frozen=True, eq=False)
class Preset:
    """``contract`` states exactly the fields that ``reasons`` gives a reason or source for.

    ``note`` says what the tool does that no contract field can say.
    """

    name: str
    contract: Contract
    reasons: Mapping[str, str]
    note: str


_SNNTORCH_REASONS = {
    "dt_s": "export_nir.py fixes dt = 1e-4 for every neuron",
    "integrator": "exported as tau = dt / (1 - beta), the inverse of a forward-Euler step",
    "input_gain": "exported with r = tau / dt (and w_in = tau_syn / dt), so NIR's gain gives the "
                  "plain sum of snnTorch back",
    "if_gain": "input is added to the membrane without dt",
    "if_floor": "nothing limits the membrane downwards",
    "compare": "snnTorch spikes where mem - threshold > 0",
    "max_spikes_per_step": "spikes are binary",
    "current_order": "Synaptic: syn = alpha syn + x, then mem = beta mem + syn",
    "synapse_input": "Synaptic adds x after alpha syn",
    "recurrent_bias_at_start": "RSynaptic applies its recurrent Linear, bias included, to the "
                               "all-zero spikes before the first step",
    "recurrent_delay": "recurrent spikes are those of the step before; a Delay node comes on top",
    "layer_latency": "layers are called one after another within a step",
    "initial_v": "init_leaky and init_synaptic start from zeros",
    "delay_unit": "snnTorch writes no Delay; added by hand they are in seconds like its tau",
}

_SNNTORCH = Contract(
    dt_s=1e-4, integrator="euler", input_gain="nir", if_gain="r", if_floor="none",
    compare="gt", reset="subtract_delayed", max_spikes_per_step=1, current_order="current_first",
    synapse_input="after_decay", recurrent_bias_at_start=True, recurrent_delay="added",
    layer_latency=0, initial_v="zero", delay_unit="s")

_PRESETS = (
    Preset(
        "snntorch", _SNNTORCH,
        {**_SNNTORCH_REASONS,
         "reset": "default reset_mechanism=\"subtract\" with reset_delay=True: the threshold is "
                  "taken off in the next step's update"},
        "The file does not say which reset a network was trained with (v_reset is 0 for all): "
        "use snntorch-zero for reset_mechanism=\"zero\" with reset_delay=False. A delayed reset "
        "to zero has no contract."),
    Preset(
        "snntorch-zero", dataclasses.replace(_SNNTORCH, reset="zero"),
        {**_SNNTORCH_REASONS,
         "reset": "reset_mechanism=\"zero\" with reset_delay=False: mem = 0 in the spike's step"},
        "For networks trained with exactly these two arguments."),
    Preset(
        "norse",
        Contract(integrator="euler", input_gain="nir", if_gain="r", if_floor="none",
                 compare="gt",
                 reset="to_value", max_spikes_per_step=1, current_order="current_first",
                 synapse_input="after_decay", layer_latency=0, initial_v="v_leak"),
        {"integrator": "lif_box: v + dt tau_mem_inv (v_leak - v + i)",
         "input_gain": "lif_box and the CubaLIF of import_nir.py (w_in, r) step NIR's equation",
         "if_gain": "IAFCell adds its input without dt",
         "if_floor": "nothing limits the membrane downwards",
         "compare": "heaviside(v - v_th) is 0 at 0",
         "reset": "the default reset_method is reset_value, to v_reset",
         "max_spikes_per_step": "spikes are binary",
         "current_order": "import_nir.py runs the synapse before the membrane",
         "synapse_input": "the synapse is a leaky integrator box: i + k (x - i)",
         "layer_latency": "cells are called one after another within a step",
         "initial_v": "LIFBoxCell.initial_state starts at v_leak"},
        "dt is an argument of from_nir (1e-3 if not given). Norse's importer ignores r of LIF "
        "and IF and v_reset, and applies v_leak of CubaLIF to the synapse too; the contract "
        "follows the file."),
    Preset(
        "sinabs",
        Contract(integrator="exact", input_gain="unit", if_gain="r", if_floor="minus_threshold",
                 compare="ge",
                 reset="subtract", max_spikes_per_step=UNLIMITED_SPIKES,
                 current_order="current_first", synapse_input="before_decay", layer_latency=0,
                 initial_v="zero"),
        {"integrator": "alpha = exp(-1 / tau), tau in steps",
         "input_gain": "nir.py imports and exports with norm_input=False: the input is added as "
                       "it is",
         "if_gain": "IAF adds its input without dt; exported with r = 1",
         "if_floor": "nir.py imports IF with min_v = -v_threshold; the N-MNIST recordings with "
                     "several spikes a step come out as published only with it",
         "compare": "MultiSpike: trunc(v / threshold) is 1 at v = threshold",
         "reset": "the default reset_fn is MembraneSubtract",
         "max_spikes_per_step": "the default spike_fn is MultiSpike, without a limit",
         "current_order": "LIF computes i_syn of the step before v_mem",
         "synapse_input": "i_syn = alpha_syn (i_syn + x)",
         "layer_latency": "layers are called one after another within a step",
         "initial_v": "v_mem starts at zero"},
        "sinabs writes tau in steps: dt_s = 1.0 reads its own files. SingleSpike networks state "
        "max_spikes_per_step = 1. No chip has the floor of IF: state if_floor = \"none\" to "
        "compile without it."),
    Preset(
        "spikingjelly",
        Contract(integrator="euler", input_gain="nir", if_gain="r_dt", if_floor="none",
                 compare="ge",
                 reset="to_value", max_spikes_per_step=1, layer_latency=0, initial_v="v_reset"),
        {"integrator": "LIFNode: v + (x - (v - v_reset)) / tau, exported as tau dt",
         "input_gain": "to_nir.py exports r = 1 (decay_input) or r = tau, which NIR's gain reads "
                       "as x / tau or x",
         "if_gain": "IFNode adds x, exported as r = 1 / dt",
         "if_floor": "nothing limits the membrane downwards",
         "compare": "surrogate.heaviside(v - v_threshold) is 1 at 0",
         "reset": "hard reset to v_reset",
         "max_spikes_per_step": "spikes are binary",
         "layer_latency": "layers are called one after another within a step",
         "initial_v": "v is registered with v_reset as its start"},
        "dt is an argument of export_to_nir (1e-4 if not given). A soft reset (v_reset=None) is "
        "exported as a hard one: state reset = \"subtract\" for such networks."),
    Preset(
        "rockpool",
        Contract(integrator="exact", input_gain="unit", compare="ge", reset="subtract",
                 max_spikes_per_step=UNLIMITED_SPIKES, current_order="current_first",
                 synapse_input="before_decay", layer_latency=0, initial_v="zero"),
        {"integrator": "LIFTorch: alpha = exp(-dt / tau_syn), beta = exp(-dt / tau_mem)",
         "input_gain": "isyn + x and beta vmem + isyn, without gains",
         "compare": "the spike functions use vmem >= threshold",
         "reset": "vmem - spikes * threshold in the same step",
         "max_spikes_per_step": "max_spikes_per_dt is unlimited unless given",
         "current_order": "isyn is updated before vmem",
         "synapse_input": "x is added to isyn before isyn *= alpha",
         "layer_latency": "modules are called one after another within a step",
         "initial_v": "vmem starts at zero"},
        "Rockpool infers dt from r on import; state it. The bias of a recurrent Affine is "
        "dropped by its importer."),
    Preset(
        "lava-dl",
        Contract(integrator="euler", input_gain="unit", reset="zero", max_spikes_per_step=1,
                 current_order="current_first", synapse_input="after_decay", layer_latency=1,
                 initial_v="zero", delay_unit="steps"),
        {"integrator": "decays are fractions a step: u (1 - current_decay)",
         "input_gain": "slayer CUBA: u = (1 - a) u + x, v = (1 - b) v + u, without gains",
         "reset": "slayer CUBA: v (1 - s)",
         "max_spikes_per_step": "spikes are binary unless graded_spike is set",
         "current_order": "slayer CUBA computes the current before the voltage",
         "synapse_input": "x is added after the decay",
         "layer_latency": "blocks shift their spikes by one step (delay_shift), as the chip does",
         "initial_v": "voltage_state starts at zero",
         "delay_unit": "slayer's axon delays are in steps"},
        "State compare: its documentation and published recordings spike at v >= threshold, while "
        "slayer/neuron/cuba.py adds threshold_eps so that only v > threshold spikes. State dt; "
        "lava-dl has none."),
)

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _PRESETS})


TABLES = ("inputs", "populations")
"""Fields of a contract that are tables: of a network, which no preset knows."""


def stated_fields(contract: Contract) -> dict[str, object]:
    """The fields of a contract that are stated, ``TABLES`` excluded, in their order."""
    values = {f.name: getattr(contract, f.name) for f in dataclasses.fields(contract)}
    return {k: v for k, v in values.items() if k not in TABLES and v is not None}


def preset_table_markdown() -> str:
    """The presets as Markdown: a table of values, then the reason for each (docs/contract.md)."""
    names = [preset.name for preset in PRESETS.values()]
    rows = ["| field | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for field in dataclasses.fields(Contract):
        if field.name in TABLES:
            continue
        values = [_shown(getattr(p.contract, field.name)) for p in PRESETS.values()]
        rows.append(f"| `{field.name}` | " + " | ".join(values) + " |")
    for preset in PRESETS.values():
        rows += ["", f"**{preset.name}**", ""]
        rows += [f"- `{field}`: {reason}." for field, reason in preset.reasons.items()]
        rows += ["", preset.note]
    return "\n".join(rows) + "\n"


def _shown(value: object) -> str:
    if value is None:
        return "–"
    return str(value).lower() if isinstance(value, bool) else str(value)
