# SPDX-License-Identifier: GPL-3.0-or-later

"""How a guest's memory is divided among page sizes and host nodes, and which control groups are above a guest."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import UnknownFact
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import memory
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.checks import memory as memory_checks
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.memory import Share
from tests.unit.preflight.scene import Scene

CELLS = [
    {"name": "cell1", "id": "0", "memory": "1048576", "unit": "KiB"},
    {"name": "cell2", "id": "1", "memory": "2", "unit": "GiB"},
]


def _domain(pages: list[dict[str, t.Any]] | None, memnodes: t.Sequence[dict[str, t.Any]] = ()) -> t.Any:
    domain = Scene().domain
    domain["settings"]["memory_backing"]["hugepages"] = pages is not None
    domain["lists"].update(hugepages=pages or [], numa_cells=CELLS, memnodes=list(memnodes))
    return domain


def _page(size: str, unit: str, nodeset: str | None) -> dict[str, t.Any]:
    return {"name": "page1", "size": size, "unit": unit, "nodeset": nodeset}


def test_each_cell_has_its_pages_and_its_nodes() -> None:
    pages = [_page("2", "MiB", None), _page("1", "G", "1")]
    memnodes = [{"name": "memnode1", "cellid": "1", "mode": "strict", "nodeset": "2-3"}]
    assert memory.required_pages(_domain(pages, memnodes)) == [Share(1024, 2048, None), Share(2048, 1048576, (2, 3))]


def test_cells_that_no_entry_names_have_plain_pages() -> None:
    assert memory.required_pages(_domain([_page("2048", "KiB", "0")])) == [Share(1024, 2048, None)]
    assert memory.required_pages(_domain(None)) == []


def test_huge_pages_without_a_size_are_of_the_hosts_default() -> None:
    assert memory.required_pages(_domain([])) == [Share(3072, None, None)]


@pytest.mark.parametrize(
    ("mode", "nodes"), [("preferred", None), ("interleave", None), ("restrictive", (1,)), (None, (1,))]
)
def test_only_a_strict_mode_binds(mode: str | None, nodes: tuple[int, ...] | None) -> None:
    domain = _domain([])
    domain["settings"]["numatune"].update(mode=mode, nodeset="1")
    assert memory.required_pages(domain) == [Share(3072, None, nodes)]


def test_sets_of_nodes() -> None:
    assert memory.node_set("0-3,^2,8") == (0, 1, 3, 8)


@pytest.mark.parametrize("text", ["0-999999999999", "zero"])
def test_a_set_of_nodes_that_cannot_be_meant_is_unknown(text: str) -> None:
    with pytest.raises(UnknownFact, match="a set of NUMA nodes cannot be read"):
        memory.node_set(text)


@pytest.mark.parametrize(
    ("pages", "plain_mib"),
    [
        (None, 4096),
        ([], 0),
        ([_page("2", "MiB", None)], 0),
        ([_page("2", "MiB", "0")], 3072),
        ([_page("1", "GiB", "1")], 2048),
        ([_page("2", "MiB", "0"), _page("1", "GiB", "1")], 0),
    ],
)
def test_what_is_not_on_huge_pages_comes_out_of_free_memory(
    pages: list[dict[str, t.Any]] | None, plain_mib: int
) -> None:
    """Of 4096 MiB, 1024 are in cell 0, 2048 in cell 1, and 1024 may be plugged in later."""
    domain = _domain(pages)
    domain.update(memory_mib=4096, vcpus=1, hugepages=pages is not None)
    assert memory.required_memory_mib(domain) == 240 + 8 + 82 + plain_mib


def test_a_guest_partly_on_huge_pages_is_judged_by_the_rest() -> None:
    scene = Scene()
    scene.domains[0] = _domain([_page("2", "MiB", "0")])
    scene.domain.update(memory_mib=3072, vcpus=1, hugepages=True)
    needed = memory.required_memory_mib(scene.domain)
    for available, found in ((needed, 0), (needed - 1, 1)):
        scene.destination["memory"]["available_mib"] = available
        assert len(scene.of("mem_capacity_dest")) == found


def test_a_size_in_an_unknown_unit_is_unknown() -> None:
    with pytest.raises(UnknownFact, match="cannot be read"):
        memory.size_kib("1", "pages")


def test_the_groups_of_a_partition() -> None:
    assert memory_checks.partition_paths("/machine") == ("machine.slice", "machine")
    assert memory_checks.partition_paths("/machine/prod") == (
        "machine.slice",
        "machine.slice/machine-prod.slice",
        "machine",
        "machine/prod.partition",
    )


def test_a_binding_with_huge_pages_is_counted_in_pages_alone() -> None:
    scene = Scene()
    scene.domain["settings"]["memory_backing"]["hugepages"] = True
    scene.domain["hugepages"] = True
    scene.domain["lists"]["hugepages"] = [_page("2048", "KiB", None)]
    scene.domain["settings"]["numatune"].update(mode="strict", nodeset="0")
    scene.destination["ram"]["cells_available"] = [{"id": 0, "available_mib": 1}]
    assert [finding["check"] for finding in scene.findings() if finding["category"] == "memory"] == [
        "mem_hugepages_mount",
        "mem_hugepages_free",
    ]
