# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The check of device models against what the destination's hypervisor says it has.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t

from ..._model.api import Question
from ..check import Check, Problem, Requirement, View, unknown, version_text
from ..offers import Kind, ask, kind_of, offers


class Column(t.NamedTuple):
    """Where a model stands in a definition, and in the domain capabilities: the kind of device and the enum."""

    family: str
    column: str
    device: str
    enum: str


_COLUMNS = (
    Column("cryptos", "model", "crypto", "model"),
    Column("filesystems", "driver", "filesystem", "driverType"),
    Column("graphics", "type", "graphics", "type"),
    Column("panics", "model", "panic", "model"),
    Column("rngs", "model", "rng", "model"),
    Column("tpms", "backend", "tpm", "backendModel"),
    Column("tpms", "model", "tpm", "model"),
    Column("videos", "model", "video", "modelType"),
)


class Model(t.NamedTuple):
    kind: Kind
    device: str
    enum: str
    value: str


# Family of a definition -> the kind of device in libvirt's schema. The capabilities of older versions name no models
# of these, and of some no version does.
_SCHEMA_KINDS = {
    "cryptos": "crypto",
    "iommus": "iommu",
    "memories": "memorydev",
    "panics": "panic",
    "sounds": "sound",
    "watchdogs": "watchdog",
}


class Word(t.NamedTuple):
    """A model in libvirt's own words; ``implied``: libvirt may have added the device itself."""

    kind: str
    model: str
    implied: bool


def _words(view: View) -> t.Iterator[Word]:
    """A model that not even the schema of the source has says nothing: schemas lag behind now and then."""
    for family, kind in _SCHEMA_KINDS.items():
        for device in view.domain.items(f"devices.{family}", "name"):
            model = device.get("model")
            if model and model in (view.source.get("daemon.schema_models") or {}).get(kind, ()):
                yield Word(kind, model, model == "itco" and device.get("action") == "reset")


def _unknown_word(view: View, need: Word) -> t.Iterator[Problem]:
    there = (view.destination.get("daemon.schema_models") or {}).get(need.kind)
    if there is None:
        yield unknown(f"libvirt's schema on {view.there} lists no models of {need.kind}; the domain's is {need.model}")
    elif need.model in there:
        return
    elif need.implied:  # q35 has always had it, and libvirt before 9.1 is silent about it
        yield unknown(f"libvirt on {view.there} does not know the watchdog itco, which q35 has there all the same")
    else:
        yield Problem(
            "Device of domain {domain}",
            f"{need.kind} {need.model} is not known to libvirt on {view.there}, "
            f"{version_text(view.destination.get('libvirt_version'))}",
            remedy="choose a destination with a newer libvirt, or take the device out of the domain",
        )


def _needs(view: View) -> t.Iterator[Model | Word]:
    yield from _models(view)
    yield from _words(view)


def _models(view: View) -> t.Iterator[Model]:
    found = dict.fromkeys(
        (column, device.get(column.column))
        for column in _COLUMNS
        for device in view.domain.items(f"devices.{column.family}", "name")
    )
    wanted = [(column, value) for column, value in found if value is not None]
    if wanted:
        kind = kind_of(view.domain)
        yield from (Model(kind, column.device, column.enum, value) for column, value in wanted)


def _ask(view: View, need: Model | Word) -> t.Iterable[Question]:
    return ask(view, need.kind) if isinstance(need, Model) else ()


def _lacks(view: View, need: Model | Word) -> t.Iterator[Problem]:
    if isinstance(need, Word):
        yield from _unknown_word(view, need)
    else:
        yield from _not_offered(view, need)


def _not_offered(view: View, need: Model) -> t.Iterator[Problem]:
    answer = offers(view, need.kind)
    offered = None if answer is None else answer.get("devices").get(need.device)
    # Older libvirt says nothing of some kinds of devices and of some enums, which means nothing.
    if offered is None or (offered["supported"] and need.enum not in offered):
        return
    values = offered.get(need.enum, []) if offered["supported"] else []
    if need.value not in values:
        yield Problem(
            "Device of domain {domain}",
            f"{need.device} {need.value} is not among what {view.there} offers ({', '.join(values) or 'nothing'})",
        )


CHECKS: tuple[Check, ...] = (
    Check(
        id="dev_models_supported_dest",
        category="device",
        severity="error",
        scope="pair",
        title="The destination's libvirt and QEMU have the models of the domain's devices",
        expected="the same models on both hosts (virsh domcapabilities)",
        remedy="install the package of QEMU that has it there (qemu-system-modules-spice, qemu-system-gui), or choose "
        "another destination",
        requires=Requirement(_needs, _lacks, _ask),
        evidence="lab",
    ),
)
