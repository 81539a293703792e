//! The prompt.

use super::said::safe;
use crate::session::Place;

/// The prompt for what is typed at this place.
pub fn prompt(place: &Place) -> String {
    format!("{}> ", safe(&place.to_string()))
}
