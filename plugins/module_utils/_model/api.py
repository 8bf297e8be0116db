# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The public face of the data types. Rooms import from here.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from .errors import LivemigError
from .facts import Facts, UnknownFact
from .outcomes import (
    EXPLAINED,
    OUTCOMES,
    Diagnosis,
    Downtime,
    HostLog,
    Match,
    Outcome,
    Phase,
    Progress,
    Proof,
    Recovery,
    Unheard,
)
from .types import (
    EDITS,
    LEVELS,
    POLICY_URI,
    SCHEMA,
    Answer,
    Answers,
    Certificate,
    Control,
    Decision,
    Disk,
    DomainSnapshot,
    Edit,
    Emulator,
    Finding,
    Hostdev,
    HostSnapshot,
    Interface,
    Move,
    Network,
    PathIdentity,
    Plan,
    Question,
    Stay,
    Unknown,
)
from .way import Way, plain_way, way_of

__all__ = [
    "EDITS",
    "EXPLAINED",
    "LEVELS",
    "OUTCOMES",
    "POLICY_URI",
    "SCHEMA",
    "Answer",
    "Answers",
    "Certificate",
    "Control",
    "Decision",
    "Diagnosis",
    "Disk",
    "DomainSnapshot",
    "Downtime",
    "Edit",
    "Emulator",
    "Facts",
    "Finding",
    "HostLog",
    "HostSnapshot",
    "Hostdev",
    "Interface",
    "LivemigError",
    "Match",
    "Move",
    "Network",
    "Outcome",
    "PathIdentity",
    "Phase",
    "Plan",
    "Progress",
    "Proof",
    "Question",
    "Recovery",
    "Stay",
    "Unheard",
    "Unknown",
    "UnknownFact",
    "Way",
    "plain_way",
    "way_of",
]
