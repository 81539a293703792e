//! `cargo xtask faults flips`: one bit of the store's files is turned around, again and again in fresh copies; or a
//! sector of them is lost, or their end.
//!
//! Whatever it is, nobody may get a message that was never posted, miss one without being told, or be told
//! another counter than theirs. Whoever is a member reads every other message, an export has all of them, and after
//! `natterd repair` the server starts and `natterd verify` finds nothing.

mod operator;
mod original;

use super::copy_folder;
use crate::{
    failure::Failure,
    proof::{Chance, Scratch, Size, World, body::Bodies, natterd::Start, world::StoreKind},
    workspace::Workspace,
};
use clap::{Args, ValueEnum};
use operator::Operator;
use original::{Original, Seen, Sight, failed};
use std::{collections::BTreeMap, fmt, fs, path::Path, time::Duration};

const CLAIM: &str = "a flipped bit is detected or harmless, and mended by a repair";

/// The longest time for a server that says why it ends to have ended.
const ENDS: Duration = Duration::from_secs(10);

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
        Self { trials: 20, damage: Damage::Bit, seed: 1 }
    }
}

/// What became of a flipped bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// The server did not start, and said why.
    RefusedToStart,
    /// The server ended when it came upon it, and said why.
    Ended,
    /// Messages are shown as damaged, and all others are read.
    Holes,
    /// Something is missing, and the server said so: by a complaint and a new history.
    Told,
    /// `natterd verify` found it, and all messages are right.
    Verified,
    /// All messages and counters are right.
    Harmless,
    /// Something is wrong or missing and nobody said so, somebody is kept out, or a repair does not mend it.
    Wrong,
}

