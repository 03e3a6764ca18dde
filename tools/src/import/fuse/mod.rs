//! Fewer operations for the same result: normalisation, bias, activation and residual move into the
//! operation before them.

mod affine;
mod attach;
mod attention;
mod origins;
mod pattern;
mod simplify;

use super::constant::Constant;
use super::graph::{Graph, Node, ValueId};
use super::op::Op;
use kernels::params::BinaryOp;

pub use self::origins::Origins;

/// One rule: changes the graph at node `index` if it applies there.
type Rule = fn(&mut Graph, &Facts, usize) -> bool;

/// Fuses until no rule applies, and says what became of which node. Shapes must be known.
pub fn fuse(graph: &mut Graph) -> Origins {
    simplify::identities(graph);
    let mut origins = Origins::new(graph);
    let stages: [&[Rule]; 5] = [
        &[simplify::matmul, simplify::global_mean, pattern::layer_norm],
        &[pattern::hard_swish, pattern::gated, pattern::gelu, attention::attention],
        &[affine::into_producer, affine::into_consumer],
        &[affine::into_convolution, affine::into_producer],
        &[attach::residual, attach::activation],
    ];
    for rules in stages {
        exhaust(graph, rules, &mut origins);
    }
    simplify::batch_norm(graph);
    exhaust(graph, &[attach::activation], &mut origins);
    origins
}

fn exhaust(graph: &mut Graph, rules: &[Rule], origins: &mut Origins) {
    let mut index = 0;
    let mut facts = Facts::new(graph);
    while index < graph.nodes.len() {
        // Whatever a rule does to the nodes before it, the result keeps its name.
        let output = graph.nodes[index].output();
        if rules.iter().any(|rule| rule(graph, &facts, index)) {
            graph.remove_dead();
            let now = Facts::new(graph);
            // Weights that were scaled are there anew; several such rules in a row would keep as many copies.
            graph.forget(&now.uses);
            origins.follow(&facts.makers, &now.makers, output);
            facts = now;
            // Rules look backwards only, and what changed may let a rule apply a little before.
            index = index.saturating_sub(8);
        } else {
            index += 1;
        }
    }
}

/// Who makes and who reads each value.
pub struct Facts {
    uses: Vec<usize>,
    makers: Vec<Option<usize>>,
}

impl Facts {
    fn new(graph: &Graph) -> Facts {
        Facts { uses: graph.uses(), makers: graph.makers() }
    }

    /// The node that makes `id`.
    fn maker<'a>(&self, graph: &'a Graph, id: ValueId) -> Option<&'a Node> {
        self.made_at(id).map(|index| &graph.nodes[index])
    }

    /// The index of the node that makes `id`, if nothing else reads it.
    fn sole_maker(&self, id: ValueId) -> Option<usize> {
        (self.uses[id.0] == 1).then(|| self.made_at(id)).flatten()
    }

    /// The index of the node that makes `id`; none of a value that a rule has just added.
    fn made_at(&self, id: ValueId) -> Option<usize> {
        self.makers.get(id.0).copied().flatten()
    }
}

/// The two sides of a binary node with that function and no activation.
fn sides(node: &Node, op: BinaryOp) -> Option<[ValueId; 2]> {
    match node.op {
        Op::Binary(found, activation) if found == op && activation == kernels::params::Activation::NONE => {
            Some([node.input(0)?, node.input(1)?])
        }
        _ => None,
    }
}

/// The variable side of a binary node whose other, right side is a constant.
fn with_constant<'a>(graph: &'a Graph, node: &Node, op: BinaryOp) -> Option<(ValueId, &'a Constant)> {
    let [a, b] = sides(node, op)?;
    match (graph.constant(a), graph.constant(b)) {
        (None, Some(constant)) => Some((a, constant)),
        (Some(constant), None) if matches!(op, BinaryOp::Add | BinaryOp::Mul) => Some((b, constant)),
        _ => None,
    }
}

/// The variable side of a binary node whose other side is the number `wanted`.
fn with_number(graph: &Graph, node: &Node, op: BinaryOp, wanted: f32) -> Option<ValueId> {
    let (x, constant) = with_constant(graph, node, op)?;
    let found = constant.scalar()?;
    ((found - wanted).abs() <= wanted.abs() * 1e-6).then_some(x)
}
