//! From how things ended to what people and scripts are told.

use super::tcp::UnknownHost;
use crate::address::Address;
use crate::classic::ClassicEnd;
use crate::drive::DriveError;
use crate::line::{ExitCode, Failure, hint, waited_for};
use crate::profile::ProfileError;
use crate::session::event::{Awaited, End, Loss, Refusal};
use protocol::code::Code;
use protocol::system_words::plain_words;
use protocol::text::sanitize_line;
use std::error::Error;
use std::io;
use std::net::Ipv6Addr;
use std::path::Path;
use std::time::Duration;

/// The failure of a client that could not go on.
pub(super) fn drive_failure(error: &DriveError, address: &Address) -> Failure {
    let DriveError::Connect(error) = error;
    connect_failure(error, address)
}

/// The failure of the profile in this folder.
pub(super) fn profile_failure(error: &ProfileError, folder: &Path) -> Failure {
    let cause = error.source().map(|cause| format!(": {}", plain_words(cause))).unwrap_or_default();
    let what = format!("{error} (in '{}'){cause}", folder.display());
    Failure::new(ExitCode::User, what, error.hint())
}

/// The failure of what was kept of an errand in this folder, which nobody needs but the errand.
pub(super) fn errand_failure(error: &ProfileError, folder: &Path) -> Failure {
    let failure = profile_failure(error, folder);
    match error {
        ProfileError::Damaged { .. } => {
            let hint = format!(
                "remove that folder: the same command then begins anew (rm -r '{}')",
                folder.display()
            );
            Failure { hint, ..failure }
        }
        ProfileError::Io { .. } => failure,
    }
}

/// The failure of an errand that another process does already.
pub(super) fn busy_failure(process: Option<u32>) -> Failure {
    let which = process.map(|process| format!(", as process {process}")).unwrap_or_default();
    let hint = "wait until it is done; if it is stopped, the same command goes on where it was";
    Failure::new(ExitCode::User, format!("the same command runs already{which}"), hint)
}

/// The failure of what was not done in time; whether the same command can go on with it.
pub(super) fn timeout_failure(limit: Option<Duration>, awaited: &Awaited, goes_on: bool) -> Failure {
    let seconds = limit.unwrap_or_default().as_secs();
    let hint = if goes_on {
        "the same command goes on where this one stopped; --timeout gives it longer"
    } else {
        "give it longer with --timeout"
    };
    let what = format!("not done within {seconds} s: waiting {}", waited_for(awaited));
    Failure::new(ExitCode::Server, what, hint)
}

fn connect_failure(error: &io::Error, address: &Address) -> Failure {
    let unknown = error.get_ref().is_some_and(|inner| inner.is::<UnknownHost>());
    let (what, hint) = match error.kind() {
        _ if unknown => (format!("unknown host '{}'", address.host), "check its spelling, or use its number"),
        io::ErrorKind::ConnectionRefused => {
            let six = address.host.parse::<Ipv6Addr>().is_ok_and(|ip| ip.to_ipv4_mapped().is_none());
            let hint = match six {
                // Its default is every address of IPv4.
                true => "start natterd there with --host ::, or name its port with -p",
                false => "start natterd there, or name its port with -p",
            };
            (format!("{address} refused the connection"), hint)
        }
        io::ErrorKind::TimedOut => (
            format!("no answer from {address} within 10 s"),
            "check the address, and whether a firewall is in the way",
        ),
        _ => (
            format!("can't connect to {address}: {}", plain_words(error)),
            "check the address and the network",
        ),
    };
    Failure::new(ExitCode::Server, what, hint)
}

/// The failure that the end of a classic session is, if it is one.
pub(super) fn classic_failure(end: &ClassicEnd, name: &str, address: &Address) -> Option<Failure> {
    match end {
        ClassicEnd::Quit => None,
        ClassicEnd::NameTaken => Some(Failure::new(
            ExitCode::Refused,
            format!("the name '{name}' is taken"),
            format!("choose another one: -u {name}-2"),
        )),
        ClassicEnd::Refused(text) => {
            let text = sanitize_line(text.trim_end_matches('.'));
            let what = format!("{address} refused the login: {text}");
            Some(Failure::new(ExitCode::Refused, what, "check the name (-u), or try again without --classic"))
        }
        ClassicEnd::NoLogin(loss) => {
            let failure = end_failure(&End::NoLogin(*loss), address)?;
            Some(Failure {
                hint: "check whether a classic server runs there; try without --classic".into(),
                ..failure
            })
        }
    }
}

