//! TensorBoard event files (`--tensorboard`): losses and the learning rate with every line of the log,
//! figures and a picture with every validation.
//!
//! Each process writes a file of its own, so that a resumed run adds to the same curves. Deliberately absent:
//! graphs, histograms, and anything that the logs do not hold.

mod wire;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ndarray::ArrayView3;
use wire::{Field, message, record};

use super::log::Record;
use crate::files::{FileError, create_output_folder};
use crate::harden::HardenError;
use crate::harden::train::Validated;
use crate::image::save_png;

/// An event file.
#[derive(Debug)]
pub(in crate::harden) struct TensorBoard {
    path: PathBuf,
    file: File,
}

impl TensorBoard {
    /// A new event file in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`FileError`] where it cannot be written.
    pub fn create(folder: &Path) -> Result<Self, FileError> {
        create_output_folder(folder)?;
        let name = format!("events.out.tfevents.{:.0}.temper.{}", now() * 1e3, std::process::id());
        let path = folder.join(name);
        let file =
            File::create_new(&path).map_err(|cause| FileError::Unwritable { path: path.clone(), cause })?;
        let mut board = Self { path, file };
        board.append(&message(&[Field::Double(1, now()), Field::Bytes(3, b"brain.Event:2")]))?;
        Ok(board)
    }

    /// Adds a line of the log.
    pub fn log(&mut self, line: &Record) -> Result<(), FileError> {
        let numbers = [
            ("train/loss", Some(line.loss)),
            ("train/reconstruction", Some(line.reconstruction)),
            ("train/entropy", line.entropy),
            ("train/adversarial", line.adversarial),
            ("train/discriminator", line.discriminator),
            ("train/spread", Some(line.spread)),
            ("train/learning_rate", Some(line.learning_rate)),
            ("train/examples_per_second", Some(line.examples_per_second)),
        ];
        self.scalars(line.step, &numbers)
    }

    /// Adds a validation, with the network's output (3, H, W) on [0, 1] for the first image.
    pub fn validation(
        &mut self,
        found: &Validated,
        picture: Option<ArrayView3<'_, f32>>,
    ) -> Result<(), HardenError> {
        let numbers = [
            ("validation/psnr", Some(found.psnr)),
            ("validation/ssim", Some(found.ssim)),
            ("validation/attacked", Some(found.attacked)),
            ("validation/entropy", Some(found.entropy)),
            ("validation/spread", Some(found.spread)),
            ("validation/gain", Some(found.gain)),
        ];
        self.scalars(found.step, &numbers)?;
        let Some(picture) = picture else { return Ok(()) };
        let (_, height, width) = picture.dim();
        let png = png(picture)?;
        let image = message(&[
            Field::Integer(1, height as u64),
            Field::Integer(2, width as u64),
            Field::Integer(3, 3),
            Field::Bytes(4, &png),
        ]);
        let value = message(&[Field::Bytes(1, b"validation/output"), Field::Bytes(4, &image)]);
        Ok(self.summary(found.step, &[value])?)
    }

    fn scalars(&mut self, step: u64, numbers: &[(&str, Option<f64>)]) -> Result<(), FileError> {
        let value = |(tag, number): &(&str, Option<f64>)| {
            let number = (*number)?;
            Some(message(&[Field::Bytes(1, tag.as_bytes()), Field::Float(2, number as f32)]))
        };
        let values: Vec<Vec<u8>> = numbers.iter().filter_map(value).collect();
        self.summary(step, &values)
    }

    /// Appends an event whose summary has these values.
    fn summary(&mut self, step: u64, values: &[Vec<u8>]) -> Result<(), FileError> {
        let fields: Vec<_> = values.iter().map(|value| Field::Bytes(1, value)).collect();
        let summary = message(&fields);
        self.append(&message(&[Field::Double(1, now()), Field::Integer(2, step), Field::Bytes(5, &summary)]))
    }

    fn append(&mut self, event: &[u8]) -> Result<(), FileError> {
        let unwritable = |cause: io::Error| FileError::Unwritable { path: self.path.clone(), cause };
        self.file.write_all(&record(event)).map_err(unwritable)
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// An image (3, H, W) on [0, 1] as a PNG file's bytes.
fn png(image: ArrayView3<'_, f32>) -> Result<Vec<u8>, HardenError> {
    let folder = std::env::temp_dir();
    let unwritable = |cause| FileError::Unwritable { path: folder.clone(), cause };
    let file = tempfile::Builder::new().suffix(".png").tempfile().map_err(unwritable)?;
    save_png(file.path(), image)?;
    Ok(fs::read(file.path()).map_err(unwritable)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data of every record, by their lengths alone.
    fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while let Some((length, rest)) = bytes.split_first_chunk::<8>() {
            let length = u64::from_le_bytes(*length) as usize;
            found.push(rest[4..4 + length].to_vec());
            bytes = &rest[4 + length + 4..];
        }
        found
    }

    #[test]
    fn a_file_holds_its_version_and_an_event_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let mut board = TensorBoard::create(&folder.path().join("deep/er")).unwrap();
        let line: Record = serde_json::from_str(
            r#"{"step": 300, "loss": 2.5, "reconstruction": 2.0, "spread": 3.0, "learning_rate": 1e-4,
                "seconds": 1.0, "examples_per_second": 16.0, "waiting": 0.0}"#,
        )
        .unwrap();
        board.log(&line).unwrap();
        let found = records(&fs::read(&board.path).unwrap());
        assert_eq!(found.len(), 2);
        assert!(found[0].ends_with(b"brain.Event:2"));
        let holds = |part: &[u8]| found[1].windows(part.len()).any(|window| window == part);
        assert!(holds(b"train/loss") && holds(&2.5f32.to_le_bytes()) && !holds(b"train/entropy"));
        // Step 300 as field 2.
        assert!(holds(&[0x10, 0xac, 0x02]));
    }
}
