# SPDX-License-Identifier: GPL-3.0-or-later

"""What a case is, and edits of a scene that many of them need."""

from __future__ import annotations

import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._observe.definition import DEVICES, LISTS, Family
from tests.unit.preflight.scene import Scene

Edit = t.Callable[[Scene], t.Any]


class Case(t.NamedTuple):
    """``text`` stands in the message when ``fires`` was done to the scene; ``passes`` is the near miss.

    ``given``: what must be so for the check to look at anything, done before either.
    ``documented``: the facts of ``fires`` cannot be had in the lab; they have the form that this source documents.
    """

    fires: Edit
    text: str
    passes: Edit
    blocks: bool = True
    status: str = "fail"
    domain: str = "web1"
    documented: str | None = None
    given: Edit | None = None

    def scene(self, remote: bool = False) -> Scene:
        """The recorded scene as far as nothing speaks against it."""
        scene = Scene(self.domain, remote)
        if self.given is not None:
            self.given(scene)
        return scene


def put(part: str, **changes: t.Any) -> Edit:
    """The edit that updates a part of the scene."""
    return lambda scene: getattr(scene, part).update(changes)


def certificate(host: str, name: str, **changes: t.Any) -> Edit:
    return lambda scene: getattr(scene, host)["tls"][name].update(changes)


def answered(host: str, start: str, **changes: t.Any) -> Edit:
    return lambda scene: scene.answer(host, start).update(changes)


def fact(part: str, path: str, value: t.Any) -> Edit:
    """The edit that sets one fact by its path: fact("domain", "settings.os.loader", "/x.fd")."""

    def edit(scene: Scene) -> None:
        *folders, name = path.split(".")
        place = getattr(scene, part)
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = value

    return edit


def device(family: str, **columns: t.Any) -> Edit:
    """The edit that gives the domain one more device; columns that are not named are None."""
    return lambda scene: scene.domain["devices"][family].append(
        {**_blank(DEVICES[family]), "name": f"{family}9", **columns}
    )


def listed(family: str, **columns: t.Any) -> Edit:
    """The same for what stands below ``lists``."""
    return lambda scene: scene.domain["lists"][family].append(
        {**_blank(LISTS[family]), "name": f"{family}9", **columns}
    )


def more(part: str, **changes: t.Any) -> Edit:
    """The edit that updates what a disk, medium or NIC has under ``more``."""
    return lambda scene: getattr(scene, part)["more"].update(changes)


def migration(**options: t.Any) -> Edit:
    """The edit that says what the migration is to use."""
    return lambda scene: scene.policy.update(migration={**scene.policy.get("migration", {}), **options})


def both(*edits: Edit) -> Edit:
    """All of these edits, in order."""

    def edit(scene: Scene) -> None:
        for each in edits:
            each(scene)

    return edit


def _blank(family: Family) -> dict[str, t.Any]:
    return {column: False if place.endswith("?") else None for column, place in family.columns.items()}
