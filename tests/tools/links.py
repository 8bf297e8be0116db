# Copyright (c) 2026, livemig contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check that links in Markdown files lead to files and headings that exist. `python -m tests.tools.links`

Links to other machines are not followed.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.tools.export import ROOT, files

FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)
ANCHOR = re.compile(r"<a\s+(?:id|name)=\"([^\"]+)\"")
ELSEWHERE = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def anchors(text: str) -> set[str]:
    """Fragments one can link to: headings as GitHub spells them, and explicit anchors."""
    text = FENCE.sub("", text)
    slugs: set[str] = set(ANCHOR.findall(text))
    for heading in HEADING.findall(text):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in slugs:
            number += 1
        slugs.add(name)
    return slugs


def broken(page: Path) -> list[str]:
    """The links of one page (path relative to the checkout) that lead nowhere."""
    text = CODE.sub("", FENCE.sub("", (ROOT / page).read_text(encoding="utf-8")))
    result: list[str] = []
    for inline, reference in LINK.findall(text):
        link = inline or reference
        if ELSEWHERE.match(link):
            continue
        name, fragment = [*link.split("#", 1), ""][:2]
        target = (ROOT / page).parent / name if name else ROOT / page
        if not target.exists() or not target.resolve().is_relative_to(ROOT):
            result.append(f"{page}: {link}: no such file in the checkout")
        elif fragment and target.suffix == ".md" and fragment not in anchors(target.read_text(encoding="utf-8")):
            result.append(f"{page}: {link}: no such heading")
    return result


def main() -> int:
    pages = [name for name in files() if name.suffix == ".md"]
    complaints = [complaint for page in pages for complaint in broken(page)]
    print("\n".join([*complaints, f"links: {len(pages)} pages, {len(complaints)} broken links"]))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
