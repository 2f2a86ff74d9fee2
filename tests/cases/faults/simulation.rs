//! The lifecycle under faults: many random histories, and by name those in which the simulator found a mistake.

use std::time::Duration;

use cavatica_access::port::Action;
use cavatica_simulation::batch;
use cavatica_simulation::cloudformation::Rollback;
use cavatica_simulation::history::{
    CallFault, CallFilter, Delays, EventFaults, Fault, History, HistoryStep, ManualChange, Parameters,
};
use cavatica_simulation::published::{Published, TRUSTS_SIBLING};
use cavatica_simulation::simulator::simulate;
use cavatica_simulation::size::ORDINARY;
use cavatica_tests::Outcome;

#[test]
fn random_histories_show_no_violation() -> Outcome {
    let found = batch::run(1, ORDINARY.histories, &|_| {})?;
    assert_eq!(found.histories, ORDINARY.histories);
    let replay =
        |(seed, violation): &(u64, String)| format!("{violation}\n  cargo simulate --seed {seed} --histories 1");
    let said: Vec<_> = found.violations.iter().map(replay).collect();
    assert!(said.is_empty(), "{}", said.join("\n"));
    Ok(())
}

#[test]
fn the_same_seed_is_the_same_history_to_the_last_call() -> Outcome {
    for seed in [7, 4_711, 1_000_003] {
        let history = cavatica_simulation::generate::history(seed);
        let published = Published::new();
        let (one, other) = (simulate(&history, &published, true)?, simulate(&history, &published, true)?);
        assert_eq!(one.trace, other.trace, "seed {seed}");
    }
    Ok(())
}

/// Plays a history whatever its dice are, in calm weather unless said otherwise.
fn holds(delays: &Delays, steps: &[HistoryStep]) -> Outcome {
    holds_often(24, delays, steps)
}

/// Returns the same for what needs more luck to go wrong.
fn holds_often(times: u64, delays: &Delays, steps: &[HistoryStep]) -> Outcome {
    let published = Published::new();
    for seed in 0..times {
        let history = History { seed, delays: delays.clone(), steps: steps.to_vec() };
        let seen = simulate(&history, &published, true)?;
        assert!(seen.violations.is_empty(), "{history}\n{}\n{:?}", seen.trace.join("\n"), seen.violations);
    }
    Ok(())
}

fn no_faults() -> Delays {
    Delays { latency: Duration::from_millis(50), ..Delays::default() }
}

fn lagging() -> Delays {
    Delays { lag: Duration::from_secs(4), ..no_faults() }
}

fn parameters(requested: &[(&'static str, &'static str)]) -> Parameters {
    requested.iter().copied().collect()
}

fn create(requested: &[(&'static str, &'static str)]) -> HistoryStep {
    HistoryStep::Create { requested: parameters(requested), sibling_fails: false, event_faults: Vec::new() }
}

fn update(requested: &[(&'static str, &'static str)]) -> HistoryStep {
    let (rollback, event_faults) = (Rollback::default(), Vec::new());
    HistoryStep::Update { requested: parameters(requested), sibling_fails: false, rollback, event_faults }
}

/// Another resource fails after ours.
fn taken_back(mut history_step: HistoryStep) -> HistoryStep {
    if let HistoryStep::Update { sibling_fails, .. } | HistoryStep::Create { sibling_fails, .. } = &mut history_step {
        *sibling_fails = true;
    }
    history_step
}

fn resource_first(mut history_step: HistoryStep) -> HistoryStep {
    if let HistoryStep::Update { rollback, .. } = &mut history_step {
        rollback.resource_first = true;
    }
    history_step
}

fn forgetting(mut history_step: HistoryStep) -> HistoryStep {
    if let HistoryStep::Update { rollback, .. } = &mut history_step {
        rollback.forgets_failed_id = true;
    }
    history_step
}

/// Faults of a step's events, in order.
fn with(mut history_step: HistoryStep, event_faults: &[EventFaults]) -> HistoryStep {
    if let Some(its) = history_step.troubles_mut() {
        *its = event_faults.to_vec();
    }
    history_step
}

