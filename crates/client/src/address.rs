//! A server's address as people write it: `HOST`, `HOST:PORT`, `[IPv6]:PORT` or `natter://…`.

use protocol::limits::DEFAULT_PORT;
use std::fmt;
use std::str::FromStr;

/// Where a server is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// Its name or number, without brackets.
    pub host: String,
    /// Its port, if one was named.
    pub port: Option<u16>,
}

impl Address {
    /// The port, or the usual one.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(DEFAULT_PORT)
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix("natter://").unwrap_or(text).trim_end_matches('/');
        if let Some((scheme, _)) = bare.split_once("://") {
            return Err(format!(
                "'{scheme}://' is not natter's; write HOST, HOST:PORT or natter://HOST:PORT"
            ));
        }
        let (host, port) = split(bare)?;
        let named = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_control());
        if !named {
            return Err("it names no host; write HOST, HOST:PORT or natter://HOST:PORT".into());
        }
        let port = port.map(|port| match port.parse() {
            Ok(0) | Err(_) => Err(format!("'{port}' is no port; ports go from 1 to 65535")),
            Ok(port) => Ok(port),
        });
        Ok(Self { host: host.to_owned(), port: port.transpose()? })
    }
}

fn split(text: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("a bracket is missing")?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(format!("'{rest}' stands where a port should")),
        };
    }
    // More than one colon is an IPv6 address without brackets.
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => Ok((host, Some(port))),
        _ => Ok((text, None)),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port())
        } else {
            write!(f, "{}:{}", self.host, self.port())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let read = text.parse::<Address>().map(|address| address.to_string());
        match (read, expected) {
            (Ok(read), Ok(expected)) => assert_eq!(read, expected, "{text}"),
            (Err(read), Err(expected)) => assert!(read.contains(expected), "{text}: {read}"),
            (read, _) => panic!("{text}: {read:?}"),
        }
    }

    #[test]
    fn every_way_to_write_an_address_is_read() {
        check("127.0.0.1", Ok("127.0.0.1:12000"));
        check("chat.example:4000", Ok("chat.example:4000"));
        check("natter://chat.example:4000/", Ok("chat.example:4000"));
        check("::1", Ok("[::1]:12000"));
        check("[::1]:4000", Ok("[::1]:4000"));
        check("[::1]", Ok("[::1]:12000"));
    }

    #[test]
    fn what_is_no_address_says_why() {
        check("", Err("no host"));
        check("http://x", Err("http://"));
        check("x:70000", Err("70000"));
        check("x:0", Err("'0' is no port"));
        check("[::1", Err("bracket"));
        check("[::1]x", Err("'x'"));
        check("a b", Err("no host"));
    }
}
