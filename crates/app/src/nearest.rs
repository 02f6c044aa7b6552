//! The nearest right word for a wrong one: "did you mean".

/// The candidate that looks most like `word`, if any looks like it at all.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        // One slip, and one more for every four characters; beyond that a suggestion only puzzles.
        .filter(|(slips, _)| *slips <= 1 + word.chars().count() / 4)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_its_word_and_nonsense_finds_none() {
        let words = ["verify_for", "allow_remove", "max_layer"];
        assert_eq!(nearest("verfy_for", words), Some("verify_for"));
        assert_eq!(nearest("allowremove", words), Some("allow_remove"));
        assert_eq!(nearest("colour", words), None);
    }
}
