# SPDX-License-Identifier: GPL-3.0-or-later

"""One recorded evacuation of a guest, to be edited by tests: hv1 to hv2, everything as it should be.

data/recorded.json was written by _observe on two real hosts of the lab; its ``recorded`` says when and which versions.
"""

from __future__ import annotations

import copy
import json
import pathlib
import typing as t

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Finding
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import api

RECORDED: dict[str, t.Any] = json.loads((pathlib.Path(__file__).parent / "data" / "recorded.json").read_text("utf-8"))


class Scene:
    """Snapshots, answers and policy of one judgement. ``domain``: web1 (a shared disk), media1 (and a CD), scratch."""

    def __init__(self, domain: str = "web1", remote: bool = False) -> None:
        recorded = copy.deepcopy(RECORDED)
        self.hosts: list[t.Any] = recorded["remote" if remote else "hosts"]
        self.domains: list[t.Any] = [entry for entry in recorded["domains"] if entry["name"] == domain]
        self.destinations = ["hv2"]
        self.answers: dict[str, dict[str, t.Any]] = recorded["answers"]
        self.policy: dict[str, t.Any] = {"tls": "required", "uris": recorded["uris"]}

    @property
    def source(self) -> t.Any:
        return self.hosts[0]

    @property
    def destination(self) -> t.Any:
        return self.hosts[1]

    @property
    def domain(self) -> t.Any:
        return self.domains[0]

    @property
    def disk(self) -> t.Any:
        return self.domain["disks"][0]

    @property
    def medium(self) -> t.Any:
        return self.domain["disks"][1]

    @property
    def nic(self) -> t.Any:
        return self.domain["interfaces"][0]

    def answer(self, host: str, start: str) -> t.Any:
        """The only answer of ``host`` whose key starts so, or the one about the guest's own disk."""
        keys = [key for key in self.answers[host] if key.startswith(start)]
        return self.answers[host][keys[0] if len(keys) == 1 else f"path:{self.disk['path']}"]

    @property
    def there(self) -> t.Any:
        """What the destination answered about the guest's disk."""
        return self.answer("hv2", "path:")

    def known_there(self, **changes: t.Any) -> t.Any:
        """One more domain at the destination: the guest itself, or what ``changes`` make of it."""
        entry = {"name": self.domain["name"], "uuid": self.domain["uuid"], "active": True, **changes}
        self.destination["domains"].append(entry)

    def storage(self, **changes: t.Any) -> None:
        """Changes what both hosts know of the guest's disk."""
        self.disk["identity"].update(changes)
        self.there.update(changes)

    def backing(self, **changes: t.Any) -> t.Any:
        """Puts an image below the guest's disk, the same for both; what the destination answered about it."""
        path = "/srv/shared/disks/base.qcow2"
        identity = {**self.disk["identity"], "path": path, "inode": 77}
        layer = {"layer": 1, "type": "file", "path": path, "protocol": None, "hosts": [], "format": "raw"}
        self.disk["backing"] = [{**layer, "identity": identity, **changes}]
        self.answers["hv2"][f"path:{path}"] = dict(identity)
        self.answers["hv2"][f"open:{path}"] = dict(self.answers["hv2"][f"open:{self.disk['path']}"])
        return self.answers["hv2"][f"path:{path}"]

    def findings(self) -> list[Finding]:
        return api.findings(self.hosts, self.domains, self.destinations, self.answers, self.policy)

    def questions(self) -> t.Any:
        return api.questions(self.hosts, self.domains, self.destinations, self.policy)

    def volatile(self) -> list[Finding]:
        return api.volatile_findings(self.hosts, self.domains, self.destinations, {}, self.policy)

    def of(self, check: str) -> list[Finding]:
        return [finding for finding in self.findings() if finding["check"] == check]
