# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of firmware, ROMs and kernels: files of the host that a guest is started with.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import os
import typing as t

from ..._model.api import Facts, Question, UnknownFact
from ..check import Check, Problem, Requirement, View
from ..questions import key_of, path_key, path_question

_NVRAM_DIR = "/var/lib/libvirt/qemu/nvram"
"""libvirt makes this folder itself; any other must be there."""

_KERNEL = (("kernel", "kernel"), ("initrd", "initial RAM disk"), ("dtb", "device tree"), ("acpi_table", "ACPI table"))
_PC = ("x86_64", "i686")
# hw/net/*.c of QEMU: the option ROM of each NIC. Those of virtio are the same for all of its variants.
_NIC_ROMS = {
    "virtio": "efi-virtio.rom",
    "virtio-transitional": "efi-virtio.rom",
    "virtio-non-transitional": "efi-virtio.rom",
    "e1000": "efi-e1000.rom",
    "e1000e": "efi-e1000e.rom",
    "rtl8139": "efi-rtl8139.rom",
    "pcnet": "efi-pcnet.rom",
    "ne2k_pci": "efi-ne2k_pci.rom",
    "vmxnet3": "efi-vmxnet3.rom",
    "i82550": "efi-eepro100.rom",
    "i82559er": "efi-eepro100.rom",
}
_VIDEO_ROMS = {
    "vga": "vgabios-stdvga.bin",
    "cirrus": "vgabios-cirrus.bin",
    "qxl": "vgabios-qxl.bin",
    "virtio": "vgabios-virtio.bin",
    "vmvga": "vgabios-vmware.bin",
    "bochs": "vgabios-bochs-display.bin",
}
_BIOS = "bios-256k.bin"
_RAW = "raw"


class File(t.NamedTuple):
    """A file that the guest was started with, and its bytes at the source; None: it is no more."""

    what: str
    path: str
    size: int | None


def _file(view: View, what: str, path: str) -> File:
    for entry in view.domain.items("boot_files", "path"):
        if entry.get("path") == path:
            return File(what, path, entry.get("size"))
    raise UnknownFact(f"the size of {path} on {view.source_name} was not observed")


def _there(view: View, path: str) -> Facts:
    return view.answer(view.destination_name, path_key(path))


def _ask(_view: View, need: File) -> t.Iterator[Question]:
    yield path_question(need.path)


def _loader(view: View) -> t.Iterator[File]:
    path = view.domain.get("settings.os.loader")
    if path:
        yield _file(view, "Firmware", path)


def _missing(view: View, need: File) -> t.Iterator[Problem]:
    if not _there(view, need.path).get("exists"):
        yield Problem(f"{need.what} of domain {{domain}}", f"there is no {need.path} on {view.there}")


class Flash(t.NamedTuple):
    """``template``: what libvirt fills the file from where there is none yet; None where the XML does not say.

    The formats are those of images, raw where the XML names none.
    """

    file: File
    template: str | None
    format: str = _RAW
    template_format: str = _RAW


def _flashes(view: View) -> t.Iterator[Flash]:
    boot = view.domain.get("settings.os")
    for file in _loader(view):
        yield Flash(file, None, boot["loader_format"] or _RAW)
    yield from _nvram(view, boot)


def _nvram(view: View, boot: t.Mapping[str, t.Any]) -> t.Iterator[Flash]:
    path = boot["nvram_source"] or boot["nvram"]
    if path and boot["nvram_type"] in (None, "file"):
        own = boot["nvram_format"] or _RAW
        file = _file(view, "Firmware variables", path)
        # Without a format of its own libvirt copies the template as it is.
        yield Flash(file, boot["nvram_template"], own, boot["nvram_template_format"] or own)


def _nvrams(view: View) -> t.Iterator[Flash]:
    return _nvram(view, view.domain.get("settings.os"))


def _ask_flash(_view: View, need: Flash) -> t.Iterator[Question]:
    yield path_question(need.file.path)
    if need.template:
        yield path_question(need.template)


