# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The intent in a domain's own metadata: it goes where the domain goes, and says what was to become of it.

It is written before anything is touched and removed at the end. Not in between: libvirt makes whoever writes metadata
during a migration wait for 30 s and then refuses (qemuDomainSetMetadata takes a job).

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import json
import typing as t
import xml.etree.ElementTree as ET

from .._libvirt import error_code, libvirt
from .._model.api import Move
from .._sriov.api import Nic

STATE_URI = "urn:livemig:state:1"
_PREFIX = "livemig-state"
# What an interrupted migration needs to be finished. Controls and requirements belong to the plan.
_KEPT = (
    "domain",
    "uuid",
    "source",
    "destination",
    "destination_uri",
    "migrate_uri",
    "persistent",
    "autostart",
    "memory_mib",
    "edits",
    "way",
)


class Intent(t.NamedTuple):
    """``tls``: required or off, as the migration was started. ``nics``: the virtual functions that the domain has at
    the end, wherever it then runs."""

    run: str
    move: Move
    tls: str = "required"
    nics: tuple[Nic, ...] = ()


def kept_nics(nics: t.Sequence[Nic]) -> list[dict[str, t.Any]]:
    """As JSON, for the metadata and the journal."""
    return [nic._asdict() for nic in nics]


def of_kept(run: str, move: Move, tls: str, nics: t.Sequence[t.Mapping[str, t.Any]] = ()) -> Intent:
    return Intent(run, move, tls, tuple(Nic(**nic) for nic in nics))


def to_xml(intent: Intent) -> str:
    element = ET.Element("intent", {"run": intent.run, "source": intent.move["source"]})
    element.set("destination", intent.move["destination"])
    element.set("tls", intent.tls)
    kept = {name: value for name, value in intent.move.items() if name in _KEPT}
    element.text = json.dumps({**kept, "nics": kept_nics(intent.nics)}, sort_keys=True)
    return ET.tostring(element, encoding="unicode")


def from_xml(text: str) -> Intent | None:
    """None where it is not ours to read: another version's, or somebody's by hand."""
    try:
        element = ET.fromstring(text)
        values = json.loads(element.text or "")
    except (ET.ParseError, ValueError):
        return None
    run = element.get("run")
    if run is None or not isinstance(values, dict) or not {"uuid", "source", "destination"} <= set(values):
        return None
    defaults: dict[str, t.Any] = {
        "requires": {},
        "controls": [],
        "edits": [],
        "profile": {},
        "forecast": None,
    }
    nics = values.pop("nics", [])
    return of_kept(run, t.cast(Move, {**defaults, **values}), element.get("tls", "required"), nics)


def write(domain: t.Any, intent: Intent) -> None:
    """Raises libvirtError where it could not be written; then nothing must be started."""
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, to_xml(intent), _PREFIX, STATE_URI, _where(domain))


def remove(domain: t.Any) -> None:
    """Nothing happens where there is none. Raises libvirtError."""
    if read(domain) is None and not _in_definition(domain):
        return
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, None, None, STATE_URI, _where(domain))


def read(domain: t.Any) -> Intent | None:
    """The domain's intent, or None. Raises libvirtError."""
    return _read(domain, libvirt.VIR_DOMAIN_AFFECT_CURRENT)


def _in_definition(domain: t.Any) -> bool:
    return bool(domain.isPersistent()) and _read(domain, libvirt.VIR_DOMAIN_AFFECT_CONFIG) is not None


def _read(domain: t.Any, flags: int) -> Intent | None:
    try:
        return from_xml(domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, STATE_URI, flags))
    except libvirt.libvirtError as error:
        if error_code(error) == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return None
        raise


def _where(domain: t.Any) -> int:
    """Both the running domain and its definition, as far as there are both."""
    live = libvirt.VIR_DOMAIN_AFFECT_LIVE if domain.isActive() else 0
    config = libvirt.VIR_DOMAIN_AFFECT_CONFIG if domain.isPersistent() else 0
    return int(live | config)
