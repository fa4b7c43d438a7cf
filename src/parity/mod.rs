//! The same file on several runtimes, or two files of one function: whether they give the same, else the node where
//! they part.
//!
//! Any ONNX file will do, not images alone. Values are compared under tolerances by element type (`tolerance`), on
//! inputs made for the purpose (`inputs`) or the caller's. Deliberately absent: whether an answer is right where both
//! sides agree; files and printing.

mod admission;
mod adversarial;
mod arbitrate;
mod bracket;
mod compare;
mod cut;
mod detours;
mod difference;
mod divergence;
mod error;
mod groups;
mod inputs;
mod matching;
mod mixed;
mod nodes;
mod place;
mod program;
mod range;
mod report;
mod reproduce;
mod search;
mod slope;
mod stated;
mod tolerance;
mod value;
mod whole;

pub use admission::{Admission, Admitted, Applicant, admit, is_reduced};
pub use adversarial::{Adversarial, adversarial};
pub use compare::{Answer, Question, compare, outputs};
pub use difference::Difference;
pub use error::ParityError;
pub use inputs::{Input, InputShape, generated, shapes};
pub use nodes::Side;
pub use program::Program;
pub use range::Range;
pub use report::{Amplifier, Arbitration, Comparison, Divergence, Loss, Output, Report, Verdict, table};
pub use reproduce::{Reproducer, npy, printed, reproducer};
pub use search::{FOUND, Found, Searched, Settings as SearchSettings, search};
pub use tolerance::{Bound, Tolerances, TypedTolerance};
pub use value::Value;
