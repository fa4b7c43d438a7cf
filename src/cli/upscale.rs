//! `temper upscale`: a model as a plain upscaler of photographs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::interface::InterfaceArgs;
use super::output::{detail, is_json, note, say, say_json};
use super::{CliError, after_help};
use crate::audit::{free_bytes, least_bytes};
use crate::files::OutputFolder;
use crate::image::{Picture, list_images, load, save_png};
use crate::interface::{Found, InterfaceError, discover};
use crate::onnx::{self, Model};
use crate::oracle::{Objective, Oracle, OracleError, TileError};
use crate::rewrite::specialise;
use crate::runtime::{self, Kind, Runtime};
use crate::upscale::Upscaler;

/// Sides of tiles that are tried where the whole does not fit, in LR pixels.
const TILES: [usize; 7] = [768, 512, 384, 256, 192, 128, 96];
/// What runtimes held at most over what is counted as alive at once.
const OVER_COUNTED: u64 = 3;

const EXAMPLES: &str = "\
temper upscale model.onnx photo.jpg -o upscaled/
temper upscale model.onnx photos/ -o upscaled/ --runtime tract --tile 128";

/// Upscales images with a model, whole or, where memory asks for it, tile by tile.
///
/// Written to -o: NAME_x4.png for NAME.png and a model of scale 4. Tiles overlap as far as the network looks, which is
/// measured: a tiled result differs from a whole one by at most 1e-3 of the range.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help(EXAMPLES))]
pub struct Args {
    /// The model; how it is fed is found by probing
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// Images, or folders of them (PNG, JPEG, BMP, TIFF, WebP, PNM)
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Folder to write to; made if it is not there
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Runtime: ort, ort-plain, ort-cuda, tract, torch [default: ort, or tract where it is not there]
    #[arg(long, value_name = "NAME")]
    runtime: Option<Kind>,
    /// Side of a tile in LR pixels [default: whole, or the largest that memory allows]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(32..), allow_negative_numbers = true)]
    tile: Option<u32>,
    /// The most memory that a run may need, in GiB [default: half of what is free]
    #[arg(long, value_name = "GIB", value_parser = parse_gibibytes, allow_negative_numbers = true)]
    memory: Option<u64>,
    #[command(flatten)]
    interface: InterfaceArgs,
}

fn parse_gibibytes(text: &str) -> Result<u64, String> {
    let amount = text.parse::<f64>().ok().filter(|amount| *amount > 0.0 && amount.is_finite());
    let bytes = amount.map(|amount| (amount * f64::from(1 << 30)) as u64);
    bytes.ok_or_else(|| format!("`{text}` is no amount; give a number of GiB above 0, such as 8"))
}

/// A result, as `--json` prints it; sizes in pixels.
#[derive(Serialize)]
struct Upscaled {
    image: String,
    written: String,
    height: usize,
    width: usize,
    /// Side of the tiles in LR pixels; `null` where it was upscaled whole.
    tile: Option<usize>,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<(), CliError> {
    let files = args.files()?;
    let model = onnx::read(&args.model).map_err(CliError::usage)?;
    let runtime = args.runtime()?;
    let refuse = |reason: &dyn std::fmt::Display| format!("`{}`: {reason}", args.model.display());
    let found = discover(&model, &args.interface.overrides(), [&*runtime]).map_err(|error| match error {
        InterfaceError::Runtime(_) => CliError::failed(refuse(&error)),
        _ => CliError::usage(refuse(&error)),
    })?;
    let canonical = found.interface.canonical(&model);
    let names = names(&files, found.interface.geometry.scale)?;
    let mut folder = OutputFolder::create(&args.out).map_err(CliError::usage)?;
    let oracle = Oracle::new(runtime, Arc::new(canonical.clone()), Objective::Distance);
    let mut upscaler = Upscaler::new(oracle, found.interface.clone());
    let mut results = Vec::new();
    for (file, name) in files.iter().zip(names) {
        let picture = load(file).map_err(CliError::usage)?;
        let tile = args.tile(&canonical, &found, &upscaler, &picture)?;
        let upscaled = upscaler.upscale(picture.pixels.view(), tile).map_err(|error| told(file, error))?;
        let path = args.out.join(name);
        save_png(&path, upscaled.view()).map_err(CliError::usage)?;
        let (_, height, width) = upscaled.dim();
        let tiles = tile.map_or(String::new(), |tile| format!(", in tiles of {tile}x{tile}"));
        if !is_json() {
            say(format_args!("{}: {width}x{height}{tiles}", path.display()))?;
        }
        let [image, written] = [file, &path].map(|path| path.display().to_string());
        results.push(Upscaled { image, written, height, width, tile });
    }
    folder.keep();
    if is_json() { say_json(&results) } else { Ok(()) }
}

impl Args {
    /// The images, those in folders by name.
    fn files(&self) -> Result<Vec<PathBuf>, CliError> {
        let mut files = Vec::new();
        for path in &self.images {
            if path.is_dir() {
                files.extend(list_images(path).map_err(CliError::usage)?);
            } else {
                files.push(path.clone());
            }
        }
        Ok(files)
    }