/// The failure that an end is, if it is one.
pub(super) fn end_failure(end: &End, address: &Address) -> Option<Failure> {
    match end {
        End::Quit => None,
        End::Refused(refusal) => Some(refused(refusal, address)),
        End::NoLogin(Loss::Garbled) => Some(Failure::new(
            ExitCode::Server,
            format!("{address} is no natter server"),
            "check the port: -p names another one",
        )),
        End::NoLogin(Loss::Closed | Loss::Announced | Loss::Fenced | Loss::Busy) => Some(Failure::new(
            ExitCode::Server,
            format!("{address} closed the connection before the login"),
            "check whether a natter server runs there",
        )),
        End::NoLogin(Loss::Silent) => Some(Failure::new(
            ExitCode::Server,
            format!("no reply from {address} within 10 s"),
            "check whether a natter server runs there",
        )),
    }
}

fn refused(refusal: &Refusal, address: &Address) -> Failure {
    let code = refusal.known();
    let text = code.map_or_else(|| sanitize_line(&refusal.text).into_owned(), |code| code.text().to_owned());
    let exit = match code {
        Some(
            Code::PlaintextRefused
            | Code::ServerFull
            | Code::AddressFull
            | Code::NotAllowed
            | Code::TooFast
            | Code::NameTaken,
        ) => ExitCode::Refused,
        _ => ExitCode::Server,
    };
    let what = match code {
        Some(Code::ServerFull) => format!("{address} is full"),
        _ => format!("{address} refused the login: {text}"),
    };
    Failure::new(exit, what, hint(code, refusal.detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_is_told_with_a_hint_and_its_exit_code() {
        let address: Address = "chat.example:4000".parse().expect("an address");
        let io_error = |kind| drive_failure(&DriveError::Connect(io::Error::from(kind)), &address);
        let unknown = io::Error::new(io::ErrorKind::NotFound, UnknownHost);
        let folder = Path::new("/state/natter/x");
        let full = ProfileError::Io { file: "journal", source: io::ErrorKind::StorageFull.into() };
        let mut failures = vec![
            drive_failure(&DriveError::Connect(unknown), &address),
            io_error(io::ErrorKind::ConnectionRefused),
            drive_failure(
                &DriveError::Connect(io::ErrorKind::ConnectionRefused.into()),
                &"[::1]:4000".parse().expect("an address"),
            ),
            io_error(io::ErrorKind::TimedOut),
            io_error(io::ErrorKind::PermissionDenied),
            profile_failure(&ProfileError::Damaged { file: "identity", line: 2 }, folder),
            profile_failure(&full, folder),
            errand_failure(&ProfileError::Damaged { file: "journal", line: 3 }, folder),
            errand_failure(&full, folder),
            busy_failure(Some(4_711)),
            busy_failure(None),
            timeout_failure(Some(Duration::from_secs(90)), &Awaited::Server, false),
            timeout_failure(Some(Duration::from_secs(300)), &Awaited::Answer, true),
        ];
        let mut ends = vec![
            End::Quit,
            End::NoLogin(Loss::Garbled),
            End::NoLogin(Loss::Closed),
            End::NoLogin(Loss::Silent),
            End::NoLogin(Loss::Announced),
            End::Refused(Refusal { code: 999, detail: 0, text: "newer\u{1b}".into() }),
        ];
        ends.extend(
            Code::ALL
                .iter()
                .map(|code| End::Refused(Refusal { code: code.number(), detail: 0, text: String::new() })),
        );
        failures.extend(ends.iter().filter_map(|end| end_failure(end, &address)));
        for failure in &failures {
            assert!(!failure.what.contains("'chat.example:4000'"), "glued on behind: {failure}");
        }
        let text: Vec<_> =
            failures.iter().map(|failure| format!("{failure}\n-> {}", failure.code as u8)).collect();
        insta::assert_snapshot!("ends", text.join("\n"));
    }
}
