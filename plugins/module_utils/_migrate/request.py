# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of libvirt for one move: flags and typed parameters, as two tables. Pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from .._libvirt import libvirt
from .._model.api import LivemigError, Move, Way, way_of


class Flag(t.NamedTuple):
    """``since``: libvirt's version as it writes it; ``wanted``: whether a way has it, with TLS or without."""

    name: str
    since: int
    wanted: t.Callable[[Way, bool], t.Any]


class Parameter(t.NamedTuple):
    """A typed parameter and the key of the way that is its value; ``needs``: the flag without which libvirt refuses it.

    The names are texts, since an older binding lacks those that are newer than itself.
    """

    name: str
    since: int
    key: str
    needs: str = ""


def _runs(way: Way) -> bool:
    return way["state"] != "shutoff"


# libvirt's own defaults are kept where the way says nothing: an option that is not set is not sent. A flag that the way
# of a domain which does not run cannot have is not asked for here: plain_way() leaves it out.
# PAUSED is none of them: libvirt adds it itself for a guest that is paused, and a guest that runs must not get it.
# Sources: libvirt's include/libvirt/libvirt-domain.h (virDomainMigrateFlags, VIR_MIGRATE_PARAM_*) with its NEWS.
FLAGS: tuple[Flag, ...] = (
    Flag("VIR_MIGRATE_LIVE", 0, lambda way, tls: _runs(way)),
    Flag("VIR_MIGRATE_PEER2PEER", 0, lambda way, tls: True),
    Flag("VIR_MIGRATE_OFFLINE", 1_000_001, lambda way, tls: not _runs(way)),
    Flag("VIR_MIGRATE_TLS", 3_002_000, lambda way, tls: tls and _runs(way)),
    Flag("VIR_MIGRATE_PARALLEL", 5_002_000, lambda way, tls: way["parallel"]),
    Flag("VIR_MIGRATE_ZEROCOPY", 8_005_000, lambda way, tls: way["zerocopy"]),
    Flag("VIR_MIGRATE_COMPRESSED", 1_000_003, lambda way, tls: way["compression"]),
    Flag("VIR_MIGRATE_AUTO_CONVERGE", 1_002_003, lambda way, tls: way["auto_converge"]),
    Flag("VIR_MIGRATE_POSTCOPY", 1_003_003, lambda way, tls: way["postcopy"]),
    Flag("VIR_MIGRATE_ABORT_ON_ERROR", 1_001_000, lambda way, tls: way["abort_on_error"]),
    Flag("VIR_MIGRATE_UNSAFE", 9_011, lambda way, tls: way["unsafe"]),
    Flag("VIR_MIGRATE_NON_SHARED_DISK", 8_002, lambda way, tls: way["copy_storage"] == "all" and way["copy_disks"]),
    Flag("VIR_MIGRATE_NON_SHARED_INC", 8_002, lambda way, tls: way["copy_storage"] == "inc" and way["copy_disks"]),
    Flag(
        "VIR_MIGRATE_NON_SHARED_SYNCHRONOUS_WRITES",
        8_000_000,
        lambda way, tls: way["synchronous_writes"] and way["copy_storage"] != "none" and way["copy_disks"],
    ),
)
# A transient domain stays transient; a persistent one is defined there and no longer here.
_PERSISTENT = ("VIR_MIGRATE_PERSIST_DEST", "VIR_MIGRATE_UNDEFINE_SOURCE")
_COPIES = "VIR_MIGRATE_NON_SHARED_"

PARAMETERS: tuple[Parameter, ...] = (
    Parameter("parallel.connections", 5_002_000, "parallel", "VIR_MIGRATE_PARALLEL"),
    Parameter("compression", 1_003_004, "compression", "VIR_MIGRATE_COMPRESSED"),
    Parameter("bandwidth", 1_001_000, "bandwidth_mib_s"),
    Parameter("listen_address", 1_001_004, "listen_address"),
    Parameter("tls.destination", 6_000_000, "tls_destination", "VIR_MIGRATE_TLS"),
    # An empty list would be taken for none, and the flag for nothing to copy.
    Parameter("migrate_disks", 1_002_017, "copy_disks", _COPIES),
    Parameter("disks_port", 1_003_003, "disks_port", _COPIES),
    Parameter("disks_uri", 6_008_000, "disks_uri", _COPIES),
)


class Refusal(t.NamedTuple):
    """Flags that libvirt or QEMU refuse together, or without another one. ``check``: what says so beforehand."""

    flags: tuple[str, ...]
    check: str
    without: str = ""


