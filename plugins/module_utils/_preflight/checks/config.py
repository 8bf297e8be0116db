# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of how a migration is to be made: options that exclude each other, and settings of libvirt's files.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ..._model.api import Facts
from .. import identity
from ..check import Check, Problem, View, unknown, version_text
from ..memory import hard_limit_mib, lockable_mib
from ..offers import running_on
from ..way import POSTCOPY_QEMU

Wants = t.Callable[[View], bool]

# virDomainPausedReason: VIR_DOMAIN_PAUSED_IOERROR
_IO_ERROR = 5
# NEWS of libvirt 9.4
_ZSTD_SINCE = 9004000
# "compress" is gone from QEMU's capabilities (docs/about/removed-features.rst, 9.1).
_MT_UNTIL = 9001000
_ZEROCOPY_LIBVIRT, _ZEROCOPY_QEMU = 8005000, 7001000
_PARALLEL_METHODS = ("zlib", "zstd")
_METHODS = ("mt", "xbzrle", *_PARALLEL_METHODS)
_LOWEST_DOWNTIME_MS, _HIGHEST_DOWNTIME_MS = 100, 3000


def asks_for(name: str) -> Wants:
    """The migration is to use it."""
    return lambda view: bool(view.option(name))


def lacks(name: str) -> Wants:
    return lambda view: not view.option(name)


def _copies(view: View) -> bool:
    return bool(view.option("copy_storage") != "none")


def _over(transport: str) -> Wants:
    return lambda view: bool(view.option("transport") == transport)


def _tls(view: View) -> bool:
    return view.tls


def _not_over_tcp(view: View) -> bool:
    return bool(view.option("transport") != "tcp")


def _copies_over_tcp(view: View) -> bool:
    return _copies(view) and not view.option("disks_uri").startswith("unix:")


def _copies_over_unix_with_tls(view: View) -> bool:
    return _copies(view) and view.tls and bool(view.option("disks_uri").startswith("unix:"))


class Rule(t.NamedTuple):
    """What excludes what. ``said``: the words of the finding; it breaks the rule where all of ``when`` hold."""

    said: str
    when: tuple[Wants, ...]


def _rules(*rules: Rule) -> t.Callable[[View], t.Iterator[Problem]]:
    """Judged once for each source, since the options are the same for all domains."""

    def evaluate(view: View) -> t.Iterator[Problem]:
        if view.role == "source":
            for rule in rules:
                if all(wants(view) for wants in rule.when):
                    yield Problem(_what(view), rule.said)

    return evaluate


def _what(view: View) -> str:
    return f"Migration from {view.source_name}" if view.role == "source" else f"Migration to {view.destination_name}"


_tunnelled = asks_for("tunnelled")
_zerocopy = asks_for("zerocopy")

_TUNNELLED = _rules(
    Rule("tunnelled without peer2peer", (_tunnelled, lacks("peer2peer"))),
    Rule("tunnelled with postcopy", (_tunnelled, asks_for("postcopy"))),
    Rule("tunnelled with copy_storage", (_tunnelled, _copies)),
    Rule("tunnelled with parallel", (_tunnelled, asks_for("parallel"))),
    Rule("tunnelled with offline", (_tunnelled, asks_for("offline"))),
    Rule("tunnelled with a transport that is not tcp", (_tunnelled, _not_over_tcp)),
    Rule("tunnelled with listen_address", (_tunnelled, asks_for("listen_address"))),
    Rule("tunnelled with disks_port", (_tunnelled, asks_for("disks_port"))),
)
_POSTCOPY = _rules(
    Rule("postcopy with paused", (asks_for("postcopy"), asks_for("paused"))),
    Rule("postcopy without live", (asks_for("postcopy"), lacks("live"))),
)
_ZEROCOPY = _rules(
    Rule("zerocopy without parallel", (_zerocopy, lacks("parallel"))),
    Rule("zerocopy with tls", (_zerocopy, _tls)),
    Rule("zerocopy with compression", (_zerocopy, asks_for("compression"))),
)
_OFFLINE = _rules(
    Rule("offline without persist", (asks_for("offline"), lacks("persist"))),
    Rule("offline with copy_storage", (asks_for("offline"), _copies)),
)
_UNIX = _rules(
    Rule("transport unix with copy_storage, and disks_uri is no unix socket", (_over("unix"), _copies_over_tcp)),
    Rule("transport unix with listen_address", (_over("unix"), asks_for("listen_address"))),
    Rule("transport unix with tls, and no tls_destination", (_over("unix"), _tls, lacks("tls_destination"))),
    Rule("tls with copies of disks over a unix socket", (_copies_over_unix_with_tls,)),
    Rule("disks_port and disks_uri at once", (asks_for("disks_port"), asks_for("disks_uri"))),
)


