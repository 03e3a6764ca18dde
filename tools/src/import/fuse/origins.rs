//! Which nodes of the file each operation of a fused graph stands for.

use std::collections::HashMap;

use super::super::graph::{Graph, Node, ValueId};

/// Names of nodes, by the first output of the operation that they became.
#[derive(Clone, Debug, Default)]
pub struct Origins(HashMap<ValueId, Vec<String>>);

impl Origins {
    /// Each operation stands for itself.
    pub fn new(graph: &Graph) -> Origins {
        Origins(graph.nodes.iter().map(|node| (node.output(), vec![node.name.clone()])).collect())
    }

    /// The names of that operation's nodes, in the order of the file, joined by ` + `.
    pub fn of(&self, node: &Node) -> String {
        match self.0.get(&node.output()) {
            Some(names) => names.join(" + "),
            // A part of a node that was taken apart after all fusion.
            None => node.name.clone(),
        }
    }

    /// After a rule: whatever is no longer made became part of what makes `output`, unless that went away too.
    /// `before` and `now` say which node makes each value.
    pub fn follow(&mut self, before: &[Option<usize>], now: &[Option<usize>], output: ValueId) {
        let pairs = before.iter().zip(now).enumerate();
        let lost = |(id, pair): (usize, (&Option<usize>, &Option<usize>))| match pair {
            (Some(index), None) => Some((*index, ValueId(id))),
            _ => None,
        };
        let mut gone: Vec<(usize, ValueId)> = pairs.filter_map(lost).collect();
        gone.sort_unstable();
        let gone = gone.into_iter().filter_map(|(_, id)| self.0.remove(&id)).flatten();
        let mut names: Vec<String> = gone.collect();
        if now[output.0].is_some() {
            names.extend(self.0.remove(&output).unwrap_or_default());
            // Parts of one node that was taken apart have its name.
            names.dedup();
            self.0.insert(output, names);
        }
    }
}
