# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bench says of its hosts, and that nobody but the product says what is in the way of post-copy."""

from __future__ import annotations

import pytest

from tests.bench import facts
from tests.unit.preflight.scene import Scene

OLD, NEW = 11003000, 11004000


@pytest.mark.parametrize(
    ("versions", "obstacles"), [((NEW, NEW), 0), ((OLD, NEW), 1), ((NEW, OLD), 1), ((OLD, OLD), 1)]
)
def test_both_ways_are_judged_by_the_product_itself(versions: tuple[int, int], obstacles: int) -> None:
    """And what is in the way of both is said once."""
    scene = Scene()
    for host, version in zip(scene.hosts, versions, strict=True):
        host["libvirt_version"] = version
    found = facts.obstacles(scene.domain, scene.hosts)
    assert found == ["conv_postcopy_recovery: 11.3.0, whose daemon dies when post-copy is resumed"] * obstacles


def test_versions_are_as_people_write_them() -> None:
    assert facts.versions({"libvirt_version": 12008000, "qemu_version": 11001002}) == {
        "libvirt": "12.8.0",
        "QEMU": "11.1.2",
    }


def test_the_facts_of_a_run_come_from_its_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    hosts = {host["name"]: host for host in scene.hosts}
    monkeypatch.setattr("tests.lab.api.host_snapshot", hosts.__getitem__)
    monkeypatch.setattr("tests.lab.api.domain_snapshots", lambda here: [{"name": "other"}, *scene.domains])
    found = facts.gathered(("hv1", "hv2"), "hv1", "web1")
    assert set(found["hosts"]) == {"hv1", "hv2"} and found["hosts"]["hv2"]["libvirt"] == "11.3.0"
    assert found["obstacles"] == facts.obstacles(scene.domain, scene.hosts) != []
