# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are watched, slowed down, stopped, and left alone by their controller."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.conftest import ANSIBLE_TIMEOUT_S, Play, place_of
from tests.integration.test_failures import migrating, within
from tests.lab import api, enter, processes

SEEN_WITHIN_S, ENDED_WITHIN_S = 120.0, 240.0
GUESTS = ("run1", "run2")
WISHES = "cat /run/livemig/runs/*/wish || true"
RUNNER = """\
import os, sys, ansible_runner
folder, inventory = sys.argv[1:]
cancelled = lambda: os.path.exists(folder + "/cancel")
options = {"private_data_dir": folder, "inventory": inventory, "cancel_callback": cancelled, "quiet": True}
print(ansible_runner.run(playbook="livemig.libvirt.evacuate", **options).status)
"""


@pytest.fixture
def two(lab: None) -> Iterator[tuple[str, str]]:
    """Two guests on hv1 whose migrations take more than a minute each, unless somebody gives them more bandwidth."""
    for name in GUESTS:
        api.guest_stop(name)
        api.guest_start("hv1", name)
        api.exec_on("hv1", ["virsh", "migrate-setspeed", name, "1"], check=True)
    yield GUESTS
    for name in GUESTS:
        api.guest_stop(name)


def evacuate(play: Play, *words: str, **more: object) -> subprocess.CompletedProcess[str]:
    wanted = {"livemig_evacuate_hosts": "hv1", "livemig_domains": list(GUESTS), "livemig_destinations": "hv2"}
    return play("evacuate", {**wanted, "livemig_max_parallel": 1, **more}, *words)


def ad_hoc(module: str, arguments: dict[str, object]) -> str:
    """The module's result on hv1, as one line of text."""
    command = ["ansible", "hv1", "-m", f"livemig.libvirt.{module}"]
    command += ["-a", json.dumps(arguments)] if arguments else []
    environment = {**api.ansible_environment(), "ANSIBLE_NOCOLOR": "1"}
    return " ".join(api.exec_on("ctl", command, env=environment, timeout_s=60, check=True).stdout.split())


def test_a_run_that_is_watched_slowed_down_and_stopped(two: tuple[str, str], play: Play) -> None:
    """The first guest arrives, the second is never begun, and both are reported."""
    first, second = two
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(evacuate, play)
        within(SEEN_WITHIN_S, lambda: migrating(first))
        seen = ad_hoc("run_info", {})
        assert f'"domain": "{first}"' in seen and '"alive": true' in seen
        assert '"changed": true' in ad_hoc("run_control", {"stop": "finish"})
        assert '"changed": false' in ad_hoc("run_control", {"stop": "finish"})
        assert '"changed": true' in ad_hoc("run_control", {"bandwidth_mib_s": 50})
        within(SEEN_WITHIN_S, lambda: api.exec_on("hv1", ["virsh", "migrate-getspeed", first]).stdout.strip() != "1")
        cancelled = play("cancel", {})
        done = running.result()
    said = " ".join(done.stdout.split())
    assert cancelled.returncode == 0, cancelled.stdout
    assert f"{first} hv1 -> hv2: [" in said and "MiB/s" in said
    assert f"{first} hv1 -> hv2: moved" in said
    assert done.returncode != 0
    assert "not begun: the run was asked to finish" in said
    assert (place_of(first), place_of(second)) == (["hv2"], ["hv1"])
    assert '"runs": []' in ad_hoc("run_info", {})


@pytest.mark.parametrize("ends", ["cancelled", "killed"])
def test_a_run_whose_controller_is_gone(two: tuple[str, str], play: Play, tmp_path: Path, ends: str) -> None:
    """Under ansible-runner: what is under way arrives, nothing else is begun, and the next run tells it, once."""
    first, second = two
    runner = start_runner(tmp_path)
    within(SEEN_WITHIN_S, lambda: migrating(first))
    if ends == "cancelled":
        (tmp_path / "cancel").touch()
    else:
        for pid in family(runner.pid):
            os.kill(pid, signal.SIGKILL)
    said = runner.communicate(timeout=ANSIBLE_TIMEOUT_S)[0]
    assert said.endswith("canceled\n") is (ends == "cancelled"), said
    within(ENDED_WITHIN_S, lambda: "finish" in api.exec_on("hv1", ["sh", "-c", WISHES]).stdout)
    ad_hoc("run_control", {"bandwidth_mib_s": 100})
    within(ENDED_WITHIN_S, lambda: '"runs": []' in ad_hoc("run_info", {}))
    assert (place_of(first), place_of(second)) == (["hv2"], ["hv1"])
    told = [" ".join(play("recover", {}).stdout.split()) for _again in range(2)]
    assert f"ended without its controller. {first}: moved; {second}: refused (not begun" in told[0]
    assert "ended without its controller" not in told[1]


def family(pid: int) -> list[int]:
    """The process and all that it has started, whatever group they are in."""
    parents = {}
    for other in processes.all_pids():
        with contextlib.suppress(OSError):
            parents[other] = int(Path(f"/proc/{other}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def start_runner(folder: Path) -> subprocess.Popen[str]:
    """An evacuation by ansible-runner, as AWX calls it; it cancels it once the file ``cancel`` is there."""
    wanted = {"livemig_evacuate_hosts": "hv1", "livemig_domains": list(GUESTS), "livemig_destinations": "hv2"}
    (folder / "env").mkdir()
    (folder / "env" / "extravars").write_text(json.dumps({**wanted, "livemig_max_parallel": 1}), encoding="utf-8")
    environment = {**os.environ, **api.ansible_environment()}
    words = [*enter.prefix("ctl"), sys.executable, "-c", RUNNER, str(folder), str(api.inventory_path())]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment, stdin=subprocess.DEVNULL)


def test_a_run_without_progress(two: tuple[str, str], play: Play) -> None:
    """The module as any other."""
    for name in two:
        api.exec_on("hv1", ["virsh", "migrate-setspeed", name, "100"], check=True)
    done = evacuate(play, livemig_progress=False, livemig_max_parallel=2)
    assert done.returncode == 0, done.stdout
    assert "MiB to go" not in done.stdout
    assert [place_of(name) for name in two] == [["hv2"], ["hv2"]]
