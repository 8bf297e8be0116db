# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the migration of a domain may cost: the run's profile, and before that the domain's own label. Pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .._policy.api import DEFAULT, Profile, from_label
from .controls import label_words


def profile_of(name: str, label: str | None, policy: t.Mapping[str, t.Any]) -> Profile:
    """``name``: of the domain; ``policy``: with ``convergence`` as _options makes it, without it all is as in the
    profile ``balanced``. Raises LivemigError where the label cannot be meant."""
    wanted = policy.get("convergence", {})
    return from_label(
        label_words(label), wanted.get("profile", DEFAULT), f"Label of domain {name}", wanted.get("settings", {})
    )
