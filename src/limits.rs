//! Bounds on what a file may make this program hold or compute, in one place.
//!
//! A few hundred bytes can claim a tensor of a terabyte. Whatever reads a file draws from these
//! bounds before it allocates: the codec, type inference, folding, the loaders of images, reports and
//! checkpoints. They belong to the process and are set once, by the command line, before anything is
//! read. Deliberately absent: the memory of attacks, which depends on the machine (`audit`).

use std::sync::atomic::{AtomicU64, Ordering};

/// A bound, with its name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Bytes of any one file that is read.
    FileBytes,
    /// Bytes that a model takes once decoded, with its external data counted as often as it is named.
    ModelBytes,
    /// Nodes of a model, those of graphs inside it included.
    Nodes,
    /// Graphs inside graphs.
    Nesting,
    /// Elements of one value that a model computes.
    Elements,
    /// Elements read and written while constant nodes of one graph are computed.
    Folded,
    /// Elements of values that a run computes though no input changes them, beside the weights'.
    Constants,
    /// Bytes that one run of a model may need while its interface is looked for.
    RunBytes,
    /// Multiplications and additions of one run, and elements that it writes, beyond those that its weights
    /// explain, while its interface is looked for.
    RunOperations,
    /// Nodes of a model that `inspect` runs: what runtimes do before the first run grows with their square.
    RunNodes,
    /// Seconds that an isolated runtime may take to load a model, or to run it once.
    RunSeconds,
    /// Pixels of an image.
    Pixels,
    /// Pixels of an image's longer side.
    Side,
}

/// What there is to know of a bound: name, default, what it counts.
struct Entry(&'static str, u64, &'static str);

impl Limit {
    /// Every bound, in the order in which they are shown.
    pub const ALL: [Limit; 13] = [
        Limit::FileBytes,
        Limit::ModelBytes,
        Limit::Nodes,
        Limit::Nesting,
        Limit::Elements,
        Limit::Folded,
        Limit::Constants,
        Limit::RunBytes,
        Limit::RunOperations,
        Limit::RunNodes,
        Limit::RunSeconds,
        Limit::Pixels,
        Limit::Side,
    ];

    const fn entry(self) -> Entry {
        match self {
            Limit::FileBytes => Entry("file-bytes", 2 << 30, "bytes of a file"),
            Limit::ModelBytes => Entry("model-bytes", 512 << 20, "bytes of a model in memory"),
            Limit::Nodes => Entry("nodes", 200_000, "nodes of a model"),
            Limit::Nesting => Entry("nesting", 30, "graphs inside graphs (at most 32)"),
            Limit::Elements => Entry("elements", 1 << 30, "elements of a tensor inside a model"),
            Limit::Folded => {
                Entry("folded", 8 << 20, "elements computed while constants are folded, beside the weights'")
            }
            Limit::Constants => {
                Entry("constants", 32 << 20, "elements computed from constants in a run, beside the weights'")
            }
            Limit::RunBytes => {
                Entry("run-bytes", 2 << 30, "bytes of a run that looks for a model's interface")
            }
            Limit::RunOperations => {
                Entry("run-operations", 64 << 30, "operations of such a run, beyond its weights' own")
            }
            Limit::RunNodes => Entry("run-nodes", 1_200, "nodes of a model that `inspect` runs"),
            Limit::RunSeconds => Entry("run-seconds", 600, "seconds of a run of an isolated runtime"),
            Limit::Pixels => Entry("pixels", 1 << 26, "pixels of an image"),
            Limit::Side => Entry("side", 1 << 15, "pixels of an image's longer side"),
        }
    }

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        self.entry().0
    }

    /// The bound where the command line does not say.
    pub const fn default(self) -> u64 {
        self.entry().1
    }

    /// What it counts.
    pub const fn unit(self) -> &'static str {
        self.entry().2
    }

    /// The bound in force.
    pub fn get(self) -> u64 {
        IN_FORCE[self as usize].load(Ordering::Relaxed)
    }

    /// Sets the bound for this process.
    pub fn set(self, most: u64) {
        IN_FORCE[self as usize].store(most, Ordering::Relaxed);
    }

    /// The bound as a person writes it: `512M`, or plain digits where no unit divides it.
    pub fn shown(most: u64) -> String {
        let unit = UNITS.iter().rev().find(|(_, size)| most >= *size && most.is_multiple_of(*size));
        unit.map_or_else(|| most.to_string(), |(letter, size)| format!("{}{letter}", most / size))
    }

    /// What a message says of something that is beyond the bound, and how to raise it.
    pub fn exceeded(self) -> String {
        let (name, most) = (self.name(), Self::shown(self.get()));
        format!(
            "is beyond the limit of {most} {}; if the file is trusted, raise it: --limit {name}=N",
            self.unit()
        )
    }
}

/// The bounds in force, in the order of [`Limit::ALL`].
static IN_FORCE: [AtomicU64; Limit::ALL.len()] = {
    let mut bounds = [const { AtomicU64::new(0) }; Limit::ALL.len()];
    let mut index = 0;
    while index < bounds.len() {
        bounds[index] = AtomicU64::new(Limit::ALL[index].default());
        index += 1;
    }
    bounds
};

/// Letters that stand for powers of 1024.
const UNITS: [(char, u64); 3] = [('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30)];

/// A bound and its value, as `--limit` gives them: `nodes=500000`, `model-bytes=2G`.
///
/// # Errors
/// In words: which names there are, or what a value looks like.
pub fn parse(text: &str) -> Result<(Limit, u64), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not NAME=N"))?;
    let names = || Limit::ALL.map(Limit::name).join(", ");
    let limit = Limit::ALL.into_iter().find(|limit| limit.name() == name);
    let limit = limit.ok_or_else(|| format!("there is no limit `{name}`; there are {}", names()))?;
    let unit = UNITS.iter().find(|(letter, _)| value.ends_with(*letter));
    let (digits, size) = unit.map_or((value, 1), |(letter, size)| (value.trim_end_matches(*letter), *size));
    let most =
        digits.parse::<u64>().ok().and_then(|number| number.checked_mul(size)).filter(|&most| most > 0);
    let most =
        most.ok_or_else(|| format!("`{value}` is no limit; give a number above 0, such as 500000 or 2G"))?;
    match limit {
        Limit::Nesting if most > 32 => {
            Err("the format's decoder reads at most 32 graphs inside graphs".into())
        }
        _ => Ok((limit, most)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_is_in_its_place() {
        for (index, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, index);
            assert_eq!(parse(&format!("{}=1", limit.name())), Ok((limit, 1)));
            assert_eq!(limit.get(), limit.default());
        }
    }

    #[test]
    fn values_are_numbers_with_a_unit_or_without() {
        assert_eq!(parse("nodes=12"), Ok((Limit::Nodes, 12)));
        assert_eq!(parse("model-bytes=2G"), Ok((Limit::ModelBytes, 2 << 30)));
        assert_eq!(parse("pixels=3K"), Ok((Limit::Pixels, 3072)));
        for wrong in [
            "nodes",
            "nodes=",
            "nodes=-1",
            "nodes=0",
            "nodes=G",
            "nodes=99999999999G",
            "node=1",
            "nesting=33",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(["2G", "512M", "200000"], [2 << 30, 512 << 20, 200_000].map(Limit::shown));
    }
}