fn fine() -> EventFaults {
    EventFaults::default()
}

fn denied(action: Action) -> EventFaults {
    EventFaults { denied: Some(action), ..EventFaults::default() }
}

fn silent(action: Action) -> EventFaults {
    EventFaults { silent: Some(action), ..EventFaults::default() }
}

fn too_late() -> EventFaults {
    EventFaults { too_late: true, ..EventFaults::default() }
}

const NEW: &[(&str, &str)] = &[("RoleName", "new")];
const THIRD: &[(&str, &str)] = &[("RoleName", "third")];

#[test]
fn a_rename_is_taken_back_whichever_of_role_and_resource_is_reverted_first() -> Outcome {
    for requested in [NEW, &[("RoleName", "new"), ("PolicyName", "shared")]] {
        let rename = taken_back(update(requested));
        holds(&no_faults(), &[create(&requested[1..]), rename.clone()])?;
        holds(&no_faults(), &[create(&requested[1..]), resource_first(rename.clone())])?;
        holds(&lagging(), &[create(&requested[1..]), resource_first(rename.clone()), rename])?;
    }
    Ok(())
}

#[test]
fn a_new_role_whose_clean_up_failed_after_a_rollback_goes_with_the_stack() -> Outcome {
    for action in [Action::DeleteRole, Action::DeletePolicy, Action::DetachRolePolicy] {
        for rename in [taken_back(update(NEW)), resource_first(taken_back(update(NEW)))] {
            holds(&no_faults(), &[create(&[]), with(rename, &[fine(), fine(), denied(action)])])?;
        }
    }
    Ok(())
}

#[test]
fn both_roles_go_when_a_stack_is_deleted_whose_rollback_failed() -> Outcome {
    let rename = with(taken_back(update(NEW)), &[fine(), silent(Action::GetRole)]);
    let delete = HistoryStep::Delete { retain: false, event_faults: Vec::new() };
    holds(&no_faults(), &[create(&[]), rename.clone(), delete.clone()])?;
    holds(&no_faults(), &[create(&[]), resource_first(rename), delete.clone()])?;
    // Nothing was made under the ID that the Delete has.
    let silenced = &[silent(Action::GetPolicyVersion), silent(Action::ListAttachedRolePolicies)];
    let never_made = with(update(&[("PolicyName", "shared")]), silenced);
    holds(&no_faults(), &[create(&[("RoleName", "new"), ("PolicyName", "shared")]), never_made, delete])?;
    let half_made = with(update(NEW), &[denied(Action::AttachRolePolicy), silent(Action::GetRole)]);
    holds(&no_faults(), &[create(&[]), half_made, HistoryStep::ContinueRollback { event_faults: Vec::new() }])
}

#[test]
fn a_half_made_role_whose_id_was_forgotten_is_cleaned_up_although_its_name_was_in_use_before() -> Outcome {
    let shared = &[("RoleName", "third"), ("PolicyName", "shared")];
    let refused = update(shared);
    let failing = with(forgetting(update(THIRD)), &[denied(Action::CreatePolicy)]);
    holds(
        &no_faults(),
        &[HistoryStep::ManualChange(ManualChange::MakesPolicy("shared")), create(&[]), refused, failing],
    )
}

#[test]
fn a_role_that_remembers_an_older_one_is_deleted_after_it() -> Outcome {
    // The oldest is in an instance profile, so that its clean-up fails again and again.
    holds(
        &no_faults(),
        &[
            create(THIRD),
            HistoryStep::ManualChange(ManualChange::PutsIntoProfile),
            update(NEW),
            update(&[]),
            update(&[]),
        ],
    )
}

#[test]
fn a_policy_that_does_not_show_yet_is_not_left_behind_by_a_delete_that_comes_at_once() -> Outcome {
    let delete = HistoryStep::Delete { retain: false, event_faults: Vec::new() };
    holds(&lagging(), &[create(&[]), delete.clone()])?;
    holds(&lagging(), &[create(&[("PolicyName", "shared")]), delete])
}

