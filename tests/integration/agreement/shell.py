# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of the hand-made cases about storage and security: edits of the guest, and shell for the hosts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

from tests.firing.provocation import XmlEdit, device, element, replaced
from tests.lab.places import SHARED_INSIDE

NO_DISK: Mapping[str, object] = {"disk": None}
HERE = "/srv/b-here"
"""A folder of each host's own."""
COMMON = f"{SHARED_INSIDE}/b-common"
"""A folder that the hosts share, until something is mounted over it."""
SIZE = "64M"

END = "virsh -q destroy {name} 2>/dev/null"
CONF = "/etc/libvirt/qemu.conf"
RESTART = (
    "service libvirtd restart >/dev/null 2>&1 </dev/null; "
    "timeout 30 sh -c 'until virsh uri >/dev/null 2>&1; do sleep 0.2; done'"
)
CONF_BACK = f"cp -a /run/b-conf {CONF}; rm /run/b-conf; {RESTART}"


def disk(
    source: str, form: str = "qcow2", kind: str = "file", target: str = "vda", more: str = "", **driver: str
) -> XmlEdit:
    """The edit that adds a disk. source: a path, or the whole <source>; more: elements in it."""
    words = "".join(f" {name}='{value}'" for name, value in {"cache": "none", **driver}.items())
    if not source.startswith("<"):
        source = f"<source {'dev' if kind == 'block' else 'file'}='{source}'/>"
    return device(
        f"<disk type='{kind}' device='disk'><driver name='qemu' type='{form}'{words}/>{source}"
        f"<target dev='{target}' bus='virtio'/>{more}</disk>"
    )


def medium(path: str, kind: str = "file", policy: str = "", drive: str = "cdrom") -> XmlEdit:
    """The edit that adds a drive with a medium in it."""
    target = "dev='fda' bus='fdc'" if drive == "floppy" else "dev='sda' bus='sata'"
    attribute = "dev" if kind == "block" else "file"
    return device(
        f"<disk type='{kind}' device='{drive}'><driver name='qemu' type='raw'/><source {attribute}='{path}'{policy}/>"
        f"<target {target}/><readonly/></disk>"
    )


def both(*edits: XmlEdit) -> XmlEdit:
    return lambda xml: reduce(lambda text, edit: edit(text), edits, xml)


def operating(xml_of_element: str) -> XmlEdit:
    """The edit that adds an element to <os>."""
    return replaced("<kernel>", f"{xml_of_element}<kernel>")


SHARED_MEMORY = element("<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>")


def image(path: str, form: str = "qcow2", size: str = SIZE, base: str = "") -> str:
    """Makes an image and its folder; base: of which it is an overlay."""
    made = f"-b {base} -F raw" if base else ""
    return f"mkdir -p {path.rpartition('/')[0]}; qemu-img create -q -f {form} {made} {path} {size}"


def filled(path: str, byte: str, size: str = "1M") -> str:
    """A raw file full of one byte, which tells which file is read."""
    write = f"qemu-io -f raw -c 'write -P {byte} 0 {size}' {path} >/dev/null"
    return f"mkdir -p {path.rpartition('/')[0]}; truncate -s {size} {path}; {write}"


def hidden(path: str, options: str = "") -> str:
    """Another file system over a folder: what the others see there is not to be seen any more."""
    return f"mkdir -p {path}; mount -t tmpfs {options} tmpfs {path}"


def after(here: str = "", there: str = "") -> dict[str, str]:
    """What ends the guest first, then cleans up: at the destination, then at the source."""
    return {"hv2": f"{END}; {there or ':'}", "hv1": f"{END}; {here or ':'}"}


def conf(*lines: str) -> str:
    """Other lines in qemu.conf, in the place of those with the same name, and a daemon that has read them."""
    written = (f"sed -i '/^{line.partition(' ')[0]} *=/d' {CONF}; echo '{line}' >>{CONF}" for line in lines)
    return f"cp -a {CONF} /run/b-conf; {'; '.join(written)}; {RESTART}"


def reads(device_path: str, at: str, byte: str) -> str:
    """What the guest would read from its disk now: qemu-io answers in the guest's log."""
    command = f'qemu-io -d {device_path} "read -P {byte} {at} 512"'
    return f"virsh qemu-monitor-command {{name}} --hmp '{command}'; tail -n 3 /var/log/libvirt/qemu/{{name}}.log"
