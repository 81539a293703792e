//! Words that are so much like another one that they may be meant by it.

/// Slips of the finger that may lie between two words.
const SLIPS: usize = 2;

/// The longest word that is compared, in bytes: time and memory grow with the product of two lengths.
const LONGEST: usize = 32 * 4;

/// The word that is most like this one, whatever its case, if any is near enough to be meant.
pub fn nearest<'a>(word: &str, among: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_lowercase();
    let distance = |known: &str| strsim::damerau_levenshtein(&known.to_lowercase(), &word);
    let known = among.into_iter().filter(|known| known.len() <= LONGEST);
    let (best, slips) = known.map(|known| (known, distance(known))).min_by_key(|(_, slips)| *slips)?;
    (slips <= SLIPS && slips < best.chars().count()).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_by_two_slips_at_most_and_never_by_nothing_in_common() {
        let words = ["lobby", "Dev", "plans"];
        for (typed, meant) in
            [("loby", Some("lobby")), ("dve", Some("Dev")), ("PLNA", Some("plans")), ("x", None), ("", None)]
        {
            assert_eq!(nearest(typed, words), meant, "{typed}");
        }
        assert_eq!(nearest("ab", ["yz"]), None, "nothing of it is the same");
        assert_eq!(nearest(&"a".repeat(1_000), words), None);
    }
}
