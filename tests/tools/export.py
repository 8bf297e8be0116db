# Copyright (c) 2026, livemig contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copy the checkout's own files, and nothing it merely collected, to another directory.

`files()` is the answer to "what belongs to the project": tracked files, and new ones that are not ignored.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def files() -> list[Path]:
    """Paths relative to the checkout, sorted, of files that exist."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, check=True, capture_output=True).stdout.decode()
    names = sorted(set(filter(None, listing.split("\0"))))
    # A deleted file stays in the index until the deletion is committed.
    return [Path(name) for name in names if (ROOT / name).is_file() or (ROOT / name).is_symlink()]


def export(destination: Path) -> int:
    """Replace `destination` by a copy of the project's files; returns their number."""
    shutil.rmtree(destination, ignore_errors=True)
    names = files()
    for name in names:
        target = destination / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)
    return len(names)