#[test]
fn an_update_is_taken_back_although_the_account_still_shows_how_it_was() -> Outcome {
    let tags: &[(&str, &str)] = &[("Tags", "team=genomics")];
    for changed in [tags, &[("AccessMode", "ReadWrite")], &[("ExternalId", "lab-1234")], &[("Description", "changed")]]
    {
        holds(&lagging(), &[create(&[]), taken_back(update(changed))])?;
    }
    // Whom the function may trust is not taken back yet, so that nothing could be expected.
    let shared: &[(&str, &str)] = &[("PolicyName", "shared")];
    let sibling = (TRUSTS_SIBLING, "sibling");
    let moved = update(&[shared[0], NEW[0], sibling]);
    holds(&lagging(), &[create(shared), resource_first(taken_back(moved))])?;
    // What a rename leaves to be noted must not pass for what is to be taken back.
    let other: &[(&str, &str)] = &[("RoleName", "new"), ("Tags", "team=other,cost centre=42")];
    let genomics: &[(&str, &str)] = &[("RoleName", "new"), ("Tags", "team=genomics")];
    holds(&lagging(), &[create(&[]), update(other), resource_first(taken_back(update(genomics)))])
}

#[test]
fn a_policy_version_that_does_not_show_yet_makes_room_once_it_does() -> Outcome {
    let write: &[(&str, &str)] = &[("AccessMode", "ReadWrite")];
    // The last of five versions is a moment old when it is taken back.
    holds(&lagging(), &[create(&[]), update(write), update(&[]), update(write), taken_back(update(&[]))])
}

#[test]
fn a_rename_remembers_an_old_role_that_lost_its_tags() -> Outcome {
    let named: &[(&str, &str)] = &[("PolicyName", "shared")];
    for requested in [&[], named] {
        holds(&no_faults(), &[create(requested), HistoryStep::ManualChange(ManualChange::UntagsRole), update(THIRD)])?;
        holds(
            &no_faults(),
            &[create(requested), HistoryStep::ManualChange(ManualChange::UntagsRole), update(THIRD), update(&[])],
        )?;
    }
    Ok(())
}

#[test]
fn a_policy_whose_role_somebody_deleted_is_not_left_behind_by_another_name() -> Outcome {
    holds(
        &no_faults(),
        &[create(&[("PolicyName", "shared")]), HistoryStep::ManualChange(ManualChange::DeletesRole), update(&[])],
    )
}

#[test]
fn a_policy_with_a_name_of_its_own_is_not_forgotten_by_a_clean_up_that_may_not_delete_it() -> Outcome {
    let renamed = |requested: &[(&'static str, &'static str)]| taken_back(update(requested));
    let shared = renamed(&[("RoleName", "NEW"), ("PolicyName", "shared")]);
    let denied = with(shared, &[fine(), fine(), denied(Action::DeletePolicy)]);
    holds(&no_faults(), &[create(&[]), renamed(&[("RoleName", "NEW")]), denied])
}

#[test]
fn a_policy_whose_role_was_never_made_is_remembered() -> Outcome {
    let half = [denied(Action::CreateRole), fine(), EventFaults { kills: vec![1, 1, 1], ..EventFaults::default() }];
    holds(&no_faults(), &[create(NEW), with(update(&[("PolicyName", "shared")]), &half)])
}

#[test]
fn delete_finds_a_policy_under_the_path_of_its_role() -> Outcome {
    let elsewhere: &[(&str, &str)] = &[("RoleName", "third"), ("IamPath", "/labs/")];
    let half = [denied(Action::CreateRole), fine(), denied(Action::GetPolicy)];
    holds(&no_faults(), &[create(&[]), with(update(elsewhere), &half)])?;
    // The next update is refused and taken back; its old properties name another path.
    let left = with(update(NEW), &[silent(Action::CreateRole), fine(), denied(Action::GetPolicy)]);
    holds(&no_faults(), &[create(&[]), left, update(&[("IamPath", "/labs/")])])
}

#[test]
fn a_policy_left_under_one_path_is_not_forgotten_for_another() -> Outcome {
    let half = [denied(Action::CreateRole), fine(), silent(Action::DeletePolicy)];
    let elsewhere = forgetting(update(&[("RoleName", "third"), ("IamPath", "/labs/")]));
    holds(&no_faults(), &[create(&[]), with(update(THIRD), &half), elsewhere])
}

