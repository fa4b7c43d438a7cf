//! Temper hardens image super-resolution networks against adversarial input and proves it on
//! the ONNX file that ships. `ARCHITECTURE.md` is the map of these modules.
//!
//! Audits a model in memory: attacks an image within 4/255 with the gradients of a runtime, and reports what
//! is left of the output.
//!
//! ```
//! use ndarray::Array3;
//! use temper::audit::{Image, Settings, audit};
//! use temper::runtime::{self, Kind};
//!
//! let model = temper::onnx::read("models/edsr-small-lambda1.onnx".as_ref())?;
//! let waves = |(c, y, x)| 0.5 + 0.4 * ((c + 2 * y) as f32).sin() * (x as f32).cos();
//! let image = Image::new("waves", Array3::from_shape_fn((3, 12, 12), waves));
//! let mut settings = Settings::default();
//! settings.strength.iterations = 3;
//! let report = audit(&model, &[image], &[runtime::open(Kind::TRACT)?.into()], &settings)?;
//! let row = &report.measured.rows[0];
//! assert!(row.linf <= 4.0 && row.sr_psnr < row.lr_psnr, "the network amplifies the attack");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! Or takes the gradient of an objective alone, here of ||S(x) - 0||_2:
//!
//! ```
//! use ndarray::Array4;
//! use temper::oracle::{Objective, Oracle};
//! use temper::runtime::{self, Kind};
//!
//! let model = temper::onnx::read("models/edsr-small-lambda1.onnx".as_ref())?;
//! let mut oracle = Oracle::new(runtime::open(Kind::TRACT)?.into(), model.into(), Objective::Distance);
//! let (x, target) = (Array4::from_elem((1, 3, 8, 8), 0.5), Array4::zeros((1, 3, 32, 32)));
//! let (values, gradient) = oracle.value_and_gradient(x.view(), target.view())?;
//! assert!(values[0] > 0.0 && gradient.dim() == x.dim());
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

pub mod attack;
pub mod audit;
pub mod cli;
#[cfg(feature = "torch")]
pub mod density;
pub mod digest;
pub mod environment;
pub mod files;
#[cfg(feature = "torch")]
pub mod harden;
pub mod image;
pub mod inspect;
pub mod interface;
pub mod limits;
pub mod metric;
pub mod onnx;
pub mod oracle;
pub mod parity;
pub mod report;
pub mod rewrite;
pub mod runtime;
pub mod suggest;
#[cfg(feature = "torch")]
pub mod torch;
pub mod upscale;
pub mod zoo;
