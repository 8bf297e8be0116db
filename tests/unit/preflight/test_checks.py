# SPDX-License-Identifier: GPL-3.0-or-later

"""Every check of the registry fires where it should, stays silent where it should, and never takes unknown for good."""

from __future__ import annotations

import typing as t
from unittest import mock

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._model import types as model
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import Facts
from ansible_collections.livemig.libvirt.plugins.module_utils._observe import definition
from ansible_collections.livemig.libvirt.plugins.module_utils._observe.areas import AREAS
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import api, engine
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.check import Check
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.world import World
from tests.unit.preflight.cases import CASES
from tests.unit.preflight.scene import Scene

REGISTRY = api.registry()
every_check = pytest.mark.parametrize("check", sorted(REGISTRY))


def test_every_check_has_its_cases_and_every_id_is_there_once() -> None:
    assert sorted(CASES) == sorted(REGISTRY)
    assert len(REGISTRY) == len(api.CHECKS)


@pytest.mark.parametrize("domain", ["web1", "media1"])
def test_the_recorded_scene_passes_every_check(domain: str) -> None:
    assert Scene(domain).findings() == []


@every_check
def test_it_fires(check: str) -> None:
    case = CASES[check]
    scene = case.scene()
    case.fires(scene)
    found = scene.of(check)
    assert [(finding["status"], finding["blocks"]) for finding in found] == [(case.status, case.blocks)]
    assert case.text in found[0]["message"]
    assert found[0]["message"].endswith(".") and found[0]["expected"] and found[0]["remedy"]


@every_check
def test_it_does_not_fire_close_by(check: str) -> None:
    case = CASES[check]
    scene = case.scene()
    case.passes(scene)
    assert scene.of(check) == []


@every_check
def test_it_says_whom_it_rules_out(check: str) -> None:
    scene = CASES[check].scene()
    CASES[check].fires(scene)
    finding = scene.of(check)[0]
    where = (finding["domain"], finding["source"], finding["destination"])
    name = CASES[check].domain
    allowed: dict[str, list[tuple[str | None, str | None, str | None]]] = {
        "domain": [(name, "hv1", None)],
        "host": [(None, "hv1", None), (None, None, "hv2")],
        "link": [(None, "hv1", "hv2")],
        "pair": [(name, "hv1", "hv2")],
    }
    assert where in allowed[REGISTRY[check].scope]


@pytest.mark.parametrize("check", sorted(check.id for check in api.CHECKS if check.volatile))
def test_a_volatile_check_needs_nothing_but_libvirt(check: str) -> None:
    scene = CASES[check].scene(remote=True)
    assert scene.volatile() == []
    CASES[check].fires(scene)
    assert check in [finding["check"] for finding in scene.volatile()]


class Reads(list[tuple[str, str]]):
    """Every fact that was read: (whose, path)."""

    def watch(self, check: Check, scene: Scene) -> Reads:
        real = Facts.get

        def get(facts: Facts, path: str) -> t.Any:
            self.append((facts.who, path))
            return real(facts, path)

        with mock.patch.object(Facts, "get", get):
            engine.evaluate(_world(scene), [check])
        return self


def _world(scene: Scene) -> World:
    hosts = {host["name"]: host for host in scene.hosts}
    return World(hosts, scene.domains, scene.destinations, scene.answers, scene.policy)


OWNERS: dict[str, t.Any] = {
    "host": model.HostSnapshot,
    "domain": model.DomainSnapshot,
    "disks": model.Disk,
    "interfaces": model.Interface,
    "hostdevs": model.Hostdev,
    "certificate": model.Certificate,
    "path": model.PathIdentity,
}


def _part(who: str, scene: Scene) -> str | None:
    """Of which list of the domain the entry is that calls itself so."""
    name = who.split(" of ")[0]
    for part, key in (("disks", "target"), ("interfaces", "mac"), ("hostdevs", "description")):
        if any(entry[key] == name for entry in scene.domain[part]):
            return part
    return None


def _owner(who: str, scene: Scene) -> str | None:
    """Of which type the facts are that call themselves so. None: answers, policy and table entries."""
    if " of domain " in who:
        return _part(who, scene)
    kind = who.split(" ", maxsplit=1)[0]
    if kind in ("host", "domain", "certificate"):
        return kind
    if " of host " in who and who.split(" of ")[0] in scene.source["tls"]:
        return "certificate"
    return "path" if who.startswith(("/", "path:")) else None


