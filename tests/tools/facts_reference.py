# Copyright (c) 2026, livemig contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write docs/facts.md from the tables of observed facts. `python -m tests.tools.facts_reference [--check]`

With --check nothing is written, and the exit status is 1 when the page is out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from ansible_collections.livemig.libvirt.plugins.module_utils._observe import answers, definition
from ansible_collections.livemig.libvirt.plugins.module_utils._observe.areas import AREAS
from tests.tools.export import ROOT
from tests.tools.reference import escape, keep

PAGE = ROOT / "docs" / "facts.md"
HEAD = """\
<!-- SPDX-License-Identifier: GPL-3.0-or-later -->
<!-- Written by `python -m tests.tools.facts_reference`. Change the tables, not this page. -->
# The facts

What a snapshot holds beside the keys of [data-types.md](data-types.md). Each fact is read by itself; one that cannot be
read is missing, and the snapshot's `unknown` names it with the reason: `net.interfaces`, `devices.tpms`.
"""
DOMAINS = """\
## Of a domain

From the live XML, which is read without secrets. A place is given as libvirt writes it: `@` is an attribute, `?` says
whether the element is there. What the document does not have is null, or false for `?`. Each entry of a list has a
`name` too: libvirt's alias, or its tag and number.
"""
HOSTS = """\
## Of a host

By `libvirt`: the connection alone tells it, also from another host. By `files`: only the host itself can read it.
"""
QUESTIONS = """\
## Questions

The kinds of questions that `host_info` answers: what only another host can say about a domain. What is asked and what
comes back is described where it is answered.
"""


def page() -> str:
    """The page as it should be."""
    return "\n".join([HEAD, HOSTS, *_areas(), DOMAINS, *_domain(), QUESTIONS, *_questions()])


def _areas() -> Iterator[str]:
    for area, facts in sorted(AREAS.items()):
        if not facts:
            continue
        rows = [f"| `{area}.{name}` | {row.by} | {escape(row.about)} |" for name, row in sorted(facts.items())]
        yield "\n".join([f"### {area}\n", "| fact | by | what |", "|---|---|---|", *rows, ""])


def _domain() -> Iterator[str]:
    tables = {
        "devices": definition.DEVICES,
        "lists": definition.LISTS,
        "settings": definition.SETTINGS,
        "more": definition.MORE,
    }
    for key, families in tables.items():
        yield f"### {key}\n"
        for fact, family in sorted(families.items()):
            path = f"{fact}.more" if key == "more" else f"{key}.{fact}"
            where = f", `{family.path.replace(definition.QEMU, 'qemu:')}`" if family.path not in ("", ".") else ""
            places = ", ".join(f"`{name}` ({_code(place)})" for name, place in sorted(family.columns.items()))
            yield f"- **`{path}`**: {escape(family.about)}{where}. {places}"
        if key == "lists":
            words = ", ".join(f"`{name}`" for name in definition.WORDS)
            yield f"- **Words alone**, since values may be secret (of `qemu_files` the paths): {words}"
        yield ""


def _code(place: str) -> str:
    return f"`{place}`" if place != "." else "its text"


def _questions() -> Iterator[str]:
    yield "| kind | what |\n|---|---|"
    for ask, answer in sorted(answers.ASKS.items()):
        said = (answer.__doc__ or "").strip().split("\n\n")[0]
        yield f"| `{ask}` | {escape(' '.join(said.split()))} |"
    yield ""


def main(arguments: list[str]) -> int:
    return keep(PAGE, page(), arguments, __doc__ or "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
