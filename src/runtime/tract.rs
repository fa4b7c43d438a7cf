//! tract, a runtime that is part of this program: the only file that names `tract_onnx`.

use std::thread;

use ndarray::{ArrayD, ArrayViewD};
use tract_onnx::prelude::multithread::{Executor, multithread_tract_scope};
use tract_onnx::prelude::*;

use super::failure::{LOAD, RUN, WORKER, first_line, guarded};
use super::kind::Setting;
use super::signature::{Signature, load_failed, without_idle_inputs};
use super::table::Row;
use super::{Kind, RuntimeError, Session};
use crate::onnx::{self, Model, Node};

/// The version of tract this program is built with; a test holds it to `Cargo.lock`.
const VERSION: &str = "0.23.9";

impl Kind {
    /// tract, part of this program.
    pub const TRACT: Kind = Kind::named("tract");
}

pub(super) const ROW: Row = Row {
    name: "tract",
    help: "tract, part of this program",
    settings: &[Setting::one_of("opt", &["off", "on"])],
    short: &[],
    audits_by_default: true,
    open: |kind, settings| Ok(Box::new(Tract { kind, optimise: !settings.has("opt"), ..Tract::open()? })),
};

/// tract on the CPU.
#[derive(Debug)]
pub struct Tract {
    kind: Kind,
    /// Whether the graph is decluttered and lowered to fused kernels, or runs as it was typed.
    optimise: bool,
    executor: Executor,
}

impl Tract {
    /// Starts one thread per processor. They divide a matrix product by its rows and columns and
    /// never cut through a sum, so that results do not depend on their number.
    pub fn open() -> Result<Self, RuntimeError> {
        let executor = match thread::available_parallelism().map_or(1, |count| count.get()) {
            1 => Executor::SingleThread,
            count => guarded(Kind::TRACT, "start its threads", told, || {
                Ok(Executor::multithread_with_name(count, WORKER))
            })?,
        };
        Ok(Self { kind: Kind::TRACT, optimise: true, executor })
    }
}

impl super::Runtime for Tract {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn version(&self) -> String {
        VERSION.to_owned()
    }

    /// Its kernels for float16 measured hundreds of times slower than those for float32.
    fn half_precision(&self) -> bool {
        false
    }

    fn load(&self, model: &Model) -> Result<Box<dyn Session>, RuntimeError> {
        let signature = Signature::of(model, self.kind)?;
        if let Some(node) = model.graph.nodes.iter().find(|node| is_foreign(node)) {
            return Err(load_failed(self.kind, lacks(node)));
        }
        let bytes = onnx::to_bytes(&without_idle_inputs(model));
        let prepare = || prepare(&bytes, &signature, self.optimise);
        let plan = guarded(self.kind, LOAD, |error| blame(model, error), prepare)?;
        Ok(Box::new(Prepared { kind: self.kind, plan, signature, executor: self.executor.clone() }))
    }
}

/// Every size follows from those of the inputs. What the model states about its other values is
/// not read: it may still speak of open sizes.
fn prepare(mut bytes: &[u8], signature: &Signature, optimise: bool) -> TractResult<Arc<TypedRunnableModel>> {
    let reader = onnx().with_ignore_output_shapes(true).with_ignore_value_info(true);
    let mut model = reader.model_for_read(&mut bytes)?;
    for (index, input) in signature.inputs.iter().enumerate() {
        model.set_input_fact(index, f32::fact(&input.shape).into())?;
    }
    let model = if optimise { model.into_optimized()? } else { model.into_typed()? };
    for (name, &outlet) in signature.outputs.iter().zip(model.output_outlets()?) {
        let found = model.outlet_fact(outlet)?.datum_type;
        if found != f32::datum_type() {
            return Err(TractError::msg(format!("output `{name}` is {found:?}, not float32")));
        }
    }
    model.into_runnable()
}

/// Whether tract would mistake the node: it looks operators up by name and never at their domain,
/// so that it would run a stranger's `Conv` as the standard one.
fn is_foreign(node: &Node) -> bool {
    !["", "ai.onnx", "ai.onnx.ml", "com.microsoft"].contains(&node.domain.as_str())
}

fn lacks(node: &Node) -> String {
    format!("tract has no operator {}, which the {} needs", node.qualified_op(), node.label())
}

/// Why a model cannot be loaded: an operator that tract lacks, where there is one, is the reason
/// behind whatever else it says.
fn blame(model: &Model, error: TractError) -> String {
    let known = onnx().op_register.0;
    let unknown = model.graph.nodes.iter().find(|node| !known.contains_key(&node.op));
    unknown.map_or_else(|| told(error), lacks)
}

/// tract's error in one line: the node it was at, where it says so, and the root of the matter.
fn told(error: TractError) -> String {
    let names_a_node = |text: &String| text.to_lowercase().contains("node ") || text.contains(" #");
    let mut causes = error.chain().map(|cause| first_line(&cause.to_string()).to_owned());
    let place = causes.find(names_a_node);
    let root = causes.last().unwrap_or_else(|| first_line(&error.root_cause().to_string()).to_owned());
    match place {
        Some(place) if place != root => format!("{place}: {root}"),
        _ => root,
    }
}

struct Prepared {
    kind: Kind,
    plan: Arc<TypedRunnableModel>,
    signature: Signature,
    executor: Executor,
}

impl Session for Prepared {
    fn run(&mut self, inputs: &[ArrayViewD<'_, f32>]) -> Result<Vec<ArrayD<f32>>, RuntimeError> {
        self.signature.check(inputs)?;
        let compute = || guarded(self.kind, RUN, told, || compute(&self.plan, inputs));
        multithread_tract_scope(self.executor.clone(), compute)
    }
}

fn compute(plan: &Arc<TypedRunnableModel>, inputs: &[ArrayViewD<'_, f32>]) -> TractResult<Vec<ArrayD<f32>>> {
    let inputs = inputs.iter().map(|input| Tensor::from(input.to_owned()).into_tvalue());
    let outputs = plan.run(inputs.collect())?;
    outputs.iter().map(|output| Ok(output.to_plain_array_view::<f32>()?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_that_is_locked() {
        let lock = include_str!("../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"tract-onnx\"\nversion = \"{VERSION}\"\n")));
    }
}
