# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import api
from tests.unit.preflight.case import Case, Edit, both, device, fact, more, put
from tests.unit.preflight.scene import Scene


def _conf(host: str, **settings: t.Any) -> Edit:
    return lambda scene: getattr(scene, host)["daemon"]["qemu_conf"].update(settings)


def _without(module: str) -> Edit:
    return lambda scene: scene.destination["daemon"]["qemu_modules"].remove(module)


def _space(path: str, **changes: t.Any) -> Edit:
    return lambda scene: scene.destination["system"]["spaces"][path].update(changes)


def _spice(scene: Scene) -> None:
    device("graphics", type="spice")(scene)
    device("videos", model="qxl")(scene)


def _own_arguments(scene: Scene) -> None:
    scene.domain["lists"]["qemu_arguments"].append("-device")


def _over_ssh(scene: Scene) -> None:
    scene.policy["uris"] = {"hv2": "qemu+ssh://198.51.100.2/system"}


def _clock(seconds: int) -> Edit:
    return lambda scene: scene.destination.update(time=scene.source["time"] + seconds)


def _kvm(**found: t.Any) -> Edit:
    """A KVM guest between two hosts that offer KVM, and what the destination says of the device."""

    def edit(scene: Scene) -> None:
        scene.domain["virt_type"] = "kvm"
        for emulator in scene.destination["emulators"]:
            emulator["virt_types"] = ["qemu", "kvm"]
        scene.answers["hv2"]["path:/dev/kvm"] = {"path": "/dev/kvm", **found}

    return edit


def _by_name(name: str, addresses: list[str], reason: str = "") -> Edit:
    """The policy calls the destination by a name, and the source was asked for it."""

    def edit(scene: Scene) -> None:
        scene.policy["addresses"] = {"hv2": name}
        scene.answers["hv1"][f"resolve:{name}"] = {"addresses": addresses, "reason": reason}

    return edit


def _probed(ok: bool, reason: str = "") -> Edit:
    """The source was asked to try the last of the destination's migration ports."""

    def edit(scene: Scene) -> None:
        scene.policy.update(probe=True)
        asked = api.questions(scene.hosts, scene.domains, scene.destinations, t.cast(t.Any, scene.policy))
        key = next(question["key"] for question in asked["hv1"] if question["ask"] == "reach")
        scene.answers["hv1"][key] = {"ok": ok, "reason": reason}

    return edit


def _client_ports(**changes: t.Any) -> Edit:
    return lambda scene: scene.destination["system"]["client_ports"].update(changes)


def _drivers(**troubles: str) -> Edit:
    return lambda scene: scene.destination["daemon"]["drivers"].update(troubles)


ADDRESS = "198.51.100.2"
NO_DRIVER = "this function is not supported by the connection driver: virConnectNumOfNWFilters"

