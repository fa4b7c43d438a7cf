//! Images: files to tensors and back, and which LR file belongs to which HR file.
//!
//! Inside the program an image is `Array3<f32>` of shape (3, H, W), RGB on [0, 1]. Deliberately
//! absent: resampling and quality, which need no file and are in [`metric`](crate::metric).

mod codec;
mod error;
mod folder;
mod jpeg;
mod pairs;

pub use codec::{Picture, load, save_png, through_jpeg};
pub use error::ImageError;
pub use folder::{list_images, load_folder};
pub use pairs::{Pair, PairError, match_pairs};
