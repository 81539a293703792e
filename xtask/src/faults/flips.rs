//! `cargo xtask faults flips`: one bit of the store's files is turned around, again and again in fresh copies; or a
//! sector of them is lost, or their end.
//!
//! Whatever it is, nobody may get a message that was never posted, miss one without being told, or be told
//! another counter than theirs.

mod original;

use super::copy_folder;
use crate::{
    failure::Failure,
    proof::{Chance, Scratch, Size, World, body::Bodies, natterd::Start, world::StoreKind},
    workspace::Workspace,
};
use clap::{Args, ValueEnum};
use original::{Original, Sight, failed};
use std::{collections::BTreeMap, fmt, fs, path::Path, time::Duration};

const CLAIM: &str = "a flipped bit is detected or harmless";

/// The files in which bits are flipped, by turns.
const FILES: [&str; 3] = ["natter.db", "natter.db-wal", "witness"];

/// Posts that the store holds: enough for pages of every kind, few enough for a thousand copies.
const POSTS: u64 = 600;

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Damage {
    /// A bit is turned around.
    Bit,
    /// A sector of 512 bytes is nothing but zeroes.
    Sector,
    /// It ends somewhere before its end.
    End,
}

/// Bytes of a sector.
const SECTOR: usize = 512;

/// How many.
#[derive(Args)]
pub struct Options {
    /// Bits that are flipped, each in a fresh copy.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub trials: u64,
    /// What is done instead of it.
    #[arg(long, value_enum, default_value_t = Damage::Bit)]
    pub damage: Damage,
    /// Which places are taken.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Options {
    /// What CI has time for.
    pub fn short() -> Self {
        Self { trials: 40, damage: Damage::Bit, seed: 1 }
    }
}

/// What became of a flipped bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// The server did not start, and said why.
    RefusedToStart,
    /// A read was refused, or the server ended.
    RefusedToRead,
    /// Something is missing, and the server said so: by a complaint and a new history.
    Told,
    /// `natterd verify` found it, and all messages are right.
    Verified,
    /// All messages and counters are right.
    Harmless,
    /// Something is wrong or missing, and nobody said so.
    Wrong,
}

/// Flips bits and looks what becomes of the messages.
///
/// # Errors
/// [`Failure::Unproven`] if one is silently wrong.
pub fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let scratch = Scratch::create(workspace, "flips")?;
    let size = Size { writers: 8, followers: 0, rooms: 4, window: 4, bodies: Bodies::Mixed };
    let mut world = World::new(workspace, scratch.path(), StoreKind::Sqlite, size, 1)?;
    let store = make_store(&mut world)?;
    let copy = scratch.path().join("copy");
    world.move_to(&copy);
    let original = learn(&mut world, &store)?;
    let (mut chance, mut fates) = (Chance::new(options.seed), BTreeMap::new());
    let mut wrong = Vec::new();
    for trial in 1..=options.trials {
        let flip = Flip::draw(&store, options.damage, &mut chance)?;
        let (fate, why) = try_one(workspace, &world, &store, &original, &flip)?;
        *fates.entry((flip.file, fate)).or_insert(0u64) += 1;
        if fate == Fate::Wrong {
            eprintln!("  trial {trial}: {flip}: {why}");
            wrong.push(format!("{flip}: {why}"));
        }
    }
    for ((file, fate), count) in &fates {
        println!("flips: {file}: {count} {fate}");
    }
    if let Some(first) = wrong.first() {
        let why = format!("{} of {} flips were silent, such as {first}", wrong.len(), options.trials);
        return Err(Failure::Unproven { what: CLAIM, why });
    }
    println!(
        "flips: {} times ({:?}), 0 silently wrong; the true rate is below {:.4} at 95 %",
        options.trials,
        options.damage,
        3.0 / options.trials as f64
    );
    scratch.discard();
    Ok(())
}

/// A store with entries in the database, and others that are only in its log so far.
fn make_store(world: &mut World) -> Result<std::path::PathBuf, Failure> {
    for part in 1..=2 {
        let server = world.launch.start()?;
        world.gather()?;
        world.company.until(Duration::from_secs(30), |company| company.acked() >= POSTS * part / 2)?;
        if part == 1 {
            server.stop()?;
            world.drain()?;
        } else {
            world.kill(server)?;
        }
    }
    world.verdict(CLAIM)?;
    Ok(world.data.clone())
}

