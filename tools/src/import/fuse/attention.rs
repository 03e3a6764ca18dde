//! Attention that a file spells out: product, scale, mask, softmax, product.

use kernels::params::{Attention, BinaryOp};

use super::super::graph::{Graph, Node, ValueId};
use super::super::index;
use super::super::op::Op;
use super::{Facts, sides, with_constant};

/// `softmax(scale Q K + mask) V`, the scale before or behind the product or on both sides of it, as
/// one operation, if nothing else reads what lies between.
pub fn attention(graph: &mut Graph, facts: &Facts, index: usize) -> bool {
    let Some((inputs, scale)) = find(graph, facts, &graph.nodes[index]) else { return false };
    let node = &mut graph.nodes[index];
    node.op = Op::Attention { scale };
    node.inputs = inputs;
    true
}

type Found = (Vec<Option<ValueId>>, f32);

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
        None => (scores, None),
        Some([a, b]) => [(a, b), (b, a)].into_iter().find_map(|(product, mask)| {
            let fits = is_mask(graph.dims(mask), graph.dims(product));
            let made = scaled(graph, facts, product, &mut 1.0);
            let product_made = sole(graph, facts, made).is_some_and(|node| matches!(node.op, Op::MatMul { .. }));
            (fits && product_made).then_some((product, Some(mask)))
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
    let inputs = [Some(q), Some(k), Some(v)].into_iter().chain(mask.map(Some)).collect();
    taken.then_some((inputs, scale))
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
