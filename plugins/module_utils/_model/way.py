# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""By which of libvirt's means one domain moves: decided when the plan is made, part of its digest, sent as it is.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t


class Way(t.TypedDict):
    """The options that hold for one move. ``state``: the domain's when the plan was made, and at the start still:
    running, paused, or shutoff, which moves its definition and nothing else.

    ``parallel``: connections, 0 for one stream; ``copy_storage``: none, all or inc; ``copy_disks``: targets, never
    empty where disks are copied; ``synchronous_writes``: the guest's writes wait for the copy, so that it comes to an
    end; ``bandwidth_mib_s``, ``disks_port``: 0, like an empty text, is libvirt's own choice.

    ``vf``: what becomes of the guest's virtual functions: none (it has none), replug, failover or native;
    ``vf_reason``: why, for people; ``vf_gap``: a guest without a standby may be without network meanwhile;
    ``vf_immediate``: its memory is allocated at once at the destination.
    """

    state: str
    parallel: int
    zerocopy: bool
    compression: list[str]
    bandwidth_mib_s: int
    auto_converge: bool
    postcopy: bool
    abort_on_error: bool
    unsafe: bool
    copy_storage: str
    copy_disks: list[str]
    synchronous_writes: bool
    listen_address: str
    disks_port: int
    disks_uri: str
    tls_destination: str
    vf: str
    vf_reason: str
    vf_gap: bool
    vf_immediate: bool


class MoveProfile(t.TypedDict, total=False):
    """What one move may cost: a profile by name and its settings, which docs/convergence.md describes. What is missing
    is the profile's own; without a name it is ``balanced``.

    ``obstacles``: why post-copy cannot be done safely here; missing where nobody has judged that.
    """

    name: str
    target_ms: int
    ceiling_ms: int
    budget: float
    worth: float
    patience: int
    deadline_s: int
    postcopy: bool
    postcopy_s: int
    throttle: bool
    device_mib: float
    device_ms: int
    obstacles: list[str]


def way_of(move: t.Mapping[str, t.Any]) -> Way:
    """A move's way; the plain one where it has none, or nothing: an earlier version has begun it."""
    return t.cast(Way, {**plain_way(), **(move.get("way") or {})})


def plain_way() -> Way:
    """A running guest in one stream, with nothing special asked for: what holds where a move says nothing."""
    return {
        "state": "running",
        "parallel": 0,
        "zerocopy": False,
        "compression": [],
        "bandwidth_mib_s": 0,
        "auto_converge": False,
        "postcopy": False,
        "abort_on_error": False,
        "unsafe": False,
        "copy_storage": "none",
        "copy_disks": [],
        "synchronous_writes": False,
        "listen_address": "",
        "disks_port": 0,
        "disks_uri": "",
        "tls_destination": "",
        "vf": "none",
        "vf_reason": "",
        "vf_gap": False,
        "vf_immediate": False,
    }
