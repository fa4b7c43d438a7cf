//! The name that was probably meant, for messages about one that does not exist.

/// The least Jaro-Winkler similarity of a suggestion: a name out of the blue misleads.
const SIMILAR: f64 = 0.7;

/// The one of `names` that is most similar to `given` (Jaro-Winkler, whatever the case); `None` where none
/// is similar, so that a message then says nothing of it.
pub fn suggest<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let similarity = |name: &str| strsim::jaro_winkler(&given.to_lowercase(), &name.to_lowercase());
    let scored = names.into_iter().map(|name| (similarity(name), name));
    let best = scored.max_by(|(left, _), (right, _)| left.total_cmp(right));
    best.filter(|(similarity, _)| *similarity >= SIMILAR).map(|(_, name)| name)
}

/// `"; did you mean `NAME`?"` for [`suggest`]'s answer, and nothing without one: the end of a message.
pub fn did_you_mean<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    suggest(given, names).map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_noise_finds_none() {
        let names = ["lambda", "delta", "learning_rate", "schedule"];
        assert_eq!(suggest("lamda", names), Some("lambda"));
        assert_eq!(suggest("learning-rate", names), Some("learning_rate"));
        assert_eq!(suggest("Shedule", names), Some("schedule"));
        assert_eq!(suggest("xyz", names), None);
        assert_eq!(suggest("a", []), None);
        assert_eq!(did_you_mean("lamda", names), "; did you mean `lambda`?");
        assert_eq!(did_you_mean("xyz", names), "");
    }
}
