//! The tests of this folder bite: each of these breaks of the node fails the test that is named beside it.

use std::panic::catch_unwind;

use kv_core::mutants::{Mutant, choose};

use crate::{
    batches, damage, deadlines, door, epochs, exchanges, expiry, forwarding, gets, lives, puts, retries,
    scans, stand_ins,
};

const CAUGHT: &[(Mutant, fn())] = &[
    (Mutant::ContinuesCounterOfRepairedRecord, damage::a_record_that_others_gave_back_is_not_gone_on_with),
    (Mutant::KeepsActorAfterFailedCommit, lives::a_failed_commit_begins_a_new_life_before_the_next_dot),
    (Mutant::PutAnswerCoversRecord, puts::a_put_with_a_context_replaces_what_was_read_and_covers_no_sibling),
    (Mutant::DamagedCountsAsMissing, damage::a_damaged_record_does_not_count_as_absent),
    (Mutant::WriteClearsDamage, damage::a_write_keeps_the_mark_of_the_damage_until_the_record_is_whole),
    (Mutant::WriteClearsDamage, damage::a_replicated_write_does_not_make_a_damaged_record_whole),
    (Mutant::HealsAtOnce, damage::a_put_that_the_damaged_owner_acknowledged_is_not_healed_away),
    (Mutant::HealsAtOnce, damage::a_get_heals_a_damaged_record_from_the_others),
    (Mutant::HealsAtOnce, damage::what_others_hold_while_a_put_is_under_way_to_them_heals_nothing),
    (
        Mutant::StaleForwardIsTriedAgain,
        forwarding::a_put_that_was_meant_for_an_earlier_life_may_have_been_run_in_it,
    ),
    (Mutant::BlindPutReplaces, puts::blind_puts_replace_nothing),
    (Mutant::AcknowledgesBeforeCommit, lives::nothing_is_acknowledged_before_it_is_committed),
    (Mutant::FailedCommitCountsAsCommit, lives::nothing_is_acknowledged_before_it_is_committed),
    (Mutant::FailedCommitCountsAsCommit, lives::a_peer_whose_commit_failed_has_not_acknowledged),
    (Mutant::ForgetsW, puts::a_put_that_too_few_can_commit_may_appear),
    (Mutant::ForgetsR, gets::a_get_waits_for_as_many_as_it_asks_for),
    (Mutant::DuplicatedAnswerCountsTwice, puts::an_answer_that_comes_again_counts_once),
    (
        Mutant::StampsBelowContext,
        puts::a_put_is_stamped_above_its_context_where_the_coordinator_has_no_record,
    ),
    (Mutant::MergeCapsSiblings, puts::the_coordinator_refuses_too_many_siblings_and_a_merge_never_does),
    (Mutant::MergeOverwrites, puts::what_an_owner_is_sent_is_merged_with_what_it_has),
    (Mutant::SendsVersionInsteadOfRecord, puts::whole_records_travel),
    (Mutant::RecoveringVotes, damage::a_write_keeps_the_mark_of_the_damage_until_the_record_is_whole),
    (Mutant::ForwardRunsTwice, forwarding::a_request_that_arrives_twice_is_run_once),
    (Mutant::DeleteRemovesRecord, puts::a_delete_leaves_a_tombstone_that_late_copies_do_not_survive),
    (Mutant::ContextOmitsTombstones, puts::a_delete_of_nothing_writes_nothing),
    (Mutant::TimedOutPutSaysNotApplied, deadlines::while_it_waits_for_acknowledgements_it_may_appear),
    (Mutant::OverwriteReadsOneReplica, puts::an_overwrite_sees_what_a_quorum_holds),
    (Mutant::ContextIsRoundedUp, puts::a_context_covers_no_dot_between_those_that_were_read),
    (Mutant::MergeDropsPasts, puts::a_delete_leaves_a_tombstone_that_late_copies_do_not_survive),
    (Mutant::StaleSourcesHeal, damage::what_an_owner_said_before_the_damage_heals_nothing),
    (Mutant::ChecksumIsIgnored, damage::a_write_over_a_damaged_record_has_an_actor_that_nobody_has_seen),
    (Mutant::RepairsAreNotSent, gets::a_get_brings_owners_up_to_date_that_were_behind),
    (Mutant::RepairsConvergedReplicas, gets::nothing_is_written_where_replicas_agree),
    (Mutant::BirthForEveryMint, lives::a_node_goes_on_with_its_actor_from_put_to_put),
    (Mutant::ScanGoesAsFarAsAny, scans::replicas_that_have_different_keys_are_paged_through_together),
    (Mutant::ScanTrustsAnyReplica, scans::what_replicas_do_not_agree_on_is_read_as_a_get_would),
    (Mutant::ScanListsDeleted, scans::deleted_keys_are_not_shown_and_siblings_are_shown_together),
    (
        Mutant::CopiesAreReleasedWhenSent,
        stand_ins::copies_are_delivered_to_the_owners_that_they_are_kept_for_and_then_let_go,
    ),
    (Mutant::CopiesAreReleasedWhenSent, stand_ins::a_copy_whose_owner_has_not_committed_it_is_kept),
    (
        Mutant::CopiesGoToAnyOwner,
        stand_ins::copies_are_delivered_to_the_owners_that_they_are_kept_for_and_then_let_go,
    ),
    (
        Mutant::StandInsPassForOwners,
        stand_ins::others_stand_in_for_owners_that_cannot_be_reached_and_the_answer_says_so,
    ),
    (Mutant::LastLeafIsSkipped, exchanges::what_a_node_missed_it_gets_although_nobody_reads),
    (Mutant::ComparesWithoutRepair, exchanges::what_a_node_missed_it_gets_although_nobody_reads),
    (Mutant::RecoveringIsInTrees, exchanges::a_record_that_is_recovering_is_made_whole_although_nobody_reads),
    (Mutant::ReapsAfterThree, epochs::what_is_deleted_leaves_the_stores_after_a_few_epochs),
    (Mutant::SinceIsAlwaysBelieved, epochs::a_sender_is_believed_once_everybody_must_have_had_it),
    (Mutant::OthersNeedNotAsk, epochs::those_count_who_are_abreast_and_know_that_no_older_copies_are_kept),
    (Mutant::CountsThoseBehind, epochs::those_count_who_are_abreast_and_know_that_no_older_copies_are_kept),
    (
        Mutant::TurnsWithoutStandIns,
        epochs::while_a_copy_is_kept_that_cannot_be_delivered_no_second_epoch_begins,
    ),
    (
        Mutant::RecoveringPartitionVotes,
        epochs::a_replica_that_is_far_behind_is_emptied_and_does_not_vote_until_it_has_met_the_others,
    ),
    (
        Mutant::FarBehindMerges,
        epochs::a_replica_that_is_far_behind_is_emptied_and_does_not_vote_until_it_has_met_the_others,
    ),
    (Mutant::NoFence, epochs::what_was_read_long_ago_is_refused),
    (Mutant::StandInsTakeAnyEpoch, epochs::who_was_asked_takes_no_older_copies),
    (Mutant::ExpiryIsIgnored, expiry::a_value_is_there_until_it_expires_and_then_for_nobody),
    (Mutant::OlderValueAfterExpiry, expiry::the_winner_is_chosen_before_its_expiry_is_judged),
    (Mutant::ExpireBeatsSet, expiry::a_change_of_an_expiry_loses_to_a_value_that_it_did_not_see),
    (Mutant::ExpiryComesEarly, expiry::a_value_is_there_until_it_expires_and_then_for_nobody),
    (Mutant::TwinsAreShown, retries::two_tries_that_did_not_know_of_each_other_are_shown_as_one_value),
    (Mutant::RetryWritesAgain, retries::a_put_that_is_tried_again_is_found_and_not_made_anew),
    (Mutant::AbsentAreAsked, gets::a_slow_owner_is_routed_around),
    (Mutant::RepairsAreUnbounded, gets::what_is_under_way_to_an_owner_is_not_sent_to_it_again),
    (Mutant::ReplicasRefuseStamps, door::a_record_from_far_ahead_is_taken_by_every_owner),
    (Mutant::MergeCombines, gets::concurrent_writes_on_two_sides_are_all_found_and_spread),
    (Mutant::BlindPutReplaces, batches::a_later_write_of_a_key_in_one_batch_sees_the_earlier_ones),
];

#[test]
fn every_mutant_is_caught_by_its_test() {
    let mut survivors = Vec::new();
    for (mutant, test) in CAUGHT {
        test();
        choose(Some(*mutant));
        let caught = catch_unwind(test).is_err();
        choose(None);
        if !caught {
            survivors.push(*mutant);
        }
    }
    assert!(survivors.is_empty(), "{survivors:?} pass");
}

#[test]
fn every_mutant_has_its_test() {
    let tested = |mutant: &Mutant| CAUGHT.iter().any(|(caught, _)| caught == mutant);
    let untested: Vec<_> = Mutant::ALL.iter().filter(|mutant| !tested(mutant)).collect();
    // Incarnations are drawn by whoever drives the machine.
    assert_eq!(untested, [&Mutant::ReusesIncarnationAfterRestart]);
}
