# SPDX-License-Identifier: GPL-3.0-or-later

"""Virtual functions taken off and put on without a migration: livemig.libvirt.vf."""

from __future__ import annotations

import importlib
import typing as t
from pathlib import Path

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate import intent
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate.api import Records, Result, Wanted, vf
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError
from tests.unit.migrate.test_migrate import UUID, move
from tests.unit.sriov import host as hosts
from tests.unit.sriov.test_crashes import QUICK

MODULE: t.Any = importlib.import_module("ansible_collections.livemig.libvirt.plugins.modules.vf")
libvirt = _libvirt.libvirt
ON = {"mac": hosts.MAC, "state": "attached", "address": "0000:01:10.0"}
OFF = {"mac": hosts.MAC, "state": "detached", "address": None}


class Place:
    def __init__(self, folder: Path) -> None:
        self.process = hosts.Process()
        self.host = hosts.SriovHost("hv1", 1, self.process)
        self.guest = self.host.put()
        self.records = Records(str(folder / "state"), str(folder / "run"))

    def vf(self, state: str, look_only: bool = False, gap: bool = False, macs: list[str] | None = None) -> Result:
        wanted = Wanted("web1", state, macs, QUICK._replace(gap=gap))
        return vf(self.host, "hv1", wanted, self.records, look_only)

    @property
    def functions(self) -> list[str | None]:
        return [hosts.place(each) for each in self.guest.devices if "hostdev" in each]


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_off_and_on_and_nothing_the_second_time(here: Place) -> None:
    assert here.vf("detached")[:2] == ([ON], [OFF])
    assert here.vf("detached")[:2] == ([OFF], [OFF])
    found = here.vf("attached")
    assert found[:2] == ([OFF], [ON]) and "at 0000:01:10.0 of hv1 in" in found.done[0]
    assert here.vf("attached")[:2] == ([ON], [ON])
    assert here.process.calls == ["detach", "attach"]


@pytest.mark.parametrize(("state", "after"), [("detached", [OFF]), ("attached", [ON])])
def test_check_mode_only_says(here: Place, state: str, after: list[object]) -> None:
    assert here.vf(state, look_only=True)[:2] == ([ON], after)
    assert here.process.calls == []


def test_another_function_where_its_own_is_taken(here: Place) -> None:
    here.vf("detached")
    here.host.claimed = {"0000:01:10.0"}
    assert here.vf("attached").after == [{**ON, "address": "0000:01:10.2"}]
    assert [hosts.place(each) for each in here.guest.config if "hostdev" in each] == ["0000:01:10.2"]


@pytest.mark.parametrize("lets_go", ["never", "refused", "error"])
def test_a_guest_that_does_not_let_go_is_as_before(here: Place, lets_go: str) -> None:
    here.guest.lets_go = lets_go
    with pytest.raises((LivemigError, libvirt.libvirtError)):
        here.vf("detached")
    assert here.functions == ["0000:01:10.0"]


def test_a_silent_standby_gets_it_back(here: Place) -> None:
    here.guest.silent = "without it"
    with pytest.raises(LivemigError, match="sends over its standby macvtap0, and nothing has come back"):
        here.vf("detached")
    assert here.functions == ["0000:01:10.0"] and here.process.calls == ["detach", "attach"]


def test_without_a_standby_only_where_that_is_allowed(here: Place) -> None:
    for devices in (here.guest.devices, here.guest.config):
        devices.remove(hosts.STANDBY)
    with pytest.raises(LivemigError, match="has no standby"):
        here.vf("detached")
    assert here.vf("detached", gap=True).after == [OFF]


def test_a_standby_whose_link_is_down_is_none(here: Place) -> None:
    here.guest.devices[0] = hosts.STANDBY.replace("</interface>", "<link state='down'/></interface>")
    with pytest.raises(LivemigError, match="has its link down"):
        here.vf("detached")
    assert here.process.calls == []


def test_a_paused_guest_is_not_asked(here: Place) -> None:
    here.guest.become("PAUSED", "PAUSED_USER")
    with pytest.raises(LivemigError, match="paused"):
        here.vf("detached")
    assert here.process.calls == []


def test_what_the_definition_does_not_have_is_not_taken_off(here: Place) -> None:
    """Nothing would tell what to put back."""
    del here.guest.config[1]
    with pytest.raises(LivemigError, match="its definition does not have it"):
        here.vf("detached")
    assert here.functions == ["0000:01:10.0"] and here.process.calls == []


def test_check_mode_refuses_what_would_be_refused(here: Place) -> None:
    here.guest.become("PAUSED", "PAUSED_USER")
    with pytest.raises(LivemigError, match="paused"):
        here.vf("detached", look_only=True)


def test_a_mac_address_that_it_does_not_have(here: Place) -> None:
    with pytest.raises(LivemigError, match="none has the MAC address 52:54:00:00:00:99"):
        here.vf("detached", macs=["52:54:00:00:00:99"])
    assert here.vf("detached", macs=[hosts.MAC.upper()]).after == [OFF]


