//! A model as values and the nodes that make them.

use std::sync::Arc;

use runtime::base::limits::MAX_LAUNCHES;

use super::constant::{Constant, Data};
use super::element::Element;
use super::error::Why;
use super::op::Op;

/// One value of a graph, by its index there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub usize);

/// What flows between nodes.
#[derive(Clone, Debug)]
pub struct Value {
    /// Its name in the model.
    pub name: String,
    /// Its shape; empty until shapes were inferred.
    pub dims: Vec<usize>,
    /// Its element type.
    pub element: Element,
    /// Its elements, where they are known at import.
    pub constant: Option<Constant>,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name, or that of its first output.
    pub name: String,
    /// The operator's name in ONNX, for messages.
    pub operator: String,
    /// What it does.
    pub op: Op,
    /// What it reads; optional inputs may be absent.
    pub inputs: Vec<Option<ValueId>>,
    /// What it makes.
    pub outputs: Vec<ValueId>,
}

/// A model, its nodes in an order in which each value is made before it is read.
#[derive(Clone, Debug)]
pub struct Graph {
    /// All values.
    pub values: Vec<Value>,
    /// All nodes.
    pub nodes: Vec<Node>,
    /// What a client gives.
    pub inputs: Vec<ValueId>,
    /// What a client gets.
    pub outputs: Vec<ValueId>,
    /// Bytes of the constants and tables that were made for it, those that it no longer needs among them.
    pub spent: usize,
    /// How many bytes these may be.
    pub memory: usize,
}

/// Operations of a graph, parts of those that are spelled out among them.
const MAX_NODES: usize = 4 * MAX_LAUNCHES;

impl Graph {
    /// A graph of nothing, whose constants and tables may have `memory` bytes.
    pub fn new(memory: usize) -> Graph {
        Graph { values: Vec::new(), nodes: Vec::new(), inputs: Vec::new(), outputs: Vec::new(), spent: 0, memory }
    }

    /// Refuses what would need more than the memory that is left.
    pub fn check_room(&self, bytes: usize) -> Result<(), Why> {
        let found = self.spent.saturating_add(bytes);
        if found > self.memory {
            return Err(Why::TooLarge { what: "bytes of constants and tables", found, limit: self.memory });
        }
        if self.nodes.len() > MAX_NODES {
            return Err(Why::TooLarge { what: "operations", found: self.nodes.len(), limit: MAX_NODES });
        }
        Ok(())
    }

    /// Counts a constant, unless it shares its elements with another.
    fn spend(&mut self, constant: &Constant) {
        let bytes = match &constant.data {
            Data::F32(data) if Arc::strong_count(data) == 1 => size_of_val::<[f32]>(data),
            Data::I64(data) if Arc::strong_count(data) == 1 => size_of_val::<[i64]>(data),
            _ => 0,
        };
        self.spent = self.spent.saturating_add(bytes);
    }

    /// Adds a value.
    pub fn add(&mut self, name: impl Into<String>, dims: Vec<usize>, constant: Option<Constant>) -> ValueId {
        let element = constant.as_ref().map(|constant| constant.element).unwrap_or_default();
        constant.iter().for_each(|constant| self.spend(constant));
        self.values.push(Value { name: name.into(), dims, element, constant });
        ValueId(self.values.len() - 1)
    }

    /// Adds a constant of that name.
    pub fn add_constant(&mut self, name: impl Into<String>, constant: Constant) -> ValueId {
        self.add(name, constant.dims.clone(), Some(constant))
    }

    /// The value with that id.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }

    /// The value's shape.
    pub fn dims(&self, id: ValueId) -> &[usize] {
        &self.values[id.0].dims
    }

    /// The value's element type.
    pub fn element(&self, id: ValueId) -> Element {
        self.values[id.0].element
    }

    /// Makes a value a constant.
    pub fn set_constant(&mut self, id: ValueId, constant: Constant) {
        self.spend(&constant);
        let value = &mut self.values[id.0];
        value.dims = constant.dims.clone();
        value.element = constant.element;
        value.constant = Some(constant);
    }

    /// The value's elements, where they are known.
    pub fn constant(&self, id: ValueId) -> Option<&Constant> {
        self.values[id.0].constant.as_ref()
    }

    /// The constant behind input `index` of a node, if it is there and one.
    pub fn constant_input(&self, node: &Node, index: usize) -> Option<&Constant> {
        self.constant(node.input(index)?)
    }

    /// By value: how many nodes and outputs read it.
    pub fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.values.len()];
        let read = self.nodes.iter().flat_map(|node| node.inputs.iter().flatten());
        read.chain(&self.outputs).for_each(|id| uses[id.0] += 1);
        uses
    }

    /// By value: the node that makes it.
    pub fn makers(&self) -> Vec<Option<usize>> {
        let mut makers = vec![None; self.values.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            node.outputs.iter().for_each(|id| makers[id.0] = Some(index));
        }
        makers
    }

    /// Drops constants that nothing reads.
    pub fn forget_unused(&mut self) {
        let uses = self.uses();
        self.forget(&uses);
    }

    /// Drops constants that have no uses.
    pub fn forget(&mut self, uses: &[usize]) {
        for (value, _) in self.values.iter_mut().zip(uses).filter(|(_, uses)| **uses == 0) {
            value.constant = None;
        }
    }

    /// Removes nodes from which no output follows.
    pub fn remove_dead(&mut self) {
        let mut live = vec![false; self.values.len()];
        self.outputs.iter().for_each(|id| live[id.0] = true);
        for node in self.nodes.iter().rev() {
            if node.outputs.iter().any(|id| live[id.0]) {
                node.inputs.iter().flatten().for_each(|id| live[id.0] = true);
            }
        }
        self.nodes.retain(|node| node.outputs.iter().any(|id| live[id.0]));
    }
}

impl Node {
    /// Input `index`, if it is there.
    pub fn input(&self, index: usize) -> Option<ValueId> {
        self.inputs.get(index).copied().flatten()
    }

    /// The first output.
    pub fn output(&self) -> ValueId {
        self.outputs[0]
    }
}
