//! What the server says on stdout when it is there: how to join it, and who can.

use crate::config::Plaintext;
use crate::operator_socket::OperatorSocket;
use crate::output::Output;
use protocol::limits::DEFAULT_PORT;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// Says that the server listens, on stdout and in the log.
pub(crate) fn announce(local: SocketAddr, plaintext: Plaintext, operator: Option<&OperatorSocket>) {
    let socket = operator.and_then(OperatorSocket::elsewhere);
    let text = banner(local, plaintext, socket, client_command(started_by_cargo()));
    // Whoever reads this, or does not, is no reason not to serve.
    Output::start("banner", io::stdout(), str::to_owned).send(text.as_bytes());
    tracing::info!(%local, "listening");
    if plaintext == Plaintext::Anywhere && !local.ip().is_loopback() {
        tracing::warn!("unencrypted connections are taken from everywhere");
    }
}

/// Whether this is `cargo run`: then the client is not installed either, and is started by the same way.
fn started_by_cargo() -> bool {
    std::env::var_os("CARGO_PKG_NAME").is_some_and(|name| name == env!("CARGO_PKG_NAME"))
}

fn client_command(by_cargo: bool) -> &'static str {
    match (by_cargo, cfg!(debug_assertions)) {
        (false, _) => "natter",
        (true, true) => "cargo run -p client --",
        (true, false) => "cargo run --release -p client --",
    }
}

fn banner(local: SocketAddr, plaintext: Plaintext, socket: Option<&Path>, client: &str) -> String {
    let port = local.port();
    let host = if local.ip().is_unspecified() { "127.0.0.1".to_owned() } else { local.ip().to_string() };
    let mut text = format!("natterd listening on {local}\n\n");
    // A short line is pasted whole, also from a terminal of 80 columns.
    let at = if port == DEFAULT_PORT { String::new() } else { format!(" -p {port}") };
    let _ = writeln!(text, "  join from this machine:   {client} {host}{at} -u NAME");
    let _ = writeln!(text, "  with a classic client:    host {host}, port {port}\n");
    if let Some(path) = socket {
        let _ = writeln!(text, "  the operator's socket:    {}\n", path.display());
    }
    let only_here = local.ip().is_loopback();
    let _ = match plaintext {
        Plaintext::Loopback if only_here => Ok(()),
        Plaintext::Loopback => writeln!(
            text,
            "Other machines can reach this port, but only this one may connect unencrypted.\n\
             To let others in without encryption, start with: --plaintext anywhere\n"
        ),
        Plaintext::Anywhere => writeln!(
            text,
            "WARNING: unencrypted connections are taken from EVERYWHERE. Whoever is on the\n\
             way can read and change everything, names and messages alike.\n"
        ),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_to_paste_works_where_the_server_was_started() {
        for (port, client, line) in [
            (4_000, client_command(false), "  join from this machine:   natter 127.0.0.1 -p 4000 -u NAME\n"),
            (
                DEFAULT_PORT,
                "cargo run --release -p client --",
                "  join from this machine:   cargo run --release -p client -- 127.0.0.1 -u NAME\n",
            ),
        ] {
            let local = SocketAddr::from(([0, 0, 0, 0], port));
            let text = banner(local, Plaintext::Loopback, None, client);
            assert!(text.contains(line), "{text}");
            assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        }
    }
}
