# Copyright (c) 2026, livemig contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check that the action group of meta/runtime.yml names exactly the modules. `python -m tests.tools.actions`"""

from __future__ import annotations

import sys

import yaml

from tests.tools.export import ROOT, files


def main() -> int:
    modules = {name.stem for name in files() if name.match("plugins/modules/*.py")}
    group = set(yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))["action_groups"]["livemig"])
    complaints = [
        *(f"meta/runtime.yml: group livemig names {name}, which is no module" for name in sorted(group - modules)),
        *(f"meta/runtime.yml: group livemig lacks the module {name}" for name in sorted(modules - group)),
    ]
    print("\n".join([*complaints, f"actions: {len(modules)} modules, {len(complaints)} complaints"]))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