def _zerocopy_requirements(view: View) -> t.Iterator[Problem]:
    yield from _ZEROCOPY(view)
    if view.option("zerocopy"):
        yield from _too_old(view, "zerocopy", "libvirt", _ZEROCOPY_LIBVIRT)
        yield from _too_old(view, "zerocopy", "QEMU", _ZEROCOPY_QEMU)
        if view.role == "source" and view.option("parallel"):
            yield from _zerocopy_locks(view)


def _zerocopy_locks(view: View) -> t.Iterator[Problem]:
    """libvirt lets the source's QEMU lock hard_limit, or else the whole memory, before it begins (qemuMigrationSrcRun).

    QEMU has the daemon's limit where nothing else has raised it. Where only some domains need more than that, the
    others may move.
    """
    limit = lockable_mib(view.host)
    if limit is None:
        return
    domains = running_on(view, view.source_name)
    wanted = {domain.get("name"): hard_limit_mib(domain) or domain.get("memory_mib") for domain in domains}
    over = {name: mib for name, mib in wanted.items() if mib > limit}
    if over:
        yield Problem(
            _what(view),
            f"zerocopy, for which QEMU must lock the memory of {', '.join(sorted(over))}; libvirt there may lock "
            f"{limit} MiB and cannot raise that",
            expected=f"{max(over.values())} MiB, or a daemon that may raise the limit",
            remedy="do without zerocopy, or let the daemon raise it (CAP_SYS_RESOURCE, or LimitMEMLOCK of "
            "libvirtd.service or virtqemud.service)",
            severity=None if len(over) == len(wanted) else "warning",
        )


def _too_old(view: View, option: str, program: str, since: int) -> t.Iterator[Problem]:
    version = view.host.get(f"{program.lower()}_version")
    if version < since:
        said = f"{option}, and {program} there is {version_text(version)}"
        yield Problem(_what(view), said, expected=f"{program} {version_text(since)} or newer on both hosts")


def _compression(view: View) -> t.Iterator[Problem]:
    methods = list(view.option("compression"))
    if not methods:
        return
    if view.role == "source":
        yield from _compression_rules(view, methods)
    if "mt" in methods and view.host.get("qemu_version") >= _MT_UNTIL:
        said = f"compression mt, and QEMU there is {version_text(view.host.get('qemu_version'))}, which has none"
        yield Problem(_what(view), said)
    for method in methods:
        if method in _PARALLEL_METHODS:
            yield from _too_old(view, f"compression {method}", "libvirt", _ZSTD_SINCE)


def _compression_rules(view: View, methods: t.Sequence[str]) -> t.Iterator[Problem]:
    for method in methods:
        if method not in _METHODS:
            yield Problem(_what(view), f"compression {method}", expected="one of " + ", ".join(_METHODS))
        elif bool(view.option("parallel")) != (method in _PARALLEL_METHODS):
            how = "with" if view.option("parallel") else "without"
            yield Problem(_what(view), f"compression {method} {how} parallel")
    if view.option("parallel") and len(methods) > 1:
        yield Problem(_what(view), f"compression {' and '.join(methods)} with parallel")


def _parallel_postcopy(view: View) -> t.Iterator[Problem]:
    if view.option("parallel") and view.option("postcopy"):
        version = view.host.get("qemu_version")
        if version < POSTCOPY_QEMU:
            yield Problem(_what(view), f"parallel with postcopy, and QEMU there is {version_text(version)}")


