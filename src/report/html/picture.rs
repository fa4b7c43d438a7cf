//! Pictures of attacked images for the page, as `temper audit` draws them to `pictures` beside the report, in part, or
//! in full to the folder of --save-images.
//!
//! The worst come first, one attack per model and image, until the page would grow beyond what people send on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::files::{FileError, read_bounded};
use crate::report::{Report, Row};

/// The most bytes of all pictures of a page, as files: a third more as text.
pub const MOST_BYTES: u64 = 5 << 20;
/// The most images of a model that are shown.
const MOST_IMAGES: usize = 6;
/// What the difference of two outputs was multiplied by before it was written.
const FACTOR: u32 = 8;

/// An attacked image and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Picture {
    /// The model.
    pub model: String,
    /// The image.
    pub image: String,
    /// The attack.
    pub attack: String,
    /// The budget in 1/255.
    pub budget: f64,
    /// The runtime that crafted and upscaled.
    pub runtime: String,
    /// PSNR of the attacked output against the clean one, in dB; null where they are equal.
    pub sr_psnr: Option<f64>,
    /// What each picture shows, and the picture as a `data:` address: of letters, digits and `+/=,:;`, which the page
    /// takes as they are.
    pub files: Vec<(String, String)>,
}

/// A name with nothing in it that means something in a path: what pictures of a model or an image lie under.
pub fn file_name(name: &str) -> String {
    let kept = |c: char| if c.is_alphanumeric() || " ._-+=#".contains(c) { c } else { '_' };
    let name: String = name.chars().map(kept).collect();
    if name.trim_matches(['.', ' ']).is_empty() { "_".into() } else { name }
}

/// The attacks that a page shows: of every image of a model the worst that its own runtime judged, of every model the
/// `MOST_IMAGES` images on which the least is left. The worst of every model come first, then the second of each.
pub fn worst_attacks(report: &Report) -> Vec<&Row> {
    let mut rows: Vec<&Row> =
        report.measured.rows.iter().filter(|row| row.crafted_on == row.judged_on).collect();
    rows.sort_by(|a, b| a.sr_psnr.total_cmp(&b.sr_psnr));
    let mut seen = BTreeSet::new();
    rows.retain(|row| seen.insert((&row.model, &row.image)));
    let mut shown = BTreeMap::<&str, usize>::new();
    let ranked = rows.into_iter().map(|row| {
        let rank = shown.entry(&row.model).or_default();
        *rank += 1;
        (*rank, row)
    });
    let mut ranked: Vec<(usize, &Row)> = ranked.filter(|(rank, _)| *rank <= MOST_IMAGES).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, row)| row).collect()
}

/// Reads the pictures of a report's worst attacks from the first of the folders that has them, as many as fit into
/// `MOST_BYTES` shared by so many pages; none where there are none.
///
/// # Errors
/// One cannot be read.
pub fn read_pictures(report: &Report, folders: &[PathBuf], pages: usize) -> Result<Vec<Picture>, FileError> {
    let mut pictures = Vec::new();
    let mut left = MOST_BYTES / pages.max(1) as u64;
    for row in worst_attacks(report) {
        let found = folders.iter().map(|folder| there(row, folder)).find(|files| !files.is_empty());
        let Some(files) = found else { continue };
        let bytes = files.iter().map(|(_, file)| file.metadata().map_or(0, |data| data.len())).sum::<u64>();
        if bytes <= left {
            left -= bytes;
            pictures.push(picture(row, &files)?);
        }
    }
    Ok(pictures)
}

/// The pictures that a folder has of an attack.
fn there(row: &Row, folder: &Path) -> Vec<(&'static str, PathBuf)> {
    files(row, folder).into_iter().filter(|(_, file)| file.is_file()).collect()
}

/// What is shown of an attack, in this order, and where it lies.
fn files(row: &Row, folder: &Path) -> [(&'static str, PathBuf); 5] {
    let of_image = folder.join(file_name(&row.model)).join(file_name(&row.image));
    let of_attack = of_image.join(format!("{}-{}-{}", row.attack, row.budget, row.crafted_on));
    [
        ("input", of_image.join("input.png")),
        ("attacked input", of_attack.join("attacked.png")),
        ("output", of_image.join(format!("output-{}.png", row.crafted_on))),
        ("output under attack", of_attack.join("output.png")),
        ("difference of the outputs", of_attack.join(format!("output-difference-times-{FACTOR}.png"))),
    ]
}

fn picture(row: &Row, files: &[(&str, PathBuf)]) -> Result<Picture, FileError> {
    let read = |(shows, file): &(&str, PathBuf)| {
        let bytes = read_bounded(file, MOST_BYTES)?;
        let times = if shows.starts_with("difference") { format!(", times {FACTOR}") } else { String::new() };
        Ok((format!("{shows}{times}"), format!("data:image/png;base64,{}", STANDARD.encode(bytes))))
    };
    Ok(Picture {
        model: row.model.clone(),
        image: row.image.clone(),
        attack: row.attack.clone(),
        budget: row.budget,
        runtime: row.crafted_on.clone(),
        sr_psnr: Some(row.sr_psnr).filter(|psnr| psnr.is_finite()),
        files: files.iter().map(read).collect::<Result<_, FileError>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example::{report, row};

    #[test]
    fn the_worst_attack_of_every_image_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let report = report();
        let read = || read_pictures(&report, &["nowhere".into(), folder.path().into()], 1).unwrap();
        assert_eq!(read(), []);
        for (image, attack) in [("a.png", "ifgsm-1-ort"), ("b.png", "ifgsm-4-ort")] {
            let of_attack = folder.path().join("model.onnx").join(image).join(attack);
            std::fs::create_dir_all(&of_attack).unwrap();
            std::fs::write(of_attack.join("output.png"), "png").unwrap();
        }
        let pictures = read();
        let shown: Vec<_> = pictures.iter().map(|it| (it.image.as_str(), it.sr_psnr)).collect();
        assert_eq!(shown, [("b.png", Some(25.0)), ("a.png", Some(30.0))]);
        assert_eq!(
            pictures[0].files,
            [("output under attack".to_owned(), "data:image/png;base64,cG5n".to_owned())]
        );
    }

    #[test]
    fn the_worst_image_of_every_model_comes_before_the_second_of_any() {
        let mut report = report();
        report.measured.rows = (0..9)
            .map(|place| {
                let model = if place < 8 { "weak" } else { "strong" };
                let (image, left) = (format!("{place}.png"), 20.0 + place as f64);
                Row { model: model.into(), ..row("ort", "ort", &image, 4.0, left) }
            })
            .collect();
        let shown: Vec<_> = worst_attacks(&report).into_iter().map(|row| row.image.as_str()).collect();
        assert_eq!(shown, ["0.png", "8.png", "1.png", "2.png", "3.png", "4.png", "5.png"]);
    }

    #[test]
    fn names_stay_inside_their_folder() {
        assert_eq!(file_name("a/model.onnx + jpeg=75"), "a_model.onnx + jpeg=75");
        assert_eq!((file_name("..").as_str(), file_name("c:\\x\0.png").as_str()), ("_", "c__x_.png"));
    }
}
