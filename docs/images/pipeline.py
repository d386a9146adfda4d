"""Draws pipeline.svg: `python docs/images/pipeline.py`."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 980, 352
BOX_W, BOX_H, TOP = 156, 62, 112

# Phase, what it holds, the pass that leads to it.
PHASES = (
    ("Network", "float, SI units", "read"),
    ("DiscreteNetwork", "float, whole steps", "discretize"),
    ("ScheduledNetwork", "chip time", "schedule"),
    ("QuantizedNetwork", "integers, proved", "quantize"),
    ("Mapping", "cores of the chip", "partition"),
)
# Executor or check under a phase: (phase index, title, line below).
BELOW = (
    (1, "float reference", "float64 numpy"),
    (3, "integer reference", "plain numpy"),
    (4, "simulator", "Numba, event-driven"),
)

STYLE = """
    .box { fill: #ffffff; stroke: #57606a; stroke-width: 1.5 }
    .run { fill: #ddf4ff; stroke: #0969da; stroke-width: 1.5 }
    .given { fill: #fff8c5; stroke: #9a6700; stroke-width: 1.5 }
    .line { stroke: #57606a; stroke-width: 1.5; fill: none }
    .tip { fill: #57606a }
    .same { stroke: #1a7f37; stroke-width: 2; fill: none }
    text { font-family: -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328;
           text-anchor: middle; font-size: 13px }
    .name { font-weight: 600 } .small { font-size: 11px; fill: #57606a }
    .green { font-size: 12px; font-weight: 600; fill: #1a7f37 }
    @media (prefers-color-scheme: dark) {
      .box { fill: #161b22; stroke: #8b949e } .run { fill: #0c2d6b; stroke: #58a6ff }
      .given { fill: #3b2f0b; stroke: #d29922 } .line { stroke: #8b949e } .tip { fill: #8b949e }
      .same { stroke: #3fb950 } text { fill: #e6edf3 } .small { fill: #9ea7b3 }
      .green { fill: #3fb950 }
    }
"""


def box(x: float, y: float, kind: str, title: str, below: str, width: float = BOX_W) -> list[str]:
    middle = x + width / 2
    return [
        f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{BOX_H}" rx="8"/>',
        f'<text class="name" x="{middle:g}" y="{y + 27:g}">{escape(title)}</text>',
        f'<text class="small" x="{middle:g}" y="{y + 46:g}">{escape(below)}</text>',
    ]


def arrow(x0: float, y0: float, x1: float, y1: float) -> list[str]:
    """A straight arrow, right or down."""
    if y0 == y1:
        tip = f"{x1 - 7:g},{y1 - 4:g} {x1:g},{y1:g} {x1 - 7:g},{y1 + 4:g}"
        x1 -= 6
    else:
        tip = f"{x1 - 4:g},{y1 - 7:g} {x1:g},{y1:g} {x1 + 4:g},{y1 - 7:g}"
        y1 -= 6
    return [f'<path class="line" d="M{x0:g} {y0:g} L{x1:g} {y1:g}"/>',
            f'<polygon class="tip" points="{tip}"/>']


def draw() -> str:
    gap = (WIDTH - 20 - len(PHASES) * BOX_W) / (len(PHASES) - 1)
    left = [10 + i * (BOX_W + gap) for i in range(len(PHASES))]
    middle = [x + BOX_W / 2 for x in left]
    low = TOP + BOX_H + 66
    parts: list[str] = []
    for x, title, below, phase in ((0, ".nir file", "a trained network", 0),
                                   (1, "contract", "dt, reset, order, inputs", 1),
                                   (2, "target", "a chip as TOML", 2)):
        parts += box(left[x], 10, "given", title, below)
        parts += arrow(middle[phase], 10 + BOX_H, middle[phase], TOP)
    for i, (name, below, action) in enumerate(PHASES):
        parts += box(left[i], TOP, "box", name, below)
        if i == 0:
            continue
        parts += arrow(left[i - 1] + BOX_W, TOP + BOX_H / 2, left[i], TOP + BOX_H / 2)
        x = (left[i - 1] + BOX_W + left[i]) / 2
        parts.append(f'<text class="small" x="{x:g}" y="{TOP + BOX_H + 16:g}">{action}</text>')
    for phase, title, below in BELOW:
        start = phase if phase != 4 else 3
        if phase != 4:
            parts += arrow(middle[start], TOP + BOX_H, middle[start], low)
        parts += box(left[phase], low, "run", title, below)
    # The simulator runs the quantized network too.
    turn = TOP + BOX_H + 40
    parts.append(f'<path class="line" d="M{middle[3]:g} {turn} H{middle[4]:g} V{low - 6}"/>')
    parts.append(f'<polygon class="tip" points="{middle[4] - 4:g},{low - 7} {middle[4]:g},{low} '
                 f'{middle[4] + 4:g},{low - 7}"/>')
    base = low + BOX_H
    for a, b, text in ((1, 3, "evaluate: how far from float"),
                       (3, 4, "verify: equal, bit for bit")):
        offset_a = 14 if a == 3 else 0
        offset_b = -14 if b == 3 else 0
        parts.append(f'<path class="same" d="M{middle[a] + offset_a:g} {base} v18 '
                     f'H{middle[b] + offset_b:g} v-18"/>')
        centre = (middle[a] + offset_a + middle[b] + offset_b) / 2
        parts.append(f'<text class="green" x="{centre:g}" y="{base + 36:g}">{text}</text>')
    body = "\n  ".join(parts)
    label = ("From a .nir file through Network, DiscreteNetwork, ScheduledNetwork and "
             "QuantizedNetwork to a Mapping")
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{label}">\n'
            f"  <style>{STYLE}  </style>\n  {body}\n</svg>\n")


if __name__ == "__main__":
    Path(__file__).with_name("pipeline.svg").write_text(draw(), encoding="utf-8")
