# SPDX-License-Identifier: GPL-3.0-or-later

"""What belongs to no single check: questions, order, hosts that are silent, domains that do not run, memory."""

from __future__ import annotations

import copy
import dataclasses
import json
import random
import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import api, engine
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.check import Problem, Requirement
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.world import World
from tests.unit.preflight.scene import RECORDED, Scene


def ids(findings: t.Iterable[t.Any]) -> list[str]:
    return [finding["check"] for finding in findings]


def test_questions_are_those_that_the_recording_answers() -> None:
    asked = api.questions(RECORDED["hosts"], RECORDED["domains"], ["hv2"], {"uris": RECORDED["uris"]})
    assert asked == RECORDED["questions"]
    assert {host: [question["key"] for question in asked[host]] for host in asked} == {
        host: sorted(RECORDED["answers"][host]) for host in asked
    }


def test_equal_cpus_are_asked_once_and_nobody_is_asked_about_his_own() -> None:
    scene = Scene()
    scene.domains.append({**scene.domain, "name": "web2"})
    asked = api.questions(scene.hosts, scene.domains, ["hv1", "hv2"], scene.policy)
    assert [question["ask"] for question in asked["hv2"]].count("cpu") == 1
    uris = [question["uri"] for question in asked["hv1"] if question["ask"] == "peer"]
    assert uris == ["qemu+tls://198.51.100.2/system"]


@pytest.mark.parametrize("fact", ["emulator", "machine", "virt_type", "cpu_xml", "arch"])
def test_another_cpu_is_another_question(fact: str) -> None:
    scene = Scene()
    scene.domains.append({**scene.domain, fact: "another"})
    scene.destination["emulators"] += [
        {**emulator, "arch": arch, "machines": [*emulator["machines"], "another"], "virt_types": ["qemu", "another"]}
        for emulator in scene.destination["emulators"]
        for arch in ("x86_64", "another")
    ]
    asked = api.questions(scene.hosts, scene.domains, ["hv2"], {})
    assert len({question["key"] for question in asked["hv2"] if question["ask"] == "cpu"}) == 2


def test_an_emulator_that_the_destination_does_not_list_is_looked_for() -> None:
    scene = Scene()
    scene.domain["emulator"] = "/opt/qemu/bin/qemu"
    asked = api.questions(scene.hosts, scene.domains, ["hv2"], {})
    assert "path:/opt/qemu/bin/qemu" in [question["key"] for question in asked["hv2"]]


def test_nothing_is_asked_of_silent_hosts_or_about_domains_that_do_not_run() -> None:
    scene = Scene()
    assert api.questions(scene.hosts[:1], scene.domains, ["hv2"], scene.policy) == {}
    scene.domain["state"] = "shutoff"
    assert api.questions(scene.hosts, scene.domains, ["hv2"], scene.policy) == {}


def test_a_domain_without_a_cpu_of_its_own_is_not_compared() -> None:
    scene = Scene()
    scene.domain["cpu_xml"] = None
    assert scene.findings() == []


def test_of_a_silent_destination_one_finding_says_it_all() -> None:
    scene = Scene()
    scene.hosts.pop()
    assert [(f["check"], f["destination"], f["blocks"]) for f in scene.findings()] == [
        ("host_daemon_alive", "hv2", True)
    ]


def test_a_silent_source_is_named_although_it_gave_no_domains() -> None:
    scene = Scene()
    scene.hosts, scene.domains = [scene.destination], []
    scene.policy["unreachable"] = {"hv1": "timeout"}
    assert [(f["check"], f["source"], f["destination"]) for f in scene.findings()] == [
        ("host_daemon_alive", "hv1", None)
    ]


def test_of_a_domain_that_does_not_run_one_finding_says_it_all() -> None:
    scene = Scene("scratch")
    scene.domain["state"] = "shutoff"
    found = scene.findings()
    assert [(f["check"], f["blocks"]) for f in found] == [("guest_state", True)]
    assert "it is shutoff; expected running" in found[0]["message"]
    assert "nothing is wrong with it" in found[0]["remedy"] and "livemig_offline: move" in found[0]["remedy"]


