# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What checks of disks share: walking over disks and the images below them, and asking about their paths.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import functools
import json
import typing as t
from dataclasses import dataclass

from .._model.api import Facts, Question, UnknownFact
from .check import Problem, View, each
from .questions import path_key, path_question

_T = t.TypeVar("_T")

_MEDIA = frozenset(("cdrom", "floppy"))


@dataclass(frozen=True)
class Image:
    """What a disk reads: its own image, or one below it in the backing chain. ``facts``: a Disk or a Layer.

    ``media``: of a drive whose medium can be changed, so that a copy of it does. ``disk``: the disk it belongs to.
    """

    what: str
    facts: Facts
    media: bool
    disk: Facts

    @property
    def top(self) -> bool:
        return self.facts is self.disk

    def get(self, fact: str) -> t.Any:
        return self.facts.get(fact)

    @property
    def path(self) -> str:
        path = self.facts.get("path")
        if not path:
            raise UnknownFact(f"libvirt names no path of {self.what}")
        return str(path)

    def identity(self, host: str | None) -> Facts:
        return Facts(f"{self.path} on {host}", self.facts.get("identity"))


class Needed(t.NamedTuple):
    """A path that a disk or an image below it needs. ``identity``: what the source knows of it, as JSON text."""

    what: str
    path: str
    kind: str
    source: str
    identity: str

    def here(self) -> Facts:
        return _here(self.path, self.source, self.identity)


@functools.lru_cache(maxsize=64)
def _here(path: str, source: str, identity: str) -> Facts:
    """The same need is looked at for one destination after another."""
    return Facts(f"{path} on {source}", json.loads(identity))


def each_disk(judge: t.Callable[[View, Facts], t.Iterable[_T]]) -> t.Callable[[View], t.Iterable[_T | Problem]]:
    """The judge over every disk that has a source at all, whatever is below it."""

    def evaluate(view: View) -> t.Iterable[_T | Problem]:
        disks = [disk for disk in view.domain.items("disks", "target") if has_source(disk)]
        return each(disks, lambda disk: judge(view, disk))

    return evaluate


def each_image(judge: t.Callable[[View, Image], t.Iterable[_T]]) -> t.Callable[[View], t.Iterable[_T | Problem]]:
    """The judge over every disk that has a source at all, and over every image below it."""

    def images(view: View, disk: Facts) -> t.Iterator[_T | Problem]:
        yield from each([disk], lambda top: judge(view, Image(what_of(top), top, is_media(top), top)))
        yield from each(disk.items("backing", "layer"), lambda layer: judge(view, below(disk, layer)))

    def below(disk: Facts, layer: Facts) -> Image:
        name = f"Backing image {layer.get('layer')} of disk {disk.get('target')} of domain {{domain}}"
        return Image(name, layer, False, disk)

    return each_disk(images)


def has_source(disk: Facts) -> bool:
    """An empty drive has a type of a local file and no path; of the other types libvirt demands a source."""
    return disk.get("type") not in ("file", "block", "dir") or bool(disk.get("path"))


def is_media(disk: Facts) -> bool:
    """A disk that is read-only is none: the guest goes on with what it has read, and a copy may differ."""
    return disk.get("device") in _MEDIA


def what_of(disk: Facts) -> str:
    return f"Disk {disk.get('target')} of domain {{domain}}"


def is_copied(view: View, disk: Facts) -> bool:
    """Whether the migration copies this disk, so that the destination need not see the source's.

    Without a list of targets libvirt copies what is neither shareable nor read-only and has a source
    (qemuMigrationAnyCopyDisk in src/qemu/qemu_migration.c of 9.0.0 and 11.3.0).
    """
    if view.option("copy_storage") == "none" or not has_source(disk):
        return False
    chosen = view.option("copy_disks")
    if chosen:
        return disk.get("target") in chosen
    return not disk.get("shareable") and not disk.get("readonly")


def is_image_copied(view: View, image: Image) -> bool:
    """The same of an image: copy_storage=inc copies the top one alone and needs those below it at the destination."""
    return is_copied(view, image.disk) and (image.top or view.option("copy_storage") == "all")


def there_of(view: View, path: str) -> Facts:
    """What the destination answered about the path."""
    return view.answer(view.destination_name, path_key(path))


def ask_path(_view: View, need: t.Any) -> t.Iterator[Question]:
    """Asks about the ``path`` of a need."""
    yield path_question(need.path)


def needed(view: View, what: str, image: Facts, path: str) -> Needed:
    return Needed(what, path, image.get("type"), view.source_name or "", json.dumps(image.get("identity")))
