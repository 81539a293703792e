//! What strangers say.

use super::samples::{cut_short, framed, header, hello, with_bad_utf8, with_byte, with_number};
use super::{Answer, Case, case};
use protocol::classic::{INVALID_JOIN, ty as classic_ty};
use protocol::code::Code;
use protocol::limits::MAX_FRAME_BEFORE_LOGIN;
use protocol::message::{ClientMsg, ty};

/// Every error before the login closes the connection, whatever the code.
pub fn cases() -> Vec<Case> {
    let mut cases = first_bytes();
    cases.extend(first_frames());
    cases.extend(spoiled_logins());
    cases
}

fn first_bytes() -> Vec<Case> {
    let no_tls = Answer::Close(Code::NoTls);
    let bad = Answer::Close(Code::BadFirstByte);
    vec![
        case("nothing at all", b"", Answer::SilentEnd),
        case("half a header", b"\0\0", Answer::SilentEnd),
        case("half a login", &hello("a", "b").encode()[..20], Answer::SilentEnd),
        case("the hello of TLS 1.3", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", no_tls),
        case("the first byte of TLS alone", b"\x16", no_tls),
        case("a request of a browser", b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n", bad),
        case("an SSH banner", b"SSH-2.0-OpenSSH_9.6\r\n", bad),
        case("a line of text", b"hello?\n", bad),
        case("a first byte of 0xff", b"\xff\xff\xff\xff\xff", bad),
        case("a first byte of 0x01", b"\x01\0\0\0\x10", bad),
    ]
}

fn first_frames() -> Vec<Case> {
    let login_first = Answer::Close(Code::LoginFirst);
    let invalid_join = Answer::ClassicClose(INVALID_JOIN);
    let mut cases = vec![
        case("a first frame of length 0", [0; 4], Answer::Close(Code::EmptyFrame)),
        case(
            "a first frame over its limit",
            header(MAX_FRAME_BEFORE_LOGIN + 1, ty::HELLO),
            Answer::Close(Code::FrameTooLarge),
        ),
        case("a first frame of 16 MiB", header(0x00ff_ffff, ty::HELLO), Answer::Close(Code::FrameTooLarge)),
        case("a ping before the login", ClientMsg::Ping { nonce: 1 }.encode(), login_first),
        case("a goodbye before the login", ClientMsg::Bye {}.encode(), login_first),
        case("a post before the login", super::samples::post("hi").encode(), login_first),
        case("a message of the server first", framed(ty::WELCOME, b""), login_first),
        case("an unknown type first", framed(0xee, b"what?"), login_first),
        case("a skipped type first", framed(0x75, b"later"), login_first),
        case("type 0 first", framed(0, b""), login_first),
        case("a JOIN without a name", framed(classic_ty::JOIN, b""), invalid_join),
        case("a JOIN that is not UTF-8", framed(classic_ty::JOIN, b"\xff\xfe"), invalid_join),
    ];
    for (name, ty) in [
        ("a TEXT before the JOIN", classic_ty::TEXT),
        ("a FILE before the JOIN", classic_ty::FILE),
        ("a LEAVE before the JOIN", classic_ty::LEAVE),
        ("an ERROR before the JOIN", classic_ty::ERROR),
        ("a COMMAND before the JOIN", classic_ty::COMMAND),
    ] {
        cases.push(case(name, framed(ty, b"a::b"), invalid_join));
    }
    cases
}

/// Offsets into `Hello`: two versions, features, device, then the tag of the proof.
const PROOF: usize = 2 + 2 + 8 + 16;
const PURPOSE: usize = PROOF + 1 + 32;

fn spoiled_logins() -> Vec<Case> {
    let good = hello("somebody", "a test");
    let none: u64 = 0x0002_0009 << 32;
    let bad_name = |name: &str, text: &str| {
        case(format!("a login as {name}"), hello(text, "a test").encode(), Answer::Close(Code::BadName))
    };
    vec![
        case("a login cut short", cut_short(&good), Answer::Close(Code::Malformed)),
        case("a login without fields", framed(ty::HELLO, b""), Answer::Close(Code::Malformed)),
        case("versions that nobody speaks", with_number(&good, 0, none), Answer::Close(Code::Version)),
        case("an unknown proof", with_byte(&good, PROOF, 9), Answer::Close(Code::Unsupported)),
        case("an unknown purpose", with_byte(&good, PURPOSE, 9), Answer::Close(Code::Unsupported)),
        case(
            "a name that is not UTF-8",
            with_bad_utf8(&hello(super::samples::MARK, "a test")),
            Answer::Close(Code::BadUtf8),
        ),
        case(
            "an agent that is not UTF-8",
            with_bad_utf8(&hello("somebody", super::samples::MARK)),
            Answer::Close(Code::BadUtf8),
        ),
        bad_name("nobody", ""),
        bad_name("somebody with a long name", &"x".repeat(33)),
        bad_name("two words", "two words"),
        bad_name("a list", "a,b"),
        bad_name("a name with a separator", "a::b"),
        bad_name("a name that looks like a room", "#lobby"),
        bad_name("a name that looks like a command", "/quit"),
        bad_name("the server", "Server"),
        bad_name("the server in wide letters", "ｓｅｒｖｅｒ"),
        bad_name("a name with a bell", "be\u{7}ll"),
        bad_name("a name that turns around", "a\u{202e}b"),
        bad_name("a name with something that nobody sees", "a\u{200b}b"),
    ]
}
