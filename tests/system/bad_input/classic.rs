//! What classic clients can say wrong after their JOIN.

use super::samples::framed;
use super::{Answer, Case, case};
use protocol::classic::{UNKNOWN_COMMAND, ty};
use protocol::limits::{MAX_BODY, MAX_CLASSIC_TEXT};

/// Everything is skipped and answered; only what can't be cut into frames any more ends the connection.
pub fn cases() -> Vec<Case> {
    let text = |name: &str, line: &[u8], answer| case(name, framed(ty::TEXT, line), answer);
    let unknown = Answer::ClassicError(UNKNOWN_COMMAND);
    vec![
        text("a line that is not UTF-8", b"caf\xe9", Answer::ClassicNotice),
        text("a line one byte too long", &vec![b'x'; MAX_CLASSIC_TEXT as usize], Answer::ClassicNotice),
        text(
            "a line that is no command and longer than a body",
            &[b'x'; MAX_BODY + 1],
            Answer::ClassicNotice,
        ),
        text("a line of 2 MiB", &vec![b'x'; 2 << 20], Answer::ClassicNotice),
        text("an empty line", b"", Answer::Silence),
        text("a line of blanks", b" \t \r\n", Answer::Silence),
        text("an unknown command", b"/dance", unknown),
        text("a slash alone", b"/", unknown),
        text("a command of the screen", b"/clear", unknown),
        text("a message without its text", b"/msg somebody", Answer::ClassicNotice),
        text("a line for nobody", b"/msg nobody-of-that-name hi", Answer::ClassicNotice),
        text("a room that can't be one", b"/join a,b", Answer::ClassicNotice),
        text("a room with an escape in its name", b"/join \x1b[2J", Answer::ClassicNotice),
        text("a name that can't be one", b"/nick a::b", Answer::ClassicNotice),
        text("a room that one is not in", b"/part nowhere", Answer::ClassicNotice),
        text("a history without sense", b"/history yesterday", Answer::ClassicNotice),
        text("a topic that is too long", &[b"/topic ", &[b'x'; 600][..]].concat(), Answer::ClassicNotice),
        case("a second JOIN", framed(ty::JOIN, b"eve"), Answer::ClassicNotice),
        case(
            "a FILE without a name",
            framed(ty::FILE, b"content"),
            Answer::ClassicError("File not sent: it has no name."),
        ),
        case("a native Hello after a JOIN", framed(0x10, b""), Answer::ClassicNotice),
        case("an unknown type of frame", framed(0xee, b"what?"), Answer::ClassicNotice),
        case("half a line, then the end", &framed(ty::TEXT, b"hello")[..7], Answer::SilentEnd),
    ]
}
