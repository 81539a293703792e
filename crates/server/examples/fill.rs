//! Fills a data folder with entries by the server's own writer, faster than clients could: for `cargo xtask scale`.

use bytes::Bytes;
use clap::Parser;
use protocol::entry::EntryKind;
use protocol::id::{Epoch, Millis, PersonId, RoomId, Seq};
use protocol::message::Durability;
use server::store::{
    Batch, Change, CredentialHash, Folder, NewEntry, Options, RoomShape, SqliteStore, Store,
};
use std::collections::BTreeSet;
use std::error::Error;
use std::path::PathBuf;

/// Entries of one batch: about as many bytes as the server puts into one.
const BATCH: u64 = 5_000;

/// 2026-01-01, and how much later each entry is.
const BEGIN: u64 = 1_767_225_600_000;
const STEP: u64 = 1_000;

/// Entries whose words nobody looks for.
const FILLER: [&str; 16] = [
    "lunch", "meeting", "deploy", "branch", "coffee", "review", "server", "weekend", "train", "window",
    "paper", "garden", "music", "ticket", "river", "bicycle",
];

#[derive(Parser)]
struct Args {
    /// The data folder, which must not be there yet.
    #[arg(long)]
    data: PathBuf,
    /// Entries.
    #[arg(long)]
    entries: u64,
    /// Rooms; the first has none of the words that are looked for.
    #[arg(long)]
    rooms: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    if args.data.exists() {
        return Err(format!("'{}' is there already", args.data.display()).into());
    }
    tokio::runtime::Builder::new_current_thread().build()?.block_on(fill(&args))
}

async fn fill(args: &Args) -> Result<(), Box<dyn Error>> {
    let folder = Folder::create(&args.data)?;
    // A run that is cut off is begun anew, so nothing has to be synced before the end.
    let options =
        Options { durability: Durability::Process, fresh_epoch: Epoch([7; 16]), accept_loss: false };
    let store = SqliteStore::open(folder, &options)?;
    append(&store, Batch { posts: Vec::new(), changes: changes(args.rooms) }).await?;
    let mut begun = BTreeSet::new();
    for first in (0..args.entries).step_by(usize::try_from(BATCH)?) {
        let numbers = first..args.entries.min(first + BATCH);
        let posts =
            numbers.map(|number| post(number, begun.insert(room(number, args.rooms)), args)).collect();
        append(&store, Batch { posts, changes: Vec::new() }).await?;
        if first % 500_000 == 0 {
            eprintln!("  {first} entries");
        }
    }
    Ok(store.close().await?)
}

async fn append(store: &SqliteStore, batch: Batch) -> Result<(), Box<dyn Error>> {
    let commit = store.append(batch).await?;
    let refused = commit.posts.iter().filter_map(|post| post.err()).next();
    match (refused, commit.changes) {
        (None, Ok(())) => Ok(()),
        (code, changes) => Err(format!("refused: {code:?}, {changes:?}").into()),
    }
}

/// One person, who says everything, and the rooms. The lobby comes first, as in every server.
fn changes(rooms: u64) -> Vec<Change> {
    let person = Change::Person {
        person: PersonId::FIRST,
        name: "filler".to_owned(),
        credential: Some(CredentialHash([1; 32])),
    };
    let room = |number: u64| {
        let name = if number == 0 { "lobby".to_owned() } else { format!("scale-{}", number - 1) };
        let room = RoomId::new(number + 1).unwrap_or(RoomId::FIRST);
        Change::Room { room, shape: RoomShape::Public { name }, topic: String::new() }
    };
    std::iter::once(person).chain((0..=rooms).map(room)).collect()
}

fn post(number: u64, is_first: bool, args: &Args) -> NewEntry {
    let room = room(number, args.rooms);
    NewEntry {
        room: RoomId::new(room + 2).unwrap_or(RoomId::FIRST),
        time: Millis(BEGIN + number * STEP),
        written: Millis(0),
        person: Some(PersonId::FIRST),
        name: "filler".to_owned(),
        origin: None,
        kind: EntryKind::Text,
        reply_to: None::<Seq>,
        body: Bytes::from(if is_first { "the opening".to_owned() } else { text(number, room, args) }),
        mentions: Vec::new(),
    }
}

/// Which room an entry goes to: spread evenly, but not in turns.
fn room(number: u64, rooms: u64) -> u64 {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % rooms
}

fn text(number: u64, of: u64, args: &Args) -> String {
    let filler = |shift: u32| FILLER[usize::try_from(number >> shift & 15).unwrap_or(0)];
    let words = [filler(0), filler(3), filler(7), filler(11)];
    let mut text = format!("{} number {number} of a long talk about the {}", words[..3].join(" "), words[3]);
    // The first room has none of them.
    if of > 0 {
        if number % 10 == 3 {
            text.push_str(" ubiquitous");
        }
        if number % (args.entries / 1_000).max(1) == 7 {
            text.push_str(" uncommon");
        }
        if Some(number) == (args.entries / 2..).find(|number| room(*number, args.rooms) > 0) {
            text.push_str(" solitary");
        }
    }
    text
}
