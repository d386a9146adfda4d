"""Codes of targets and mapping (E5xx): code -> (title, explanation)."""

from __future__ import annotations

CODES: dict[str, tuple[str, str]] = {
    "E501": ("unknown target",
             "No shipped target has this name. The shipped ones are listed; a chip of your own is "
             "named by the path of its .toml file."),
    "E502": ("target file cannot be read",
             "The path does not exist, is not a regular file, or may not be opened."),
    "E503": ("target file too large",
             "A target file is a page or two of text. More than 1 MiB is some other file."),
    "E504": ("target file is not UTF-8", "TOML files are UTF-8 text."),
    "E505": ("target file is not TOML", "The text is not valid TOML; the message says where."),
    "E506": ("unknown key", "Keys that nothing reads are refused: a mistyped limit would "
                            "otherwise silently not hold."),
    "E507": ("missing key", "Every limit is stated; 0 says that a chip has no such limit."),
    "E508": ("wrong type", "The value is not of the kind this key takes (true is not a number)."),
    "E509": ("number without a source",
             "Each number is written { value = ..., source = \"key of [citations]\" } or, where "
             "nobody published it, { value = ..., assumed = \"why\" }."),
    "E510": ("value out of range", "No chip the executors can run has this value."),
    "E511": ("unknown name", "The name is none of those the compiler knows for this key."),
    "E512": ("values contradict each other",
             "Two or more values of the file cannot be true of one chip, or describe a step the "
             "executors do not run."),
    "E513": ("unknown citation", "A source must be a key of the file's [citations] table."),
    "E520": ("input axons of one neuron",
             "A single neuron is fed by more axons than a core can receive, so that no partition "
             "exists."),
    "E521": ("synaptic memory of one neuron",
             "The synapses of a single neuron need more memory than a core has."),
    "E522": ("output axons of one neuron",
             "A single neuron sends to more cores than a core has output axons."),
    "E523": ("fan-out", "A neuron has more outgoing synapses than the target allows."),
    "E524": ("delay", "A synapse is later than the target's largest delay."),
    "E525": ("too many cores", "The network needs more cores than the target's system has."),
    "E526": ("option out of range", "neurons_per_core must be at least 1."),
    "E527": ("output axons do not settle",
             "Cutting populations smaller, so that their output axons fit, kept raising the number "
             "of cores others send to."),
    "I528": ("candidate not tried",
             "A method of partitioning was left out: it is not installed, the network is larger "
             "than it takes, or it cannot keep what a mapping file wants. The mapping is legal, "
             "and may use more cores than it could."),
    "E529": ("link between chips",
             "At the rates that the mapping counts with, more messages a step go from a chip to "
             "the next than the link between them carries, messages to chips farther on among "
             "them."),
    "E530": ("neuron on no core", "A mapping places each neuron of the chip on exactly one core."),
    "E531": ("neuron on several cores",
             "A mapping places each neuron of the chip on exactly one core."),
    "E532": ("malformed slice",
             "A slice names a population that is not on the chip, neurons outside it or out of "
             "order, or a core the target does not have."),
    "E533": ("limit of a core exceeded", "Recounted from the slices, a core uses more than the "
                                         "target's limit."),
    "E534": ("wrong accounting", "What a mapping says a core uses differs from the recount."),
    "E535": ("place that does not exist", "A core of a mapping is on no tile of the target."),
    "E536": ("place taken", "More cores are on a tile or a chip than it has."),
    "E537": ("not on the wanted core",
             "A mapping does not keep its constraints: a pinned population is elsewhere, a pinned "
             "core holds something else, or a core more than it is to hold."),
    "E538": ("not at the wanted place",
             "A mapping does not keep its constraints: a core is on another tile or chip."),
    "E539": ("core on a faulty tile", "Something is on a tile, or a core of it, that does not "
                                      "work."),
    "E540": ("mapping file cannot be read", "--mapping takes a TOML file, see docs/mapping.md."),
    "E541": ("unknown key of a mapping file", "Keys that nothing reads are refused."),
    "E542": ("wrong type in a mapping file", "Write the value as docs/mapping.md shows."),
    "E543": ("number of a mapping file out of range", "The possible numbers are named."),
    "E544": ("no such population",
             "A mapping file names a population that is not on the chip; inputs are on no core. "
             "`neurocompile inspect BUILD` lists them."),
    "E545": ("constraints contradict each other", "No mapping can keep both; both are named."),
    "E546": ("pinned core too small",
             "What is pinned to a core exceeds a limit of it, however it is cut."),
    "E547": ("no room where a core has to be",
             "A constraint names a tile or a chip that the target does not have, or more cores "
             "for it than work there."),
    "E548": ("no such method",
             "[partition] methods lists methods of partitioning by their names, each once; "
             "docs/mapping.md says which there are."),
    "E549": ("no method gives a mapping",
             "None of the methods that a mapping file lists gives a mapping within the limits. A "
             "method that was not tried is in a note, where others give one."),
    "E550": ("program that cannot be read",
             "A table or memory of a program is not what the assembler writes: a number points "
             "outside what there is."),
    "E551": ("program of another placement",
             "Read back, a program holds other neurons on a core, other axons or other places than "
             "its mapping."),
    "E552": ("program with other neurons",
             "Read back, a register of a neuron differs from the network's."),
    "E553": ("program with other synapses",
             "Read back, synapses differ from the network's in where they go, weight or delay."),
}
