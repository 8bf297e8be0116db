# Copyright (c) 2026, livemig contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the collection from a clean copy and import it as Galaxy would. `python -m tests.tools.build`

The importer returns 0 in spite of warnings, so its log is read here: a warning that is not in `EXPECTED` is a failure.
"""

from __future__ import annotations

import re
import subprocess
import sys

from tests.tools.export import ROOT, export

BUILD = ROOT / ".cache" / "build"
COMPLAINT = re.compile(r"^(WARNING|ERROR|CRITICAL): .*", re.MULTILINE)

# Warnings about the run, not about the collection.
EXPECTED: tuple[re.Pattern[str], ...] = ()


def run(*command: str) -> str:
    """Output of a command, both streams together, shown as well; ends the program when the command fails."""
    pipe = subprocess.PIPE
    result = subprocess.run(command, cwd=BUILD, check=False, stdout=pipe, stderr=subprocess.STDOUT, text=True)
    print(result.stdout, end="", flush=True)
    if result.returncode:
        sys.exit(f"build: {' '.join(command[:4])} ended with {result.returncode}")
    return result.stdout


def main() -> None:
    export(BUILD / "source")
    for old in BUILD.glob("*.tar.gz"):
        old.unlink()
    run("ansible-galaxy", "collection", "build", "--force", "--output-path", str(BUILD), str(BUILD / "source"))
    (artifact,) = BUILD.glob("*.tar.gz")
    log = run(sys.executable, "-m", "galaxy_importer.main", str(artifact))
    complaints = [match[0] for match in COMPLAINT.finditer(log)]
    unexpected = [line for line in complaints if not any(known.search(line) for known in EXPECTED)]
    if unexpected:
        sys.exit("build: the importer complains:\n  " + "\n  ".join(unexpected))
    print(f"build: {artifact.name} imports without a complaint")


if __name__ == "__main__":
    main()