def test_a_migration_under_way_is_left_alone(here: Place) -> None:
    intent.write(here.guest, intent.Intent("run-1", move(), "off"))
    with pytest.raises(LivemigError, match=r"livemig\.libvirt\.recover"):
        here.vf("attached")


def test_one_that_only_the_journal_knows_of_too(here: Place) -> None:
    """Somebody has defined the domain anew, without the mark."""
    here.records.ready()
    about = {"uuid": UUID, "domain": "web1", "tls": "off"}
    here.records.note("run-0", "begun", move=move(), nics=[], **about)
    with pytest.raises(LivemigError, match=r"livemig\.libvirt\.recover"):
        here.vf("attached")
    here.records.note("run-0", "ended", how="moved", **about)
    assert here.vf("attached").after == [ON]


def test_what_the_guest_may_still_let_go_of_is_not_called_attached(here: Place) -> None:
    here.guest.lets_go = "never"
    with pytest.raises(LivemigError, match="has not let go"):
        here.vf("detached")
    with pytest.raises(LivemigError, match="may still do so.*start the guest anew"):
        here.vf("attached")
    assert "is asked once more" in here.vf("attached", look_only=True).notes[0]
    here.guest.lets_go = "at once"
    found = here.vf("attached")
    assert (found.before, found.after) == ([ON], [ON]) and len(found.done) == 1
    calls = len(here.process.calls)
    assert here.vf("attached")[1:] == ([ON], (), ()) and len(here.process.calls) == calls


def test_a_process_that_dies_while_it_asks_is_known_to_have_asked(here: Place) -> None:
    here.guest.lets_go = "never"
    here.process.kill, here.process.after = ("detach", 1), True
    with pytest.raises(hosts.Killed):
        here.vf("detached")
    here.process.dead, here.process.kill = False, None
    with pytest.raises(LivemigError, match="may still do so"):
        here.vf("attached")
    here.guest.number, here.guest.leaving = 2, []
    assert here.vf("attached").after == [ON], "it was started anew"


@pytest.mark.parametrize(("names", "notes"), [(["eth0", "eth1"], 1), (["eth0", "eth1", "eth2"], 0)])
def test_a_guest_that_does_not_show_it(here: Place, names: list[str], notes: int) -> None:
    here.vf("detached")
    here.guest.agent = dict.fromkeys(names, hosts.MAC)
    assert len(here.vf("attached").notes) == notes


def test_two_functions_with_one_mac_address(here: Place) -> None:
    here.host.functions = {1: ("eth1", "up", [0, 2, 4])}
    here.guest = here.host.put_twins()
    other = {**ON, "address": "0000:01:10.2"}
    assert here.vf("detached")[:2] == ([ON, other], [OFF, OFF])
    here.host.claimed = {"0000:01:10.0", "0000:01:10.4"}
    with pytest.raises(LivemigError, match=r"\(ua-twin\) is missing"):
        here.vf("attached")
    assert here.functions == ["0000:01:10.2"]
    here.host.claimed = set()
    assert here.vf("attached").before == [other, OFF]
    assert sorted(map(str, here.functions)) == ["0000:01:10.0", "0000:01:10.2"]


def test_a_plain_hostdev_gets_its_own_function_or_none(here: Place) -> None:
    here.guest.devices[1] = here.guest.config[1] = hosts.PLAIN
    here.vf("detached")
    here.host.claimed = {"0000:01:10.0"}
    with pytest.raises(LivemigError, match="is missing on hv1"):
        here.vf("attached")
    here.host.claimed = set()
    assert here.vf("attached").after == [{**ON, "mac": None}]


def _defined_elsewhere(here: Place) -> None:
    other = here.host.put(uuid="22222222-2222-4222-8222-222222222222")
    other.become("SHUTOFF")
    here.host.lookupByName = lambda _name: here.guest  # type: ignore[method-assign]


def _given_out(here: Place) -> None:
    here.host.pool = ["0000:01:10.0"]


def _the_hosts_own(here: Place) -> None:
    here.host.nets = {"0000:01:10.0": "eth7"}


TAKEN = pytest.mark.parametrize("taken", [_defined_elsewhere, _given_out, _the_hosts_own])


@TAKEN
@pytest.mark.parametrize("plain", [False, True])
def test_what_is_defined_is_not_taken_from_others(here: Place, taken: t.Callable[[Place], None], plain: bool) -> None:
    """The guest has come here by other means, with a definition that names a function of another host."""
    taken(here)
    del here.guest.devices[1]
    if plain:
        here.guest.config[1] = hosts.PLAIN
        with pytest.raises(LivemigError, match="is missing on hv1"):
            here.vf("attached")
        assert here.functions == []
    else:
        assert here.vf("attached").after == [{**ON, "address": "0000:01:10.2"}]


@TAKEN
def test_what_was_taken_off_here_is_its_own(here: Place, taken: t.Callable[[Place], None]) -> None:
    here.vf("detached")
    taken(here)
    assert here.vf("attached").after == [ON]
    del here.guest.devices[1]
    assert here.vf("attached").after == [{**ON, "address": "0000:01:10.2"}], "that was another time"


