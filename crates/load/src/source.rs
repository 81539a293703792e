//! Connections from one of this machine's many addresses: to a server, each of 127.0.0.0/8 is another network.

use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

/// The nth address behind the first one of a network of 65,536: 127.0.0.2, 127.0.0.3 …
pub fn address(network: u8, number: u32) -> IpAddr {
    let [.., high, low] = (number + 2).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, network, high, low))
}

/// Begins to connect, from this address if one is given. The socket never blocks; that it failed shows when it is used.
///
/// # Errors
/// What the system said.
pub fn begin(source: Option<IpAddr>, server: SocketAddr) -> io::Result<mio::net::TcpStream> {
    let Some(source) = source else { return mio::net::TcpStream::connect(server) };
    let stream = open(Some(source), server, None, NONBLOCKING)?;
    Ok(mio::net::TcpStream::from_std(stream))
}

/// Begins to connect, and has the system keep no more than about so many bytes of what is not read. It has to know
/// before it tells the server how much it takes: less than was told is worse than a reader that stands still, since
/// what it drops are also the server's answers.
///
/// # Errors
/// What the system said.
pub fn begin_with_buffer(bytes: usize, server: SocketAddr) -> io::Result<mio::net::TcpStream> {
    let stream = open(None, server, Some(bytes), NONBLOCKING)?;
    Ok(mio::net::TcpStream::from_std(stream))
}

/// Connects from this address, and waits until that is done.
///
/// # Errors
/// What the system said.
pub fn reach(source: IpAddr, server: SocketAddr) -> io::Result<TcpStream> {
    open(Some(source), server, None, SocketFlags::CLOEXEC)
}

const NONBLOCKING: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

fn open(
    source: Option<IpAddr>,
    server: SocketAddr,
    buffer: Option<usize>,
    flags: SocketFlags,
) -> io::Result<TcpStream> {
    let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    if let Some(source) = source {
        bind(&socket, &SocketAddr::new(source, 0))?;
    }
    if let Some(bytes) = buffer {
        set_socket_recv_buffer_size(&socket, bytes)?;
    }
    match connect(&socket, &server) {
        Ok(()) => {}
        Err(error) if error == rustix::io::Errno::INPROGRESS => {}
        Err(error) => return Err(error.into()),
    }
    Ok(TcpStream::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn addresses_begin_behind_the_one_that_is_free_of_rates() {
        assert_eq!(address(0, 0).to_string(), "127.0.0.2");
        assert_eq!(address(0, 249).to_string(), "127.0.0.251");
        assert_eq!(address(1, 300).to_string(), "127.1.1.46");
    }

    #[test]
    fn a_server_is_told_from_the_first_moment_how_little_is_taken() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let standing = begin_with_buffer(16 * 1024, listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let pushed = fill(&server);
        let usual = begin(None, listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        assert!(pushed < fill(&server));
        drop((standing, usual));
    }

    /// Bytes that a socket takes whose peer reads nothing, of which its own side keeps the least that the system allows.
    fn fill(server: &TcpStream) -> usize {
        rustix::net::sockopt::set_socket_send_buffer_size(server, 1).unwrap();
        server.set_nonblocking(true).unwrap();
        let mut pushed = 0;
        while let Ok(bytes) = std::io::Write::write(&mut &*server, &[0; 1_024]) {
            pushed += bytes;
        }
        pushed
    }

    #[test]
    fn a_server_sees_the_address_that_was_asked_for() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = listener.local_addr().unwrap();
        let _first = begin(Some(address(0, 5)), server).unwrap();
        let _second = reach(address(0, 6), server).unwrap();
        let mut peers = [(); 2].map(|()| listener.accept().unwrap().1.ip().to_string());
        peers.sort_unstable();
        assert_eq!(peers, ["127.0.0.7", "127.0.0.8"]);
    }
}
