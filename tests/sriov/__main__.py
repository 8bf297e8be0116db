# SPDX-License-Identifier: GPL-3.0-or-later
"""python3 -m tests.sriov"""

from __future__ import annotations

import sys

from tests.sriov.cli import main

if __name__ == "__main__":
    sys.exit(main())
