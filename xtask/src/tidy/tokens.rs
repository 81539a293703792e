//! Rust source as a flat list of tokens, in which comments and the insides of strings can't be mistaken for code.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// One token, or one bracket.
#[derive(Debug, PartialEq, Eq)]
pub struct Token {
    /// As it stands in the source; a `::` is two tokens.
    pub text: String,
    /// The line, from 1.
    pub line: usize,
}

/// Flattens a stream; brackets become tokens of their own.
pub fn flatten(stream: TokenStream) -> Vec<Token> {
    let mut tokens = Vec::new();
    push_all(stream, &mut tokens);
    tokens
}

fn push_all(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = brackets(group.delimiter());
                tokens.push(Token { text: open.into(), line: group.span_open().start().line });
                push_all(group.stream(), tokens);
                tokens.push(Token { text: close.into(), line: group.span_close().start().line });
            }
            leaf => tokens.push(Token { text: leaf.to_string(), line: leaf.span().start().line }),
        }
    }
}

fn brackets(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

/// Where `pattern`, tokens with spaces between them, stands in `tokens`: what follows it, from its first token on.
pub fn find<'a>(tokens: &'a [Token], pattern: &str) -> impl Iterator<Item = &'a [Token]> {
    let pattern: Vec<String> = pattern.split_whitespace().map(str::to_owned).collect();
    (0..tokens.len()).map(move |start| &tokens[start..]).filter(move |rest| starts_with(rest, &pattern))
}

fn starts_with(tokens: &[Token], pattern: &[String]) -> bool {
    tokens.len() >= pattern.len() && tokens.iter().zip(pattern).all(|(token, wanted)| token.text == *wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(source: &str, pattern: &str) -> Vec<usize> {
        let tokens = flatten(source.parse().expect("the sample is made of Rust tokens"));
        find(&tokens, pattern).map(|rest| rest[0].line).collect()
    }

    #[test]
    fn code_is_found_across_line_breaks_and_inside_macros() {
        assert_eq!(lines_of("a\n.unwrap()", ". unwrap ( )"), [2]);
        assert_eq!(lines_of("assert!(\na.unwrap())", ". unwrap ( )"), [2]);
    }

    #[test]
    fn comments_and_strings_are_not_code() {
        assert_eq!(
            lines_of("/// a.unwrap()\nfn f() { \".unwrap()\" } // .unwrap()", ". unwrap ( )"),
            [0_usize; 0]
        );
    }
}
