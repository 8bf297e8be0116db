# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of how the migration is to come to its end: post-copy, TLS over a long time, and a destination under load.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ..._model.api import Facts
from ..._sriov.api import REPLUG
from ..check import Check, Problem, Requirement, View, version_text
from ..memory import size_mib
from ..vf import strategy
from ..way import connections

_DEVICE_LIBVIRT, _DEVICE_QEMU = 10001000, 8000000
"""libvirt lets QEMU have /dev/userfaultfd (NEWS 10.1), QEMU looks for it (8.0)."""
_RECOVERY_SINCE, _RECOVERY_BROKEN, _RECOVERY_FIXED = 8005000, 11002000, 11004000
"""libvirt's NEWS of each."""
# 10.1 has a workaround that does not hold (qemu-devel: "crypto: implement workaround for GNUTLS thread safety
# problems", and what followed it). Which stable versions have the one that does is not told by a version, so this only
# warns.
_REKEY_FIXED = 10002000
_LARGE_MIB = 16 * 1024
"""TLS 1.3 with AES-GCM changes its keys after 2^24 records of QEMU's, some 64 GiB, and with a few vCPUs that write a
quarter of that is easily copied four times."""
_FIXED_PRIORITIES = ("fifo", "rr")
_GIGANTIC_KIB = 1024**2
_STALLED_PERCENT = 10.0
_VHOST_USER = ("vhostuser",)


def _emulator(view: View) -> t.Iterator[str]:
    emulator = view.domain.get("emulator")
    if view.option("postcopy"):
        yield emulator


def _userfaultfd(view: View, _need: str) -> t.Iterator[Problem]:
    """As QEMU asks for it: the device first, then the system call (util/userfaultfd.c). Root may do either."""
    host = view.destination
    kernel, user = host.get("ram.userfaultfd"), host.get("ram.qemu_user")
    if user == 0 or kernel["unprivileged"] == 1 or _device_for_qemu(host, kernel):
        return
    has = "which libvirt does not hand to QEMU" if kernel["device"] else "which is not there"
    yield Problem(
        f"Post-copy to {view.there}",
        f"QEMU runs as user {user}, vm.unprivileged_userfaultfd is {kernel['unprivileged']}, and nothing else lets it "
        f"have /dev/userfaultfd, {has}",
    )


def _device_for_qemu(host: Facts, kernel: t.Mapping[str, t.Any]) -> bool:
    if not kernel["device"] or host.get("qemu_version") < _DEVICE_QEMU:
        return False
    return bool(
        kernel["open"] or (host.get("libvirt_version") >= _DEVICE_LIBVIRT and host.get("ram.hands_over_userfaultfd"))
    )


def _blockers(view: View) -> t.Iterator[Problem]:
    what = f"Post-copy of domain {view.domain_name}"
    found = list(_in_the_way(view))
    if view.option("postcopy"):
        yield from (Problem(what, value, severity=severity) for value, severity in found)
        for option in ("tunnelled", "zerocopy"):
            if view.option(option):
                yield Problem(what, f"it is to be {option}", remedy=f"choose post-copy or {option}, not both")
        if view.option("transport") == "rdma":
            yield Problem(what, "it is to go over RDMA", remedy="choose post-copy or RDMA, not both")


def _in_the_way(view: View) -> t.Iterator[tuple[str, t.Literal["warning"] | None]]:
    domain = view.domain
    for hostdev in domain.get("hostdevs"):
        if hostdev["type"] == "mdev" or (hostdev["type"] == "pci" and strategy(view).name != REPLUG):
            yield f"it holds {hostdev['description']}, whose memory is pinned", None
    for device in domain.get("devices.memories"):
        if device["model"] == "nvdimm":
            yield f"its memory device {device['name']} is an NVDIMM, which QEMU refuses", None
    for nic in domain.get("interfaces"):
        if nic["type"] in _VHOST_USER:
            yield f"NIC {nic['mac']} is vhost-user, and not every such program can wait for memory", "warning"
    if any(entry["size"] == str(_GIGANTIC_KIB) for entry in domain.get("lists.hugepages")):
        yield "it is on huge pages of 1 GiB, and waits for each as a whole (about 1 s at 10 Gbit/s)", "warning"


