# SPDX-License-Identifier: GPL-3.0-or-later

"""Who failed first, and what is said about it."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.plugin_utils._diagnose.api import (
    diagnose,
    with_diagnoses,
    with_logs,
)
from tests.unit.diagnose.samples import failed, libvirt, log, qemu
from tests.unit.report.samples import outcome_of, uuid_of

BROKEN_PIPE = "operation failed: job 'migration out' failed: Unable to write to socket: Broken pipe"
UNEXPECTED = "operation failed: job 'migration out' unexpectedly failed"
GONE = "Unable to read from socket: Connection reset by peer"
TOO_NEW = "fdc: incoming version_id 3 is too new for local version_id 2"
INPUT_OUTPUT = "load of migration failed: Input/output error"
FAILED = libvirt("33.000", "shutting down, reason=failed")


def said(made: t.Any) -> tuple[str | None, str, str]:
    return made["id"], made["who_failed_first"], made["retry"]


def test_the_destination_refuses_and_the_source_sees_a_broken_pipe() -> None:
    there = [qemu("32.100000", TOO_NEW), qemu("32.100100", "load of migration failed: Invalid argument"), FAILED]
    here = [libvirt("30.000", "initiating migration"), qemu("32.000900", "socket_writev_buffer: Got err=32 for (1/2)")]
    made = diagnose(failed(BROKEN_PIPE, here, there))
    assert said(made) == ("dx_section_version", "destination", "other_host")
    # The consequence at the source is older by the clocks, and does not count.
    assert made["matched"][0] == {
        "id": "dx_section_version",
        "side": "destination",
        "line": there[0],
        "role": "cause",
    }
    assert {match["id"] for match in made["matched"]} >= {"dx_socket_writev", "dx_load_failed_generic"}


def test_the_words_of_the_talk_who_failed_first() -> None:
    """Seed 004: these two lines alone, close to each other, do not tell which host it was."""
    here = [qemu("32.000000", "socket_writev_buffer: Got err=32 for (131328/18446744073709551615)")]
    assert diagnose(failed(UNEXPECTED, here, [qemu("32.100000", INPUT_OUTPUT)]))["who_failed_first"] == "network"
    late = [qemu("39.100000", INPUT_OUTPUT)]
    assert diagnose(failed(UNEXPECTED, here, late))["who_failed_first"] == "unknown"


def test_clocks_that_differ() -> None:
    here, there = [qemu("32.000000", "socket_writev_buffer: Got err=32 for (1/2)")], [qemu("39.000000", INPUT_OUTPUT)]
    assert diagnose(failed(None, here, there), skew_ms=7000)["who_failed_first"] == "network"
    assert diagnose(failed(None, here, there), uncertainty_ms=10000)["who_failed_first"] == "network"


@pytest.mark.parametrize(
    ("skew_ms", "who", "decides"),
    [(0, "destination", "dx_section_version"), (-8000, "source", "dx_disk_inactivate"), (-4900, "unknown", None)],
)
def test_the_earliest_cause_decides_on_one_clock(skew_ms: int, who: str, decides: str | None) -> None:
    """At the same time, as far as the clocks are known, nothing is concluded."""
    here = [qemu("37.000000", "qemu_savevm_state: bdrv_inactivate_all() failed (-1)")]
    made = diagnose(failed(UNEXPECTED, here, [qemu("32.000000", TOO_NEW)]), skew_ms=skew_ms)
    assert made["who_failed_first"] == who
    assert decides is None or made["id"] == decides


def test_the_destinations_qemu_was_killed() -> None:
    """As the lab has it: SIGKILL leaves no word of QEMU."""
    here = [libvirt("25.272", "initiating migration"), qemu("32.053577", GONE)]
    made = diagnose(failed(UNEXPECTED, here, [libvirt("32.047", "shutting down, reason=crashed")]))
    assert said(made) == ("dx_monitor_eof", "destination", "unknown")


def test_the_sources_qemu_was_killed() -> None:
    here = [libvirt("32.000", "shutting down, reason=crashed")]
    assert diagnose(failed(None, here, [qemu("32.010000", INPUT_OUTPUT), FAILED]))["who_failed_first"] == "source"


def test_the_destinations_daemon_was_stopped() -> None:
    """As the lab has it. The error without a time comes after what has happened."""
    there = [
        libvirt("41.045", "shutting down, reason=daemon"),
        qemu("41.045814", "terminating on signal 15 from pid 573 (/usr/sbin/libvirtd)"),
    ]
    made = diagnose(failed("Lost connection to destination host", [], there))
    assert said(made) == ("dx_daemon_restarted", "destination", "resolve_first")


@pytest.mark.parametrize(
    ("sender", "who"), [("/usr/sbin/libvirtd", "unknown"), ("/usr/sbin/virtqemud", "unknown"), ("bash", "destination")]
)
def test_only_a_signal_of_somebody_else_is_a_cause(sender: str, who: str) -> None:
    made = diagnose(failed(None, [], [qemu("41.0", f"terminating on signal 15 from pid 5 ({sender})")]))
    assert made["who_failed_first"] == who


def test_the_destination_ended_without_a_word() -> None:
    assert diagnose(failed(UNEXPECTED, [qemu("32.0", GONE)], [FAILED]))["who_failed_first"] == "destination"
    # Without its log nobody knows that it said nothing.
    assert diagnose(failed(UNEXPECTED, [qemu("32.0", GONE)], None))["who_failed_first"] == "unknown"


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        ("aborted after 60 s (timeout_s): operation aborted: migration out job: canceled by client", "policy"),
        ("operation aborted: migration out job: canceled by client", "policy"),
        ("The connection which controls migration of domain web1 was closed", "client"),
        ("unable to connect to server at 'hv2:49152': Connection refused", "network"),
        ("unable to connect to server at 'hv2:16514': Connection refused", "destination"),
        ("something that nobody has ever printed", "unknown"),
    ],
)
def test_other_culprits(error: str, wanted: str) -> None:
    """What follows from it on the destination plays no part."""
    assert diagnose(failed(error, [], [qemu("32.0", INPUT_OUTPUT), FAILED]))["who_failed_first"] == wanted


@pytest.mark.parametrize(
    "libvirts", ["migration out job: canceled by client", "job 'migration out' canceled by client"]
)
def test_what_the_policy_has_ended_was_cancelled_by_nobody(libvirts: str) -> None:
    said = f"aborted by its policy: needs 3.4 s pause, ceiling 1.0 s; not allowed: operation aborted: {libvirts}"
    assert diagnose(failed(said))["id"] == "dx_over_ceiling"


def test_libvirt_tells_what_both_daemons_said() -> None:
    both = "operation failed: migration failed. Message from the source host: {}. Message from the destination host: {}"
    told = both.format(
        BROKEN_PIPE, "operation failed: job 'migration in' failed: load of migration failed: Invalid argument"
    )
    assert diagnose(failed(told))["who_failed_first"] == "destination"


def test_nothing_is_known() -> None:
    made = diagnose(failed("something that nobody has ever printed"))
    assert (made["id"], made["cause"], made["advice"], made["matched"]) == (None, None, None, [])
    assert (made["who_failed_first"], made["retry"]) == ("unknown", "unknown")
    assert "no known cause was recognised" in made["paragraph"]


def test_where_the_guest_runs_comes_first() -> None:
    assert diagnose(failed("Lost connection to destination host", state="unknown"))["retry"] == "resolve_first"
    lost = "Migration of domain web1 failed during post-copy; leaving the domain paused"
    assert diagnose(failed(lost, state="unknown"))["retry"] == "resolve_first"
    assert diagnose(failed(lost, state="recoverable"))["retry"] == "resume"


def test_one_readable_paragraph() -> None:
    made = diagnose(failed(BROKEN_PIPE, [], [qemu("32.100000", TOO_NEW), FAILED]))
    assert made["paragraph"] == (
        "Domain web1, hv1 to hv2: the destination's QEMU is older than the source's in this device. hv2, the"
        ' destination, failed first. The log of hv2 says: "2026-11-27T06:34:32.100000Z qemu-system-x86_64: fdc:'
        ' incoming version_id 3 is too new for local version_id 2". What to do: migrate only to an equal or newer'
        " QEMU. Another destination may do."
    )


def test_the_paragraph_says_which_log_was_not_read() -> None:
    outcome = failed(BROKEN_PIPE, logs=[log("hv1", unread="Permission denied")])
    text = diagnose(outcome)["paragraph"]
    assert "The log of hv1 could not be read (/var/log/libvirt/qemu/web1.log: Permission denied)." in text
    assert "The log of hv2 was not asked for." in text


def test_no_secret_is_shown() -> None:
    secret = '-object {"qom-type":"secret","data":"c2VjcmV0"}: Invalid password, cannot unlock any keyslot'
    made = diagnose(failed(secret, [qemu("1.0", "password=hunter2 Secret not found: x")], []))
    assert "c2VjcmV0" not in str(made) and "hunter2" not in str(made)
    assert made["id"] == "dx_secret"


def test_who_gets_a_diagnosis() -> None:
    outcomes = [
        outcome_of("a"),
        outcome_of("b", "planned"),
        failed("Secret not found: x"),
        outcome_of("d", "refused", error="[dst_memory] no room there"),
        outcome_of("e", "refused", error="libvirt connection: Host key verification failed."),
    ]
    ids = [made["diagnosis"] and made["diagnosis"]["id"] for made in with_diagnoses(outcomes)]
    assert ids == [None, None, "dx_secret", None, "dx_ssh_hostkey"]


def test_logs_find_their_outcomes() -> None:
    there = log("hv2", FAILED)
    given = [failed("x", []), outcome_of("other")]
    web1, other = with_logs(given, [{}, {uuid_of("web1"): t.cast(t.Any, there)}])
    assert [one["host"] for one in web1["logs"]] == ["hv1", "hv2"] and other["logs"] == []


def test_outcomes_of_before_there_were_logs() -> None:
    old = {key: value for key, value in failed(BROKEN_PIPE).items() if key not in ("logs", "diagnosis")}
    assert with_diagnoses(with_logs([t.cast(t.Any, old)], []))[0]["diagnosis"] is not None
