# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes into a certificate's subjectAltName, and where the made CA lives.

Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t
from pathlib import PurePosixPath

from ansible_collections.livemig.libvirt.plugins.module_utils._model.errors import LivemigError

# Letters, digits, hyphens and underscores in labels of at most 63 characters. Underscores are no host name by
# RFC 1123, but inventories use them and GnuTLS compares them like any other character.
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_MAX_NAME = 253

CA_FOLDER = "livemig-ca"


def canonical(name: str) -> str | None:
    """Return a DNS name in lower case or an address in its shortest form, ``None`` if it is neither."""
    text = name.strip().rstrip(".")
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        pass
    if len(text) > _MAX_NAME or not all(_LABEL.fullmatch(label) for label in text.split(".")):
        return None
    return text.lower()


def is_address(name: str) -> bool:
    """Tell whether a canonical name is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def wanted_names(names: t.Iterable[str], optional: t.Iterable[str] = ()) -> tuple[str, ...]:
    """Merge what was asked for with what was found, without repetitions and in a stable order.

    ``names`` must all be valid. Of ``optional`` (inventory alias, host name, facts) whatever cannot stand in a
    certificate is left out, since nobody can connect to it by that name either; ``localhost`` and the loopback
    addresses are left out too, they do not identify a host.
    """
    found: dict[str, None] = {}
    for name in names:
        valid = canonical(name)
        if valid is None:
            raise LivemigError(
                "A name for the certificate is not usable",
                value=name,
                expected="a host name of letters, digits, hyphens and dots, or an IP address",
                remedy="correct livemig_tls_names or livemig_tls_addresses",
            )
        found[valid] = None
    for name in optional:
        valid = canonical(name)
        if valid is not None and not _is_local(valid):
            found[valid] = None
    if not found:
        raise LivemigError(
            "The host has no name that can stand in a certificate",
            value=", ".join(optional) or "none",
            expected="at least one host name or address",
            remedy="give livemig_tls_names for this host",
        )
    return tuple(found)


def _is_local(name: str) -> bool:
    if is_address(name):
        address = ipaddress.ip_address(name)
        return address.is_loopback or address.is_link_local or address.is_unspecified
    return name.split(".")[0] == "localhost"


def default_ca_dir(inventory_dir: str | None, sources: t.Iterable[str], playbook_dir: str) -> str:
    """Return the folder of the made CA: beside the inventory, or beside the playbook where there is no inventory.

    An inventory that is a folder is read recursively by Ansible, and its INI parser takes lines of a PEM file for
    host names (``ansible/inventory/manager.py``, ``parse_source``). There the CA goes beside that folder.
    """
    if not inventory_dir:
        return str(PurePosixPath(playbook_dir) / CA_FOLDER)
    place = PurePosixPath(inventory_dir)
    folders = [PurePosixPath(source) for source in sources]
    enclosing = [folder for folder in folders if folder == place or folder in place.parents]
    return str((min(enclosing, key=lambda folder: len(folder.parts)).parent if enclosing else place) / CA_FOLDER)
