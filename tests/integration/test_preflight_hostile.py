# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts and guests that hang: one clear finding after a bounded wait, and the results of the others are intact."""

from __future__ import annotations

import json
import time
import typing as t
from collections.abc import Iterator

import pytest

from tests.firing import stage
from tests.integration.conftest import Play
from tests.lab import api, observe

BOUND_S = 90.0
"""The daemon is given 30 s to answer; the rest is Ansible's own on a busy machine."""

# What a playbook of one's own does with the modules: look at all, judge those that answered, name those that did not.
PLAYBOOK = """\
- hosts: hypervisors
  gather_facts: false
  tasks:
    - livemig.libvirt.host_info:
        name: "{{ inventory_hostname }}"
      register: seen
      ignore_errors: true
    - livemig.libvirt.domain_info:
        host: "{{ inventory_hostname }}"
      register: guests
      when: inventory_hostname == 'hv1'
    - livemig.libvirt.preflight:
        hosts: "{{ ansible_play_hosts_all | map('extract', hostvars, ['seen', 'host']) | select('defined') }}"
        domains: "{{ hostvars.hv1.guests.domains }}"
        destinations: [hv2, hv4]
        tls: 'off'
        unreachable: >-
          {{ dict(silent | zip(silent | map('extract', hostvars, ['seen', 'msg']))) }}
      vars:
        silent: "{{ ansible_play_hosts_all | reject('in', answering) }}"
        answering: >-
          {{ ansible_play_hosts_all | map('extract', hostvars, ['seen', 'host']) | select('defined')
             | map(attribute='name') }}
      register: judged
      run_once: true
    - ansible.builtin.copy:
        content: "{{ judged | to_json }}"
        dest: "{{ result }}"
      delegate_to: localhost
      run_once: true
"""


def daemon(host: str, signal: str) -> None:
    api.exec_on(host, ["sh", "-c", f"kill -{signal} $(cat /run/libvirtd.pid)"], check=True)


@pytest.fixture
def frozen(lab: None) -> Iterator[str]:
    """hv2, whose daemon is stopped: it takes connections and never answers."""
    daemon("hv2", "STOP")
    yield "hv2"
    daemon("hv2", "CONT")


@pytest.fixture
def plain(lab: None) -> Iterator[str]:
    assert stage.start({stage.PLAIN: stage.plain_xml(stage.PLAIN)}) == {}
    yield stage.PLAIN
    stage.stop([stage.PLAIN])


def test_a_daemon_that_hangs_is_one_finding_and_the_others_are_judged(plain: str, frozen: str, tmp_path: t.Any) -> None:
    playbook, result = tmp_path / "look.yml", tmp_path / "result.json"
    playbook.write_text(PLAYBOOK)
    begun = time.monotonic()
    done = api.exec_on(
        "ctl",
        ["ansible-playbook", str(playbook), "-e", json.dumps({"result": str(result)})],
        env=api.ansible_environment(),
        timeout_s=300,
    )
    took = time.monotonic() - begun
    assert done.returncode == 0, done.stdout
    assert took < BOUND_S
    judged = json.loads(result.read_text())
    by_host = [entry for entry in judged["findings"] if entry["destination"] == frozen and entry["domain"] is None]
    assert [(entry["check"], entry["blocks"]) for entry in by_host] == [("host_daemon_alive", True)]
    assert "no answer within 30 s" in by_host[0]["message"]
    others = {entry["check"] for entry in judged["findings"] if entry["destination"] != frozen}
    assert "host_daemon_alive" not in others
    assert any(entry["domain"] is not None for entry in judged["findings"])  # the plain guest was looked at
    assert "hv4" in judged["questions"] and frozen not in judged["questions"]


def test_an_evacuation_names_it_and_moves_nothing(plain: str, frozen: str, play: Play) -> None:
    begun = time.monotonic()
    done = play("evacuate", {"livemig_evacuate_hosts": ["hv1"]})
    said = " ".join(done.stdout.split())
    assert done.returncode != 0 and time.monotonic() - begun < BOUND_S
    assert "Host hv2: libvirt connection qemu:///system: no answer within 30 s" in said
    assert "Host hv4:" not in said and "Nothing was moved" in said


def test_a_guest_that_hangs_does_not_hide_the_others(plain: str) -> None:
    other = f"{plain}-2"
    assert stage.start({other: stage.plain_xml(other)}) == {}
    stop = "kill -STOP $(cat /run/libvirt/qemu/plain.pid)"
    try:
        api.exec_on("hv1", ["sh", "-c", stop], check=True)
        begun = time.monotonic()
        found = {entry["name"]: entry for entry in observe.domain_snapshots("hv1")}
        assert time.monotonic() - begun < 30
    finally:
        api.exec_on("hv1", ["sh", "-c", stop.replace("STOP", "CONT")], check=True)
        stage.stop([other])
    assert found[plain]["control"]["state"] == "occupied"
    assert "memory_mib" in {entry["fact"] for entry in found[plain]["unknown"]}
    assert found[other]["memory_mib"] and found[other]["unknown"] == []
