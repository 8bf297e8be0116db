# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from tests.unit.preflight.case import Case, Edit, both, device, put

AGENT = "org.qemu.guest_agent.0"
GET_TIME = "libvirt's virDomainGetTime, and the agent's guest-get-time"


def _asked(**agent: t.Any) -> Edit:
    """A guest with a connected channel, and what its agent said."""
    said = {"asked": True, "answers": True, "reason": "", "frozen": False, **agent}
    return both(device("channels", target_name=AGENT, target_state="connected"), put("domain", agent=said))


def _resource(name: str, managed: bool) -> Edit:
    resource = {"resource": "vm-web", "domain": name, "managed": managed}
    return lambda scene: scene.source["system"]["pacemaker"].append(resource)


def _label(text: str) -> Edit:
    return put("domain", label=f'<p:policy xmlns:p="urn:livemig:policy:1">{text}</p:policy>')


def _metadata(namespace: str) -> Edit:
    return lambda scene: scene.domain["lists"]["metadata"].append(namespace)


CASES: dict[str, Case] = {
    "guest_monitor_responsive": Case(
        put("domain", control={"state": "occupied", "seconds": 7}),
        "it has not answered libvirt for 7 s",
        put("domain", control={"state": "occupied", "seconds": 1}),
    ),
    "guest_postcopy_failed_state": Case(
        put("domain", state="paused", state_reason=13),
        "has failed, and hv1 is its source",
        put("domain", state="paused", state_reason=12),
    ),
    "guest_tainted": Case(
        put("domain", messages=["tainted: use of custom monitor control commands issued"]),
        "custom monitor control commands",
        put("domain", messages=["tainted: running with undesirable elevated privileges"]),
        blocks=False,
    ),
    "guest_foreign_owner": Case(
        _metadata("http://openstack.org/xmlns/libvirt/nova/1.1"),
        "it belongs to OpenStack nova",
        _metadata("http://libosinfo.org/xmlns/libvirt/domain/1.0"),
    ),
    "guest_cluster_resource": Case(
        _resource("web1", True), "resource vm-web starts and stops it", _resource("web1", False)
    ),
    "guest_migration_policy_tag": Case(_label("never"), "never, which says", _label("gold")),
    "guest_agent_alive": Case(
        device("channels", target_name=AGENT, target_state="disconnected"),
        "none is connected to its channel",
        _asked(),
        blocks=False,
    ),
    "guest_fs_frozen": Case(_asked(frozen=True), "they are frozen", _asked(), documented=GET_TIME),
}
