//! Attention that a file spells out: product, scale, mask, softmax, product.

use kernels::params::{Attention, BinaryOp, WordOp};

use super::super::constant::Constant;
use super::super::graph::{Graph, Node, ValueId};
use super::super::index;
use super::super::op::Op;
use super::{Facts, sides, with_constant};

/// `softmax(scale Q K + mask) V`, the scale before or behind the product or on both sides of it, as
/// one operation, if nothing else reads what lies between. A choice between scores and a very small number
/// becomes a choice between 0 and a smaller one, which is such a mask.
pub fn attention(graph: &mut Graph, facts: &Facts, index: usize) -> bool {
    let Some((mut inputs, scale, mask)) = find(graph, facts, &graph.nodes[index]) else { return false };
    inputs.extend(match mask {
        Mask::None => None,
        Mask::Sum(mask) => Some(Some(mask)),
        Mask::Choice(choice) => Some(Some(choice.of_zeros(graph))),
    });
    let node = &mut graph.nodes[index];
    node.op = Op::Attention { scale };
    node.inputs = inputs;
    true
}

/// Queries, keys and values; the factor of the scores; what masks these.
type Found = (Vec<Option<ValueId>>, f32, Mask);

/// What becomes of scores before their softmax.
enum Mask {
    None,
    Sum(ValueId),
    Choice(Choice),
}

/// Scores where a condition says so, elsewhere a number beside which scores are nothing.
struct Choice {
    node: usize,
    condition: ValueId,
    number: f32,
    /// Whether the scores are kept where the condition is true.
    kept: bool,
}

/// A number at most this large leaves nothing of its score's share where another score is chosen.
const NOTHING: f32 = -1e9;
/// Swallows whatever score is added to it, so that shares are equal where none is chosen.
const ABYSS: f32 = f32::MIN / 2.0;

impl Choice {
    /// The choice of that node between scores, which it returns, and a number.
    fn find(graph: &Graph, facts: &Facts, chosen: ValueId) -> Option<(ValueId, Choice)> {
        let node = facts.sole_maker(chosen)?;
        let of = &graph.nodes[node];
        let (Op::Words(WordOp::Select), condition) = (&of.op, of.input(2)?) else { return None };
        let sides = [(of.input(0)?, of.input(1)?, true), (of.input(1)?, of.input(0)?, false)];
        sides.into_iter().find_map(|(scores, other, kept)| {
            let number = graph.constant(other)?.scalar().filter(|&number| number <= NOTHING)?;
            let fits = graph.dims(scores) == graph.dims(chosen) && is_mask(graph.dims(condition), graph.dims(scores));
            fits.then_some((scores, Choice { node, condition, number, kept }))
        })
    }

    /// Lets its node choose between 0 and a number in the place of its own; what it then makes.
    fn of_zeros(self, graph: &mut Graph) -> ValueId {
        let name = graph.value(graph.nodes[self.node].output()).name.clone();
        // Of scores that are all infinitely small no shares can be made: that stays so.
        let number = if self.number == f32::NEG_INFINITY { self.number } else { ABYSS };
        let [zero, number] = [0.0, number]
            .map(|number| graph.add_constant(format!("{name} {number:?}"), Constant::floats(vec![], vec![number])));
        let dims = graph.dims(self.condition).to_vec();
        let mask = graph.add(format!("{name} mask"), dims, None);
        let node = &mut graph.nodes[self.node];
        let [first, second] = if self.kept { [zero, number] } else { [number, zero] };
        node.inputs = vec![Some(first), Some(second), Some(self.condition)];
        node.outputs = vec![mask];
        mask
    }
}

fn find(graph: &Graph, facts: &Facts, node: &Node) -> Option<Found> {
    let (shares, v) = factors(node, &mut 1.0)?;
    let softmax = sole(graph, facts, shares)?;
    let Op::Softmax { axis, flatten: _ } = softmax.op else { return None };
    let rank = graph.dims(shares).len();
    if index::axis(axis, rank).ok()? + 1 != rank {
        return None;
    }
    let scores = softmax.input(0)?;
    let (product, mask) = match sides(sole(graph, facts, scores)?, BinaryOp::Add) {
        None => match Choice::find(graph, facts, scores) {
            Some((product, choice)) => (product, Mask::Choice(choice)),
            None => (scores, Mask::None),
        },
        Some([a, b]) => [(a, b), (b, a)].into_iter().find_map(|(product, mask)| {
            let fits = is_mask(graph.dims(mask), graph.dims(product));
            let made = scaled(graph, facts, product, &mut 1.0);
            let product_made = sole(graph, facts, made).is_some_and(|node| matches!(node.op, Op::MatMul { .. }));
            (fits && product_made).then_some((product, Mask::Sum(mask)))
        })?,
    };
    let mut scale = 1.0;
    let product = scaled(graph, facts, product, &mut scale);
    let (q, k) = factors(sole(graph, facts, product)?, &mut scale)?;
    let [q, k] = [q, k].map(|side| scaled(graph, facts, side, &mut scale));
    let [q_dims, k_dims, v_dims] = [q, k, v].map(|side| graph.dims(side));
    let outer = q_dims.len().checked_sub(2).filter(|outer| *outer <= 2)?;
    let same = |dims: &[usize]| dims.len() == outer + 2 && dims[..outer] == q_dims[..outer];
    let sizes = [k_dims.last()?, k_dims.get(outer)?, v_dims.last()?].map(|&size| u32::try_from(size).ok());
    let [Some(keys), Some(depth), Some(width)] = sizes else { return None };
    let taken = same(k_dims) && same(v_dims) && Attention::fits(keys, depth, width);
    taken.then_some((vec![Some(q), Some(k), Some(v)], scale, mask))
}

/// The node that makes a value which only one other reads.
fn sole<'a>(graph: &'a Graph, facts: &Facts, id: ValueId) -> Option<&'a Node> {
    facts.sole_maker(id).map(|index| &graph.nodes[index])
}

/// The sides of a product of matrices, its factor taken into `scale`.
fn factors(node: &Node, scale: &mut f32) -> Option<(ValueId, ValueId)> {
    let Op::MatMul { scale: factor } = node.op else { return None };
    *scale *= factor;
    Some((node.input(0)?, node.input(1)?))
}

/// What is multiplied by or divided by numbers to make `id`; these are taken into `scale`.
fn scaled(graph: &Graph, facts: &Facts, mut id: ValueId, scale: &mut f32) -> ValueId {
    while let Some(node) = sole(graph, facts, id) {
        let number = |op| {
            let (x, constant) = with_constant(graph, node, op)?;
            Some((x, constant.scalar()?)).filter(|_| graph.dims(x) == graph.dims(id))
        };
        if let Some((x, factor)) = number(BinaryOp::Mul) {
            (id, *scale) = (x, *scale * factor);
        } else if let Some((x, divisor)) = number(BinaryOp::Div) {
            (id, *scale) = (x, *scale / divisor);
        } else {
            break;
        }
    }
    id
}

/// Whether a tensor is broadcast to scores: whole rows of keys.
fn is_mask(mask: &[usize], scores: &[usize]) -> bool {
    mask.last() == scores.last() && index::broadcast(mask, scores).is_ok_and(|dims| dims == scores)
}
