//! What others call their files, and what they are called here.

use crate::transfer::{posted_name, safe_name};

fn check(name: &str, expected: &str) {
    assert_eq!(safe_name(name), expected, "{name:?}");
}

#[test]
fn a_good_name_stays_as_it_is() {
    for name in
        ["cat.png", "my cat.tar.gz", "猫.png", "Zoë's notes (2).txt", "README", "a.b.c", "+1=2,3;4.txt"]
    {
        check(name, name);
    }
}

#[test]
fn a_path_is_only_its_last_part() {
    check("../x", "x");
    check("../../../../etc/passwd", "passwd");
    check("/etc/passwd", "passwd");
    check("a/b/c", "c");
    check("a/b/", "b");
    check("a/..", "a");
    check("C:\\x", "x");
    check("C:x", "C_x");
    check("\\\\server\\share\\x.exe", "x.exe");
    check("back\\slash", "back_slash");
    check("a/back\\slash", "back_slash");
    check("~/.ssh", "ssh");
    check("~root", "root");
}

#[test]
fn nothing_hides_or_looks_like_an_option() {
    check(".bashrc", "bashrc");
    check("...x", "x");
    check(" . x", "x");
    check("-rf", "rf");
    check("--help.txt", "help.txt");
    check("x. . ", "x");
    check("x...", "x");
}

#[test]
fn a_name_without_a_name_is_a_file() {
    for name in ["", ".", "..", "/", "//", "../..", "...", " ", "\u{200b}", "\0", "-", "\u{202e}"] {
        check(name, "file");
    }
}

#[test]
fn nobody_is_fooled_by_what_can_not_be_seen() {
    check("a\0b", "ab");
    check("a\u{1b}[31mb\n\r\t\u{7f}c", "a[31mbc");
    check("photo\u{202e}gpj.exe", "photogpj.exe");
    check("a\u{200b}\u{feff}\u{2066}b", "ab");
    check("a\u{2028}b", "ab");
    check("a\u{3000}b", "a b");
    check("a:b|c?d*e\"f<g>h", "a_b_c_d_e_f_g_h");
    check("file.txt:stream", "file.txt_stream");
}

#[test]
fn no_name_is_a_device() {
    check("CON", "_CON");
    check("nul.txt", "_nul.txt");
    check("Aux.tar.gz", "_Aux.tar.gz");
    check("COM1", "_COM1");
    check("lpt9.log", "_lpt9.log");
    check("COM¹", "_COM¹");
    check("con .txt", "_con .txt");
    check("console.txt", "console.txt");
    check("COM10", "COM10");
}

#[test]
fn a_long_name_is_cut_at_a_character_and_keeps_its_extension() {
    check(&format!("{}.png", "x".repeat(300)), &format!("{}.png", "x".repeat(196)));
    check(&format!("{}.png", "é".repeat(150)), &format!("{}.png", "é".repeat(98)));
    check(&"x".repeat(300), &"x".repeat(200));
    check(&format!("a.{}", "x".repeat(300)), &format!("a.{}", "x".repeat(198)));
}

#[test]
fn a_safe_name_is_safe_and_stays_so() {
    let parts = ["..", "/", "\\", ".", " ", "a", "CON", "\0", "\u{202e}", ":", "-", "é", "~", "nul", "x.y"];
    for a in parts {
        for b in parts {
            for c in parts {
                let name = safe_name(&format!("{a}{b}{c}"));
                assert!(!name.is_empty() && name.len() <= 200, "{name:?}");
                assert!(!name.contains(['/', '\\', '\0', ':']) && !name.starts_with('.'), "{name:?}");
                assert_eq!(safe_name(&name), name, "from {:?}", format!("{a}{b}{c}"));
            }
        }
    }
}

#[test]
fn a_name_is_announced_so_that_an_entry_may_have_it() {
    for name in ["cat.png", "", "\n", " x ", &"é".repeat(300), "a\u{1b}b", "\u{202e}"] {
        let posted = posted_name(name);
        assert!(!posted.trim().is_empty() && posted.len() <= 255, "{posted:?}");
        assert_eq!(protocol::text::check_line(&posted), Ok(()));
    }
}
