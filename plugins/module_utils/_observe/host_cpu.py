# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of a host: CPUs and what the kernel does with them.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import os
import re
import typing as t

from .._model import cpuset
from . import area, files

CPUINFO = "/proc/cpuinfo"
MODULES = "/sys/module"
SMT = "/sys/devices/system/cpu/smt/active"
PMUS = "/sys/bus/event_source/devices"
RT_RUNTIME = "/proc/sys/kernel/sched_rt_runtime_us"
RESCTRL = "/sys/fs/resctrl"
DAEMON_PIDS = ("/run/virtqemud.pid", "/run/libvirtd.pid", "/run/libvirt/libvirtd.pid")
# libvirt puts guests below machine.slice where systemd runs; the kernel tells what is left for it there.
GUEST_SLICES = (
    "/sys/fs/cgroup/machine.slice/cpuset.cpus.effective",
    "/sys/fs/cgroup/cpuset/machine.slice/cpuset.effective_cpus",
)

# What identifies a CPU in /proc/cpuinfo: of x86 (arch/x86/kernel/cpu/proc.c), of ARM (arch/arm64/kernel/cpuinfo.c), of
# POWER (arch/powerpc/kernel/setup-common.c), of IBM Z (arch/s390/kernel/processor.c).
_IDENTITY = (
    "vendor_id",
    "cpu family",
    "model",
    "stepping",
    "CPU implementer",
    "CPU variant",
    "CPU part",
    "CPU revision",
    "cpu",
    "revision",
)
_FLAGS = ("flags", "Features", "features")
_KVM_MODULES = ("kvm", "kvm_intel", "kvm_amd", "kvm_hv")
# Parameters that decide what a guest sees or what KVM can restore; the rest is about speed.
_KVM_PARAMETERS = frozenset(
    ("ignore_msrs", "nested", "ept", "npt", "unrestricted_guest", "enable_apicv", "avic", "pml", "sgx", "enable_pmu")
)


def parse_cpuinfo(text: str) -> dict[str, str]:
    """The lines of the first processor, with those that follow the last one; the first value of a name counts."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name.strip(), value.strip())
    return found


def _cpuinfo(host: area.Host) -> dict[str, str]:
    return host.once("cpuinfo", lambda: parse_cpuinfo(files.read(CPUINFO)))


def _online(host: area.Host) -> str:
    _count, online, _number = host.connection.getCPUMap()
    return cpuset.text(number for number, is_online in enumerate(online) if is_online)


def _allowed(_host: area.Host) -> str:
    """The daemon's own limit holds for its guests; where they have a slice of their own, its limit does too."""
    allowed = set(cpuset.numbers(_daemon_cpus()))
    for path in GUEST_SLICES:
        if os.path.exists(path):
            allowed &= cpuset.numbers(files.read(path))
    return cpuset.text(allowed)


def _daemon_cpus() -> str:
    for path in DAEMON_PIDS:
        if os.path.exists(path):
            status = files.read(f"/proc/{files.read(path).strip()}/status")
            values: dict[str, str] = dict(re.findall(r"^(\w+):\s*(\S+)", status, re.MULTILINE))
            return values["Cpus_allowed_list"]
    raise FileNotFoundError(f"no libvirt daemon has left its process number in {' or '.join(DAEMON_PIDS)}")


def _identity(host: area.Host) -> dict[str, str]:
    found = _cpuinfo(host)
    return {name: found[name] for name in _IDENTITY if name in found}


def _flags(host: area.Host) -> list[str]:
    found = _cpuinfo(host)
    for name in _FLAGS:
        if name in found:
            return sorted(set(found[name].split()))
    raise KeyError(f"{CPUINFO} names no flags")


def _phys_bits(host: area.Host) -> int | None:
    bits = re.match(r"(\d+) bits physical", _cpuinfo(host).get("address sizes", ""))
    return int(bits[1]) if bits else None


def _tsc(host: area.Host) -> dict[str, t.Any] | None:
    counter = host.capabilities().find("host/cpu/counter[@name='tsc']")
    if counter is None:
        return None
    return {"frequency": int(counter.get("frequency", "0")), "scaling": counter.get("scaling") == "yes"}


def _smt(_host: area.Host) -> bool | None:
    """None: the kernel does not know about threads of a core."""
    return files.read(SMT).strip() == "1" if os.path.exists(SMT) else None


def _pmus(_host: area.Host) -> list[str]:
    return sorted(os.listdir(PMUS)) if os.path.isdir(PMUS) else []


def _rt_runtime(_host: area.Host) -> int | None:
    return int(files.read(RT_RUNTIME)) if os.path.exists(RT_RUNTIME) else None


def _resctrl(_host: area.Host) -> dict[str, t.Any]:
    """``free_groups``: of the resource that has the fewest; the root's own group is one, and so is each folder."""
    info = os.path.join(RESCTRL, "info")
    if not os.path.isdir(info):
        return {"mounted": False, "free_groups": 0}
    counts = [os.path.join(info, name, "num_closids") for name in os.listdir(info)]
    closids = [int(files.read(path)) for path in counts if os.path.exists(path)]
    used = [name for name in os.listdir(RESCTRL) if os.path.exists(os.path.join(RESCTRL, name, "schemata"))]
    return {"mounted": True, "free_groups": max(0, min(closids, default=0) - 1 - len(used))}


def _kvm(_host: area.Host) -> dict[str, str]:
    """Y and N where the kernel writes 1 and 0 or the reverse, so that both compare."""
    found: dict[str, str] = {}
    for module in _KVM_MODULES:
        folder = os.path.join(MODULES, module, "parameters")
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            if name in _KVM_PARAMETERS:
                found[f"{module}.{name}"] = _switch(files.read(os.path.join(folder, name)).strip())
    return found


def _switch(value: str) -> str:
    return {"1": "Y", "0": "N"}.get(value, value)


FACTS: area.Facts = {
    "online": area.Fact(_online, "CPUs that are online, as `0-3,8`", by="libvirt"),
    "allowed": area.Fact(_allowed, "CPUs that guests may run on by the control groups of the host, as `0-3,8`"),
    "identity": area.Fact(_identity, "What identifies the CPU in /proc/cpuinfo: vendor, family, model, stepping"),
    "flags": area.Fact(_flags, "Flags of the CPU as the kernel names them, sorted"),
    "microcode": area.Fact(
        lambda host: _cpuinfo(host).get("microcode"), "Microcode as the kernel names it, null where it does not"
    ),
    "phys_bits": area.Fact(_phys_bits, "Bits of a physical address, null where the kernel does not tell"),
    "tsc": area.Fact(
        _tsc,
        "Time stamp counter: `frequency` in Hz, `scaling` (whether a guest may have another one); null where libvirt "
        "does not tell",
        by="libvirt",
    ),
    "smt": area.Fact(_smt, "Whether cores run more than one thread; null where the kernel does not know"),
    "pmus": area.Fact(_pmus, "Names of the kernel's sources of perf events"),
    "rt_runtime_us": area.Fact(
        _rt_runtime, "Microseconds that real-time tasks may take of each period; -1 for no limit, null for no such file"
    ),
    "resctrl": area.Fact(_resctrl, "Cache allocation: `mounted`, and `free_groups` that can still be made"),
    "kvm": area.Fact(_kvm, "Parameters of KVM's modules that guests depend on, `module.name`: Y, N or a value"),
}
