//! Pictures of attacked images for the page, as `temper audit --save-images` writes them.
//!
//! The worst come first, one attack per model and image, until the page would grow beyond what people send on.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::files::{FileError, read_bounded};
use crate::report::{Report, Row};

/// The most bytes of all pictures of a page, as files: a third more as text.
const MOST_BYTES: u64 = 6 << 20;
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
    /// What each picture shows, and the picture as a `data:` address.
    pub files: Vec<(String, String)>,
}

/// Why pictures could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A folder without any.
    #[error("{0}: holds no pictures of this report; give the folder of its --save-images")]
    None(PathBuf),
}

/// A name with nothing in it that means something in a path: what pictures of a model or an image lie under.
pub fn file_name(name: &str) -> String {
    let kept = |c: char| if c.is_alphanumeric() || " ._-+=#".contains(c) { c } else { '_' };
    let name: String = name.chars().map(kept).collect();
    if name.trim_matches(['.', ' ']).is_empty() { "_".into() } else { name }
}

/// Reads pictures of a report's worst attacked images.
///
/// # Errors
/// The folder holds none of this report, or one cannot be read.
pub fn read_pictures(report: &Report, folder: &Path) -> Result<Vec<Picture>, PictureError> {
    let mut rows: Vec<&Row> =
        report.measured.rows.iter().filter(|row| row.crafted_on == row.judged_on).collect();
    rows.sort_by(|a, b| a.sr_psnr.total_cmp(&b.sr_psnr));
    let mut seen = BTreeSet::new();
    rows.retain(|row| seen.insert((&row.model, &row.image)));
    let mut pictures = Vec::new();
    let mut left = MOST_BYTES;
    for row in rows {
        let files: Vec<(&str, PathBuf)> =
            files(row, folder).into_iter().filter(|(_, file)| file.is_file()).collect();
        let bytes = files.iter().map(|(_, file)| file.metadata().map_or(0, |data| data.len())).sum::<u64>();
        if files.is_empty() || bytes > left {
            continue;
        }
        left -= bytes;
        pictures.push(picture(row, &files)?);
    }
    if pictures.is_empty() { Err(PictureError::None(folder.to_owned())) } else { Ok(pictures) }
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

fn picture(row: &Row, files: &[(&str, PathBuf)]) -> Result<Picture, PictureError> {
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
    use crate::report::example::report;

    #[test]
    fn the_worst_attack_of_every_image_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let report = report();
        assert!(matches!(read_pictures(&report, folder.path()), Err(PictureError::None(_))));
        for (image, attack) in [("a.png", "ifgsm-1-ort"), ("b.png", "ifgsm-4-ort")] {
            let of_attack = folder.path().join("model.onnx").join(image).join(attack);
            std::fs::create_dir_all(&of_attack).unwrap();
            std::fs::write(of_attack.join("output.png"), "png").unwrap();
        }
        let pictures = read_pictures(&report, folder.path()).unwrap();
        let shown: Vec<_> = pictures.iter().map(|it| (it.image.as_str(), it.sr_psnr)).collect();
        assert_eq!(shown, [("b.png", Some(25.0)), ("a.png", Some(30.0))]);
        assert_eq!(
            pictures[0].files,
            [("output under attack".to_owned(), "data:image/png;base64,cG5n".to_owned())]
        );
    }

    #[test]
    fn names_stay_inside_their_folder() {
        assert_eq!(file_name("a/model.onnx + jpeg=75"), "a_model.onnx + jpeg=75");
        assert_eq!((file_name("..").as_str(), file_name("c:\\x\0.png").as_str()), ("_", "c__x_.png"));
    }
}