def test_a_function_of_somebody_else_is_not_its_own_because_another_one_was(here: Place) -> None:
    here.vf("detached")
    _defined_elsewhere(here)
    here.guest.config[1] = here.guest.config[1].replace("function='0x0'", "function='0x2'", 1)
    here.host.claimed = {"0000:01:10.0"}
    other = next(guest for guest in here.host.domains.values() if guest is not here.guest)
    assert isinstance(other, hosts.Guest)
    other.config = list(here.guest.config)
    with pytest.raises(LivemigError, match="is missing on hv1"):
        here.vf("attached")
    assert here.functions == []


GPU = hosts.PLAIN.replace("bus='0x01'", "bus='0x0a'").replace("bus='0x02'", "bus='0x03'").replace("ua-vf", "ua-gpu")


def test_a_device_that_is_no_function_is_left_alone(here: Place) -> None:
    for devices in (here.guest.devices, here.guest.config):
        devices.append(GPU)
    assert here.vf("detached").after == [OFF]
    assert here.functions == ["0000:0a:10.0"]
    assert here.vf("attached").after == [ON]


def test_a_device_that_is_no_function_and_is_not_attached_is_told(here: Place) -> None:
    here.guest.config.append(GPU)
    (note,) = here.vf("attached").notes
    assert "0000:0a:10.0 is no virtual function here" in note


def test_a_plain_hostdev_whose_function_has_gone_is_not_forgotten(here: Place) -> None:
    here.guest.devices[1] = here.guest.config[1] = hosts.PLAIN
    here.vf("detached")
    here.host.functions = {}
    with pytest.raises(LivemigError, match="is no virtual function here"):
        here.vf("attached")


def test_a_function_of_an_unknown_port_is_not_taken_off(here: Place) -> None:
    """Another one could not be had for it."""
    here.host.functions = {1: ("", "up", [0, 2])}
    with pytest.raises(LivemigError, match="the PF of 0000:01:10.0 has no network device on this host"):
        here.vf("detached")
    assert here.process.calls == []


def test_its_own_comes_back_although_its_port_is_not_known_any_more(here: Place) -> None:
    here.vf("detached")
    here.host.functions = {1: ("", "up", [0, 2])}
    assert here.vf("attached").after == [ON]
    here.vf("attached")
    here.host.functions = {1: ("eth1", "up", [0, 2])}
    here.vf("detached")
    here.host.functions, here.host.claimed = {1: ("", "up", [0, 2])}, {"0000:01:10.0"}
    with pytest.raises(LivemigError, match="is missing on hv1"):
        here.vf("attached")
    assert here.functions == []


def test_a_standby_of_which_nothing_is_known_is_told(here: Place) -> None:
    here.guest.silent = "always"
    (note,) = here.vf("detached").notes
    assert "is not known: the guest has sent nothing over it" in note


def test_the_boot_of_this_host_says_nothing_of_another(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here.host, "getURI", lambda: "qemu+ssh://hv1/system")
    here.vf("detached")
    said, *_more = here.records.entries(f"vf-{UUID}")
    assert said["instance"] == "1@hv1"


def test_a_function_that_is_not_here_gets_no_other_by_chance(here: Place) -> None:
    here.vf("detached")
    here.host.functions = {5: ("eth5", "up", [0])}
    with pytest.raises(LivemigError, match="is no virtual function here"):
        here.vf("attached")
    assert here.functions == []


class Module:
    """What the module's ``run`` uses of AnsibleModule."""

    def __init__(self, check_mode: bool = False, **values: t.Any) -> None:
        defaults = {name: entry.get("default") for name, entry in MODULE.OPTIONS.items()}
        self.params = {"uri": "qemu:///system", **defaults, "domain": "web1", **values}
        self.check_mode = check_mode

    def fail_json(self, **values: t.Any) -> None:
        raise SystemExit(values["msg"])


@pytest.fixture
def module(here: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(MODULE, "connect", lambda _uri: here.host)
    monkeypatch.setattr(MODULE, "Records", lambda: here.records)
    monkeypatch.setattr(MODULE, "vf_rules", lambda *_given: QUICK)
    return here


@pytest.mark.parametrize("check_mode", [True, False])
def test_the_module_says_what_has_changed(module: Place, check_mode: bool) -> None:
    result = MODULE.run(Module(check_mode, state="detached"))
    assert result["changed"] and result["nics"] == [OFF]
    assert result["diff"] == {
        "before": f"web1 {hosts.MAC}: attached 0000:01:10.0\n",
        "after": f"web1 {hosts.MAC}: detached\n",
    }
    assert module.functions == (["0000:01:10.0"] if check_mode else [])


def test_the_module_changes_nothing_where_nothing_is_to_be_done(module: Place) -> None:
    result = MODULE.run(Module(state="attached"))
    assert not result["changed"] and result["diff"]["before"] == result["diff"]["after"]
    assert module.process.calls == []


def test_the_module_refuses_numbers_that_are_none(module: Place) -> None:
    with pytest.raises(SystemExit, match="attempts: 0; expected 1 or more"):
        MODULE.run(Module(state="attached", attempts=0))
