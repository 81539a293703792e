//! One run of the program in its classic mode.

use super::clock::{SystemClock, a_week_ago};
use super::end::{classic_failure, drive_failure};
use super::last;
use super::run::{login, seeded, start_face};
use super::tcp::Tcp;
use super::{signals, terminal};
use crate::classic::{ClassicClient, ClassicSession, Config};
use crate::cli::Cli;
use crate::drive::ports;
use crate::line::{ExitCode, Failure};
use std::env;
use std::path::PathBuf;

/// Chats on a classic server until the end.
pub(super) async fn chat(cli: &Cli) -> Result<ExitCode, Failure> {
    let address = cli.address().unwrap_or_else(|| last::read(None).address);
    let name = cli.name(&login())?;
    let interactive = terminal::is_there();
    let receive_up_to = if cli.no_receive { 0 } else { cli.max_receive.saturating_mul(1 << 20) };
    let session = ClassicSession::new(Config { name: name.as_str().to_owned(), interactive, receive_up_to });
    let (ports, face) = ports(&session);
    let input = face.input.downgrade();
    let threads = start_face(cli, face, interactive, None)?;
    let folder = super::run::received(cli);
    // What can't be cleaned can't be written either, and that is told when something comes.
    let _ = folder.clean(a_week_ago());
    let mut client = ClassicClient {
        session,
        connect: Tcp { keepalive: true, ..Tcp::anywhere(address.clone()) },
        clock: SystemClock::start(),
        rng: seeded()?,
        ports,
        folder,
        home: env::var_os("HOME").map(PathBuf::from),
    };
    let driven = tokio::select! {
        biased;
        () = signals::interrupted(input) => None,
        driven = client.drive() => Some(driven),
    };
    let ClassicClient { session, .. } = &client;
    let (refusals, mistakes, lost) = (session.refusals(), session.mistakes(), session.lost());
    drop(client);
    let written = threads.join();
    let Some(driven) = driven else {
        return Ok(ExitCode::Interrupted);
    };
    let end = driven.map_err(|error| drive_failure(&error, &address))?;
    match classic_failure(&end, name.as_str(), &address) {
        Some(failure) => Err(failure),
        None if written.is_err() => written.map(|()| ExitCode::Fine),
        // A person has seen what went wrong; a script can only see it now.
        None if interactive => Ok(ExitCode::Fine),
        None if lost > 0 => Ok(ExitCode::Server),
        None if refusals > 0 => Ok(ExitCode::Refused),
        None if mistakes > 0 => Ok(ExitCode::User),
        None => Ok(ExitCode::Fine),
    }
}
