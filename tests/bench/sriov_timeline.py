# SPDX-License-Identifier: GPL-3.0-or-later
"""A strategy's time line as a picture, from the phases of one run. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

WIDTH, LEFT, RIGHT, TOP, STEP, BAR = 760, 190, 70, 34, 30, 16
STYLE = "font-family='sans-serif' font-size='12'"

LICENCE = """\
<!-- SPDX-License-Identifier: GPL-3.0-or-later -->
""".strip()


class Span(NamedTuple):
    """From one phase to another."""

    about: str
    begin: str
    end: str
    colour: str


SPANS = (
    Span("asked to let go of the VF", "vf_off", "vf_gone", "#d9a441"),
    Span("traffic over the standby", "vf_gone", "vf_on", "#8fb8de"),
    Span("migration", "iteration 1", "resumed", "#9a9a9a"),
    Span("the guest stands still", "suspended", "resumed", "#c0392b"),
)


def svg(title: str, phases: Mapping[str, float]) -> str:
    """One bar for each span of which both ends are known, in seconds from the beginning of the move on."""
    spans = [(span, phases[span.begin], phases[span.end]) for span in SPANS if {span.begin, span.end} <= set(phases)]
    first = min(0.0, *(begin for _span, begin, _end in spans))
    last = max(end for _span, _begin, end in spans)
    scale = (WIDTH - LEFT - RIGHT) / max(last - first, 1.0)
    lines = [
        f"<text x='8' y='20' {STYLE} font-weight='bold'>{title}: seconds from its beginning on</text>",
    ]
    for number, (span, begin, end) in enumerate(spans):
        y, x = TOP + number * STEP, LEFT + (begin - first) * scale
        width = max((end - begin) * scale, 1.5)
        lines += [
            f"<text x='8' y='{y + 12}' {STYLE}>{span.about}</text>",
            f"<rect x='{x:.1f}' y='{y}' width='{width:.1f}' height='{BAR}' fill='{span.colour}'/>",
            f"<text x='{x + width + 5:.1f}' y='{y + 12}' {STYLE}>{begin / 1000:.2f} to {end / 1000:.2f}</text>",
        ]
    height = TOP + len(spans) * STEP + 8
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' height='{height}'>"
    return "\n".join((head, LICENCE, *lines, "</svg>", ""))
