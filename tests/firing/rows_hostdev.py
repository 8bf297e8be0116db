# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

from tests.firing import iscsi
from tests.firing.provocation import Provocation, device, replaced
from tests.lab import api as lab

_USB = replaced("<controller type='usb' model='none'/>", "<controller type='usb' model='qemu-xhci'/>")
_REDIRECTED = device(
    "<redirdev bus='usb' type='tcp'><source mode='bind' host='127.0.0.1' service='4123'/><protocol type='raw'/>"
    "</redirdev>"
)


def _target() -> None:
    lab.exec_on("hv1", ["python3", "-"], stdin=Path(iscsi.__file__).read_text(encoding="utf-8"), check=True)


def _no_target() -> None:
    lab.exec_on("hv1", ["sh", "-c", f"kill $(cat {iscsi.PID_FILE}); rm -f {iscsi.PID_FILE}"])


ROWS: tuple[Provocation, ...] = (
    Provocation(
        "hd_usb_redirdev",
        "USB redirection over a TCP port of the host",
        "redir0 goes over a connection of type tcp",
        guest=lambda xml: _REDIRECTED(_USB(xml)),
    ),
    Provocation(
        "hd_scsi_generic",
        "a LUN of an iSCSI target passed through as a SCSI device",
        "it holds the iSCSI LUN iqn.2026-11.com.example:p/0",
        guest=device(
            "<controller type='scsi' model='virtio-scsi'/><hostdev mode='subsystem' type='scsi' managed='no'>"
            "<source protocol='iscsi' name='iqn.2026-11.com.example:p/0'>"
            f"<host name='127.0.0.1' port='{iscsi.PORT}'/></source></hostdev>"
        ),
        act=_target,
        undo=_no_target,
    ),
)
