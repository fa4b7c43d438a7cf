//! The name that was probably meant, for messages about one that does not exist.

/// How alike two names must be, by Jaro-Winkler similarity on [0, 1], before one is suggested for the other.
const LIKENESS: f64 = 0.8;

/// The known name most like `given`; `None` where none is near.
pub fn suggest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    let likeness = |name: &str| strsim::jaro_winkler(&name.to_lowercase(), &given);
    let scored = known.into_iter().map(|name| (likeness(name), name));
    // The first of equals: the callers list the usual names first.
    let best = scored.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.filter(|(score, _)| *score >= LIKENESS).map(|(_, name)| name)
}

/// `; did you mean `X`?`, or nothing where no name is near.
pub fn did_you_mean<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    suggest(given, known).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// The message for a name that does not exist: the one that was probably meant, else all there are.
pub fn no_such<'a>(what: &str, given: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match suggest(given, known.clone()) {
        Some(near) => format!("there is no {what} `{given}`; did you mean `{near}`?"),
        None => {
            let known: Vec<&str> = known.into_iter().collect();
            format!("there is no {what} `{given}`; there are {}", known.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_suggested_and_what_is_not_is_not() {
        let known = ["tract", "torch", "ort"];
        assert_eq!(suggest("trakt", known), Some("tract"));
        assert_eq!(suggest("Torhc", known), Some("torch"));
        assert_eq!(suggest("openvino", known), None);
        assert_eq!(suggest("", known), None);
        assert_eq!(suggest("x", []), None);
        assert_eq!(did_you_mean("orrt", known), "; did you mean `ort`?");
        assert_eq!(did_you_mean("zzz", known), "");
        assert_eq!(no_such("runtime", "orrt", known), "there is no runtime `orrt`; did you mean `ort`?");
        assert_eq!(
            no_such("runtime", "zzz", known),
            "there is no runtime `zzz`; there are tract, torch, ort"
        );
    }
}