def _is_a_fact(owner: str, path: str) -> bool:
    first, _dot, rest = path.partition(".")
    tables: dict[str, t.Any] = {
        **AREAS,
        "devices": definition.DEVICES,
        "lists": {**definition.LISTS, **dict.fromkeys(definition.WORDS)},
        "settings": definition.SETTINGS,
        "more": definition.MORE[owner].columns if owner in definition.MORE else {},
    }
    if first in tables:
        fact, _dot, column = rest.partition(".")
        known = not fact or fact in tables[first]
        return known and (first != "settings" or not column or column in definition.SETTINGS[fact].columns)
    hints = t.get_type_hints(OWNERS[owner])
    if first not in hints:
        return False
    return not rest or first == "tls" or rest in t.get_type_hints(hints[first])


@every_check
def test_it_reads_only_what_observe_provides(check: str) -> None:
    case = CASES[check]
    reads = Reads()
    for edit in (case.fires, case.passes):
        scene = case.scene()
        edit(scene)
        reads.watch(REGISTRY[check], scene)
        for who, path in reads:
            owner = _owner(who, scene)
            assert owner is None or _is_a_fact(owner, path), (who, path)
    assert reads or REGISTRY[check].category == "config" or check == "host_daemon_alive"


def _unknowns(check: str) -> t.Iterator[tuple[Scene, str]]:
    """The recorded scene once for each fact that the check reads of a snapshot, with that fact unknown."""
    domain = CASES[check].domain
    for who, path in sorted(set(Reads().watch(REGISTRY[check], CASES[check].scene()))):
        scene = CASES[check].scene()
        if " of domain " in who:
            part = _part(who, scene)
            if part is None:
                continue
            snapshot, fact = scene.domain, f"{part}.{who.split(' of ')[0]}.{path}"
        elif who in ("host hv1", "host hv2", f"domain {domain}"):
            snapshot = {"host hv1": scene.source, "host hv2": scene.destination}.get(who, scene.domain)
            fact = path
        else:
            continue
        snapshot["unknown"].append({"fact": fact, "reason": "libvirt did not tell"})
        yield scene, fact


@pytest.mark.parametrize("check", sorted(set(REGISTRY) - {"host_daemon_alive"}))
def test_an_unknown_fact_never_passes(check: str) -> None:
    tried = 0
    for scene, fact in _unknowns(check):
        tried += 1
        found = [finding for finding in scene.of(check) if finding["status"] == "unknown"]
        assert found, fact
        for finding in found:
            assert "libvirt did not tell" in finding["message"]
            assert finding["blocks"] is (REGISTRY[check].on_unknown == "stop")
    assert tried or REGISTRY[check].category == "config"


ASKING = [
    ("cpu_hypervisor_compare", "hv2", "cpu:", False),
    ("cpu_model_known_to_dest", "hv2", "capabilities:", False),
    ("cpu_vcpu_limit_machine", "hv2", "capabilities:", False),
    ("disk_path_exists_dest", "hv2", "path:/srv/shared/disks/web1", False),
    ("disk_same_object", "hv2", "path:/srv/shared/disks/web1", True),
    ("sec_libvirt_remote_auth", "hv1", "peer:", False),
]


@pytest.mark.parametrize("how", ["not asked", "no host answered", "could not tell"])
@pytest.mark.parametrize(("check", "host", "start", "blocks"), ASKING)
def test_what_was_not_answered_is_unknown(check: str, host: str, start: str, blocks: bool, how: str) -> None:
    scene = Scene()
    for key in [key for key in scene.answers[host] if key.startswith(start)]:
        if how == "could not tell":
            scene.answers[host][key] = {"error": "cannot open monitor"}
        else:
            del scene.answers[host][key]
    if how == "no host answered":
        scene.answers = {}
    found = scene.of(check)
    assert [(finding["status"], finding["blocks"]) for finding in found] == [("unknown", blocks)]
    assert ("cannot open monitor" if how == "could not tell" else "was not asked") in found[0]["message"]
