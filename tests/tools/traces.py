# Copyright (c) 2026, livemig contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find names of package hosts and paths of one machine in the project's files. `python -m tests.tools.traces`

Where packages come from is the business of the machine's own configuration of apt and pip.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.tools.export import ROOT, files

# Written so that no pattern matches its own source.
HOSTS = (
    r"\bpypi\.(?:org|python\.org)",
    r"\bpythonhosted\.org",
    r"\b(?:deb|security|snapshot|ftp|cloud|cdimage)[\w.-]*\.debian\.(?:org|net)",
    r"\b(?:archive|security|ports|cloud-images)\.ubuntu\.com",
    r"\b(?:galaxy|ci-files\.testing|console\.redhat)\.(?:ansible\.)?com",
    r"\b(?:quay|docker|ghcr|gcr)\.io\b",
    r"\bregistry\.(?:npmjs|access\.redhat|redhat)\.",
    r"\bdownload\.(?:gluster|qemu|libvirt)\.org",
    r"\braw\.githubusercontent\.com",
)
# A path segment before it ($dir/work, {host}/work) makes it somebody else's directory. Root's home and its .ssh are
# not suspicious: hypervisors have them too.
BEFORE = r"(?<![\w.})/~*-])"
PATHS = (
    BEFORE + r"/work(?=[/\s\"'`:;,)\]]|$)",
    BEFORE + r"/tmp/[w]\b",
    BEFORE + r"/[r]oot/(?!\.ssh\b)",
    BEFORE + r"/home/\w+",
    BEFORE + r"/opt/(?:pypi|wheels)",
    r"[.]pyenv\b",
)
PATTERN = re.compile("|".join((*HOSTS, *PATHS)))


def traces(name: Path) -> list[str]:
    """Findings in one file (path relative to the checkout); binary files have none."""
    try:
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return []
    return [f"{name}:{number}: {match[0]}" for number, line in enumerate(lines, 1) for match in PATTERN.finditer(line)]


def main() -> int:
    names = files()
    findings = [finding for name in names for finding in traces(name)]
    print("\n".join([*findings, f"traces: {len(names)} files, {len(findings)} findings"]))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