def _recovery(view: View, _need: str) -> t.Iterator[Problem]:
    version = view.destination.get("libvirt_version")
    if version < _RECOVERY_SINCE:
        yield Problem(f"libvirt of {view.there}", f"{version_text(version)}, which cannot resume a post-copy")
    if _RECOVERY_BROKEN <= version < _RECOVERY_FIXED:
        yield Problem(
            f"libvirt of {view.there}", f"{version_text(version)}, whose daemon dies when post-copy is resumed"
        )


def _throttled(view: View) -> t.Iterator[Problem]:
    threads = [
        entry["vcpus"] for entry in view.domain.get("lists.vcpuscheds") if entry["scheduler"] in _FIXED_PRIORITIES
    ]
    if threads and view.option("auto_converge"):
        yield Problem(f"vCPUs {', '.join(map(str, threads))} of domain {view.domain_name}", "they run in real time")


def _long_tls(view: View) -> t.Iterator[int]:
    sizes = view.domain.get("settings.memory")
    memory = size_mib(sizes["memory"], sizes["unit"])
    if memory >= _LARGE_MIB and view.tls and not view.option("parallel"):
        yield _LARGE_MIB


def _rekey(view: View, need: int) -> t.Iterator[Problem]:
    if connections(view):
        return
    old = {
        name: version
        for name, version in (
            (view.source_name, view.source.get("qemu_version")),
            (view.there, view.destination.get("qemu_version")),
        )
        if version < _REKEY_FIXED
    }
    if old:
        hosts = " and ".join(f"QEMU {version_text(version)} on {name}" for name, version in old.items())
        yield Problem(
            "TLS for domain {domain}",
            f"it has {need // 1024} GiB of memory or more, and {hosts} may crash when TLS changes its keys",
        )


def _stalled(view: View) -> t.Iterator[Problem]:
    if view.role == "destination":
        percent = view.host.get("ram.pressure")
        if percent is not None and percent >= _STALLED_PERCENT:
            yield Problem(f"Host {view.there}", f"in {percent} % of the last minute nothing went on for lack of memory")


CHECKS: tuple[Check, ...] = (
    Check(
        id="conv_postcopy_available",
        category="convergence",
        severity="error",
        scope="pair",
        title="The destination can do post-copy",
        expected="vm.unprivileged_userfaultfd 1, or libvirt 10.1 and QEMU 8.0 or newer with a mount namespace for QEMU",
        remedy="set vm.unprivileged_userfaultfd to 1 there (sysctl), or migrate without post-copy",
        requires=Requirement(_emulator, _userfaultfd),
        evidence="lab",
    ),
    Check(
        id="conv_postcopy_blockers",
        category="convergence",
        severity="error",
        scope="domain",
        title="Nothing of the guest or of the migration is in the way of post-copy",
        expected="nothing that post-copy cannot do",
        remedy="migrate without post-copy, or detach the device",
        evaluate=_blockers,
        evidence="lab",
    ),
    Check(
        id="conv_postcopy_recovery",
        category="convergence",
        severity="warning",
        scope="pair",
        title="Post-copy can be resumed at the destination after a failure",
        expected="libvirt 8.5 or newer, but neither 11.2 nor 11.3",
        remedy="update libvirt there, or migrate without post-copy: after a network failure the guest would be lost",
        requires=Requirement(_emulator, _recovery),
        volatile=True,
        evidence="lab",
    ),
    Check(
        id="conv_autoconverge_impact",
        category="convergence",
        severity="info",
        scope="domain",
        title="No guest that must keep time is slowed down to make it converge",
        expected="no real-time vCPUs, or no auto-converge, which takes up to 99 % of their time away",
        remedy="migrate it without auto-converge, when it writes little",
        evaluate=_throttled,
        evidence="lab",
    ),
    Check(
        id="conv_tls_rekey",
        category="convergence",
        severity="warning",
        scope="pair",
        title="QEMU survives TLS for as long as the guest needs",
        expected="QEMU 10.2 or newer on both hosts, or parallel connections",
        remedy="look whether the QEMU there has the repair, use parallel connections, or update QEMU; with libvirt "
        "11.6 or newer a TLS priority without AES-GCM in qemu.conf helps too",
        requires=Requirement(_long_tls, _rekey, uses_source=True),
        volatile=True,
        evidence="lab",
    ),
    Check(
        id="host_load",
        category="capacity",
        severity="warning",
        scope="host",
        title="The destination is not short of memory",
        expected="less than 10 %",
        remedy="wait until it has calmed down, or choose another destination",
        evaluate=_stalled,
        evidence="recorded",
    ),
)