def _migrate_disks(view: View) -> t.Iterator[Problem]:
    chosen = view.option("copy_disks")
    what = "Disks of domain {domain} that are to be copied"
    if chosen and not _copies(view):
        yield Problem(what, f"{', '.join(chosen)}, and copy_storage is none", remedy=_SET_COPY)
        return
    disks = {disk["target"]: disk for disk in (view.domain.get("disks") if chosen else ())}
    for target in chosen:
        if target not in disks:
            yield Problem(what, f"{target}, and it has {', '.join(sorted(disks)) or 'none'}")
        elif disks[target]["readonly"] or (disks[target]["type"] == "file" and not disks[target]["path"]):
            yield Problem(what, f"{target}, which is empty or read-only")


_SET_COPY = (
    "set copy_storage to all or inc, or leave copy_disks empty; libvirt 9.0 would ignore the list and copy nothing"
)


def _rdma(view: View) -> t.Iterator[Problem]:
    if view.option("transport") == "rdma" and not view.domain.get("settings.memtune.hard_limit"):
        yield Problem("Memory limit of domain {domain}", "none, and the transport is rdma")


def _tls_forced(view: View) -> t.Iterator[Problem]:
    if not view.tls and not view.option("tunnelled") and view.host.get("daemon.qemu_conf.migrate_tls_force"):
        host = view.source_name if view.role == "source" else view.destination_name
        yield Problem(f"migrate_tls_force in qemu.conf of {host}", "1, and tls is off")


def _direct(view: View) -> t.Iterator[Problem]:
    if view.role == "source" and not view.option("peer2peer"):
        yield Problem(
            _what(view),
            "without peer2peer: the client drives it, and when the client is lost between the "
            "two last steps the guest stays paused, perhaps on both hosts",
        )


def _persistence(view: View) -> t.Iterator[Problem]:
    """Both facts go into the move, so both must be known."""
    view.domain.get("autostart")
    if not view.domain.get("persistent"):
        return
    persist, undefine = view.option("persist"), view.option("undefine_source")
    what = "Definition of domain {domain}"
    if not persist and undefine:
        yield Problem(what, "deleted here and not kept there: the domain is gone when the guest shuts down")
    elif not persist:
        yield Problem(what, "not kept there: the guest is gone there when it shuts down", severity="warning")
    elif not undefine:
        yield Problem(what, "kept on both hosts: somebody may start the guest twice", severity="warning")


def _unsafe(view: View) -> t.Iterator[Problem]:
    if view.role == "source" and view.option("unsafe"):
        yield Problem(_what(view), "unsafe: libvirt looks neither at the disks' file systems nor at their caches")


def _abort_on_error(view: View) -> t.Iterator[Problem]:
    if not view.option("abort_on_error") or view.domain.get("state") != "paused":
        return
    if view.domain.get("state_reason") == _IO_ERROR:
        yield Problem("Domain {domain}", "paused by an I/O error, and abort_on_error is set")


def _bandwidth(view: View) -> t.Iterator[Problem]:
    limit = view.option("bandwidth_mib_s")
    if view.role != "source" or not limit:
        return
    fastest = view.host.get("config.nic_speed") or 0
    line_mib_s = fastest * 1000 * 1000 // 8 // 1024**2
    if fastest and limit > line_mib_s:
        yield Problem(
            f"Bandwidth of migrations from {view.source_name}",
            f"{limit} MiB/s, and its fastest NIC does {line_mib_s} MiB/s ({fastest} Mbit/s)",
        )


def _downtime(view: View) -> t.Iterator[Problem]:
    wanted = view.option("max_downtime_ms")
    if view.role == "source" and wanted and not _LOWEST_DOWNTIME_MS <= wanted <= _HIGHEST_DOWNTIME_MS:
        yield Problem(f"Downtime limit of migrations from {view.source_name}", f"{wanted} ms")


def _hooks(view: View) -> t.Iterator[Problem]:
    run = [hook for hook in view.destination.get("config.hooks") if hook["executable"]]
    here = {hook["path"]: hook for hook in (view.source.get("config.hooks") if run else ()) if hook["executable"]}
    for hook in run:
        twin = here.get(hook["path"])
        what = f"Hook {hook['path']} on {view.destination_name}"
        if twin is None:
            yield Problem(what, f"there, and not on {view.source_name}")
        elif None in (hook["digest"], twin["digest"]):
            yield unknown(f"the content of {hook['path']} may not be read, so that it cannot be compared", what)
        elif hook["digest"] != twin["digest"]:
            yield Problem(what, f"not the one of {view.source_name}")