def test_all_reasons_are_given() -> None:
    assert ids(Scene("scratch").findings()) == ["disk_shared_fs_type", "disk_path_exists_dest", "net_bridge_exists"]


def test_a_problem_of_one_disk_does_not_hide_that_of_the_next() -> None:
    scene = Scene("media1")
    scene.medium.update(device="disk", readonly=False)
    scene.domain["unknown"].append({"fact": "disks.vda.identity", "reason": "Permission denied"})
    scene.answers["hv2"][f"path:{scene.medium['path']}"]["inode"] = 1
    found = scene.of("disk_same_object")
    assert [finding["status"] for finding in found] == ["unknown", "unknown"]
    assert "Permission denied" in found[0]["message"] and "the inodes are" in found[1]["message"]


def test_the_order_depends_on_nothing_but_the_names() -> None:
    scene = Scene()
    scene.domains = [{**domain, "snapshots": 1} for domain in RECORDED["domains"]]
    scene.answers = {}
    expected = json.dumps(scene.findings())
    shuffle = random.Random(7).shuffle
    for _round in range(5):
        shuffle(scene.hosts)
        shuffle(scene.domains)
        assert json.dumps(scene.findings()) == expected


def test_a_host_in_both_roles_is_judged_in_both_and_never_against_itself() -> None:
    scene = Scene()
    scene.destinations = ["hv1", "hv2"]
    scene.source["tls"]["qemu_ca"]["exists"] = False
    found = scene.of("sec_tls_migration_certs")
    assert [(finding["source"], finding["destination"]) for finding in found] == [(None, "hv1"), ("hv1", None)]
    assert not [finding for finding in scene.findings() if finding["source"] == finding["destination"]]


def test_without_tls_no_certificate_is_looked_at() -> None:
    scene = Scene()
    uri = "qemu+ssh://198.51.100.2/system"
    scene.policy = {"tls": "off", "uris": {"hv2": uri}}
    scene.answers["hv1"][f"peer:{uri}"] = RECORDED["answers"]["hv1"]["peer:" + RECORDED["uris"]["hv2"]]
    for host in scene.hosts:
        host["tls"] = {}
    assert scene.findings() == []


@pytest.mark.parametrize(
    ("end", "severity"), [(1795208900, "error"), (1795208902, "warning"), (1795208901 + 86401, None)]
)
def test_a_certificate_that_ends_soon_is_a_warning(end: int, severity: str | None) -> None:
    scene = Scene()
    scene.source["tls"]["qemu_client"]["not_after"] = end
    assert [finding["severity"] for finding in scene.of("sec_tls_cert_validity")] == ([severity] if severity else [])


def test_a_certificate_is_not_valid_before_its_time() -> None:
    scene = Scene()
    scene.source["time"] = 1795200000
    assert {finding["severity"] for finding in scene.of("sec_tls_cert_validity")} == {"error"}
    assert "valid from 2026-11-20" in scene.of("sec_tls_cert_validity")[0]["message"]


def test_a_uri_that_leads_to_another_host_is_an_error() -> None:
    scene = Scene()
    scene.answer("hv1", "peer:")["uuid"] = scene.source["uuid"]
    assert "leads to the host with UUID 6c1d0001" in scene.of("sec_libvirt_remote_auth")[0]["message"]


def test_a_destination_without_uri_is_an_error() -> None:
    scene = Scene()
    scene.policy["uris"] = {}
    assert [finding["blocks"] for finding in scene.of("sec_libvirt_remote_auth")] == [True]


def test_an_older_qemu_of_the_same_series_is_a_warning() -> None:
    scene = Scene()
    scene.destination["qemu_version"] = 10000012
    assert [(f["severity"], f["blocks"]) for f in scene.of("version_qemu_direction")] == [("warning", False)]


