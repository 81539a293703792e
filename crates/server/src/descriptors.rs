//! Descriptors: as many as the clients need are asked of the system, or as many as it gives.

use crate::bounds::ConnectionBounds;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for everything that is no connection: the store, contents that are read and written, the log.
const OTHERS: usize = 1_024;

/// How many clients and connections there may be, given the descriptors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Afforded {
    /// Clients that may be logged in.
    pub clients: usize,
    /// Connections in all: those of clients, of strangers, and those for files.
    pub places: usize,
    /// Connections that are not taken in and are kept for a moment.
    pub turned_away: usize,
}

impl Afforded {
    /// What so many descriptors are enough for, of this many clients. Those that are not taken in are the first to be fewer, then
    /// those for files.
    fn with(descriptors: usize, clients: usize, bounds: &ConnectionBounds) -> Self {
        let connections = descriptors.saturating_sub(OTHERS);
        let clients = clients.min(connections.saturating_sub(bounds.strangers)).max(1);
        let places = connections.min(wanted_places(clients, bounds)).max(2);
        let turned_away = connections.saturating_sub(places).min(bounds.turned_away);
        Self { clients, places, turned_away }
    }
}

/// As many connections for files as clients: a person has at most some, and not all of them at once.
fn wanted_places(clients: usize, bounds: &ConnectionBounds) -> usize {
    clients.saturating_mul(2).saturating_add(bounds.strangers)
}

/// Raises the bound of the descriptors of this process to what so many clients need, or as far as it goes; tells in the
/// log where that is not enough.
pub fn raise(clients: usize, bounds: &ConnectionBounds) -> Afforded {
    let limit = getrlimit(Resource::Nofile);
    let wanted = wanted_places(clients, bounds).saturating_add(bounds.turned_away + OTHERS);
    let descriptors = raise_to(wanted, &limit);
    let afforded = Afforded::with(descriptors, clients, bounds);
    if afforded.clients < clients {
        tracing::warn!(
            "the system gives this process {descriptors} descriptors, which are enough for {} clients instead of \
             {clients}: raise 'ulimit -n' (LimitNOFILE in systemd) to {wanted}",
            afforded.clients
        );
    }
    afforded
}

/// Raises the bound, and tells what it is then.
fn raise_to(wanted: usize, limit: &Rlimit) -> usize {
    let number =
        |bound: Option<u64>| bound.map_or(usize::MAX, |bound| usize::try_from(bound).unwrap_or(usize::MAX));
    let (current, aim) = (number(limit.current), wanted.min(number(limit.maximum)));
    if aim <= current {
        return current;
    }
    let raised = Rlimit { current: u64::try_from(aim).ok(), maximum: limit.maximum };
    // Some systems have another bound beside the hard one: then it stays as it is.
    setrlimit(Resource::Nofile, raised).map_or(current, |()| aim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_descriptors_mean_fewer_that_are_kept_then_fewer_for_files_and_then_fewer_clients() {
        let bounds = ConnectionBounds { strangers: 100, ..ConnectionBounds::default() };
        let with = |descriptors| {
            let Afforded { clients, places, turned_away } = Afforded::with(descriptors, 1_000, &bounds);
            (clients, places, turned_away)
        };
        assert_eq!(with(1_000_000), (1_000, 2_100, bounds.turned_away));
        assert_eq!(with(OTHERS + 2_150), (1_000, 2_100, 50));
        assert_eq!(with(OTHERS + 1_500), (1_000, 1_500, 0));
        assert_eq!(with(OTHERS + 600), (500, 600, 0));
        assert_eq!(with(10), (1, 2, 0), "one is let in even so");
    }
}
