# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of CPUs and of QEMU out of what the kernel and libvirt write."""

from __future__ import annotations

import pathlib
import typing as t
from unittest import mock

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._model import cpuset
from ansible_collections.livemig.libvirt.plugins.module_utils._observe import (
    answers,
    answers_qemu,
    files,
    host_cpu,
    host_qemu,
)
from ansible_collections.livemig.libvirt.plugins.module_utils._observe.area import Host
from ansible_collections.livemig.libvirt.plugins.module_utils._observe.xml import parse

# Recorded on a host of the lab, and cut.
CPUINFO = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 167
model name\t: Intel(R) Xeon(R) Processor
stepping\t: 1
microcode\t: 0x1
flags\t\t: fpu vme de sse2 avx512f
address sizes\t: 48 bits physical, 57 bits virtual
power management:

processor\t: 1
vendor_id\t: AnotherVendor
"""
# https://docs.kernel.org/arch/arm64/cpu-feature-registers.html
ARM = """\
processor\t: 0
Features\t: fp asimd aes
CPU implementer\t: 0x41
CPU variant\t: 0x3
CPU part\t: 0xd0c
CPU revision\t: 1
"""
# Recorded on a host of the lab: libvirt 11.3.0, QEMU 10.0, cut.
CAPABILITIES = """\
<capabilities><host><cpu><arch>x86_64</arch></cpu></host>
<guest><os_type>hvm</os_type><arch name='x86_64'><wordsize>64</wordsize>
<emulator>/usr/bin/qemu-system-x86_64</emulator>
<machine maxCpus='288' deprecated='yes'>pc-q35-5.2</machine>
<machine maxCpus='4096'>pc-q35-10.0</machine>
<machine canonical='pc-q35-10.0' maxCpus='4096'>q35</machine>
<domain type='qemu'/></arch></guest></capabilities>
"""
DOMAIN_CAPABILITIES = """\
<domainCapabilities>
<path>/usr/bin/qemu-system-x86_64</path><domain>qemu</domain><machine>pc-q35-10.0</machine><arch>x86_64</arch>
<vcpu max='4096'/><iothreads supported='yes'/>
<os supported='yes'><enum name='firmware'><value>efi</value></enum>
<loader supported='yes'><value>/usr/share/OVMF/OVMF_CODE_4M.fd</value>
<enum name='secure'><value>no</value></enum></loader></os>
<cpu><mode name='host-passthrough' supported='no'/><mode name='maximum' supported='yes'/>
<mode name='custom' supported='yes'><model usable='yes' vendor='unknown'>qemu64</model>
<model usable='no' vendor='Intel'>Broadwell</model><blockers model='Broadwell'><feature name='hle'/></blockers>
</mode></cpu>
<devices><video supported='yes'><enum name='modelType'><value>vga</value><value>virtio</value></enum></video></devices>
<features><sev supported='no'/>
<hyperv supported='yes'><enum name='features'><value>spinlocks</value></enum></hyperv></features>
</domainCapabilities>
"""


class Daemon:
    """Stands in for the connection."""

    def getCapabilities(self) -> str:  # noqa: N802
        counter = "<counter name='tsc' frequency='2600000000' scaling='no'/>"
        return f"<capabilities><host><cpu>{counter}</cpu></host></capabilities>"

    def getCPUMap(self) -> tuple[int, list[bool], int]:  # noqa: N802
        return 4, [True, True, False, True], 3


def fact(name: str) -> t.Any:
    return host_cpu.FACTS[name].read(Host(Daemon()))


def written(folder: pathlib.Path, **texts: str) -> str:
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return str(folder)


def test_the_first_processor_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "read", lambda _path: CPUINFO)
    identity = {"vendor_id": "GenuineIntel", "cpu family": "6", "model": "167", "stepping": "1"}
    assert fact("identity") == identity
    assert fact("flags") == ["avx512f", "de", "fpu", "sse2", "vme"]
    assert (fact("microcode"), fact("phys_bits")) == ("0x1", 48)


def test_an_arm_cpu_has_other_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "read", lambda _path: ARM)
    assert fact("identity")["CPU implementer"] == "0x41"
    assert (fact("flags"), fact("microcode"), fact("phys_bits")) == (["aes", "asimd", "fp"], None, None)


def test_a_cpu_without_flags_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "read", lambda _path: "processor : 0\n")
    with pytest.raises(KeyError, match="names no flags"):
        fact("flags")


def test_what_libvirt_tells() -> None:
    assert fact("online") == "0-1,3"
    assert fact("tsc") == {"frequency": 2600000000, "scaling": False}


@pytest.mark.parametrize(("text", "numbers"), [("0-3,^2,8\n", [0, 1, 3, 8]), ("", []), ("5", [5]), ("0-1,^0-1", [])])
def test_sets_of_cpus(text: str, numbers: list[int]) -> None:
    assert sorted(cpuset.numbers(text)) == numbers
    assert sorted(cpuset.numbers(cpuset.text(numbers))) == numbers


@pytest.mark.parametrize("text", ["0-x", "all", "1;2"])
def test_a_broken_set_is_unknown(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        cpuset.numbers(text)


def test_guests_may_use_what_both_the_daemon_and_their_slice_may(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, slice="2-5\n", pid="self\n")
    monkeypatch.setattr(host_cpu, "DAEMON_PIDS", (str(tmp_path / "none"), str(tmp_path / "pid")))
    monkeypatch.setattr(host_cpu, "GUEST_SLICES", (str(tmp_path / "slice"), str(tmp_path / "none")))
    real = files.read
    status = "Name:\tlibvirtd\nCpus_allowed:\tf\nCpus_allowed_list:\t0-3\n"
    monkeypatch.setattr(files, "read", lambda path: status if path == "/proc/self/status" else real(path))
    assert fact("allowed") == "2-3"


def test_without_a_daemon_it_is_unknown_what_guests_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_cpu, "DAEMON_PIDS", ())
    with pytest.raises(FileNotFoundError, match="no libvirt daemon"):
        fact("allowed")


def test_free_groups_of_resctrl(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As https://docs.kernel.org/filesystems/resctrl.html describes it: L3 has 16 groups, MB has 8, two are made."""
    for name, count in (("L3", "16"), ("MB", "8"), ("L3_MON", None)):
        (tmp_path / "info" / name).mkdir(parents=True)
        if count:
            written(tmp_path / "info" / name, num_closids=f"{count}\n")
    for name in ("one", "two", "mon_groups"):
        (tmp_path / name).mkdir()
    for name in ("one", "two"):
        written(tmp_path / name, schemata="L3:0=ff\n")
    monkeypatch.setattr(host_cpu, "RESCTRL", str(tmp_path))
    assert fact("resctrl") == {"mounted": True, "free_groups": 5}
    monkeypatch.setattr(host_cpu, "RESCTRL", str(tmp_path / "none"))
    assert fact("resctrl") == {"mounted": False, "free_groups": 0}