def test_an_open_vswitch_bridge_is_looked_for_among_its_own() -> None:
    scene = Scene()
    scene.nic.update(source="ovs0", virtualport="openvswitch")
    assert scene.of("net_bridge_exists") == []
    assert [(f["status"], f["blocks"]) for f in scene.of("net_ovs_bridge_exists")] == [("fail", True)]


@pytest.mark.parametrize(
    ("memory_mib", "vcpus", "hugepages", "required"),
    [(256, 2, False, 518), (1024, 1, False, 1293), (100, 1, False, 350), (1024, 1, True, 269)],
)
def test_required_memory(memory_mib: int, vcpus: int, hugepages: bool, required: int) -> None:
    domain = Scene().domain
    domain.update(memory_mib=memory_mib, vcpus=vcpus, hugepages=hugepages)
    domain["settings"]["memory_backing"]["hugepages"] = hugepages
    assert api.required_memory_mib(domain) == required


@pytest.mark.parametrize("change", [{"kind": "domain"}, {"schema": 2}, {"schema": None}])
def test_other_snapshots_are_refused(change: dict[str, t.Any]) -> None:
    api.require_snapshots("host", RECORDED["hosts"])
    with pytest.raises(LivemigError, match="expected kind host, schema 1"):
        api.require_snapshots("host", [{**RECORDED["hosts"][0], **change}])


STRANGE: list[t.Any] = [None, "x", "", -1, 1.5, True, [], [None], ["x"], {}, {"x": None}]


@pytest.mark.parametrize("part", ["source", "destination", "domain", "disk", "nic", "there"])
def test_nothing_strange_in_a_snapshot_keeps_the_other_checks_from_speaking(part: str) -> None:
    """Every fact once with every strange value: the finding of another domain is there all the same."""
    for key in getattr(Scene(), part):
        for strange in STRANGE:
            scene = Scene()
            if key in ("schema", "kind", "name", "host", "uuid", "state", "unknown", "target", "mac"):
                continue
            scene.domains.append(copy.deepcopy({**scene.domain, "name": "stopped", "uuid": "9", "state": "shutoff"}))
            getattr(scene, part)[key] = strange
            api.questions(scene.hosts, scene.domains, scene.destinations, scene.policy)
            assert ("guest_state", "stopped") in [(found["check"], found["domain"]) for found in scene.findings()]


def test_a_fault_of_a_check_is_said_and_rules_out_what_unknown_would() -> None:
    def faulty(_view: t.Any) -> t.Iterator[t.Any]:
        raise KeyError("colour")

    row = api.registry()["dst_domain_uuid_running"]
    scene = Scene()
    world = World({h["name"]: h for h in scene.hosts}, scene.domains, ["hv2"], scene.answers, scene.policy)
    (found,) = engine.evaluate(world, [dataclasses.replace(row, evaluate=faulty)])
    assert found["status"] == "unknown" and found["blocks"]
    assert "this check has a fault" in found["message"] and "KeyError: 'colour'" in found["message"]


def test_what_a_domain_needs_twice_is_said_once() -> None:
    twice = Requirement(lambda view: ["br7", "br8", "br7"], lambda view, need: [Problem("", need)])
    row = dataclasses.replace(api.registry()["net_bridge_exists"], requires=twice)
    scene = Scene()
    world = World({h["name"]: h for h in scene.hosts}, scene.domains, ["hv2"], scene.answers, scene.policy)
    assert [found["value"] for found in engine.evaluate(world, [row])] == ["br7", "br8"]


@pytest.mark.parametrize(("version", "blocks"), [(9000000, False), (8010000, True)])
@pytest.mark.parametrize("host", ["source", "destination"])
def test_only_an_older_libvirt_takes_hosts_of_one_name_for_one(host: str, version: int, blocks: bool) -> None:
    scene = Scene()
    scene.destination["hostname"] = scene.source["hostname"]
    getattr(scene, host)["libvirt_version"] = version
    (found,) = scene.of("host_hostname_distinct")
    assert found["blocks"] == blocks
