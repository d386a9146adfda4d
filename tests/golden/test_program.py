"""A program small enough to be checked by hand, bit by bit: its text and its bytes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from program_factory import KERNEL, WEIGHTS, dump, given, tiny_mapping
from test_random_networks import first_difference

from neurocompile.ir.program import Program
from neurocompile.passes.assemble import Assemble
from neurocompile.reference.integer import Probes, run_integer
from neurocompile.report.listing import listing
from neurocompile.targets import load_target
from neurocompile.verification.program import check_program
from neurocompile_backends.chip.load import load
from neurocompile_backends.chip.run import run_program

Golden = Callable[[str, str], None]
TARGETS = ("loihi1", "loihi2", "generic")


def program_for(target: str) -> Program:
    return Assemble().run(tiny_mapping(load_target(target)))


@pytest.mark.parametrize("target", TARGETS)
def test_tiny_program_as_text_and_bytes(target: str, golden: Golden) -> None:
    program = program_for(target)
    golden(f"program_{target}.txt", "\n".join([*listing(program), *dump(program)]) + "\n")


@pytest.mark.parametrize("target", TARGETS)
def test_tiny_program_is_its_mapping_and_runs_as_the_reference(target: str) -> None:
    mapping = tiny_mapping(load_target(target))
    program = Assemble().run(mapping)
    assert check_program(program, mapping) == []
    encoded, everything = given(mapping.quantized, 5, 40), Probes.everything(mapping.quantized)
    expected = run_integer(mapping.quantized, encoded, everything)
    assert expected.s["c"].any(axis=(0, 1)).all()
    assert expected.s["d"].any(axis=(0, 1)).all()
    assert first_difference(expected, run_program(load(program), encoded, everything)) == ""


# By hand. An image is one integer, its bit 0 first; nothing here is read by neurocompile.images.

def number(image: np.ndarray) -> int:
    return int.from_bytes(image.tobytes(), "little")


def test_an_entry_of_delayed_synapses_stands_where_arithmetic_puts_it() -> None:
    """Axon 1 of core 2 on loihi1: c[1] to the three neurons of d, dense.

    Delays are source [0, 1, 0, 2] + target [0, 1, 0], at most 3: 2 bits. An entry takes 10 bits of
    header and 3 * (4 + 2) bits of synapses, in words of 64: one word an axon, axon 1's the second.
    """
    entry = number(program_for("loihi1").cores[2].synapses) >> 64 & (1 << 64) - 1
    assert entry & 0b111111 == 3 - 1            # bits 0 to 5: synapses, less one
    assert entry >> 6 & 1 == 1                  # bit 6: the axon's last entry
    assert entry >> 7 & 0b111 == 0              # bits 7 to 9: rest of the header
    at = 10
    for weight, delay in ((-2, 1 + 0), (5, 1 + 1), (1, 1 + 0)):  # column 1 of WEIGHTS
        assert entry >> at & 0b1111 == weight % 16     # two's complement in 4 bits
        assert entry >> at + 4 & 0b11 == delay
        at += 6
    assert at == 28
    assert entry >> at == 0                     # the word is filled with zeros
    assert entry == (2 | 1 << 6 | 14 << 10 | 1 << 14 | 5 << 16 | 2 << 20 | 1 << 22 | 1 << 26)
    assert [row[1] for row in WEIGHTS] == [-2, 5, 1]


def test_an_entry_of_indexed_synapses_stands_where_arithmetic_puts_it() -> None:
    """The recurrent axons on loihi1, sparse: weight 4 bits, delay 1, index 6 (never fewer).

    Four words of dense entries come before them. Axon 4 is of d[1]: 5 to d[0] and 2 to d[2], axon 5
    of d[2]: -3 to d[1]. All are delayed by a step.
    """
    memory = number(program_for("loihi1").cores[2].synapses)
    of_d1, of_d2 = memory >> 4 * 64 & (1 << 64) - 1, memory >> 5 * 64
    assert of_d1 == ((2 - 1) | 1 << 6
                     | 5 << 10 | 1 << 14 | 0 << 15
                     | 2 << 21 | 1 << 25 | 2 << 26)
    assert of_d2 == ((1 - 1) | 1 << 6 | (16 - 3) << 10 | 1 << 14 | 1 << 15)


def test_kernels_stand_row_by_row_without_a_header() -> None:
    """Core 0 on loihi2 holds one channel: four weights of 4 bits in one word of 64."""
    image = program_for("loihi2").cores[0].synapses
    assert len(image) == 8
    assert number(image) == 1 | (16 - 2) << 4 | 3 << 8 | 4 << 12
    assert KERNEL == [[1, -2], [3, 4]]


def test_an_axon_record_stands_where_the_layout_puts_it() -> None:
    """Record 3 of core 2's input axons on loihi1: c[3] sends there, by format 0.

    Its fields: format 1 bit, synapses 2 bits (up to 3), address 3 bits (words 0 to 7, on core 0),
    delay 1 bit; 7 bits, filled to 8.
    """
    program = program_for("loihi1")
    fields = [(f.name, f.bits, f.signed) for f in program.layout("inputs").fields]
    assert fields == [("format", 1, False), ("synapses", 2, False), ("address", 3, False),
                      ("delay", 1, False)]
    assert program.cores[2].inputs[3] == 0 | 3 << 1 | 3 << 3 | 0 << 6


def test_a_neuron_record_stands_where_the_layout_puts_it() -> None:
    """c[2], the third neuron of core 0: bias -5 << 1, threshold 3, which is the second there."""
    program = program_for("loihi1")
    bits = {f.name: f.bits for f in program.layout("neurons").fields}
    assert bits == {"element": 2, "configuration": 1, "threshold": 1, "bias_mantissa": 5,
                    "bias_exponent": 1, "initial_v": 4, "output": 2, "outputs": 1}
    width = 24                                     # 17 bits, filled to whole bytes
    record = number(program.cores[0].neurons) >> 2 * width & (1 << width) - 1
    # element 2, configuration 0, threshold 1, bias -5 in 5 bits, << 1, v 0, its axon is the third
    assert record == 2 | 0 << 2 | 1 << 3 | (32 - 5) << 4 | 1 << 9 | 0 << 10 | 2 << 14 | 1 << 16


def test_counts_take_as_many_axons_as_spikes_in_turns() -> None:
    """x[0] reaches c[0] alone (core 0): two axons there, for up to two spikes of a step."""
    program = program_for("loihi1")
    host, = program.host
    assert host.parallel == 2
    # Corners and edges of the image that c[0] to c[2] see twice, those that c[3] sees once more.
    assert np.diff(host.first).tolist() == [2, 2, 2, 2, 4, 4, 2, 4, 2]
    widths = [f.bits for f in program.layout("outputs").fields]
    assert widths == [2, 4]
    axons = [number(host.outputs) >> 8 * i & 0xff for i in range(24)]
    # x[4] is seen by all of c: axon 8 of core 0 and 0 of core 1, then once more 9 and 1.
    assert axons[8:12] == [0 | 8 << 2, 1 | 0 << 2, 0 | 9 << 2, 1 | 1 << 2]
