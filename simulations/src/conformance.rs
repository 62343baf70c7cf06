//! What every store must do, as checks that run on all of them: the model in memory, SQLite and
//! PostgreSQL.
//!
//! What must hold: a check uses only the ports, so the three cannot drift apart; each runs on a fresh
//! database; refusals are checked as carefully as successes. Races that need a statement to be held
//! open belong to the tests of one database, not here.

mod devices;
mod directory;
mod imported;
mod ledger;
mod media;
mod polls;
mod protocol;
mod races;
mod slots;
mod state;
mod timeline;
mod wishes;
mod world;

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt};
use roost_actors::port::DeviceStore;
use roost_node::directory::Directory;
use roost_placement::ledger::Ledger;

pub use world::World;

/// The three ports of one open store.
#[derive(Clone)]
pub struct Ports {
    /// Ownership rows.
    pub ledger: Arc<dyn Ledger>,
    /// Device state.
    pub devices: Arc<dyn DeviceStore>,
    /// Everything else.
    pub directory: Arc<dyn Directory>,
}

impl Ports {
    /// The ports of a store that implements all of them.
    pub fn of<S: Ledger + DeviceStore + Directory>(store: Arc<S>) -> Ports {
        Ports { ledger: store.clone(), devices: store.clone(), directory: store }
    }
}

/// A database that checks may use: empty at first.
#[async_trait]
pub trait Subject: Send + Sync + 'static {
    /// Opens it, as one more process would.
    async fn open(&self) -> Ports;

    /// Puts it on another time-line, as a failover does; `false` when it has none.
    async fn fail_over(&self) -> bool {
        false
    }
}

type Check = (&'static str, fn(World) -> Pin<Box<dyn Future<Output = ()> + Send>>);

macro_rules! checks {
    ($($module:ident :: $name:ident),* $(,)?) => {
        const CHECKS: &[Check] = &[$((stringify!($name), |world| Box::pin($module::$name(world)))),*];
    };
}

checks! {
    ledger::a_first_life_joins_and_sees_itself,
    ledger::one_version_and_the_next_share_a_cluster_and_no_others,
    ledger::a_version_that_nobody_living_speaks_keeps_nobody_out,
    ledger::dead_stays_dead,
    ledger::nobody_is_buried_before_its_time,
    ledger::a_member_buries_only_after_its_quarantine,
    ledger::a_lapse_begins_the_quarantine_anew,
    ledger::what_a_heartbeat_says_of_the_way_to_whatsapp_is_seen_until_the_next_life,
    ledger::changes_of_membership_move_the_view_epoch,
    ledger::free_devices_are_claimed_once_and_only_by_the_active,
    ledger::a_living_owner_keeps_its_devices,
    ledger::the_devices_of_the_dead_are_shared_out_exactly_once,
    ledger::devices_wanted_offline_are_left_alone,
    ledger::a_permit_stands_for_the_present_epoch_and_a_running_lease,
    ledger::a_hand_off_moves_the_device_and_its_epoch,
    ledger::epochs_only_grow_and_belong_to_one_life,
    slots::a_node_id_in_use_is_refused,
    slots::a_lapsed_slot_is_taken_with_a_new_life,
    slots::a_lease_that_is_over_by_the_databases_clock_alone_gives_no_slot_away,
    slots::a_certified_death_frees_the_slot_at_once,
    state::a_new_owner_finds_what_the_last_one_committed,
    state::rows_of_other_keys_go_in_pieces_and_nothing_else,
    devices::a_fenced_owner_neither_reads_nor_writes,
    devices::a_grant_of_another_life_does_not_stand,
    devices::sequences_have_no_gaps_whoever_writes,
    devices::an_accepted_request_is_accepted_once,
    devices::a_chosen_id_is_that_of_one_message,
    devices::a_message_never_goes_back,
    devices::messages_that_were_sent_are_found_by_their_ids_in_one_question,
    devices::an_update_finds_a_message_of_the_same_batch,
    devices::a_repeated_batch_changes_nothing,
    devices::one_bad_device_harms_no_other,
    devices::awkward_names_come_back_as_they_were,
    races::a_take_over_ends_all_writes_of_the_old_owner,
    timeline::a_gap_of_the_whole_cluster_holds_burials_off_until_all_are_back,
    timeline::a_gap_of_one_holds_nothing_off,
    timeline::a_posted_grant_is_kept_while_it_stands,
    timeline::a_database_that_may_have_lost_its_tail_grants_above_all_that_was_lost,
    timeline::events_tell_in_which_age_of_the_database_they_were_written,
    timeline::whoever_knows_of_another_age_of_the_database_reads_and_writes_nothing_of_a_device,
    timeline::on_a_new_time_line_a_heartbeat_says_whether_the_lease_had_run_out,
    timeline::a_load_says_how_far_the_log_and_the_messages_have_come,
    timeline::a_database_that_may_have_lost_its_tail_ends_every_hold_of_a_consumer,
    directory::tenants_are_made_once_and_listed_in_order,
    directory::devices_are_made_once_and_listed_in_order,
    directory::a_foreign_tenant_sees_nothing,
    directory::what_a_tenant_wants_is_kept,
    directory::what_is_set_of_a_device_is_kept_and_its_owner_reads_the_proxy,
    directory::deletion_leaves_nothing_but_the_epoch_and_the_number_of_the_last_event,
    directory::events_are_read_in_order_and_expire_from_the_front,
    directory::what_was_put_aside_is_bounded_in_number_and_age,
    directory::a_consumer_has_one_holder,
    directory::positions_never_go_back_nor_beyond_the_log,
    imported::what_was_imported_is_imported_once_in_the_whole_cluster,
    imported::what_has_become_nothing_may_be_imported_elsewhere,
    media::a_file_is_its_tenants_alone,
    media::what_is_written_into_a_file_that_is_gone_does_not_bring_it_back,
    media::a_file_keeps_the_time_of_its_first_writing,
    polls::the_vote_that_was_cast_last_stands_whichever_was_written_first,
    polls::what_is_known_of_a_device_is_read_by_anybody,
    protocol::a_chosen_version_is_kept_and_every_node_hears_of_it,
    wishes::a_required_pin_holds_in_claim_take_over_and_give,
    wishes::a_preferred_pin_binds_nobody,
    wishes::a_pin_outlives_its_node_and_waits,
    wishes::a_cordoned_node_keeps_and_takes_nothing_new_in_any_life,
    wishes::wishes_are_kept_and_move_the_view_epoch,
    wishes::a_survey_tells_activity_gifts_and_strict_tenants,
}

/// Checks that run at the same time; each has its own database.
const AT_ONCE: usize = 4;

/// Runs all checks, each on a subject of its own made by `fresh`, and panics with the names and words of
/// those that failed.
pub async fn run<S: Subject>(fresh: impl AsyncFn(&'static str) -> S) {
    let fresh = &fresh;
    let one = |&(name, check): &'static Check| async move {
        let guarded = async {
            let subject: Arc<dyn Subject> = Arc::new(fresh(name).await);
            check(World::new(subject).await).await;
        };
        AssertUnwindSafe(guarded).catch_unwind().await.err().map(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            format!("{name}: {}", text.unwrap_or_default())
        })
    };
    let results = futures_util::stream::iter(CHECKS).map(one).buffer_unordered(AT_ONCE);
    let failed: Vec<String> = results.filter_map(|failure| async { failure }).collect().await;
    assert!(failed.is_empty(), "{} of {} checks failed:\n{}", failed.len(), CHECKS.len(), failed.join("\n"));
}