def _size_question(path: str, image_format: str) -> Question:
    """A file of format raw is as big as what is in it; of others the header must be read."""
    if image_format == _RAW:
        return path_question(path)
    asked = [path, image_format]
    return t.cast(Question, {"key": key_of("firmware_size", asked), "ask": "firmware_size", "value": asked})


def _size_questions(need: Flash) -> t.Iterator[Question]:
    yield _size_question(need.file.path, need.format)
    if need.template:
        yield _size_question(need.template, need.template_format)


def _ask_size(_view: View, need: Flash) -> t.Iterator[Question]:
    return _size_questions(need)


def _flash_size(view: View, need: Flash) -> t.Iterator[Problem]:
    own, *template = (question["key"] for question in _size_questions(need))
    there, path = view.answer(view.destination_name, own), need.file.path
    if need.template and not there.get("exists"):
        there, path = view.answer(view.destination_name, template[0]), need.template
    if need.file.size is not None and there.get("exists") and there.get("size") != need.file.size:
        yield Problem(
            f"{need.file.what} of domain {{domain}}",
            f"{path} has {there.get('size')} bytes on {view.there}",
            expected=f"{need.file.size} bytes, as at the source",
        )


def _ask_nvram(_view: View, need: Flash) -> t.Iterator[Question]:
    yield from _ask_flash(_view, need)
    yield path_question(os.path.dirname(need.file.path))


def _nvram_possible(view: View, need: Flash) -> t.Iterator[Problem]:
    path, folder = need.file.path, os.path.dirname(need.file.path)
    if _there(view, path).get("exists"):
        return
    if folder != _NVRAM_DIR and not _there(view, folder).get("exists"):
        yield Problem("Firmware variables of domain {domain}", f"there is no folder {folder} on {view.there}")
    if need.template and not _there(view, need.template).get("exists"):
        yield Problem("Firmware variables of domain {domain}", f"their template {need.template} is not on {view.there}")


def _boot_files(view: View) -> t.Iterator[File]:
    boot = view.domain.get("settings.os")
    for fact, what in _KERNEL:
        if boot[fact]:
            yield _file(view, f"The {what}", boot[fact])
    for entry in view.domain.get("lists.fwcfg_entries"):
        if entry["file"]:
            yield _file(view, f"The firmware blob {entry['entry']}", entry["file"])


def _boot_file(view: View, need: File) -> t.Iterator[Problem]:
    there = _there(view, need.path)
    if not there.get("exists"):
        yield from _missing(view, need)
    elif need.size is not None and there.get("size") != need.size:
        yield Problem(
            f"{need.what} of domain {{domain}}",
            f"{need.path} has {there.get('size')} bytes on {view.there}",
            expected=f"{need.size} bytes, as at the source: with another one QEMU may not start, and the guest boots "
            "something else when it restarts",
            remedy="copy the source's file there",
        )


def _custom_roms(view: View) -> t.Iterator[File]:
    for path in dict.fromkeys(view.domain.get("lists.roms")):
        yield _file(view, "A ROM", path)


def _bucket(size: int) -> int:
    """QEMU gives a ROM the next power of two (pci_add_option_rom); within that sizes may differ."""
    return 1 << (size - 1).bit_length() if size else 0


def _custom_rom(view: View, need: File) -> t.Iterator[Problem]:
    yield from _missing(view, need)
    there = _there(view, need.path)
    if need.size is not None and there.get("exists") and _bucket(there.get("size")) != _bucket(need.size):
        yield Problem(
            f"{need.what} of domain {{domain}}",
            f"{need.path} has {there.get('size')} bytes on {view.there}",
            expected=f"{need.size} bytes, as at the source, or at least the same power of two above it",
        )


class Rom(t.NamedTuple):
    """``exact``: whether the size itself counts and not the power of two above it."""

    name: str
    exact: bool = False


def _packaged(view: View) -> bool:
    emulator = view.domain.get("emulator")
    if emulator.startswith("/usr/local/") or not emulator.startswith("/usr/"):
        raise UnknownFact(f"where {emulator} has its ROM files is not observed")
    return True


