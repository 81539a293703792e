//! A large file under cuts: sent and fetched at once over links that break again and again.

use super::programs::{Programs, are_equal, make_file};
use super::relay::Relay;
use crate::{failure::Failure, proof::Chance};
use load::{clock::Clock, process::Process};
use protocol::limits::BLOCK;
use std::{net::SocketAddr, thread, time::Duration};

const CLAIM: &str = "a file arrives byte for byte over links that break, and goes on where it stopped";

/// How often it is looked how far a transfer is.
const LOOK: Duration = Duration::from_millis(2);

/// How long a fetch may take to see that there is something to fetch.
const OFFERED: Duration = Duration::from_secs(60);

/// Bytes of memory that the server may take for a transfer.
const MEMORY: f64 = 1024.0 * 1024.0;

/// Sends a file of so many bytes and fetches it meanwhile; each link is cut so often.
///
/// # Errors
/// [`Failure::Unproven`] if what arrives is not what was sent, if more than a block is sent again for a cut, or if the
/// server takes more than 1 MiB for a transfer.
pub fn run(programs: &Programs<'_>, bytes: u64, cuts: u32, seed: u64) -> Result<(), Failure> {
    let (file, fetched) = (programs.path("large.bin"), programs.path("fetched.bin"));
    make_file(&file, bytes)?;
    let server = programs.launch("sqlite")?.start()?;
    let process = Process::with_id(server.id());
    let (up, down) = (Relay::start(server.address, None)?, Relay::start(server.address, None)?);
    warm_up(programs, server.address)?;
    let clock = Clock::start();
    let idle = process.resident_bytes().map_err(|fault| unproven(&fault.to_string()))?;
    process.forget_peak().map_err(|fault| unproven(&fault.to_string()))?;
    let mut sending = programs.send("alice", up.address(), &file)?;
    wait_for(&up, 4 * BLOCK)?;
    let mut fetching = programs.get("bob", down.address(), "large.bin", &fetched)?;
    let mut made = [0, 0];
    let mut chance = Chance::new(seed);
    let mut next = [draw(&mut chance, bytes, cuts, 0), draw(&mut chance, bytes, cuts, 0)];
    while sending.ended()?.is_none() || fetching.ended()?.is_none() {
        for (way, (relay, passed)) in [(&up, up.passed().0), (&down, down.passed().1)].into_iter().enumerate()
        {
            if made[way] < cuts && passed >= next[way] && relay.cut() > 0 {
                made[way] += 1;
                next[way] = draw(&mut chance, bytes, cuts, made[way]);
            }
        }
        thread::sleep(LOOK);
    }
    sending.finish()?;
    fetching.finish()?;
    let took = clock.now();
    let peak = process.peak_bytes().map_err(|fault| unproven(&fault.to_string()))? - idle;
    server.stop()?;
    if !are_equal(&file, &fetched)? {
        return Err(unproven("what was fetched is not what was sent"));
    }
    let again = [up.passed().0.saturating_sub(bytes), down.passed().1.saturating_sub(bytes)];
    println!(
        "cuts: {} MiB sent and fetched at once in {:.1} s with {} and {} cuts: equal byte for byte; {:.2} and {:.2} MiB \
         passed again for a cut; the server's memory rose by {:.2} MiB",
        bytes >> 20,
        took.as_secs_f64(),
        made[0],
        made[1],
        mib(again[0]) / f64::from(made[0].max(1)),
        mib(again[1]) / f64::from(made[1].max(1)),
        peak / MEMORY,
    );
    check(again, made, cuts, peak)
}

/// Moves small files both ways at once first: the code, the threads and the tables that every transfer shares are not
/// what one of them takes.
fn warm_up(programs: &Programs<'_>, server: SocketAddr) -> Result<(), Failure> {
    let (small, other, copy) =
        (programs.path("small.bin"), programs.path("other.bin"), programs.path("small-copy.bin"));
    make_file(&small, 64 * BLOCK)?;
    make_file(&other, 64 * BLOCK)?;
    programs.send("alice", server, &small)?.finish()?;
    let sending = programs.send("alice", server, &other)?;
    programs.get("bob", server, "small.bin", &copy)?.finish()?;
    sending.finish()
}

/// What may pass again for a cut: the block under way, and what was on the wire, which nobody received.
fn check(again: [u64; 2], made: [u32; 2], cuts: u32, peak: f64) -> Result<(), Failure> {
    if made.iter().any(|made| *made < cuts) {
        return Err(unproven(&format!("only {made:?} of {cuts} cuts were made")));
    }

    if again.iter().any(|again| *again > 3 * BLOCK * u64::from(cuts)) {
        return Err(unproven(&format!("{again:?} bytes passed again")));
    }
    if peak > 2.0 * MEMORY {
        return Err(unproven(&format!("the server took {peak:.0} bytes for two transfers")));
    }
    Ok(())
}

/// After how many bytes the next cut comes: somewhere in its share of the file.
fn draw(chance: &mut Chance, bytes: u64, cuts: u32, made: u32) -> u64 {
    let share = bytes / (u64::from(cuts) + 1);
    u64::from(made) * share + chance.below(share.max(1))
}

fn wait_for(relay: &Relay, bytes: u64) -> Result<(), Failure> {
    let clock = Clock::start();
    while relay.passed().0 < bytes {
        if clock.now() > OFFERED {
            return Err(unproven("nothing is sent"));
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / MEMORY
}

fn unproven(why: &str) -> Failure {
    Failure::Unproven { what: CLAIM, why: why.to_owned() }
}