#[test]
fn a_cors_rule_follows_role_and_bucket_and_goes_with_the_stack() -> Outcome {
    let cors = ("ConfigureCors", "true");
    let other = ("BucketName", "other-bucket");
    for requested in [&[][..], &[cors], &[cors, other], &[cors, NEW[0]], &[cors, NEW[0], other], &[NEW[0], other]] {
        for before in [&[][..], &[cors]] {
            for delays in [no_faults(), lagging()] {
                let there = update(requested);
                holds(&delays, &[create(before), there.clone(), update(before)])?;
                holds(&delays, &[create(before), taken_back(there.clone())])?;
                holds(&delays, &[create(before), resource_first(taken_back(there))])?;
            }
        }
    }
    Ok(())
}

#[test]
fn a_cors_rule_that_cannot_be_set_or_looked_at_stops_no_rollback_and_no_delete() -> Outcome {
    let cors = update(&[("ConfigureCors", "true")]);
    for action in [Action::GetBucketLocation, Action::GetBucketCORS, Action::PutBucketCORS] {
        let denied_throughout = vec![denied(action); 3];
        holds(&no_faults(), &[create(&[]), with(cors.clone(), &denied_throughout)])?;
        holds(&no_faults(), &[with(create(&[("ConfigureCors", "true")]), &denied_throughout)])?;
    }
    Ok(())
}

#[test]
fn a_cancelled_create_leaves_no_cors_rule() -> Outcome {
    let cancelled = |after| EventFaults { cancelled: Some(Duration::from_millis(after)), ..EventFaults::default() };
    for after in [500, 2_000, 4_000] {
        let slow = Delays { latency: Duration::from_secs(3), ..no_faults() };
        holds(&slow, &[with(create(&[("ConfigureCors", "true")]), &[cancelled(after)])])?;
    }
    Ok(())
}

#[test]
fn a_create_delivered_twice_waits_twice_for_what_the_simulator_does_not_know_yet() -> Outcome {
    let twice = EventFaults { duplicate: Some(Duration::from_millis(2_500)), ..EventFaults::default() };
    holds(&lagging(), &[with(create(&[]), &[twice])])
}

#[test]
fn one_slow_answer_of_the_simulator_does_not_make_an_older_one_final() -> Outcome {
    let slow =
        |nth| CallFault { call: CallFilter::Of(Action::SimulatePrincipalPolicy), nth, fault: Fault::SilenceAfter };
    let hurried = Delays { latency: Duration::from_millis(500), ..lagging() };
    for first in 2..8 {
        let call_faults = vec![slow(first), slow(first + 1)];
        holds_often(300, &hurried, &[with(create(&[]), &[EventFaults { call_faults, ..EventFaults::default() }])])?;
    }
    Ok(())
}

#[test]
fn a_rollback_is_not_stopped_by_checks_that_find_a_bucket_gone() -> Outcome {
    let there = ("BucketName", "other-bucket");
    let gone = HistoryStep::ManualChange(ManualChange::DeletesBucket);
    let back = taken_back(update(&[("AccessMode", "ReadWrite")]));
    holds(&no_faults(), &[create(&[there]), gone.clone(), back])?;
    holds(&no_faults(), &[create(&[there]), gone, resource_first(taken_back(update(NEW)))])
}

#[test]
fn a_policy_with_a_name_of_its_own_goes_although_its_roles_name_is_in_use_again() -> Outcome {
    let half = [denied(Action::CreateRole), fine(), denied(Action::GetPolicy)];
    let never_made = with(update(&[("RoleName", "third"), ("PolicyName", "shared")]), &half);
    holds(&no_faults(), &[create(&[]), never_made.clone(), update(THIRD)])?;
    // And once more when the clean-up that would have removed it fails too.
    let stuck = with(update(THIRD), &[fine(), denied(Action::GetPolicy)]);
    holds(
        &no_faults(),
        &[create(&[]), never_made, stuck, update(&[("RoleName", "third"), ("AccessMode", "ReadWrite")])],
    )
}

