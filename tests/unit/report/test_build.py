# SPDX-License-Identifier: GPL-3.0-or-later

"""What a report says of a run."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.plugin_utils._report.api import make_report, problems, with_proofs
from tests.unit.report.samples import example, outcome_of, plan_of, proofs_of, uuid_of


def verified(outcomes: list[t.Any], *hosts: t.Any, plan: t.Any) -> t.Any:
    return make_report(plan, with_proofs(outcomes, hosts), [], verified=True)


def test_a_run_in_which_all_went_well() -> None:
    report = verified(
        [outcome_of("web1"), outcome_of("web2", "already_there")],
        proofs_of("web1", "web2", host="hv1"),
        proofs_of("web1", "web2", host="hv2"),
        plan=plan_of("web1", "web2"),
    )
    assert report["summary"] == {
        "planned": 0,
        "moved": 2,
        "unproven": 0,
        "breached": 0,
        "stayed": 0,
        "failed": 0,
        "hosts_emptied": {"hv1": True},
    }
    assert report["failures"] == []
    assert problems(report) == []


def test_without_outcomes_everything_is_planned() -> None:
    report = make_report(plan_of("web1"), None, [])
    assert report["summary"]["planned"] == 1
    assert report["summary"]["hosts_emptied"] == {"hv1": False}
    assert report["rows"][0]["running_on"] == "hv1"
    assert report["failures"] == []


def test_check_mode_outcomes_are_planned_and_no_failure() -> None:
    report = make_report(plan_of("web1"), [outcome_of("web1", "planned")], [], verified=True)
    assert report["summary"]["planned"] == 1
    assert report["summary"]["hosts_emptied"] == {"hv1": False}
    assert report["failures"] == []


def test_nobody_knows_whether_a_move_without_an_outcome_kept_its_ceiling() -> None:
    plan = plan_of("web1")
    plan["moves"][0]["profile"]["ceiling_ms"] = 1000
    assert make_report(plan, None, [])["rows"][0]["breach"] is None
    report = make_report(plan, [], [])
    assert report["rows"][0]["breach"] == "hv1 did not say how long it was paused"
    assert report["summary"]["breached"] == 1


def test_what_a_task_said_instead_of_outcomes_is_the_cause() -> None:
    report = make_report(plan_of("web1"), [], [], said={"hv1": "Python module libvirt: not found", "hv9": "other"})
    (failure,) = report["failures"]
    assert "Python module libvirt: not found" in failure["cause"]
    assert "other" not in failure["cause"]


def test_a_move_without_an_outcome_is_unknown_and_failed() -> None:
    report = make_report(plan_of("web1", "web2"), [outcome_of("web1")], [])
    assert [row["state"] for row in report["rows"]] == ["moved", "unknown"]
    assert report["summary"]["failed"] == 1
    assert report["summary"]["hosts_emptied"] == {"hv1": False}
    (failure,) = report["failures"]
    assert failure["running_on"] is None
    assert "hv1 did not say" in failure["cause"]
    assert "do not start this domain anywhere by hand" in failure["remedy"]


def test_an_outcome_of_no_move_is_not_lost() -> None:
    report = make_report(plan_of("web1"), [outcome_of("stranger", "failed"), outcome_of("web1")], [])
    assert [row["domain"] for row in report["rows"]] == ["web1", "stranger"]
    assert report["summary"]["failed"] == 1


def test_two_outcomes_of_one_domain_are_both_kept() -> None:
    report = make_report(plan_of("web1"), [outcome_of("web1", "failed"), outcome_of("web1")], [])
    assert [row["state"] for row in report["rows"]] == ["failed", "moved"]
    assert report["summary"]["hosts_emptied"] == {"hv1": False}


@pytest.mark.parametrize("state", ["failed", "refused", "unknown", "something new"])
def test_what_did_not_arrive_has_failed(state: str) -> None:
    report = make_report(plan_of("web1"), [outcome_of("web1", state, error="it broke")], [])
    assert report["summary"]["failed"] == 1
    assert report["summary"]["moved"] == 0
    assert report["summary"]["hosts_emptied"] == {"hv1": False}
    assert report["failures"][0]["cause"] == "it broke"
    assert report["failures"][0]["last_phase"] == "completed"


@pytest.mark.parametrize(
    ("state", "remedy"),
    [
        ("failed", "the domain still runs on hv1"),
        ("refused", "nothing was changed"),
        ("unknown", "ask hv1 and hv2 with 'virsh list --all'"),
        ("something new", "ask hv1 and hv2 with 'virsh list --all'"),
    ],
)
def test_each_state_has_its_remedy(state: str, remedy: str) -> None:
    report = make_report(plan_of("web1"), [outcome_of("web1", state)], [])
    assert remedy in report["failures"][0]["remedy"]


@pytest.mark.parametrize("state", ["failed", "moved", "unknown"])
def test_where_it_is_not_proven_where_a_domain_runs_the_remedy_is_to_look_first(state: str) -> None:
    report = make_report(plan_of("web1"), [outcome_of("web1", state, running_on=None, error="it broke")], [])
    assert "virsh list --all" in report["failures"][0]["remedy"]


@pytest.mark.parametrize("running_on", ["hv1", None])
def test_a_source_is_not_empty_where_a_domain_is_not_known_to_run_elsewhere(running_on: str | None) -> None:
    report = make_report(plan_of("web1"), [outcome_of("web1", running_on=running_on)], [])
    assert report["summary"]["hosts_emptied"] == {"hv1": False}


def test_a_missing_proof_is_a_doubt_and_the_source_is_not_empty() -> None:
    report = verified([outcome_of("web1")], proofs_of("web1", host="hv2"), {}, plan=plan_of("web1"))
    assert report["summary"]["unproven"] == 1
    assert report["summary"]["moved"] == 1
    assert report["summary"]["hosts_emptied"] == {"hv1": False}
    assert report["failures"][0]["cause"] == "hv1: verified: did not say what it sees of this domain"


def test_no_proof_at_all_is_a_doubt_where_hosts_were_asked() -> None:
    report = verified([outcome_of("web1")], {}, {}, plan=plan_of("web1"))
    assert len(report["failures"][0]["proofs"]) == 2


def test_a_failed_proof_at_the_destination_leaves_the_source_empty() -> None:
    report = verified(
        [outcome_of("web1")],
        proofs_of("web1", host="hv1"),
        proofs_of("web1", host="hv2", ok=False),
        plan=plan_of("web1"),
    )
    assert report["summary"]["unproven"] == 1
    assert report["summary"]["hosts_emptied"] == {"hv1": True}
    assert problems(report) == [
        "Domain web1: moved; hv2: running: as seen there. Remedy: the domain runs on hv2: look there at what is named"
        " here and correct it by hand."
    ]


def test_without_verification_a_move_is_counted_as_not_proven_but_is_no_failure() -> None:
    report = make_report(plan_of("web1"), [outcome_of("web1")], [])
    assert report["verified"] is False
    assert report["summary"]["unproven"] == 1
    assert report["failures"] == []


def test_a_domain_that_moved_with_an_error_is_named() -> None:
    report = make_report(
        plan_of("web1"), [outcome_of("web1", error="moved, but its autostart flag could not be set")], []
    )
    assert report["failures"][0]["state"] == "moved"
    assert report["summary"]["failed"] == 0


@pytest.mark.parametrize(
    ("state", "emptied"), [("running", False), ("paused", False), ("shutoff", True), ("crashed", True)]
)
def test_a_stay_keeps_its_host_occupied_while_it_is_active(state: str, emptied: bool) -> None:
    stay = {**example("Plan")["stays"][0], "state": state}
    report = make_report(plan_of(stays=[stay]), [], [])
    assert report["summary"]["stayed"] == 1
    assert report["summary"]["hosts_emptied"] == {"hv1": emptied}


def test_a_domain_that_nobody_asked_to_move_keeps_its_host_occupied() -> None:
    plan, moved = plan_of("web1"), [outcome_of("web1")]
    known = [
        {"name": "web1", "uuid": uuid_of("web1"), "active": True},
        {"name": "off", "uuid": uuid_of("off"), "active": False},
    ]
    extra = {"name": "other", "uuid": uuid_of("other"), "active": True}
    alone = make_report(plan, moved, [], hosts=[example("HostSnapshot", domains=known)])
    assert (alone["left_out"], alone["summary"]["hosts_emptied"]) == ([], {"hv1": True})
    report = make_report(plan, moved, [], hosts=[example("HostSnapshot", domains=[*known, extra])])
    assert report["left_out"] == [{"domain": "other", "uuid": uuid_of("other"), "source": "hv1"}]
    assert report["summary"]["hosts_emptied"] == {"hv1": False}
    elsewhere = make_report(plan, moved, [], hosts=[example("HostSnapshot", name="hv2", domains=[extra])])
    assert elsewhere["left_out"] == []


def test_a_source_without_domains_is_empty() -> None:
    assert make_report(plan_of(), [], [])["summary"]["hosts_emptied"] == {"hv1": True}


def test_findings_that_explain_a_stay_are_not_repeated() -> None:
    warning = example("Finding", check="storage.cache_mode", severity="warning", blocks=False)
    report = make_report(example("Plan"), None, [example("Finding"), warning])
    assert report["findings"] == [warning]


def test_the_default_run_id_follows_from_the_plan_alone() -> None:
    plans = (plan_of("web1"), plan_of("web1"), plan_of("web1", digest="ff" * 32))
    first, again, other = (make_report(plan, None, [])["run_id"] for plan in plans)
    assert first == again == f"plan-{example('Plan')['digest'][:8]}"
    assert other == "plan-ffffffff"


def test_nothing_that_was_given_is_changed() -> None:
    plan, outcomes = plan_of("web1"), [outcome_of("web1")]
    make_report(plan, with_proofs(outcomes, [proofs_of("web1", host="hv2")]), [])
    assert plan == plan_of("web1")
    assert outcomes == [outcome_of("web1")]
