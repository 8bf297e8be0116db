# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verify: is it there, is it alive, is it gone here. The public face of the room.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import os
import time
import typing as t

from .._libvirt import Connection, find_domain, libvirt
from .._model.api import EXPLAINED, HostLog, Move, Outcome, Proof, way_of
from .._observe.api import log_path, log_since, parse_domain

__all__ = ["absent", "present", "why_not"]

_POLL_S = 0.1
_IFF_UP = 0x1
_STATES = {"running": ("RUNNING", "BLOCKED"), "paused": ("PAUSED",), "shutoff": ("SHUTOFF",)}
_WITH_NETDEV = ("bridge", "network", "direct", "ethernet")


def absent(connection: Connection, host: str, uuid: str) -> list[Proof]:
    """The domain is gone from its source: neither running nor defined."""
    domain = find_domain(connection, uuid)
    if domain is None:
        return [_proof("gone", host, True, "not running and not defined here")]
    what = "running" if domain.isActive() else "still defined"
    return [_proof("gone", host, False, f"{what} here, although it was moved")]


def present(connection: Connection, host: str, expected: Move, wait_s: float) -> list[Proof]:
    """The domain is here as it was there: running, so that its vCPUs advance within ``wait_s``; paused; or defined."""
    state = way_of(expected)["state"]
    domain = find_domain(connection, expected["uuid"])
    if domain is None:
        return [_proof(state, host, False, "not known here")]
    found = domain.state()[0]
    proofs = [_proof(state, host, found in _numbers(state), state if found in _numbers(state) else _named(found))]
    if not proofs[0]["ok"]:
        return proofs
    proofs.append(_same("persistent", host, bool(domain.isPersistent()), expected["persistent"]))
    if expected["persistent"]:
        proofs.append(_same("autostart", host, bool(domain.autostart()), expected["autostart"]))
    if state == "running":
        proofs.append(_vcpus_advance(domain, host, wait_s))
    return [*proofs, *(_nics(domain, host) if state != "shutoff" else ())]


def _numbers(state: str) -> tuple[int, ...]:
    return tuple(getattr(libvirt, f"VIR_DOMAIN_{name}") for name in _STATES[state])


def _named(number: int) -> str:
    found = [state for state in _STATES if number in _numbers(state)]
    return found[0] if found else f"in state {number}"


def why_not(uri: str, host: str, outcomes: t.Iterable[Outcome]) -> dict[str, HostLog]:
    """Domain UUID -> what this host's log says, for each domain that should have come here and did not.

    Only the source knows when it began: without its log of the same time there is nothing to look for.
    """
    began = {
        outcome["uuid"]: (outcome["domain"], log["since_s"])
        for outcome in outcomes
        if outcome["destination"] == host and outcome["state"] in EXPLAINED
        for log in outcome.get("logs", ())
        if log["host"] == outcome["source"]
    }
    return {uuid: log_since(host, log_path(uri, domain), since_s) for uuid, (domain, since_s) in began.items()}


def _proof(check: str, host: str, ok: bool, message: str) -> Proof:
    return {"check": check, "host": host, "ok": ok, "message": message}


def _same(check: str, host: str, found: bool, expected: bool) -> Proof:
    wanted = "" if found == expected else f", expected {expected}"
    return _proof(check, host, found == expected, f"{check} is {found}{wanted}")


def _vcpus_advance(domain: t.Any, host: str, wait_s: float) -> Proof:
    """CPU time has no event, so it is read until it moves. An idle guest's timer tick is enough."""
    begin = _cpu_time_ns(domain)
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        if _cpu_time_ns(domain) > begin:
            return _proof("vcpus_advance", host, True, "vCPU time advances")
        time.sleep(_POLL_S)
    return _proof("vcpus_advance", host, False, f"no vCPU time in {wait_s:g} s")


def _cpu_time_ns(domain: t.Any) -> int:
    return sum(vcpu[2] for vcpu in domain.vcpus()[0])


def _nics(domain: t.Any, host: str) -> list[Proof]:
    """Every tap and macvtap is up on the host, and a tap is attached to the bridge of its definition."""
    nics = parse_domain(domain.XMLDesc(0))["interfaces"]
    return [_nic(nic, host) for nic in nics if nic["target"] and nic["type"] in _WITH_NETDEV]


def _nic(nic: t.Mapping[str, t.Any], host: str) -> Proof:
    folder = f"/sys/class/net/{nic['target']}"
    name = f"NIC {nic['mac']} ({nic['target']})"
    try:
        with open(f"{folder}/flags", encoding="ascii") as file:
            up = bool(int(file.read(), 16) & _IFF_UP)
    except OSError as error:
        return _proof("nic_up", host, False, f"{name}: {error.strerror}")
    bridge = os.path.basename(os.path.realpath(f"{folder}/master")) if os.path.exists(f"{folder}/master") else None
    # Open vSwitch (a virtualport) has one master for all its bridges: ovs-system.
    if nic["type"] == "bridge" and nic["virtualport"] is None and bridge != nic["source"]:
        return _proof("nic_up", host, False, f"{name} is attached to {bridge}, expected {nic['source']}")
    return _proof("nic_up", host, up, f"{name} is {'up' if up else 'down'}")
