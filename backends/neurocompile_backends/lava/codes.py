"""Codes of the Lava backend: code -> (title, what it means)."""

from __future__ import annotations

CODES: dict[str, tuple[str, str]] = {
    "E810": ("arithmetic is not Lava's", "The target steps its neurons in another way than Lava's "
             "fixed_pt processes do."),
    "E811": ("neurons Lava does not have", "Reset, comparison, spikes a step, start or registers "
             "of a population are none of a LIF process."),
    "E812": ("weights Lava cannot hold", "Mantissas of more than 8 bits, negative exponents, or "
             "more synapses than are written out."),
    "E813": ("delay longer than Lava's", "DelayDense and DelaySparse hold delays to 63 steps."),
    "E814": ("readout could fire", "A LIF process that is read must never reach the largest "
             "threshold; the range of this one does not exclude it."),
    "E815": ("spikes cannot be given", "Lava runs whole networks: layers cannot be run on the "
             "spikes of another executor."),
    "W816": ("only in simulation", "Something Lava's processes for Loihi do not have; the program "
             "runs in Lava's simulation."),
    "E817": ("numbers Lava cannot hold", "A payload of more than 32 bits, or a sum that would wrap "
             "in Lava, which shifts it by 6 in 32 bits."),
    "W818": ("output not in the program", "An output that is an input has no process; the program "
             "does not write it."),
    "E820": ("no interpreter with Lava", "lava-nc runs on Python 3.10 only; `neurocompile lava "
             "setup` makes an environment for it."),
    "E821": ("no Python 3.10", "uv, PATH and pyenv have none that runs."),
    "E822": ("setup failed", "Making the environment failed; what the tool said is part of the "
             "message."),
    "E823": ("Lava stopped", "The program ended with an error; its last lines are part of the "
             "message."),
    "E824": ("Lava hung", "No sign of life for longer than NEUROCOMPILE_LAVA_TIMEOUT seconds; the "
             "program was ended."),
    "E826": ("no place for a run", "The files of a run cannot be written or read."),
    "E825": ("bad Lava setting", "An environment variable of the Lava backend has an impossible "
             "value."),
}
