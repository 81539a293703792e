//! Connections from one of this machine's many addresses: to a server, each of 127.0.0.0/8 is another network.

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
    let stream = open(source, server, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    Ok(mio::net::TcpStream::from_std(stream))
}

/// Connects from this address, and waits until that is done.
///
/// # Errors
/// What the system said.
pub fn reach(source: IpAddr, server: SocketAddr) -> io::Result<TcpStream> {
    open(source, server, SocketFlags::CLOEXEC)
}

fn open(source: IpAddr, server: SocketAddr, flags: SocketFlags) -> io::Result<TcpStream> {
    let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    bind(&socket, &SocketAddr::new(source, 0))?;
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
