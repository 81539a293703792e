//! The contract of a store, held against every store there is.
//!
//! `contract_tests!` makes a module of tests for one store: claims one by one, and long random histories against
//! a naive model. Another store needs a [`StoreFactory`] and one line.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod claims;
mod cut_histories;
mod damage;
mod damaged_rows;
mod disk;
mod histories;
mod layouts;
mod model;
mod posts;

use protocol::id::Epoch;
use protocol::message::Durability;
use server::store::{Folder, MemoryLimits, MemoryStore, Options, SqliteStore, Store};
use tempfile::TempDir;

/// Time of a search that is to look at everything.
const FOREVER: u64 = u64::MAX;

/// How a store is made and made again.
pub trait StoreFactory {
    /// The store.
    type Store: Store;

    /// An empty store.
    fn create(&mut self) -> Self::Store;

    /// Ends this store in order and opens what it left; the same store where nothing outlives it.
    fn reopen(&mut self, store: Self::Store) -> Self::Store;

    /// Returns when searches see everything that was appended, for stores that index later.
    fn settle(&mut self, _: &Self::Store) {}
}

/// Runs a future to its end, with everything that a store may need of a runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A module of tests that hold one store to the contract.
macro_rules! contract_tests {
    ($store:ident, $factory:expr) => {
        mod $store {
            use super::*;

            contract_tests! { @claims $factory;
                numbers_are_gapless_and_what_is_numbered_is_read,
                each_range_reads_what_it_says,
                a_page_keeps_to_its_bytes_and_holds_at_least_one_entry,
                an_entry_is_edited_in_place,
                a_deleted_entry_and_its_edits_have_no_words,
                only_its_author_changes_an_entry,
                only_what_was_said_is_changed,
                a_batch_may_hold_a_post_and_what_changes_it,
                a_refusal_refuses_what_its_device_sent_behind_it,
                the_snapshot_knows_everything_but_the_entries,
                numbers_of_people_and_devices_are_never_given_out_again,
                a_room_that_ends_leaves_nothing,
                mentions_are_kept_until_they_are_read,
                a_trim_keeps_to_its_bounds_and_tells_where_history_begins,
                a_search_finds_whole_words_newest_first,
                a_search_finds_any_two_characters_of_a_script_without_spaces,
                a_search_goes_on_where_it_stopped,
                a_search_whose_time_is_over_ends_and_says_so,
                nothing_of_a_query_is_syntax,
                files_are_known_while_an_entry_names_them,
                an_offer_is_open_until_a_file_or_a_delete_ends_it,
                who_has_fetched_a_file_is_known_until_it_is_gone,
            }

            #[test]
            fn long_histories_are_those_of_the_naive_model() {
                histories::check(|| $factory);
            }
        }
    };
    (@claims $factory:expr; $($claim:ident,)*) => {
        $(#[test] fn $claim() { claims::$claim(&mut $factory); })*
    };
}

/// The memory store: bounded far above what these tests say, so that only a `Trim` trims.
struct Memory;

impl StoreFactory for Memory {
    type Store = MemoryStore;

    fn create(&mut self) -> MemoryStore {
        MemoryStore::new(Epoch([7; 16]), MemoryLimits::default())
    }

    fn reopen(&mut self, store: MemoryStore) -> MemoryStore {
        store
    }
}

contract_tests!(memory, Memory);

/// The store on disk, in a folder of its own.
struct Sqlite {
    folder: TempDir,
    durability: Durability,
}

impl Sqlite {
    fn new(durability: Durability) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), durability }
    }

    fn open(&self) -> SqliteStore {
        let durability = self.durability.clone();
        let options = Options { durability, fresh_epoch: Epoch([7; 16]), accept_loss: false };
        SqliteStore::open(Folder::create(self.folder.path()).unwrap(), &options).unwrap()
    }
}

impl StoreFactory for Sqlite {
    type Store = SqliteStore;

    fn create(&mut self) -> SqliteStore {
        self.folder = tempfile::tempdir().unwrap();
        self.open()
    }

    fn reopen(&mut self, store: SqliteStore) -> SqliteStore {
        block_on(store.close()).unwrap();
        drop(store);
        self.open()
    }
}

/// The same when its index of words is up to date at each search: what was looked at entry by entry is asked for.
struct Settled(Sqlite);

impl StoreFactory for Settled {
    type Store = SqliteStore;

    fn create(&mut self) -> SqliteStore {
        self.0.create()
    }

    fn reopen(&mut self, store: SqliteStore) -> SqliteStore {
        self.0.reopen(store)
    }

    fn settle(&mut self, store: &SqliteStore) {
        block_on(store.settle()).unwrap();
    }
}

contract_tests!(sqlite, Sqlite::new(Durability::Disk));

contract_tests!(sqlite_settled, Settled(Sqlite::new(Durability::Process)));

contract_tests!(sqlite_process, Sqlite::new(Durability::Process));
