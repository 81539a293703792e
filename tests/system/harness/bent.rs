//! A store in memory that does what a test wants to see.

use protocol::entry::EntryKind;
use protocol::id::{Epoch, Millis, PersonId, RoomId, Seq};
use protocol::message::{Durability, Range};
use server::store::{
    Batch, Commit, CredentialHash, ErasureId, Hits, MemoryLimits, MemoryStore, Oldest, Query, Read,
    RoomShape, Snapshot, Store, StoreError, StoredMember, StoredRoom,
};
use tokio::sync::watch;

/// Who is in the rooms that it says it has.
const SOMEBODY: PersonId = PersonId::FIRST;

/// A store that waits or refuses when it is told to. Clones share it.
#[derive(Clone, Debug)]
pub struct Bent {
    store: MemoryStore,
    /// Commits wait while this is false.
    pub open: watch::Sender<bool>,
    /// Deleted texts leave its files only while this is true.
    pub erases: watch::Sender<bool>,
    /// It has no room while this is true.
    pub full: watch::Sender<bool>,
    /// Public rooms that it says it has: `lobby`, and others beside it.
    rooms: usize,
}

impl Bent {
    /// One that does nothing unusual yet.
    pub fn new() -> Self {
        let store = MemoryStore::new(Epoch([1; 16]), MemoryLimits::default());
        let [open, erases] = [true; 2].map(watch::Sender::new);
        Self { store, open, erases, full: watch::Sender::new(false), rooms: 0 }
    }

    /// One that has so many public rooms.
    pub fn with_rooms(rooms: usize) -> Self {
        Self { rooms, ..Self::new() }
    }
}

impl Oldest for Bent {
    fn oldest(&self, room: RoomId) -> Seq {
        self.store.oldest(room)
    }
}

impl Store for Bent {
    fn durability(&self) -> Durability {
        Durability::Disk
    }

    async fn load(&self) -> Result<Snapshot, StoreError> {
        let mut snapshot = self.store.load().await?;
        let names = (0..self.rooms).map(|n| if n == 0 { "lobby".to_owned() } else { format!("r{n}") });
        let room = |(name, n)| StoredRoom {
            room: RoomId::new(n).expect("counted from 1"),
            shape: RoomShape::Public { name },
            topic: String::new(),
            head: None,
            // Nobody takes them for abandoned.
            time: Millis(4_000_000_000_000),
            // Rooms that nobody is in would not count.
            members: vec![StoredMember { person: SOMEBODY, read: None, mentions: Vec::new() }],
        };
        snapshot.rooms.extend(names.zip(1..).map(room));
        if self.rooms > 0 {
            snapshot.people.push((SOMEBODY, "somebody".to_owned(), Some(CredentialHash([1; 32]))));
            snapshot.last.person = Some(SOMEBODY);
        }
        Ok(snapshot)
    }

    async fn append(&self, batch: Batch) -> Result<Commit, StoreError> {
        let _ = self.open.subscribe().wait_for(|open| *open).await;
        if !*self.full.borrow() {
            let deletes = batch.posts.iter().any(|post| post.kind == EntryKind::Delete);
            let erasure = deletes.then_some(ErasureId(1));
            return Ok(Commit { erasure, ..self.store.append(batch).await? });
        }
        Ok(Commit::disk_full(batch.posts.len()))
    }

    async fn erased(&self, _: ErasureId) {
        let _ = self.erases.subscribe().wait_for(|erases| *erases).await;
    }

    async fn read(&self, room: RoomId, range: Range, limit: usize, bytes: usize) -> Result<Read, StoreError> {
        self.store.read(room, range, limit, bytes).await
    }

    async fn search(&self, query: Query) -> Result<Hits, StoreError> {
        self.store.search(query).await
    }
}
