//! TCP.

use crate::address::Address;
use crate::drive::{Connect, Connecting};
use crate::profile::remember;
use socket2::{SockRef, TcpKeepalive};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long an address is tried alone before the next one is tried beside it: RFC 8305, section 5.
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// How long one address is tried. Less than what all of them have together, so that it is over before that is.
const ONE_ADDRESS: Duration = Duration::from_secs(9);

/// Connects to an address, by any of the numbers that its name has.
#[derive(Clone, Debug)]
pub(super) struct Tcp {
    pub(super) address: Address,
    /// Whether the system asks the other side whether it is there: a classic server is never heard otherwise.
    pub(super) keepalive: bool,
    /// The only numbers that are connected to, if not all that the name has.
    pub(super) only: Option<Vec<IpAddr>>,
    /// The profile that remembers where it was connected to.
    pub(super) profile: Option<PathBuf>,
}

impl Tcp {
    /// Connects to all numbers of an address, and nobody remembers it.
    pub(super) fn anywhere(address: Address) -> Self {
        Self { address, keepalive: false, only: None, profile: None }
    }
}

/// A name that no number belongs to; told apart from a number that does not answer.
#[derive(Debug, thiserror::Error)]
#[error("unknown host")]
pub(super) struct UnknownHost;

impl Connect for Tcp {
    type Stream = TcpStream;

    fn connect(&self) -> Connecting<TcpStream> {
        let Self { keepalive, only, profile, .. } = self.clone();
        let (host, port) = (self.address.host.clone(), self.address.port());
        Box::pin(async move {
            let unknown = |_| io::Error::new(io::ErrorKind::NotFound, UnknownHost);
            let mut found: Vec<_> = lookup_host((host.as_str(), port)).await.map_err(unknown)?.collect();
            found.retain(|found| only.as_ref().is_none_or(|only| only.contains(&found.ip().to_canonical())));
            let stream = race(in_turn(found), TcpStream::connect).await?;
            stream.set_nodelay(true)?;
            if let (Some(profile), Ok(peer)) = (profile, stream.peer_addr()) {
                // The secret goes there next.
                remember(&profile, &host, port, Some(peer.ip()));
            }
            if keepalive {
                SockRef::from(&stream).set_tcp_keepalive(&probes())?;
            }
            Ok(stream)
        })
    }
}

/// IPv6 first, then one of each family in turn: RFC 8305, section 4.
fn in_turn(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let (mut six, mut four): (Vec<_>, Vec<_>) = found.into_iter().partition(SocketAddr::is_ipv6);
    six.reverse();
    four.reverse();
    let mut ordered = Vec::new();
    while !six.is_empty() || !four.is_empty() {
        ordered.extend(six.pop());
        ordered.extend(four.pop());
    }
    ordered
}

/// The first connection that stands. The others are given up before anything is written to them, so that a server
/// hears one `Hello`.
async fn race<A, S, F>(addresses: Vec<A>, connect: impl Fn(A) -> F) -> io::Result<S>
where
    S: Send + 'static,
    F: Future<Output = io::Result<S>> + Send + 'static,
{
    let mut waiting = addresses.into_iter();
    let mut running = JoinSet::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, UnknownHost);
    loop {
        if let Some(address) = waiting.next() {
            running.spawn(timeout(ONE_ADDRESS, connect(address)));
        }
        tokio::select! {
            biased;
            Some(done) = running.join_next() => match done {
                Ok(Ok(Ok(stream))) => return Ok(stream),
                // The next address need not wait for its turn any more.
                Ok(Ok(Err(error))) => last = error,
                Ok(Err(_)) | Err(_) => last = io::ErrorKind::TimedOut.into(),
            },
            () = sleep(NEXT_ADDRESS), if waiting.len() > 0 => {}
            else => return Err(last),
        }
    }
}

/// A silent connection is dead after 30 s.
fn probes() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5))
        .with_retries(3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tokio::time::Instant;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_tried_in_turn_of_their_family_ipv6_first() {
        let found = ["1.0.0.1:1", "1.0.0.2:1", "[::1]:1", "1.0.0.3:1", "[::2]:1"].map(address);
        let expected = ["[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1", "1.0.0.3:1"].map(address);
        assert_eq!(in_turn(found.to_vec()), expected);
    }

    /// What an address does: how many ms until it is connected or refuses; `None` swallows packets.
    type Fate = (Option<u64>, bool);

    /// Which connected, how long that took in ms, and when each began.
    async fn check(fates: &[Fate]) -> (io::Result<usize>, u64, Vec<u64>) {
        let begin = Instant::now();
        let begun = Arc::new(Mutex::new(Vec::new()));
        let connect = |(at, (after, connects)): (usize, Fate)| {
            let begun = begun.clone();
            async move {
                begun.lock().unwrap().push(ms(begin));
                match after {
                    None => std::future::pending().await,
                    Some(after) => sleep(Duration::from_millis(after)).await,
                }
                if connects { Ok(at) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
            }
        };
        let won = race(fates.iter().copied().enumerate().collect(), connect).await;
        let begun = begun.lock().unwrap().clone();
        (won, ms(begin), begun)
    }

    fn ms(begin: Instant) -> u64 {
        u64::try_from(begin.elapsed().as_millis()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_first_address_costs_a_quarter_of_a_second() {
        let (won, took, begun) = check(&[(None, false), (Some(20), true)]).await;
        assert_eq!((won.unwrap(), begun), (1, vec![0, 250]));
        assert!((270..280).contains(&took), "{took} ms");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_first_address_still_wins_and_a_fast_one_is_alone() {
        let (won, _, begun) = check(&[(Some(300), true), (Some(200), true)]).await;
        assert_eq!((won.unwrap(), begun), (0, vec![0, 250]));
        let (won, _, begun) = check(&[(Some(200), true), (Some(0), true)]).await;
        assert_eq!((won.unwrap(), begun), (0, vec![0]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_starts_the_next_address_at_once() {
        let (won, _, begun) = check(&[(Some(10), false), (Some(10), true)]).await;
        assert_eq!((won.unwrap(), begun), (1, vec![0, 10]));
    }

    #[tokio::test(start_paused = true)]
    async fn each_address_has_its_own_limit_and_the_last_error_is_told() {
        let (won, took, _) = check(&[(None, false), (None, false)]).await;
        assert_eq!(won.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!((9_250..9_300).contains(&took), "{took} ms");
        let (won, ..) = check(&[]).await;
        assert_eq!(won.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