/// What the untouched store says, which is held against the journals first.
fn learn(world: &mut World, store: &Path) -> Result<Original, Failure> {
    copy_folder(store, &world.data)?;
    let server = world.launch.start()?;
    world.consult(&server)?;
    world.verdict(CLAIM)?;
    Ok(Original::read(world, &server)?)
}

fn try_one(
    workspace: &Workspace,
    world: &World,
    store: &Path,
    original: &Original,
    flip: &Flip,
) -> Result<(Fate, String), Failure> {
    copy_folder(store, &world.data)?;
    flip.apply(&world.data)?;
    let verified = world.verify(workspace);
    // A look may repair or rewrite; the server gets a copy that nobody looked at.
    copy_folder(store, &world.data)?;
    flip.apply(&world.data)?;
    let server = match world.launch.try_start()? {
        Start::Listening(server) => server,
        Start::Ended { said, .. } => return Ok(refused(Fate::RefusedToStart, &said)),
    };
    let sight = original.compare(world, &server);
    let said = server.complaints();
    Ok(match sight {
        Sight::Same if verified.is_err() => (Fate::Verified, String::new()),
        Sight::Same => (Fate::Harmless, String::new()),
        Sight::Refused(_) => refused(Fate::RefusedToRead, &said),
        Sight::NewHistory if !said.trim().is_empty() => (Fate::Told, String::new()),
        Sight::NewHistory => (Fate::Wrong, "a new history, and nobody says why".to_owned()),
        Sight::Other(what) => {
            let found = if verified.is_err() { "verify finds it" } else { "verify finds nothing" };
            (Fate::Wrong, format!("{what}; {found}; the server said '{}'", said.trim()))
        }
    })
}

/// A panic is no way to refuse.
fn refused(fate: Fate, said: &str) -> (Fate, String) {
    if said.contains("panicked") { (Fate::Wrong, format!("a panic: {said}")) } else { (fate, String::new()) }
}

/// One place.
struct Flip {
    file: &'static str,
    damage: Damage,
    offset: u64,
    bit: u8,
}

impl Flip {
    fn draw(store: &Path, damage: Damage, chance: &mut Chance) -> Result<Self, Failure> {
        // The small one holds one number, so that it is not worth a third of the trials.
        let file = FILES[[0, 0, 0, 1, 1, 1, 2][usize::try_from(chance.below(7)).unwrap_or(0)]];
        let path = store.join(file);
        let size = fs::metadata(&path).map_err(|source| failed(&path, source))?.len();
        let bit = u8::try_from(chance.below(8)).unwrap_or(0);
        Ok(Self { file, damage, offset: chance.below(size), bit })
    }

    fn apply(&self, folder: &Path) -> Result<(), Failure> {
        let path = folder.join(self.file);
        let mut bytes = fs::read(&path).map_err(|source| failed(&path, source))?;
        let at = usize::try_from(self.offset).unwrap_or(usize::MAX).min(bytes.len());
        match self.damage {
            Damage::Bit => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << self.bit),
            Damage::Sector => {
                bytes.iter_mut().skip(at / SECTOR * SECTOR).take(SECTOR).for_each(|byte| *byte = 0);
            }
            Damage::End => bytes.truncate(at),
        }
        fs::write(&path, bytes).map_err(|source| failed(&path, source))
    }
}

impl fmt::Display for Flip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, bit, .. } = self;
        match self.damage {
            Damage::Bit => write!(f, "bit {bit} of byte {offset} of {file}"),
            Damage::Sector => write!(f, "the sector of byte {offset} of {file}"),
            Damage::End => write!(f, "all from byte {offset} of {file} on"),
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RefusedToStart => "detected at the start",
            Self::RefusedToRead => "detected when it was read",
            Self::Told => "told as a new history",
            Self::Verified => "harmless, and found by verify",
            Self::Harmless => "harmless",
            Self::Wrong => "SILENTLY WRONG",
        })
    }
}
