//! The name that somebody probably meant.

/// Less likeness than this is none: a suggestion out of the blue misleads.
const LIKE: f64 = 0.7;

/// The most similar of `names` (Jaro-Winkler), where one is similar at all.
pub(super) fn nearest<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |name: &str| strsim::jaro_winkler(&given.to_lowercase(), &name.to_lowercase());
    let scored = names.into_iter().map(|name| (likeness(name), name));
    let best = scored.max_by(|(left, _), (right, _)| left.total_cmp(right));
    best.filter(|(likeness, _)| *likeness >= LIKE).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_noise_finds_none() {
        let names = ["lambda", "delta", "learning_rate", "schedule"];
        assert_eq!(nearest("lamda", names), Some("lambda"));
        assert_eq!(nearest("learning-rate", names), Some("learning_rate"));
        assert_eq!(nearest("Shedule", names), Some("schedule"));
        assert_eq!(nearest("xyz", names), None);
        assert_eq!(nearest("a", []), None);
    }
}
