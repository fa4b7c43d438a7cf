//! Quantised graphs between their borders: what runs from one QuantizeLinear to the next.
//!
//! A runtime fuses DequantizeLinear, an operator and QuantizeLinear into one integer kernel. A value in between that is
//! made an output keeps it from doing so; the integers themselves do not. So the groups between them are compared as
//! they are served: alone, fed with the reference's integers (isolated), and in sequence (propagated).

use super::cut::{Style, Values, cut};
use super::difference::Difference;
use super::error::ParityError;
use super::matching::Matching;
use super::nodes::{Side, Sides};
use super::program::Program;
use super::tolerance::Tolerances;
use super::value::Value;

/// The nodes that write one border from those before it.
#[derive(Clone, Debug)]
pub struct Group {
    /// The candidate's nodes, constants included.
    pub nodes: Vec<usize>,
    /// What it is fed: the reference's values.
    pub fed: Values,
    /// The integers it writes, in the candidate.
    pub border: String,
    /// How it differs when fed with the reference's values.
    pub isolated: Difference,
    /// How it differs in sequence.
    pub propagated: Difference,
}

/// Every group that differs at all, in the candidate's order, and how many groups were compared.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// Those that differ when fed with the reference's values.
    pub differing: Vec<Group>,
    /// How many there are.
    pub count: usize,
}

impl Groups {
    /// The first that leaves its tolerance, else the first that differs at all.
    pub fn first(&self, program: &Program, tolerances: &Tolerances) -> Option<&Group> {
        let leaves = |group: &&Group| !tolerances.allow(program.dtype(&group.border), &group.isolated);
        self.differing.iter().find(leaves).or_else(|| self.differing.first())
    }
}

/// Compares the groups of a quantised graph; none where it has no QuantizeLinear, or where its borders take more than
/// `memory` bytes.
///
/// # Errors
/// A runtime that fails at the whole graph with its borders for outputs.
pub fn groups(
    Sides { reference, candidate }: Sides<'_>,
    matching: &Matching,
    inputs: &[Value],
    memory: usize,
) -> Result<Groups, ParityError> {
    let program = &candidate.program;
    let borders: Vec<(String, String)> = (0..program.nodes().len())
        .filter(|&node| program.nodes()[node].op == "QuantizeLinear" && !program.is_constant(node))
        .filter_map(|node| program.writes(node).next())
        .filter_map(|own| Some((own.clone(), matching.value(own)?.clone())))
        .collect();
    let bytes: usize = borders.iter().map(|(own, _)| program.ty(own).map_or(0, |ty| 4 * ty.len())).sum();
    if borders.is_empty() || 2 * bytes > memory {
        return Ok(Groups::default());
    }
    let (own, theirs): (Vec<String>, Vec<String>) = borders.iter().cloned().unzip();
    let mut expected = whole(reference, inputs, &theirs)?;
    let found = whole(candidate, inputs, &own)?;
    expected.extend(reference.program.fed(inputs));
    let mut groups = Groups { count: borders.len(), ..Groups::default() };
    for (own, theirs) in borders {
        let (Some(right), Some(in_sequence)) = (expected.get(&theirs), found.get(&own)) else { continue };
        let known =
            |name: &str| name != own && matching.value(name).is_some_and(|name| expected.contains_key(name));
        let nodes = program.between(&known, std::slice::from_ref(&own));
        let read = nodes.iter().flat_map(|&node| program.reads(node)).filter(|name| known(name));
        let fed: Values = read
            .filter_map(|name| Some((name.clone(), expected.get(matching.value(name)?)?.clone())))
            .collect();
        // A group that cannot stand alone is left to the search by sub-models.
        let Ok(mut alone) =
            cut(program, &nodes, &fed, std::slice::from_ref(&own), Style::Joined).run(&*candidate.runtime)
        else {
            continue;
        };
        let Some(alone) = alone.remove(&own) else { continue };
        let isolated = Difference::of(right, &alone);
        if isolated.max > 0.0 || isolated.is_one_sided() {
            let propagated = Difference::of(right, in_sequence);
            groups.differing.push(Group { nodes, fed, border: own, isolated, propagated });
        }
    }
    Ok(groups)
}

fn whole(side: &Side, inputs: &[Value], wanted: &[String]) -> Result<Values, ParityError> {
    let fed = side.program.fed(inputs);
    let nodes = side.program.behind(wanted);
    Ok(cut(&side.program, &nodes, &fed, wanted, Style::Joined).run(&*side.runtime)?)
}