    fn runtime(&self) -> Result<Arc<dyn Runtime>, CliError> {
        if let Some(kind) = self.runtime {
            return runtime::open(kind).map(Arc::from).map_err(CliError::usage);
        }
        match runtime::open(Kind::ORT) {
            Ok(found) => Ok(Arc::from(found)),
            Err(reason) => {
                note(format_args!("note: on tract, which takes longer: {reason}"));
                runtime::open(Kind::TRACT).map(Arc::from).map_err(CliError::failed)
            }
        }
    }

    /// Whether a flag names this runtime.
    pub fn names(&self, kind: Kind) -> bool {
        self.runtime.is_some_and(|named| named.is_a(kind))
    }

    /// The side of the tiles for a picture: what was asked for, none where the whole fits into memory, or the largest
    /// that fits.
    fn tile(
        &self,
        canonical: &Model,
        found: &Found,
        upscaler: &Upscaler,
        picture: &Picture,
    ) -> Result<Option<usize>, CliError> {
        if let Some(tile) = self.tile {
            return Ok(Some(tile as usize));
        }
        let Some(allowed) = self.memory.or_else(|| free_bytes().map(|free| free / 2)) else {
            return Ok(None);
        };
        let (_, height, width) = picture.pixels.dim();
        let needed = |size: [usize; 2]| -> Result<u64, CliError> {
            let shape = [1, found.interface.form.channels, size[0], size[1]];
            let fixed = specialise(canonical, &[&shape]).map_err(CliError::usage)?;
            Ok(least_bytes(&fixed).map_err(CliError::usage)?.saturating_mul(OVER_COUNTED))
        };
        let whole = needed(upscaler.inner_size([height, width]))?;
        detail(format_args!("{}: {} MiB at most, {} allowed", picture.name, whole >> 20, allowed >> 20));
        if whole <= allowed {
            return Ok(None);
        }
        let multiple = found.interface.geometry.multiple;
        for tile in TILES.into_iter().filter(|&tile| tile < height.max(width)) {
            if needed([tile / multiple * multiple; 2].map(|side| side.max(multiple)))? <= allowed {
                return Ok(Some(tile));
            }
        }
        let smallest = TILES[TILES.len() - 1];
        Err(CliError::usage(format!(
            "{}: {height}x{width} pixels may take {} MiB, and {} MiB may be used, which is too little for tiles of \
             {smallest}x{smallest} too; give more with --memory",
            picture.name,
            whole >> 20,
            allowed >> 20
        )))
    }
}

/// What the results are called; no two the same.
fn names(files: &[PathBuf], scale: usize) -> Result<Vec<String>, CliError> {
    let mut taken = BTreeSet::new();
    let name = |file: &PathBuf| {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("{stem}_x{scale}.png");
        match taken.insert(name.clone()) {
            true => Ok(name),
            false => Err(CliError::usage(format!(
                "{}: another image would be written to {name} too; upscale them into different folders",
                file.display()
            ))),
        }
    };
    files.iter().map(name).collect()
}

fn told(file: &Path, error: TileError) -> CliError {
    let text = format!("{}: {error}", file.display());
    match error {
        TileError::Oracle(OracleError::Rewrite(_))
        | TileError::LooksFarther { .. }
        | TileError::SmallTile { .. } => CliError::usage(text),
        TileError::Oracle(_) => CliError::failed(text),
    }
}