# Both kinds of copies at once, writes that wait for no copy, and a tunnelled migration cannot be written.
REFUSED: tuple[Refusal, ...] = (
    Refusal(("POSTCOPY",), "flags_postcopy_requires_live", without="LIVE"),
    Refusal(("POSTCOPY", "PAUSED"), "flags_postcopy_requires_live"),
    Refusal(("OFFLINE",), "flags_offline_combination", without="PERSIST_DEST"),
    Refusal(("OFFLINE", "NON_SHARED_"), "flags_offline_combination"),
    Refusal(("ZEROCOPY",), "flags_zerocopy_requirements", without="PARALLEL"),
    Refusal(("ZEROCOPY", "TLS"), "flags_zerocopy_requirements"),
    Refusal(("ZEROCOPY", "COMPRESSED"), "flags_zerocopy_requirements"),
)
"""What could be asked for in a move that was written by hand; a plan holds none of it, since the checks refuse it. What
depends on versions or on the domain is not here: flags_parallel_postcopy, flags_compression_conflicts and the others
say it in the last look."""


def flag_names(move: Move, tls: str) -> list[str]:
    """Raises LivemigError for flags that exclude each other."""
    way = way_of(move)
    names = [flag.name for flag in FLAGS if flag.wanted(way, tls == "required")]
    names += _PERSISTENT if move["persistent"] else ()
    together = [*names, *(["VIR_MIGRATE_PAUSED"] if way["state"] == "paused" else ())]
    for refusal in REFUSED:
        has = all(_has(together, flag) for flag in refusal.flags)
        if has and not (refusal.without and _has(together, refusal.without)):
            raise _refused(move, refusal)
    return names


def _has(names: t.Collection[str], flag: str) -> bool:
    """``NON_SHARED_`` stands for either kind of copies; the flag for their writes is none."""
    if flag == "NON_SHARED_":
        return any(f"{_COPIES}{kind}" in names for kind in ("DISK", "INC"))
    return f"VIR_MIGRATE_{flag}" in names


def _refused(move: Move, refusal: Refusal) -> LivemigError:
    without = f" without {refusal.without.rstrip('_')}" if refusal.without else ""
    return LivemigError(
        f"Way of domain {move['domain']}",
        value=" with ".join(flag.rstrip("_") for flag in refusal.flags) + without,
        expected=f"what libvirt and QEMU can do together: see the check {refusal.check}",
        remedy="correct the move's way, or make the plan anew",
    )


def flags(move: Move, tls: str) -> int:
    result = 0
    for name in flag_names(move, tls):
        require_constant(name)
        result |= getattr(libvirt, name)
    return result


def require_constant(name: str) -> None:
    """Raises LivemigError where the binding is older than what is asked for."""
    if not hasattr(libvirt, name):
        raise LivemigError(
            "libvirt-python of this host",
            value=f"it does not know {name}",
            expected="a version that does",
            remedy="update python3-libvirt together with libvirt",
        )


def parameters(move: Move, definitions: t.Mapping[str, str], tls: str = "required") -> dict[str, t.Any]:
    """``definitions``: the changed ones, if any.

    ``migrate_uri`` is always given: without it libvirt takes the destination's own host name, which the source may
    resolve to another address or not at all (libvirt, qemuMigrationDstPrepareDirect).
    """
    names, way = "".join(flag_names(move, tls)), t.cast("dict[str, t.Any]", way_of(move))
    sent = {row.name: way[row.key] for row in PARAMETERS if way[row.key] and row.needs in names}
    return {"migrate_uri": move["migrate_uri"], **sent, **definitions}


def require_versions(move: Move, tls: str, versions: t.Mapping[str, int]) -> None:
    """Raises LivemigError where a host's libvirt does not know what is asked for. ``versions``: host -> libvirt's."""
    names, sent = flag_names(move, tls), parameters(move, {}, tls)
    needed = [(row.name, row.since) for row in FLAGS if row.name in names]
    needed += [(row.name, row.since) for row in PARAMETERS if row.name in sent]
    for host, version in versions.items():
        for name, since in needed:
            if version < since:
                raise LivemigError(
                    f"{name} for domain {move['domain']}",
                    value=f"libvirt of {host} is {_text(version)}",
                    expected=f"{_text(since)} or newer",
                    remedy="do without this option of livemig_migration, or update libvirt there",
                )


def _text(version: int) -> str:
    return f"{version // 1_000_000}.{version // 1000 % 1000}.{version % 1000}"