/// What became of all of them.
#[derive(Debug, Default)]
struct Tally {
    fates: BTreeMap<(&'static str, Fate), u64>,
    /// The most messages that one of them damaged, as they were read before the repair and after it.
    most_holes: (usize, usize),
    /// Repairs, those after which messages are lost, and those after which it is a new history.
    repairs: (u64, u64, u64),
    wrong: Vec<String>,
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
    let trials = Trials { workspace, world: &world, store: &store, original: &original };
    copy_folder(&store, &world.data)?;
    let operator = Operator::learn(workspace, &world)?;
    let (mut chance, mut tally) = (Chance::new(options.seed), Tally::default());
    for trial in 1..=options.trials {
        let flip = Flip::draw(&store, options.damage, &mut chance)?;
        let fate = match trials.try_one(&operator, &flip, &mut tally)? {
            Ok(fate) => fate,
            Err(why) => {
                eprintln!("  trial {trial}: {flip}: {why}");
                tally.wrong.push(format!("{flip}: {why}"));
                Fate::Wrong
            }
        };
        *tally.fates.entry((flip.file, fate)).or_insert(0) += 1;
    }
    tally.tell();
    if let Some(first) = tally.wrong.first() {
        let why = format!("{} of {} flips were, such as {first}", tally.wrong.len(), options.trials);
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

impl Tally {
    fn tell(&self) {
        for ((file, fate), count) in &self.fates {
            println!("flips: {file}: {count} {fate}");
        }
        let ((before, after), (repairs, lost, new)) = (self.most_holes, self.repairs);
        println!("flips: at most {before} messages damaged by one, {after} lost after its repair");
        println!("flips: {repairs} repairs, {lost} that lost a message, {new} that began a new history");
    }
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

/// What all trials share.
struct Trials<'a> {
    workspace: &'a Workspace,
    world: &'a World,
    store: &'a Path,
    original: &'a Original,
}

impl Trials<'_> {
    /// Makes the folder a copy of the store with this damage.
    fn reset(&self, flip: &Flip) -> Result<(), Failure> {
        copy_folder(self.store, &self.world.data)?;
        flip.apply(&self.world.data)
    }

    /// What becomes of one, or what is wrong about it. A look may repair or rewrite, so each has a fresh copy.
    fn try_one(
        &self,
        operator: &Operator<'_>,
        flip: &Flip,
        tally: &mut Tally,
    ) -> Result<Result<Fate, String>, Failure> {
        self.reset(flip)?;
        let is_found = self.world.verify(self.workspace).is_err();
        self.reset(flip)?;
        let (fate, seen) = match self.serve()? {
            Ok(served) => served,
            Err(why) => return Ok(Err(why)),
        };
        let fate = match fate {
            Fate::Harmless if is_found => Fate::Verified,
            Fate::Harmless => return Ok(Ok(fate)),
            Fate::Holes if !is_found => {
                return Ok(Err("messages are damaged, and verify finds nothing".to_owned()));
            }
            fate => fate,
        };
        self.reset(flip)?;
        if let Some(seen) = seen {
            tally.most_holes.0 = tally.most_holes.0.max(seen.holes);
            if let Err(why) = operator.export_all(seen.right, seen.holes)? {
                return Ok(Err(why));
            }
        }
        if !is_found {
            return Ok(Ok(fate));
        }
        Ok(self.mend(operator, tally)?.map(|()| fate))
    }

    /// Starts a server, and reads everything from it.
    fn serve(&self) -> Result<Result<(Fate, Option<Seen>), String>, Failure> {
        let mut server = match self.world.launch.try_start()? {
            Start::Listening(server) => server,
            Start::Ended { said, .. } => return Ok(loud(&said).map(|()| (Fate::RefusedToStart, None))),
        };
        let sight = self.original.compare(self.world, &server);
        let seen = match sight {
            Sight::Seen(seen) => seen,
            Sight::Refused(fault) => {
                return Ok(match server.wait(ENDS) {
                    Ok(_) => loud(&server.complaints()).map(|()| (Fate::Ended, None)),
                    Err(_) => Err(format!("somebody is kept out: {fault}")),
                });
            }
            Sight::Other(what) => {
                return Ok(Err(format!("{what}; it said '{}'", server.complaints().trim())));
            }
        };
        let fate = match seen {
            Seen { is_new_history: true, .. } => {
                return Ok(loud(&server.complaints()).map(|()| (Fate::Told, Some(seen))));
            }
            Seen { gone: 1.., .. } | Seen { forgotten: 1.., .. } => return Ok(Err(format!("{seen:?}"))),
            Seen { holes: 1.., .. } => Fate::Holes,
            _ => Fate::Harmless,
        };
        Ok(Ok((fate, Some(seen))))
    }

    /// Repairs, and looks what is there then.
    fn mend(&self, operator: &Operator<'_>, tally: &mut Tally) -> Result<Result<(), String>, Failure> {
        let said = match operator.repair()? {
            Ok(said) => said,
            Err(why) => return Ok(Err(why)),
        };
        if let Err(failure) = self.world.verify(self.workspace) {
            return Ok(Err(format!("after the repair: {failure}")));
        }
        let server = match self.world.launch.try_start()? {
            Start::Listening(server) => server,
            Start::Ended { said, .. } => {
                return Ok(Err(format!("after the repair it does not start: {said}")));
            }
        };
        let seen = match self.original.compare(self.world, &server) {
            Sight::Seen(seen) => seen,
            other => return Ok(Err(format!("after the repair: {other:?}"))),
        };
        tally.most_holes.1 = tally.most_holes.1.max(seen.holes);
        tally.repairs.0 += 1;
        tally.repairs.1 += u64::from(seen.holes > 0);
        tally.repairs.2 += u64::from(seen.is_new_history);
        let is_told = ["lost", "gone", "a new"].iter().any(|word| said.contains(word));
        let is_less = seen.holes > 0 || seen.gone > 0 || seen.forgotten > 0 || seen.is_new_history;
        Ok(if is_less && !is_told {
            Err(format!("{seen:?}, and the repair says only {said}"))
        } else {
            Ok(())
        })
    }
}

/// It said why; a panic is no way to.
fn loud(said: &str) -> Result<(), String> {
    if said.trim().is_empty() {
        return Err("nobody says why".to_owned());
    }
    if said.contains("panicked") { Err(format!("a panic: {said}")) } else { Ok(()) }
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
            Self::Ended => "detected when the server came upon it, which ended it",
            Self::Holes => "shown as damaged messages",
            Self::Told => "told as a new history",
            Self::Verified => "harmless, and found by verify",
            Self::Harmless => "harmless",
            Self::Wrong => "WRONG",
        })
    }
}
