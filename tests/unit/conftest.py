# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import importlib.util
import sys

from tests.unit import standin_libvirt

if importlib.util.find_spec("libvirt") is None:
    sys.modules["libvirt"] = standin_libvirt.module()
