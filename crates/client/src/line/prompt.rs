//! The prompt.

use super::said::safe;
use crate::session::Place;

/// The prompt for what is typed at this place.
pub fn prompt(place: &Place) -> String {
    format!("{}> ", safe(&place.to_string()))
}

/// Who types, as it stands below the line that is typed; nothing if nobody does.
pub fn typing_notice(names: &[String]) -> Option<String> {
    match names {
        [] => None,
        [one] => Some(format!("-- {} is typing …", safe(one))),
        [one, other] => Some(format!("-- {} and {} are typing …", safe(one), safe(other))),
        _ => Some("-- several people are typing …".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_notice_names_one_or_two() {
        let notice =
            |names: &[&str]| typing_notice(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(notice(&[]), None);
        assert_eq!(notice(&["bob"]).as_deref(), Some("-- bob is typing …"));
        assert_eq!(notice(&["bob", "eve\u{1b}"]).as_deref(), Some("-- bob and eve\u{fffd} are typing …"));
        assert_eq!(notice(&["a", "b", "c"]).as_deref(), Some("-- several people are typing …"));
    }
}