CASES: dict[str, Case] = {
    "host_keepalive": Case(
        _conf("source", keepalive_interval=2), "given up after 12 s", _conf("destination", keepalive_interval=2), False
    ),
    "host_client_limits": Case(
        both(_over_ssh, fact("destination", "daemon.ssh_startups", 1)),
        "sshd's MaxStartups begins at 1; expected 2",
        both(_over_ssh, fact("source", "daemon.clients.max_clients", 5), fact("destination", "daemon.ssh_startups", 2)),
        blocks=False,
    ),
    "host_qemu_conf_diff": Case(
        _conf("destination", dynamic_ownership=0),
        "dynamic_ownership is 1 and 0",
        _conf("destination", shared_filesystems=["/srv/shared"]),
        blocks=False,
    ),
    "host_cgroup_device_acl": Case(
        both(_own_arguments, _conf("source", cgroup_device_acl=["/dev/null", "/dev/tcm"])),
        "hv2 does not allow /dev/tcm",
        both(_own_arguments, _conf("source", cgroup_device_acl=["/dev/null", "/dev/kvm"])),
        blocks=False,
    ),
    "host_storage_secret_network_drivers": Case(
        both(more("nic", filter="clean-traffic"), _drivers(nwfilter=NO_DRIVER)),
        f"nwfilter driver on hv2, which domain web1 needs: {NO_DRIVER}",
        both(more("nic", filter="clean-traffic"), _drivers(network=NO_DRIVER)),
    ),
    "host_qemu_modules": Case(
        both(_spice, _without("ui-spice-core")),
        "hv2 does not have ui-spice-core",
        both(_spice, _without("ui-egl-headless")),
    ),
    "host_pid_fd_limits": Case(
        fact("destination", "daemon.max_files", 256),
        "256, the daemon's own limit",
        both(fact("destination", "daemon.max_files", 256), _conf("destination", max_files=4096)),
        blocks=False,
    ),
    "host_guests_service": Case(
        fact("source", "daemon.guests_service.enabled", False),
        "it does not run when the host stops",
        fact("destination", "daemon.guests_service.enabled", False),
        blocks=False,
    ),
    "host_maintenance_flag": Case(
        fact("destination", "system.maintenance", "new kernel"),
        "it is in maintenance: new kernel",
        fact("source", "system.maintenance", "new kernel"),
    ),
    "host_foreign_manager": Case(
        fact("destination", "system.managers", ["Ganeti"]),
        "Ganeti has its configuration there",
        fact("destination", "system.managers", []),
        blocks=False,
    ),
    "host_disk_space_runtime": Case(
        _space("/var/log/libvirt/qemu", free_mib=99),
        "below /var/log/libvirt/qemu of hv2: 99 MiB",
        _space("/var/log/libvirt/qemu", free_mib=100, free_inodes_percent=None),
        given=both(_conf("destination", stdio_handler="logd"), fact("destination", "daemon.logd_listens", True)),
    ),
    "host_health": Case(
        fact("destination", "system.health.memory_errors", 3),
        "3 errors that could not be corrected",
        fact("source", "system.health.memory_errors", 3),
        blocks=False,
    ),
    "host_ntp_synced": Case(
        fact("source", "system.synchronised", True),
        "Clock of hv2: no time service keeps it right, while one does on hv1",
        both(fact("source", "system.synchronised", True), fact("destination", "system.synchronised", True)),
        blocks=False,
        documented="adjtimex(2): STA_UNSYNC; the hosts of the lab have one kernel",
    ),
    "host_clock_skew": Case(
        _clock(-3600),
        "3600 s behind that of hv1",
        _clock(600),
        blocks=False,
        documented="the facts are the lab's; its hosts have one clock",
    ),
    "host_timezone_localtime": Case(
        both(
            fact("domain", "settings.clock.offset", "localtime"), fact("destination", "system.timezone", "Asia/Tokyo")
        ),
        "which is UTC now and Asia/Tokyo on hv2",
        fact("destination", "system.timezone", "Asia/Tokyo"),
        blocks=False,
    ),
    "host_kvm_device": Case(
        _kvm(exists=False),
        "there is no /dev/kvm on hv2",
        _kvm(exists=True, kind="char"),
        documented="the lab has no KVM; the answer is that of any path",
    ),
    "host_cputune_shares_range": Case(
        both(fact("domain", "settings.cputune.shares", "10001"), fact("destination", "system.cgroup", "v2")),
        "10001, and hv2 has cgroup v2",
        both(fact("domain", "settings.cputune.shares", "10000"), fact("destination", "system.cgroup", "v2")),
        blocks=False,
    ),
    "host_dest_hostname_usable": Case(
        put("destination", hostname="localhost.localdomain"),
        "localhost.localdomain",
        put("destination", hostname="localhosts"),
        blocks=False,
    ),
    "host_dest_resolvable_from_source": Case(
        _by_name("hv2.example.com", ["127.0.1.1"]),
        "127.0.1.1, which is hv1 itself",
        _by_name("hv2.example.com", [ADDRESS]),
    ),
    "host_listen_address_family": Case(
        both(_by_name(ADDRESS, [ADDRESS]), _conf("destination", migration_address="127.0.0.1")),
        f"127.0.0.1, and hv1 goes to {ADDRESS}",
        both(_by_name(ADDRESS, [ADDRESS]), _conf("destination", migration_address="0.0.0.0")),
    ),
    "host_migration_ports_reachable": Case(
        _probed(False, "no answer within 3 s"), "no answer within 3 s", _probed(True), given=_probed(True)
    ),
    "host_migration_ports_ephemeral": Case(
        _client_ports(held=2), "connections to elsewhere hold 2 of them", _client_ports(held=0), blocks=False
    ),
}