#[test]
fn a_role_that_is_replaced_but_does_not_show_yet_is_looked_for_again() -> Outcome {
    let killed = EventFaults { kills: vec![1, 1, 1], ..EventFaults::default() };
    let rename = resource_first(taken_back(with(update(NEW), &[fine(), fine(), killed])));
    holds(&lagging(), &[create(&[]), update(THIRD), update(&[]), rename])
}

#[test]
fn a_delete_that_comes_at_once_sees_who_remembers_an_older_role() -> Outcome {
    let rename = with(update(NEW), &[too_late(), denied(Action::DeletePolicy)]);
    holds(&lagging(), &[create(&[]), rename, HistoryStep::Delete { retain: false, event_faults: Vec::new() }])
}

#[test]
fn a_policy_that_lost_its_tags_can_be_tagged_again_and_the_rollback_goes_on() -> Outcome {
    let unanswered = with(update(THIRD), &[too_late()]);
    holds(&no_faults(), &[create(&[]), HistoryStep::ManualChange(ManualChange::UntagsPolicy), unanswered])
}

#[test]
fn a_boundary_that_no_rollback_could_restore_is_not_changed() -> Outcome {
    let boundary = cavatica_simulation::ORGANISATIONS_BOUNDARY;
    for (before, after) in
        [(vec![], vec![("PermissionsBoundaryArn", boundary)]), (vec![("PermissionsBoundaryArn", boundary)], vec![])]
    {
        holds(&no_faults(), &[create(&before), resource_first(taken_back(update(&after)))])?;
        holds(&no_faults(), &[create(&before), taken_back(update(&[after, NEW.to_vec()].concat()))])?;
    }
    Ok(())
}

#[test]
fn a_policy_that_moved_with_a_rename_stays_attached_to_others() -> Outcome {
    // Checks would take the time in which the rename does not show yet.
    let own_policy = [("PolicyName", "shared"), ("Checks", "Off")];
    let rename = update(&[&own_policy[..], NEW].concat());
    let steps = [create(&own_policy), HistoryStep::ManualChange(ManualChange::AttachesOursToPeople), rename];
    holds_often(200, &lagging(), &steps)
}

#[test]
fn tags_of_an_earlier_life_go_when_a_role_comes_back_into_use() -> Outcome {
    let tagged = create(&[("Tags", "team=genomics")]);
    let unfinished = with(update(NEW), &[fine(), denied(Action::DeleteRole)]);
    holds(&no_faults(), &[tagged.clone(), unfinished.clone(), update(&[])])?;
    holds(&no_faults(), &[tagged, unfinished, update(&[("Tags", "Team=other,cost centre=42")])])
}

#[test]
fn a_role_that_is_made_again_remembers_what_the_rename_before_it_left() -> Outcome {
    let rename = with(update(NEW), &[too_late(), denied(Action::DeleteRole)]);
    let delete = HistoryStep::Delete { retain: false, event_faults: Vec::new() };
    holds(&no_faults(), &[create(&[]), HistoryStep::ManualChange(ManualChange::DeletesRole), rename, delete])
}

#[test]
fn observes_iam_again_after_a_slow_answer_of_s3() -> Outcome {
    let own_policy = [("PolicyName", "shared")];
    let moved = update(&[own_policy[0], ("BucketName", "other-bucket")]);
    let slow = CallFault { call: CallFilter::Of(Action::GetEncryptionConfiguration), nth: 1, fault: Fault::Silence };
    let moved = with(moved, &[EventFaults { call_faults: vec![slow], ..EventFaults::default() }]);
    holds_often(100, &lagging(), &[create(&own_policy), resource_first(taken_back(moved))])
}

#[test]
fn a_delete_waits_for_the_right_to_take_its_cors_rule_out() -> Outcome {
    let late = Delays { provider_rights: Duration::from_secs(90), ..no_faults() };
    let elsewhere = update(&[("BucketName", "other-bucket"), ("Checks", "Off")]);
    let cors = update(&[("ConfigureCors", "true")]);
    let delete = HistoryStep::Delete { retain: false, event_faults: Vec::new() };
    holds_often(200, &late, &[create(&[("Checks", "Off")]), elsewhere, cors, delete])
}

