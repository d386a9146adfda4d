"""Codes of the contract's use and of the passes: code -> (title, what it means)."""

from __future__ import annotations

CODES: dict[str, tuple[str, str]] = {
    "E200": ("no step length", "NIR files carry no dt; every artefact states one."),
    "E201": ("choice not stated", "The network behaves differently under the options named, and "
             "the contract does not say which."),
    "E202": ("impossible choice", "A field of the contract has a value no executor can follow."),
    "E203": ("dt longer than a time constant", "A forward-Euler step with dt > tau oscillates."),
    "E223": ("refractory period of what does not spike", "The contract states one for an input, "
             "for a population that is read, or for none of the network."),
    "W204": ("v_reset not used", "The contract resets to zero although the file has a v_reset."),
    "E301": ("no structured form", "Linear operations in a row would have to be written out as "
             "more synapses than allowed."),
    "E302": ("delay between linear layers", "Different delays between two linear layers cannot be "
             "moved to either end."),
    "E304": ("delay too long", "A delay exceeds the longest that is supported."),
    "E305": ("input mode not stated", "Binary spikes, counts and analog values reach a chip in "
             "different ways; the contract must say which."),
    "I305": ("input mode from calibration", "The data hold nothing but 0 and 1."),
    "E306": ("input mode not on this target", "The chip cannot take such input, or not such large "
             "payloads."),
    "I306": ("payload scale chosen", "Eight bits are used where the contract states no scale."),
    "E307": ("input range or place", "A range is missing or impossible, or the layer cannot take "
             "its input through bias registers."),
    "E308": ("analog signal between populations", "Chips send spikes, not membrane values."),
    "E309": ("feedback cannot be exact", "A loop has more connections than steps of delay, and "
             "every connection takes a step on the chip."),
    "W309": ("feedback is late", "Accepted by the contract; the steps are stated."),
    "E310": ("delay cannot be relayed", "It exceeds the chip's longest, and relay neurons cannot "
             "carry payloads or delays of the target's side."),
    "I310": ("delays relayed", "Relay neurons repeat spikes for delays beyond the chip's longest, "
             "exactly."),
    "E311": ("reset not on this target", "The chip's neurons do not reset as the contract says."),
    "W312": ("fires before its inputs arrive", "v_leak alone makes a neuron fire before its own "
             "step 0 on the chip."),
    "E312": ("loaded biases act too early", "A population with other inputs would fire from its "
             "bias registers before they arrive."),
    "E315": ("no floor on chips", "The contract stops membranes of IF at -threshold, as sinabs "
             "does; no chip does."),
    "E316": ("refractory period not on this target", "The chip's neurons cannot wait so many "
             "steps after a spike."),
    "W314": ("encoder with few rates", "After a spike at reset to zero the rest of the value is "
             "lost, so rates are one over a whole number of steps."),
    "W313": ("spikes a step are limited", "The chip sends fewer spikes a step than the contract "
             "allows."),
    "E320": ("broken discrete network", "A constant, delay or onset is not what the phase "
             "promises: a fault of the compiler, or of a file made by hand."),
    "E321": ("broken schedule", "A connection does not arrive when the float network has it, or a "
             "delay is outside the target's range: a fault of the compiler."),
    "E401": ("threshold not above reset", "Such a neuron fires at every step."),
    "E402": ("range not proved", "Interval arithmetic cannot exclude an overflow."),
    "W402": ("range not proved, accepted", "As E402, accepted by the user."),
    "E403": ("no legal scale", "Weights, biases or sums do not fit the target's formats."),
    "E404": ("no such weight width", "The target has no weights of this width."),
    "E405": ("initial membrane", "The target starts membranes at their reset value only."),
    "E406": ("kernel cannot be shared", "Neurons of a channel differ and the kernel is too large "
             "to be written out."),
    "I406": ("kernel written out", "Neurons of a channel differ, so each has its own weights."),
    "E407": ("impossible threshold", "--threshold names no spiking population, or does not fit the "
             "register."),
    "E408": ("weights outside their format", "An integer weight does not fit its bits or its sign "
             "mode."),
    "W409": ("decay far off", "The decay register cannot hold a decay closely."),
    "E415": ("weights all zero", "A projection's weights are too small for the scale of its "
             "target: all of them round to zero."),
    "E416": ("not an integer at the stated scale", "The contract states integer_scale, so nothing "
             "may be rounded, and the target's formats cannot hold a value as it is."),
    "W410": ("weights far off", "A projection's integer weights are far from its float ones."),
    "E410": ("format not on this target", "The target has no weights of this width, or no such "
             "exponent."),
    "E411": ("value outside its register", "A decay, threshold, bias or initial membrane does not "
             "fit the target's register."),
    "E412": ("delay outside the target's", "A synapse has a delay the target cannot hold."),
    "E413": ("range wrong or missing", "A population's proved range does not hold what its weights "
             "can add up to, or leaves the machine's."),
    "E414": ("rule not on this target", "A quantized neuron or input has a reset, comparison, "
             "number of spikes or payload the target does not have."),
}