def test_parameters_of_kvm(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("kvm", "kvm_intel"):
        (tmp_path / module / "parameters").mkdir(parents=True)
    written(tmp_path / "kvm" / "parameters", ignore_msrs="N\n", halt_poll_ns="200000\n")
    written(tmp_path / "kvm_intel" / "parameters", nested="1\n", ept="Y\n")
    monkeypatch.setattr(host_cpu, "MODULES", str(tmp_path))
    assert fact("kvm") == {"kvm.ignore_msrs": "N", "kvm_intel.ept": "Y", "kvm_intel.nested": "Y"}


def test_deprecated_machine_types() -> None:
    assert host_qemu.deprecated_machines(parse(CAPABILITIES)) == {"x86_64": ["pc-q35-5.2"]}


def test_replaced_binaries(tmp_path: pathlib.Path) -> None:
    """web1 runs what was removed, web2 what is there, web3 what was replaced and put back; gone has no process."""
    run, proc = tmp_path / "run", tmp_path / "proc"
    run.mkdir()
    links = {"web1": "qemu (deleted)", "web2": "qemu", "web3": "back (deleted)"}
    (tmp_path / "qemu").write_text("", encoding="utf-8")
    (tmp_path / "back").write_text("", encoding="utf-8")
    for number, (name, target) in enumerate(links.items()):
        written(run, **{f"{name}.pid": f"{number}\n", f"{name}.xml": ""})
        (proc / str(number)).mkdir(parents=True)
        (proc / str(number) / "exe").symlink_to(tmp_path / target)
    # The kernel's link leads to the file itself, also when its name is gone.
    (tmp_path / "qemu (deleted)").write_text("", encoding="utf-8")
    (tmp_path / "back (deleted)").hardlink_to(tmp_path / "back")
    written(run, **{"gone.pid": "77\n", "gone.xml": "", "driver.pid": "0\n"})
    assert host_qemu.replaced(str(run), str(proc)) == ["web1"]
    assert host_qemu.replaced(str(tmp_path / "none")) == []


def test_domain_capabilities() -> None:
    found = answers_qemu.read_capabilities(parse(DOMAIN_CAPABILITIES))
    assert (found["machine"], found["vcpu_max"], found["iothreads"]) == ("pc-q35-10.0", 4096, True)
    assert found["cpu_modes"] == ["maximum", "custom"]
    assert found["cpu_models"] == {"qemu64": "yes", "Broadwell": "no"}
    loader = {"supported": True, "values": ["/usr/share/OVMF/OVMF_CODE_4M.fd"], "secure": ["no"]}
    assert found["os"] == {"supported": True, "firmware": ["efi"], "loader": loader}
    assert found["devices"] == {"video": {"supported": True, "modelType": ["vga", "virtio"]}}
    assert found["features"]["sev"] == {"supported": False}
    assert found["features"]["hyperv"] == {"supported": True, "features": ["spinlocks"]}


def test_capabilities_of_an_old_libvirt() -> None:
    found = answers_qemu.read_capabilities(parse("<domainCapabilities><machine>q35</machine></domainCapabilities>"))
    assert (found["vcpu_max"], found["cpu_models"], found["iothreads"]) == (None, {}, False)
    assert found["os"] == {"supported": False, "loader": {"supported": False}}


_CPU = """<cpu mode='custom'><model>Skylake-Client</model><feature name='sha-ni'/>
<feature policy='force' name='vpclmulqdq'/><feature policy='disable' name='avx-vnni'/></cpu>"""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("internal error: Unknown CPU model GraniteRapids", True),
        ("internal error: Unknown CPU feature sha-ni", True),
        ("unsupported configuration: unknown CPU feature: vpclmulqdq", True),
        ("internal error: Unknown CPU feature avx-vnni", False),
        ("internal error: Unknown CPU feature avx512-fp16", False),
        ("internal error: Unknown CPU vendor Elbrus", False),
        ("Cannot recv data: Connection reset by peer", False),
    ],
)
def test_a_word_that_libvirt_does_not_know_is_an_answer(text: str, found: bool) -> None:
    assert answers.knows_not(text, _CPU) is found


def test_a_cpu_with_an_unknown_feature_is_not_provided() -> None:
    question: t.Any = {"emulator": "q", "arch": "a", "machine": "m", "virt_type": "v", "cpu_xml": _CPU}
    host = mock.Mock()
    host.connection.compareHypervisorCPU.side_effect = _libvirt.libvirt.libvirtError("Unknown CPU feature sha-ni")
    with mock.patch.object(answers, "error_text", str):
        assert answers.compare_cpu(host, question) == {"result": "incompatible", "reason": "Unknown CPU feature sha-ni"}
        host.connection.compareHypervisorCPU.side_effect = _libvirt.libvirt.libvirtError("no connection")
        with pytest.raises(_libvirt.libvirt.libvirtError):
            answers.compare_cpu(host, question)
