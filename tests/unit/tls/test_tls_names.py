# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils._model.errors import LivemigError
from ansible_collections.livemig.libvirt.plugins.plugin_utils._tls import names


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("HV1.Example.org.", "hv1.example.org"),
        ("hv_1", "hv_1"),
        ("198.51.100.7", "198.51.100.7"),
        ("2001:0DB8::0001", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("rack 1/hv", None),
        ("-hv", None),
        ("hv..example", None),
        ("", None),
        ("a" * 64, None),
    ],
)
def test_a_name_has_one_form(given: str, expected: str | None) -> None:
    assert names.canonical(given) == expected


def test_names_are_merged_in_order_and_unusable_found_ones_left_out() -> None:
    found = names.wanted_names(["B.example"], ["rack 1/hv", "b.example", "localhost", "127.0.0.1", "fe80::1", "hv1"])
    assert found == ("b.example", "hv1")


def test_an_unusable_name_that_was_asked_for_is_an_error() -> None:
    with pytest.raises(LivemigError, match=r"not usable: hv 1; expected a host name.*livemig_tls_names"):
        names.wanted_names(["hv 1"])


def test_a_host_without_any_name_is_an_error() -> None:
    with pytest.raises(LivemigError, match=r"no name .*: localhost; expected at least one"):
        names.wanted_names([], ["localhost"])


@pytest.mark.parametrize(
    ("inventory_dir", "sources", "expected"),
    [
        ("/site", ["/site/hosts.ini"], "/site/livemig-ca"),
        ("/site/inv", ["/site/inv"], "/site/livemig-ca"),
        ("/site/inv/prod", ["/site/inv"], "/site/livemig-ca"),
        ("/site/inv/prod", ["/site/inv/prod", "/site/inv"], "/site/livemig-ca"),
        (None, ["hv1,hv2,"], "/play/livemig-ca"),
    ],
)
def test_the_made_ca_never_lies_inside_an_inventory_folder(
    inventory_dir: str | None, sources: list[str], expected: str
) -> None:
    assert names.default_ca_dir(inventory_dir, sources, "/play") == expected
