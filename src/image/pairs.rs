//! Which ground truth belongs to which LR file, by name.
//!
//! Data sets mark the two sides in many ways; a name and everything it becomes when such marks are
//! taken off its end are its candidates, and the pair that needs the fewest marks taken off wins.
//! Deliberately absent: sizes, which are checked where the images are compared.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{ImageError, list_images};

/// An LR file and its ground truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The LR file.
    pub lr: PathBuf,
    /// The HR file that it was made from.
    pub hr: PathBuf,
}

/// Why no ground truth could be found.
#[derive(Debug, Error)]
pub enum PairError {
    /// The HR folder cannot be listed.
    #[error(transparent)]
    Folder(#[from] ImageError),
    /// No HR file has a fitting name.
    #[error(
        "{lr}: no ground truth for it in {folder}; name the HR file like the LR file, apart from \
         endings such as _LR, _HR, x4 or _SRF_4_LR"
    )]
    Unmatched {
        /// The LR file.
        lr: PathBuf,
        /// The folder of HR files.
        folder: PathBuf,
    },
    /// Several HR files fit equally well.
    #[error("{lr}: both {first} and {second} could be its ground truth; remove or rename one")]
    Ambiguous {
        /// The LR file.
        lr: PathBuf,
        /// One HR file.
        first: PathBuf,
        /// Another.
        second: PathBuf,
    },
}

/// Finds the ground truth of every LR file in a folder, in the order of the LR files.
///
/// Names without extension are compared after taking off any of `_LR`, `_HR`, `LRBI`, `x2` to `x9`
/// and `_SRF_2` to `_SRF_9` from their ends, in any case: `img_001_SRF_4_LR.png` belongs to
/// `img_001_SRF_4_HR.png`, `0001x4.png` to `0001.png`. Several LR files may share an HR file.
///
/// # Errors
/// [`PairError`]; [`PairError::Unmatched`] names the file and the folder.
pub fn match_pairs(lr_files: &[PathBuf], hr_folder: &Path) -> Result<Vec<Pair>, PairError> {
    let hr_files = list_images(hr_folder)?;
    let mut by_name: HashMap<String, Vec<(usize, &PathBuf)>> = HashMap::new();
    for hr in &hr_files {
        for (removed, name) in candidates(hr).into_iter().enumerate() {
            by_name.entry(name).or_default().push((removed, hr));
        }
    }
    lr_files
        .iter()
        .map(|lr| {
            let fitting = candidates(lr).into_iter().find_map(|name| by_name.get(&name));
            let hr = closest(lr, hr_folder, fitting.map_or(&[], Vec::as_slice))?;
            Ok(Pair { lr: lr.clone(), hr: hr.clone() })
        })
        .collect()
}

/// Of HR files that fit, each with how many marks were removed, the one with the fewest.
fn closest<'a>(lr: &Path, folder: &Path, fitting: &[(usize, &'a PathBuf)]) -> Result<&'a PathBuf, PairError> {
    let fewest = fitting.iter().map(|(removed, _)| *removed).min();
    let mut best = fitting.iter().filter(|(removed, _)| Some(*removed) == fewest).map(|(_, hr)| *hr);
    match (best.next(), best.next()) {
        (Some(hr), None) => Ok(hr),
        (Some(first), Some(second)) => {
            Err(PairError::Ambiguous { lr: lr.to_owned(), first: first.clone(), second: second.clone() })
        }
        (None, _) => Err(PairError::Unmatched { lr: lr.to_owned(), folder: folder.to_owned() }),
    }
}

/// The name of a file without extension, in lower case, then with one mark after the other removed
/// from its end.
fn candidates(path: &Path) -> Vec<String> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    let mut names = vec![stem];
    while let Some(shorter) = names.last().and_then(|name| without_mark(name)) {
        let shorter = shorter.to_owned();
        names.push(shorter);
    }
    names
}

/// The name without the mark of a data set at its end; `None` where there is none, or nothing else.
fn without_mark(name: &str) -> Option<&str> {
    let factor = name.strip_suffix(|last| ('2'..='9').contains(&last));
    let shorter = ["_lr", "_hr", "lrbi"]
        .iter()
        .find_map(|mark| name.strip_suffix(mark))
        .or_else(|| ["_srf_", "x"].iter().find_map(|mark| factor?.strip_suffix(mark)))?
        .trim_end_matches('_');
    (!shorter.is_empty()).then_some(shorter)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Matches one LR name against HR files of the given names.
    fn matched(lr: &str, hr: &[&str]) -> Result<String, PairError> {
        let folder = tempfile::tempdir().unwrap();
        for name in hr {
            fs::write(folder.path().join(name), b"names only").unwrap();
        }
        let pairs = match_pairs(&[PathBuf::from("lr").join(lr)], folder.path())?;
        assert_eq!(pairs.len(), 1);
        Ok(pairs[0].hr.file_name().unwrap().to_str().unwrap().to_owned())
    }

    #[test]
    fn the_usual_data_sets_are_matched() {
        for (lr, hr) in [
            ("img_001_SRF_4_LR.png", "img_001_SRF_4_HR.png"),
            ("0001x4.png", "0001.png"),
            ("baby_x4.png", "baby.png"),
            ("baby.png", "baby.bmp"),
            ("baby.png", "baby_HR.png"),
            ("baby_LR.png", "baby_HR.png"),
            ("babyLRBIx4.png", "baby.png"),
            ("baby_LRBI_x2.png", "baby_HR_x2.png"),
            ("Baby_lr.PNG", "baby.png"),
        ] {
            assert_eq!(matched(lr, &["img_002_SRF_4_HR.png", "00010.png", hr]).unwrap(), hr);
        }
    }

    #[test]
    fn a_name_that_only_looks_like_a_mark_is_kept_apart() {
        let hr = ["matrix2.png", "matrix3.png", "x4.png"];
        assert_eq!(matched("matrix2.png", &hr).unwrap(), "matrix2.png");
        assert_eq!(matched("matrix3x4.png", &hr).unwrap(), "matrix3.png");
        assert_eq!(matched("x4.png", &hr).unwrap(), "x4.png");
    }

    #[test]
    fn an_exact_name_goes_before_a_marked_one() {
        assert_eq!(matched("a_LR.png", &["a.png", "a_HR.png"]).unwrap(), "a.png");
    }

    #[test]
    fn one_hr_image_serves_several_scales() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("0001.png"), b"x").unwrap();
        let lr = [PathBuf::from("0001x2.png"), PathBuf::from("0001x4.png")];
        let pairs = match_pairs(&lr, folder.path()).unwrap();
        assert_eq!(pairs.iter().map(|pair| pair.lr.clone()).collect::<Vec<_>>(), lr);
        assert!(pairs.iter().all(|pair| pair.hr == folder.path().join("0001.png")));
    }

    #[test]
    fn without_a_partner_the_message_names_file_and_folder() {
        let message = matched("baby_LR.png", &["bird_HR.png"]).unwrap_err().to_string();
        assert!(message.contains("baby_LR.png: no ground truth for it in "), "{message}");
        assert!(matches!(matched("a.png", &[]), Err(PairError::Folder(_))));
    }

    #[test]
    fn two_partners_are_not_chosen_between() {
        let error = matched("a_LR.png", &["a.png", "a.jpg"]).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("a.jpg and ") && message.contains("a.png could be"), "{message}");
    }
}