def _state_folders(view: View) -> t.Iterator[Problem]:
    """Fires on proof alone: local file systems of two hosts look alike, and nothing is said of what only may be one."""
    there = {entry["path"]: entry for entry in view.destination.get("config.state_folders")}
    for entry in view.source.get("config.state_folders"):
        twin = there.get(entry["path"])
        if twin is None or not (entry["exists"] and twin["exists"]):
            continue
        # A folder is told from another one as a file is.
        ids = [
            Facts(f"{entry['path']} on {name}", {**each, "kind": "file"})
            for name, each in ((view.source_name, entry), (view.destination_name, twin))
        ]
        verdict, why = identity.compare(*ids)
        if verdict == "same":
            yield Problem(f"{entry['path']} of {view.source_name} and {view.destination_name}", f"one folder: {why}")


_DROP = "leave one of the two out"

CHECKS: tuple[Check, ...] = (
    Check(
        id="flags_tunnelled_conflicts",
        category="config",
        severity="error",
        scope="host",
        title="Nothing is asked of a tunnelled migration that it cannot do",
        expected="tunnelled with peer2peer, and without postcopy, parallel, copies of disks and addresses of its own",
        remedy="do without tunnelled: TLS encrypts too, and copies the data less often",
        evaluate=_TUNNELLED,
        evidence="lab",
    ),
    Check(
        id="flags_postcopy_requires_live",
        category="config",
        severity="error",
        scope="host",
        title="A post-copy migration is live, and its guest runs at once",
        expected="postcopy only with live and without paused: libvirt refuses it otherwise",
        remedy=_DROP,
        evaluate=_POSTCOPY,
        evidence="lab",
        volatile=True,
    ),
    Check(
        id="flags_zerocopy_requirements",
        category="config",
        severity="error",
        scope="host",
        title="Zero-copy has what it needs",
        expected="zerocopy only with parallel, without TLS and compression, and where QEMU may lock the guest's memory",
        remedy="do without zerocopy: it saves CPU time and nothing else",
        evaluate=_zerocopy_requirements,
        evidence="lab",
    ),
    Check(
        id="flags_compression_conflicts",
        category="config",
        severity="error",
        scope="host",
        title="The compression fits the way of the migration and the versions",
        expected="zlib or zstd, one of them, with parallel; xbzrle (or mt, before QEMU 9.1) without",
        remedy="do without compression: on a link of 10 Gbit/s it seldom pays",
        evaluate=_compression,
        evidence="lab",
        volatile=True,
    ),
    Check(
        id="flags_parallel_postcopy",
        category="config",
        severity="error",
        scope="host",
        title="Parallel and post-copy are combined only where QEMU can do both",
        expected="QEMU 10.1 or newer on both hosts; 10.0 refuses it, and older ones take it untested",
        remedy="use parallel where the link is fast, and postcopy where the migration must end",
        evaluate=_parallel_postcopy,
        evidence="lab",
        volatile=True,
    ),
    Check(
        id="flags_migrate_disks_valid",
        category="config",
        severity="error",
        scope="domain",
        title="The disks that are to be copied are there and can be copied",
        expected="targets of writable disks, with copy_storage",
        remedy="name targets that virsh domblklist shows, or none for libvirt's own choice",
        evaluate=_migrate_disks,
        evidence="lab",
        volatile=True,
    ),
    Check(
        id="flags_offline_combination",
        category="config",
        severity="error",
        scope="host",
        title="Nothing is asked of an offline migration that it cannot do",
        expected="offline with persist and without copy_storage: it moves the definition and nothing else",
        remedy="set persist, and copy disks, NVRAM and TPM state by other means",
        evaluate=_OFFLINE,
        evidence="lab",
        volatile=True,
    ),
    Check(
        id="flags_rdma_hard_limit",
        category="config",
        severity="error",
        scope="domain",
        title="A domain that moves over RDMA has a memory limit",
        expected="<memtune><hard_limit>: libvirt refuses RDMA without one, since all memory is locked",
        remedy="use transport tcp, or set a limit well above the guest's memory and QEMU's own (virsh memtune)",
        evaluate=_rdma,
        evidence="lab",
    ),
    Check(
        id="flags_tls_forced",
        category="config",
        severity="error",
        scope="host",
        title="Migrations are encrypted where the host demands it",
        expected="tls required: that libvirt refuses migrations without it",
        remedy="set tls to required, or take migrate_tls_force out of qemu.conf and restart the daemon",
        evaluate=_tls_forced,
        evidence="lab",
    ),
    Check(
        id="flags_unix_transport",
        category="config",
        severity="error",
        scope="host",
        title="A migration over UNIX sockets is asked for completely",
        expected="disks_uri a unix socket too, no listen_address and no disks_port, tls_destination with TLS and no "
        "copies of disks with TLS",
        remedy="correct the options",
        evaluate=_UNIX,
        evidence="lab",
        volatile=True,
    ),
    Check(
        id="flags_p2p_choice",
        category="config",
        severity="warning",
        scope="host",
        title="The source drives the migration",
        expected="peer2peer, which goes on when the controller is lost",
        remedy="set peer2peer, and let the source's root log in to the destination",
        evaluate=_direct,
        evidence="lab",
    ),
    Check(
        id="flags_persist_policy",
        category="config",
        severity="error",
        scope="domain",
        title="The definition of a persistent domain goes with it, and it is known whether it is one",
        expected="one definition, at the destination, and both facts known: persistent and autostart",
        remedy="set persist and undefine_source; what is not known virsh dominfo shows on the source",
        evaluate=_persistence,
        on_unknown="stop",
        evidence="lab",
    ),
    Check(
        id="flags_unsafe_requested",
        category="config",
        severity="warning",
        scope="host",
        title="libvirt is not told to skip its checks of disks",
        expected="no unsafe: it turns off the rule on shared storage and the rule on caches, both for all disks",
        remedy="do without unsafe; where one disk needs it, migrate that domain alone and say why",
        evaluate=_unsafe,
        evidence="lab",
    ),
    Check(
        id="flags_abort_on_error",
        category="config",
        severity="error",
        scope="domain",
        title="A guest that an I/O error has paused is not moved with abort_on_error",
        expected="a guest without an I/O error: libvirt refuses this one",
        remedy="repair the storage and resume the guest, or do without abort_on_error to rescue it from this host",
        evaluate=_abort_on_error,
        evidence="lab",
    ),
    Check(
        id="flags_bandwidth_sane",
        category="config",
        severity="warning",
        scope="host",
        title="The bandwidth limit is one",
        expected="less than the link's rate, in MiB/s and not in Mbit/s: 1 Gbit/s is 119 MiB/s",
        remedy="divide Mbit/s by 8.4; it holds for each copied disk and for the memory separately",
        evaluate=_bandwidth,
        evidence="lab",
    ),
    Check(
        id="flags_max_downtime_sane",
        category="config",
        severity="warning",
        scope="host",
        title="The downtime limit can be kept and does no harm",
        expected=f"{_LOWEST_DOWNTIME_MS} to {_HIGHEST_DOWNTIME_MS} ms: with less a migration may never end, with more "
        "clusters inside guests take their node for lost",
        remedy="choose a limit below the shortest timeout inside the guests (corosync's token, for example)",
        evaluate=_downtime,
        evidence="lab",
    ),
    Check(
        id="hook_script_destination",
        category="config",
        severity="warning",
        scope="link",
        title="The destination runs the same hooks as the source",
        expected="the same hooks on both hosts: the destination's can refuse a migration or change the definition",
        remedy="compare them; a hook must end with 0 for NAME migrate begin -, and write the definition or nothing",
        evaluate=_hooks,
        evidence="lab",
    ),
    Check(
        id="libvirt_etc_not_shared",
        category="config",
        severity="error",
        scope="link",
        title="Every host has its own definitions and state",
        expected="folders of its own: the source would delete the destination's definition after the migration",
        remedy="take the folder off the shared storage; images, NVRAM and TPM state may be shared, these may not",
        evaluate=_state_folders,
        evidence="lab",
    ),
)
