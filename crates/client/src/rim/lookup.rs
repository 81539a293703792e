//! Which profile a run uses: that of the server, by whatever address it was used before. Who can be asked is asked, once.

use crate::address::Address;
use crate::profile::{Located, Maybe, is_known, keep_apart, locate, remember};
use protocol::name::PersonName;
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;
use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Write};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::time::timeout;

/// How long the numbers of an address are waited for; without them it is only known by its spelling.
const PATIENCE: Duration = Duration::from_secs(5);

/// Servers that a question names: the ones that were used first.
const MOST: usize = 9;

/// Finds the profile of this name at this address. `asks` if a person sits there.
pub(super) async fn find(state: &Path, address: &Address, name: &PersonName, asks: bool) -> Located {
    let (host, port) = (address.host.as_str(), address.port());
    let ips = if is_known(state, host, port, name) { Vec::new() } else { numbers(host, port).await };
    let found = locate(state, host, port, &ips, name);
    if !asks || found.maybe.is_empty() {
        return found;
    }
    match ask(&found.maybe, address, &mut io::stdin().lock(), &mut io::stderr()) {
        Answer::Same(maybe) => {
            remember(&maybe.folder, host, port, None);
            locate(state, host, port, &ips, name)
        }
        Answer::Other => {
            let claims = found.maybe.iter().filter_map(|maybe| maybe.claimed);
            claims.for_each(|server| keep_apart(&found.folder, server));
            found
        }
        Answer::None => found,
    }
}

/// Whether somebody can be asked: they sit at the terminal, and what they type comes here.
pub(super) fn can_ask() -> bool {
    let stdin = io::stdin();
    // Whoever reads in the background is stopped. A group that can't be named is another system's, as in a container.
    let in_front = || tcgetpgrp(&stdin).map_or(true, |front| front == getpgrp());
    stdin.is_terminal() && io::stderr().is_terminal() && in_front()
}

async fn numbers(host: &str, port: u16) -> Vec<IpAddr> {
    match timeout(PATIENCE, lookup_host((host, port))).await {
        Ok(Ok(found)) => found.map(|address| address.ip()).collect(),
        // It is told when it can't be connected to.
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

/// What a script is told that is a new person at this address, though it may not be.
pub(super) fn stranger(found: &Located, address: &Address) -> Option<String> {
    let one = found.maybe.iter().find(|maybe| maybe.claimed.is_none())?;
    (!found.folder.exists()).then(|| {
        format!(
            "{address} is new here, so this is a new person there; if it is a server that has your profile, such as {}, \
             say so at the prompt of: natter {address}",
            one.address
        )
    })
}

#[derive(PartialEq, Eq, Debug)]
enum Answer<'a> {
    /// The server is that one.
    Same(&'a Maybe),
    /// It is another one.
    Other,
    /// Nobody answered.
    None,
}

fn ask<'a>(
    maybe: &'a [Maybe],
    address: &Address,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> Answer<'a> {
    let claiming = maybe.iter().find(|maybe| maybe.claimed.is_some());
    let mut text = question(maybe, claiming, address);
    loop {
        let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
        let mut line = String::new();
        // A broken or ended input is no answer.
        if !matches!(input.read_line(&mut line), Ok(read) if read > 0) {
            return Answer::None;
        }
        match (claiming, line.trim()) {
            (Some(known), "yes" | "y") => return Answer::Same(known),
            (Some(_), "no" | "n" | "") | (None, "") => return Answer::Other,
            (Some(_), _) => "Type yes or no: ".clone_into(&mut text),
            (None, number) => {
                let at = number.parse().ok().and_then(|number: usize| number.checked_sub(1));
                match at.and_then(|at| maybe.iter().take(MOST).nth(at)) {
                    Some(known) => return Answer::Same(known),
                    None => "Type one of the numbers above, or press Enter: ".clone_into(&mut text),
                }
            }
        }
    }
}

/// In rows that fit a usual terminal, as long as the addresses are short.
fn question(maybe: &[Maybe], claiming: Option<&Maybe>, address: &Address) -> String {
    if let Some(known) = claiming {
        return format!(
            "{address} says that it is the server that you know as {}.\n\
             You have an older profile there. If you are sure, type yes: the older profile's\n\
             secret is sent to this address from now on. Else type no: ",
            known.address
        );
    }
    let mut text = format!("{address} is new here. Is it a server that you know by another address?\n");
    for (at, known) in maybe.iter().take(MOST).enumerate() {
        let _ = writeln!(text, "  {}  {}", at + 1, known.address);
    }
    text + "If you are sure, type its number: your profile's secret is sent there.\nElse press Enter: "
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::ServerId;

    fn maybe(address: &str, claimed: bool) -> Maybe {
        Maybe {
            folder: address.into(),
            address: address.into(),
            claimed: claimed.then_some(ServerId([1; 16])),
        }
    }

    #[test]
    fn who_is_asked_names_the_server_or_says_that_it_is_another_one() {
        let address: Address = "chat.example".parse().expect("an address");
        let two = [maybe("127.0.0.1:12000", false), maybe("lan.example:4000", false)];
        let mut shown = Vec::new();
        let mut answer = |maybe, input: &str| {
            shown.clear();
            let answer = ask(maybe, &address, &mut input.as_bytes(), &mut shown);
            format!("{answer:?}").split([' ', '(']).next().unwrap_or_default().to_owned()
        };
        let answers = ["2\n", " 1 \n", "\n", "3\n1\n", "0\n\n", "yes\n", ""].map(|input| answer(&two, input));
        assert_eq!(answers, ["Same", "Same", "Other", "Same", "Other", "None", "None"]);
        let claims = [maybe("lan.example:4000", false), maybe("127.0.0.1:12000", true)];
        let answers = ["yes\n", "2\ny\n", "no\n", "\n", "2\n", ""].map(|input| answer(&claims, input));
        assert_eq!(answers, ["Same", "Same", "Other", "Other", "None", "None"]);
        assert!(shown.is_ascii() && String::from_utf8_lossy(&shown).lines().all(|row| row.len() < 80));
        let text = String::from_utf8(shown).expect("text");
        assert!(text.contains("says that it is the server that you know as 127.0.0.1:12000"), "{text}");
        assert!(ask(&two, &address, &mut &b"2\n"[..], &mut Vec::new()) == Answer::Same(&two[1]));
    }
}