#[test]
fn two_deletes_at_once_do_not_wait_long_for_what_the_other_removed() -> Outcome {
    let slow =
        Delays { latency: Duration::from_secs(3), provider_rights: Duration::from_secs(35), ..Delays::default() };
    let again = EventFaults { duplicate: Some(Duration::from_millis(2_500)), ..EventFaults::default() };
    let lost = CallFault { call: CallFilter::Of(Action::DeletePolicy), nth: 1, fault: Fault::LostAfter };
    let twice = EventFaults { call_faults: vec![lost], ..again };
    holds(&slow, &[with(create(&[]), &[too_late(), twice.clone()])])?;
    holds(&slow, &[create(&[]), HistoryStep::Delete { retain: false, event_faults: vec![twice] }])
}

#[test]
fn a_silent_bucket_stops_no_rollback_of_a_rename() -> Outcome {
    let cors = create(&[("ConfigureCors", "true")]);
    for action in [Action::GetBucketLocation, Action::GetBucketCORS, Action::PutBucketCORS] {
        let again = Some(Duration::from_millis(357));
        let unanswered = EventFaults { silent: Some(action), duplicate: again, ..EventFaults::default() };
        let rename = taken_back(with(update(NEW), &[fine(), unanswered]));
        let delete = HistoryStep::Delete { retain: false, event_faults: Vec::new() };
        for rename in [rename.clone(), resource_first(rename)] {
            let steps = [cors.clone(), rename, delete.clone()];
            holds(&no_faults(), &steps)?;
            let seen =
                simulate(&History { seed: 1, delays: no_faults(), steps: steps.to_vec() }, &Published::new(), true)?;
            let failed: Vec<_> = seen.trace.iter().filter(|line| line.contains("\"FAILED\"")).collect();
            assert!(failed.is_empty(), "{action:?}: {failed:?}");
        }
    }
    Ok(())
}

#[test]
fn a_create_that_is_cancelled_while_it_runs_leaves_nothing() -> Outcome {
    let published = Published::new();
    let slow = Delays { provider_rights: Duration::from_secs(35), ..lagging() };
    for after in (0..40).map(|half| Duration::from_millis(half * 500)) {
        let cancelled = EventFaults { cancelled: Some(after), ..EventFaults::default() };
        for (seed, delays) in
            (0..12).flat_map(|seed| [no_faults(), lagging(), slow.clone()].map(|delays| (seed, delays)))
        {
            let history = History { seed, delays, steps: vec![with(create(&[]), std::slice::from_ref(&cancelled))] };
            let seen = simulate(&history, &published, true)?;
            assert!(seen.violations.is_empty(), "{history}\n{}\n{:?}", seen.trace.join("\n"), seen.violations);
        }
    }
    Ok(())
}

#[test]
fn a_function_that_dies_at_any_await_is_finished_by_its_retry() -> Outcome {
    let published = Published::new();
    let lives: [&[HistoryStep]; 3] = [
        &[create(&[])],
        &[create(&[]), update(&[("AccessMode", "ReadWrite"), ("Tags", "team=genomics"), ("ExternalId", "none")])],
        &[create(&[]), taken_back(update(NEW)), update(THIRD)],
    ];
    for steps in lives {
        for (history_step, event, polls) in
            (0..steps.len()).flat_map(|a| (0..3).flat_map(move |e| (1..60).map(move |p| (a, e, p))))
        {
            let mut steps = steps.to_vec();
            steps.push(HistoryStep::Delete { retain: false, event_faults: Vec::new() });
            let mut event_faults = vec![fine(); 3];
            event_faults[event].kills = vec![polls];
            steps[history_step] = with(steps[history_step].clone(), &event_faults);
            let history = History { seed: u64::from(polls), delays: no_faults(), steps };
            let seen = simulate(&history, &published, false)?;
            assert!(seen.violations.is_empty(), "{history}{:?}", seen.violations);
        }
    }
    Ok(())
}
