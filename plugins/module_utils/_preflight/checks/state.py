# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of what a guest is doing, whether it answers, and to whom it belongs.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ..check import Check, Problem, View, unknown
from ..controls import label_words

_AGENT = "org.qemu.guest_agent.0"
_OCCUPIED_S = 4

# virDomainRunningReason and virDomainPausedReason of a post-copy migration that has failed
_POSTCOPY_FAILED = (("running", 11), ("paused", 13))

# Elements that managers put into the metadata of domains that are theirs: nova/virt/libvirt/config.py, vdsm's
# virt/xmlconstants.py, KubeVirt's pkg/virt-launcher/virtwrap/api/schema.go, OpenNebula's src/vmm/LibVirtDriverKVM.cc
_OWNERS: t.Mapping[str, str] = {
    "http://openstack.org/xmlns/libvirt/nova/": "OpenStack nova",
    "http://ovirt.org/vm/": "oVirt",
    "http://kubevirt.io": "KubeVirt",
    "http://opennebula.org/xmlns/libvirt/": "OpenNebula",
}
_FORBIDDEN: t.Mapping[str, str] = {
    "never": "that it is never to be migrated",
    "manual": "that only a person migrates it, by hand",
}

# virDomainTaintMessageTypeToString. Every guest of a QEMU that runs as root has the first, and the second has a check
# of its own.
_COMMON_TAINTS = ("undesirable elevated privileges", "host CPU passthrough")


def _monitor(view: View) -> t.Iterator[Problem]:
    control = view.domain.get("control")
    if control is None:
        return
    what = f"QEMU of domain {view.domain_name}"
    if control["state"] == "error":
        yield Problem(what, "libvirt has lost its monitor")
    elif control["state"] == "occupied" and control["seconds"] >= _OCCUPIED_S:
        yield Problem(what, f"it has not answered libvirt for {control['seconds']} s")


def _postcopy(view: View) -> t.Iterator[Problem]:
    state = view.domain.get("state"), view.domain.get("state_reason")
    if state in _POSTCOPY_FAILED:
        side = "destination" if state[0] == "running" else "source"
        yield Problem(
            f"Domain {view.domain_name}",
            f"a post-copy migration of it has failed, and {view.source_name} is its {side}",
        )


def _tainted(view: View) -> t.Iterator[Problem]:
    said = [text for text in view.domain.get("messages") or () if not any(part in text for part in _COMMON_TAINTS)]
    if said:
        yield Problem(f"Domain {view.domain_name}", "; ".join(said))


def _owner(view: View) -> t.Iterator[Problem]:
    for namespace in view.domain.get("lists.metadata"):
        for start, owner in _OWNERS.items():
            if namespace.startswith(start):
                yield Problem(f"Domain {view.domain_name}", f"it belongs to {owner} (metadata {namespace})")


def _pacemaker(view: View) -> t.Iterator[Problem]:
    for resource in view.source.get("system.pacemaker"):
        if resource["domain"] == view.domain_name and resource["managed"]:
            yield Problem(
                f"Domain {view.domain_name}", f"Pacemaker's resource {resource['resource']} starts and stops it"
            )


def _label(view: View) -> t.Iterator[Problem]:
    for word in label_words(view.domain.get("label")):
        if word in _FORBIDDEN:
            yield Problem(f"Label of domain {view.domain_name}", f"{word}, which says {_FORBIDDEN[word]}")


def _agent(view: View) -> t.Iterator[Problem]:
    channels = [entry for entry in view.domain.get("devices.channels") if entry["target_name"] == _AGENT]
    if not channels:
        return
    agent = view.domain.get("agent")
    what = f"Agent in domain {view.domain_name}"
    if channels[0]["target_state"] == "disconnected":
        yield Problem(what, "none is connected to its channel")
    elif agent["asked"] and not agent["answers"]:
        yield Problem(what, str(agent["reason"]))


def _frozen(view: View) -> t.Iterator[Problem]:
    agent = view.domain.get("agent")
    if not agent["asked"] or not agent["answers"]:
        return
    if agent["frozen"] is None:
        yield unknown(f"the agent in domain {view.domain_name} does not tell whether file systems are frozen")
    elif agent["frozen"]:
        yield Problem(f"File systems in domain {view.domain_name}", "they are frozen")


CHECKS: tuple[Check, ...] = (
    Check(
        id="guest_monitor_responsive",
        category="guest",
        severity="error",
        scope="domain",
        title="The domain's QEMU answers libvirt",
        expected="an answer at once",
        remedy="find out what it waits for: often storage that is gone (ps shows state D, dmesg names the device); a "
        "QEMU that hangs can neither be migrated nor be asked anything",
        evaluate=_monitor,
        evidence="lab",
    ),
    Check(
        id="guest_postcopy_failed_state",
        category="guest",
        severity="error",
        scope="domain",
        title="No post-copy migration of the domain has failed",
        expected="a guest that is whole on one host",
        remedy="its memory is on two hosts: destroy and resume neither; when they reach each other again continue the "
        "migration on its source (virsh migrate --postcopy --postcopy-resume)",
        evaluate=_postcopy,
        evidence="lab",
        on_unknown="stop",
        volatile=True,
        fixed=True,
    ),
    Check(
        id="guest_tainted",
        category="guest",
        severity="info",
        scope="domain",
        title="libvirt has no reservations about the domain",
        expected="no taint and nothing deprecated",
        remedy="see that the other host has what was added beside libvirt; replace what is deprecated at the next "
        "chance (virsh dominfo shows it)",
        evaluate=_tainted,
        evidence="lab",
    ),
    Check(
        id="guest_foreign_owner",
        category="guest",
        severity="error",
        scope="domain",
        title="No other program manages the domain",
        expected="a domain that nobody else moves, starts or keeps records of",
        remedy="migrate it with that program, which would otherwise look for it where it no longer is; where it is a "
        "mere left-over, silence this check for the domain, with the reason",
        evaluate=_owner,
        evidence="lab",
    ),
    Check(
        id="guest_cluster_resource",
        category="guest",
        severity="error",
        scope="domain",
        title="Pacemaker does not start and stop the domain",
        expected="no managed VirtualDomain resource: when Pacemaker misses its guest it starts a second one",
        remedy="move it with pcs resource move (crm resource move), or take it out of the cluster's hands meanwhile "
        "(pcs resource unmanage)",
        evaluate=_pacemaker,
        evidence="recorded",
        on_unknown="stop",
    ),
    Check(
        id="guest_migration_policy_tag",
        category="guest",
        severity="error",
        scope="domain",
        title="The domain's label allows that it is migrated",
        expected="a label without " + " and ".join(_FORBIDDEN),
        remedy="leave it out (livemig_domains), or change its label (virsh metadata --uri urn:livemig:policy:1)",
        evaluate=_label,
        evidence="lab",
    ),
    Check(
        id="guest_agent_alive",
        category="guest",
        severity="info",
        scope="domain",
        title="The agent in the guest answers",
        expected="qemu-guest-agent at work, since the domain has a channel for it",
        remedy="start qemu-guest-agent in the guest; it is not needed for the migration, only for looking into "
        "the guest",
        evaluate=_agent,
        evidence="lab",
    ),
    Check(
        id="guest_fs_frozen",
        category="guest",
        severity="error",
        scope="domain",
        title="File systems in the guest are not frozen",
        expected="thawed: a backup that froze them would not find the guest to thaw it",
        remedy="wait for the end of the backup that froze them, or thaw them (virsh domfsthaw)",
        evaluate=_frozen,
    ),
)
