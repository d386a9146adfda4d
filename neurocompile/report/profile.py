"""A profile as tables on a terminal. Takes plain data, computes nothing."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from neurocompile.report.tables import plain, show_table


def show_profile(console: Console, known: dict[str, Any]) -> None:
    """Time, energy by cause, what steps waited for, the busiest cores and links."""
    ticks, time, energy = known["ticks"], known["time_us"], known["energy_nj"]
    console.print(plain(
        f"{known['target']}, {known['timing']} timing: {_several(known['samples'], 'sample')} of "
        f"{_several(known['steps'], 'step')} on {_several(known['cores'], 'core')}"),
        soft_wrap=True)
    console.print(plain("every step sends what the functional simulator sends"), soft_wrap=True)
    show_table(console, "a step", ("", "ticks", "us"), [
        (name, round(ticks[key], 1), round(ticks[key] * known["tick_ns"] / 1e3, 3))
        for name, key in (("mean", "mean"), ("median", "median"), ("largest", "max"),
                          ("of it barrier", "barrier"))])
    console.print(plain(f"{time['total']:,.1f} us in all"))
    _energy(console, energy, known["events"])
    steps = max(1, sum(row["steps"] for row in known["waited_for"]))
    show_table(console, "what steps waited for last", ("reason", "steps", "%"), [
        (row["reason"], row["steps"], round(100 * row["steps"] / steps, 1))
        for row in known["waited_for"]])
    show_table(console, "cores that hold up most steps", (
        "core", "chip", "x", "y", "critical", "sends %", "receives %", "stalled %", "messages in",
        "out", "synapses", "queue"), [
        (row["core"], row["chip"], row["x"], row["y"], row["critical_steps"],
         round(100 * row["sending"], 1), round(100 * row["receiving"], 1),
         round(100 * row["stalled"], 1), row["messages_in"], row["messages_out"],
         row["synapses"], row["queue_peak"]) for row in known["busiest_cores"]])
    if known["busiest_links"]:
        show_table(console, "busiest links", ("from", "to", "flits", "busy %", "queue"), [
            ("{}, {}".format(*row["from"]), "{}, {}".format(*row["to"]), row["flits"],
             round(100 * row["utilization"], 2), row["queue_peak"])
            for row in known["busiest_links"]])


def show_cycles(console: Console, known: dict[str, Any]) -> None:
    """Cycles of an FPGA, and what its cores do in them."""
    cycles = known["cycles"]
    console.print(plain(
        f"{known['target']}, cycles of the RTL: {_several(known['samples'], 'sample')} of "
        f"{_several(known['steps'], 'step')} on {_several(len(known['cores']), 'core')}"),
        soft_wrap=True)
    show_table(console, "", ("cycles", ""), [
        ("mean of a step", round(cycles["mean"], 1)), ("median", round(cycles["median"], 1)),
        ("largest", cycles["max"]), ("mean of a sample", round(cycles["sample"], 1))])
    show_table(console, "cores: % of all cycles", (
        "core", "neurons", "lanes", "updates %", "reads synapses %", "waits for the bus %",
        "queue"), [
        (row["core"], row["neurons"], row["lanes"], round(100 * row["neurons_share"], 1),
         round(100 * row["synapses_share"], 1), round(100 * row["offering_share"], 1),
         row["queue_peak"]) for row in known["cores"]])


def _several(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n:,} {what}s"


def _energy(console: Console, energy: dict[str, Any], events: dict[str, int]) -> None:
    rows = [(cause, event, events[event], round(nj, 3),
             round(100 * nj / energy["total"], 1) if energy["total"] else 0.0)
            for cause, group in energy["by_cause"].items() for event, nj in group.items()
            if events[event]]
    if not energy["total"]:
        console.print(plain("the target states no energy of its events: it was not measured"))
    show_table(console, "events and energy", ("cause", "event", "count", "nJ", "%"), rows)
    console.print(plain(f"{energy['total']:,.3f} nJ in all, {energy['sample']:,.3f} nJ a sample"))