def _nic_roms(view: View) -> t.Iterator[Rom]:
    models = {nic.get("more")["model"] for nic in view.domain.items("interfaces", "mac") if _loads_rom(nic.get("more"))}
    names = {_NIC_ROMS[model] for model in models if model in _NIC_ROMS}
    if names and _packaged(view):
        yield from map(Rom, sorted(names))


def _loads_rom(nic: t.Mapping[str, t.Any]) -> bool:
    return nic["rom"] is None and nic["rom_bar"] != "off" and nic["rom_enabled"] != "no"


def _bios_roms(view: View) -> t.Iterator[Rom]:
    domain = view.domain
    models = [video["model"] for video in domain.get("devices.videos")]
    plain = not domain.get("settings.os.loader") and "microvm" not in domain.get("machine")
    if domain.get("arch") in _PC and _packaged(view):
        if plain:
            yield Rom(_BIOS, exact=True)
        yield from (Rom(_VIDEO_ROMS[model]) for model in dict.fromkeys(models) if model in _VIDEO_ROMS)


def _rom(view: View, need: Rom) -> t.Iterator[Problem]:
    here, there = (host.get("firmware.roms").get(need.name) for host in (view.source, view.destination))
    if here is None:
        return
    if there is None:
        yield Problem("ROM of domain {domain}", f"there is no {need.name} on {view.there}")
    elif (here != there) if need.exact else (_bucket(here) != _bucket(there)):
        yield Problem(
            "ROM of domain {domain}",
            f"{need.name} has {there} bytes on {view.there}",
            expected=f"{here} bytes, as on {view.source_name}"
            + ("" if need.exact else ", or the same power of two above it"),
        )


CHECKS: tuple[Check, ...] = (
    Check(
        id="fw_loader_present",
        category="firmware",
        severity="error",
        scope="pair",
        title="The destination has the guest's firmware",
        expected="the same file on both hosts",
        remedy="install the same firmware package there (ovmf, edk2-ovmf), or copy the file",
        requires=Requirement(_loader, _missing, _ask),
        evidence="lab",
    ),
    Check(
        id="fw_pflash_size_equal",
        category="firmware",
        severity="error",
        scope="pair",
        title="Firmware and its variables have the same size on both hosts",
        expected="the same size",
        remedy="install the same build of the firmware there (2 MiB and 4 MiB builds do not mix)",
        requires=Requirement(_flashes, _flash_size, _ask_size),
        evidence="lab",
    ),
    Check(
        id="fw_nvram_template_or_dir",
        category="firmware",
        severity="error",
        scope="pair",
        title="The destination can hold the variables of the guest's firmware",
        expected="the folder, and the template that libvirt makes the file from",
        remedy="make the folder there, and install the firmware package that has the template",
        requires=Requirement(_nvrams, _nvram_possible, _ask_nvram),
        evidence="lab",
    ),
    Check(
        id="fw_option_rom_size",
        category="firmware",
        severity="error",
        scope="pair",
        title="The option ROMs of the guest's NICs have the same size on both hosts",
        expected="the same size",
        remedy="install the same version of ipxe-qemu there, or give the NIC <rom enabled='no'/> at its next start",
        requires=Requirement(_nic_roms, _rom, uses_source=True),
        evidence="lab",
    ),
    Check(
        id="fw_custom_rom_file",
        category="firmware",
        severity="error",
        scope="pair",
        title="The destination has the guest's own ROM files",
        expected="the same file on both hosts",
        remedy="copy it there",
        requires=Requirement(_custom_roms, _custom_rom, _ask),
        evidence="lab",
    ),
    Check(
        id="fw_seabios_size",
        category="firmware",
        severity="error",
        scope="pair",
        title="BIOS and VGA BIOS have the same size on both hosts",
        expected="the same size",
        remedy="install the same version of seabios there",
        requires=Requirement(_bios_roms, _rom, uses_source=True),
        evidence="lab",
    ),
    Check(
        id="fw_direct_kernel_boot",
        category="firmware",
        severity="error",
        scope="pair",
        title="The destination has the kernel and other files that the guest is started with",
        expected="the same files on both hosts",
        remedy="copy them there",
        requires=Requirement(_boot_files, _boot_file, _ask),
        evidence="lab",
    ),
)
