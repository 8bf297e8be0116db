# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where QEMU's certificates are for each service that libvirt runs it with.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import os
import typing as t

_ETC = "/etc/pki"


def folder(conf: t.Mapping[str, t.Any], service: str) -> str:
    """Of ``migrate``, ``vnc`` or ``spice``, by the settings of qemu.conf.

    A folder of the service's own comes before default_tls_x509_cert_dir, even where that one is set
    (SET_TLS_X509_CERT_DEFAULT in libvirt's src/qemu/qemu_conf.c).
    """
    own = os.path.join(_ETC, f"libvirt-{service}")
    usual = own if os.path.exists(own) else conf.get("default_tls_x509_cert_dir") or os.path.join(_ETC, "qemu")
    return str(conf.get(f"{service}_tls_x509_cert_dir") or usual)
