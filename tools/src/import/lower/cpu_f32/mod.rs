//! Target `cpu-f32`: images in blocks of 16 channels, everything else row-major.

mod attention;
mod choose;
mod concat;
mod dense;
mod elementwise;
mod finish;
mod norm;
mod pixels;
mod rearrange;
mod step;
mod stretch;
mod view;
mod weights;
mod window;
mod words;

use std::collections::HashMap;

use kernels::launch::Launch;
use kernels::operand::{Operand, Space};
use kernels::params::{Copy, CopySide, Enter, EnterWhole, LANES, Leave, LeaveWhole, RANK, Whole};
use runtime::base::limits::MAX_LAUNCHES;
use runtime::package::SlotLayout;

use self::concat::Home;
use self::step::{Step, at};
use self::view::{Blocked, BufferId, View, blocks_of};
use self::weights::Packing;
use crate::import::element::Element;
use crate::import::error::{ImportError, Why};
use crate::import::fuse::Origins;
use crate::import::graph::{Graph, Node, ValueId};
use crate::import::op::Op;
use crate::import::page::{WeightImage, number};
use crate::import::shape;
use crate::import::tune::Choices;

pub use self::stretch::{Cache, Device};
pub use self::window::layers;

/// What a graph became.
#[derive(Debug)]
pub struct Lowered {
    /// Launches in execution order; those of a stretch once for each of its parts.
    pub launches: Vec<Launch>,
    /// For each of them, the nodes that it computes.
    pub computes: Vec<String>,
    /// Workspace that they need, in bytes.
    pub workspace_bytes: u32,
}

/// Lowers a fused graph whose inputs and outputs lie in slots of that layout: an item of each is all of
/// it if it is `whole`, else what lies behind dimension 0, the batch. Weights go into `image`, packed
/// for the kernels that `choices` names; `device` is the one that it is for. `origins` names the nodes of the file.
pub fn lower(
    graph: &Graph,
    origins: &Origins,
    slot: &SlotLayout,
    whole: bool,
    choices: &Choices,
    device: &Device,
    image: &mut WeightImage,
) -> Result<Lowered, ImportError> {
    let mut lowering = Lowering {
        graph,
        whole,
        choices,
        image,
        homes: concat::homes(graph),
        views: HashMap::new(),
        converted: HashMap::new(),
        buffers: Vec::new(),
        steps: Vec::new(),
        computes: Vec::new(),
    };
    let named = |role, id: ValueId| move |why| ImportError::Tensor { role, name: graph.value(id).name.clone(), why };
    for (&id, field) in graph.inputs.iter().zip(&slot.inputs.fields) {
        match lowering.pixels_of(id) {
            Some(node) => lowering.enter_pixels(node, field.offset).map_err(|why| ImportError::at(node, why))?,
            None => lowering.enter(id, field.offset).map_err(named("input", id))?,
        }
        lowering.name_steps(&format!("input {}", graph.value(id).name));
    }
    for node in &graph.nodes {
        lowering.node(node).map_err(|why| ImportError::at(node, why))?;
        let found = lowering.steps.len();
        if found > MAX_LAUNCHES {
            let why = Why::TooLarge { what: "launches", found, limit: MAX_LAUNCHES };
            return Err(ImportError::at(node, why));
        }
        lowering.name_steps(&origins.of(node));
    }
    for (&id, field) in graph.outputs.iter().zip(&slot.outputs.fields) {
        lowering.leave(id, field.offset).map_err(named("output", id))?;
        lowering.name_steps(&format!("output {}", graph.value(id).name));
    }
    let last = graph.outputs[0];
    let items = graph.dims(graph.inputs[0]).first().filter(|_| !whole).map_or(Ok(1), |&n| number(n, "items"));
    let Lowering { steps, computes, buffers, .. } = lowering;
    let finished = items.and_then(|items| finish::finish(&steps, &computes, &buffers, items, device));
    finished.map_err(named("output", last))
}

/// A plan under construction.
struct Lowering<'a> {
    graph: &'a Graph,
    whole: bool,
    choices: &'a Choices,
    image: &'a mut WeightImage,
    /// Values that are made in place within a concatenation.
    homes: HashMap<ValueId, Home>,
    /// Where each value lies.
    views: HashMap<ValueId, View>,
    /// Where copies of values in another form lie.
    converted: HashMap<(ValueId, Form), View>,
    /// Length of each buffer in elements.
    buffers: Vec<usize>,
    steps: Vec<Step>,
    /// What each step computes, up to the last node that is done.
    computes: Vec<String>,
}

/// How a kernel wants a value to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    /// A blocked image.
    Blocked,
    /// Row-major without gaps.
    Contiguous,
}

impl Lowering<'_> {
    /// Names what the steps since the last call compute.
    fn name_steps(&mut self, name: &str) {
        self.computes.resize(self.steps.len(), name.to_owned());
    }

    fn node(&mut self, node: &Node) -> Result<(), Why> {
        match &node.op {
            Op::Conv(conv, activation) => self.conv(node, conv, *activation),
            Op::Pool(pool) => self.pool(node, pool),
            Op::GlobalPool(kind) => self.global_pool(node, *kind),
            Op::Gemm(gemm, activation) => self.gemm(node, gemm, *activation),
            Op::MatMul { scale } => self.matmul(node, *scale),
            Op::Attention { scale } => self.attention(node, *scale),
            Op::Unary(activation) => self.unary(node, *activation),
            Op::Binary(op, activation) => self.binary(node, *op, *activation),
            Op::Softmax { axis, flatten } => self.softmax(node, *axis, *flatten),
            Op::LayerNorm { axis, epsilon } => self.layer_norm(node, *axis, *epsilon),
            Op::Reduce { kind, keep, .. } => self.reduce(node, *kind, *keep),
            Op::Reshape { .. } | Op::Flatten { .. } | Op::Squeeze { .. } | Op::Unsqueeze { .. } => self.reshape(node),
            Op::Identity | Op::Cast { .. } | Op::Into { .. } => self.reshape(node),
            Op::Expand => self.broadcast(node),
            Op::Pick(map) => self.pick(node, map),
            Op::Resample { axis, taps } => self.resample(node, *axis, taps),
            Op::Words(op) => self.words(node, *op),
            Op::TopK { axis, largest, last, .. } => self.top_k(node, *axis, [*largest, *last]),
            Op::Fold { op, axes, running, exclusive, reverse } => {
                self.fold(node, *op, axes, [*running, *exclusive, *reverse])
            }
            Op::GatherElements { axis } => self.gather_elements(node, *axis),
            Op::GatherNd { batch_dims } => self.gather_nd(node, usize::try_from(*batch_dims).unwrap_or(0)),
            Op::Transpose { .. } => self.transpose(node),
            Op::Slice { .. } => self.slice(node),
            Op::Split { axis, .. } => self.split(node, *axis),
            Op::Gather { axis } => self.gather(node, *axis),
            Op::Concat { axis } => self.concat(node, *axis),
            // It is how its input enters.
            Op::Pixels { .. } => Ok(()),
            Op::BatchNorm { .. } => Err(Why::Form("its statistics are not constants")),
            _ => Err(Why::Form("it was not folded")),
        }
    }

    fn input(&self, node: &Node, index: usize) -> Result<ValueId, Why> {
        node.input(index).ok_or(Why::MissingInput { index })
    }

    /// Where the value behind an input lies.
    fn view(&mut self, id: ValueId) -> Result<View, Why> {
        if let Some(view) = self.views.get(&id) {
            return Ok(view.clone());
        }
        let Some(constant) = self.graph.constant(id) else { return Err(Why::Form("it reads what no node makes")) };
        let (words, dims) = (constant.words(), constant.dims.clone());
        if words.is_empty() {
            return Err(Why::Shape { found: dims, wanted: "no dimension of 0" });
        }
        let weights = self.weights(&words, Packing::Constant)?;
        let buffer = self.buffer(words.len());
        let len = number(words.len(), "elements")?;
        let side = CopySide::row_major(0, &[1]).ok_or(Why::Form("its place is no row"))?;
        let dims_of_row = [1, 1, 1, 1, 1, len];
        self.steps.push(Step::Copy(Copy { x: weights, y: at(buffer, 0)?, dims: dims_of_row, from: side, to: side }));
        let view = View::row_major(buffer, &dims);
        self.views.insert(id, view.clone());
        Ok(view)
    }

    fn buffer(&mut self, elements: usize) -> BufferId {
        self.buffers.push(elements);
        BufferId(self.buffers.len() - 1)
    }

    /// Room for a value as a blocked image: within its concatenation if it has a home there.
    fn new_image(&mut self, id: ValueId) -> Result<(BufferId, Blocked), Why> {
        let dims = shape::image(self.graph.dims(id))?;
        let view = match self.homes.get(&id).copied() {
            Some(home) => self.image_at_home(home, dims)?,
            None => {
                let [n, c, h, w] = dims;
                let whole = blocks_of(c);
                View::blocked(self.buffer(n * whole * h * w * LANES as usize), dims, whole, 0)
            }
        };
        let blocked = view.as_blocked().ok_or(Why::Form("its place is no blocked image"))?;
        let buffer = view.buffer;
        self.views.insert(id, view);
        Ok((buffer, blocked))
    }

    /// Room for a value in row-major order.
    fn new_tensor(&mut self, id: ValueId) -> BufferId {
        let dims = self.graph.dims(id);
        let buffer = self.buffer(dims.iter().product());
        self.views.insert(id, View::row_major(buffer, dims));
        buffer
    }

    /// The value as a blocked image, copied if it lies otherwise.
    fn blocked(&mut self, id: ValueId) -> Result<(BufferId, Blocked), Why> {
        let view = self.view(id)?;
        if let Some(blocked) = view.as_blocked() {
            return Ok((view.buffer, blocked));
        }
        let view = match self.converted.get(&(id, Form::Blocked)) {
            Some(view) => view.clone(),
            None => {
                let copy = self.copied_to_image(&view)?;
                self.converted.insert((id, Form::Blocked), copy.clone());
                copy
            }
        };
        let blocked = view.as_blocked().ok_or(Why::Form("its copy is no blocked image"))?;
        Ok((view.buffer, blocked))
    }

    /// The value in row-major order without gaps, copied if it lies otherwise.
    fn contiguous(&mut self, id: ValueId) -> Result<View, Why> {
        let view = self.view(id)?;
        if view.is_contiguous() {
            return view.as_linear().ok_or(Why::Form("its place is blocked"));
        }
        if let Some(view) = self.converted.get(&(id, Form::Contiguous)) {
            return Ok(view.clone());
        }
        let copy = self.copied_to_tensor(&view)?;
        self.converted.insert((id, Form::Contiguous), copy.clone());
        Ok(copy)
    }

    /// A row-major copy of what a view shows.
    fn copied_to_tensor(&mut self, from: &View) -> Result<View, Why> {
        let to = View::row_major(self.buffer(from.dims.iter().product()), &from.dims);
        self.copy(from, &to)?;
        Ok(to)
    }

    /// A blocked copy of what a view shows.
    fn copied_to_image(&mut self, from: &View) -> Result<View, Why> {
        let [n, c, h, w] = shape::image(&from.dims)?;
        let whole = blocks_of(c);
        let to = View::blocked(self.buffer(n * whole * h * w * LANES as usize), [n, c, h, w], whole, 0);
        self.copy(from, &to)?;
        Ok(to)
    }

    fn copy(&mut self, from: &View, to: &View) -> Result<(), Why> {
        let (source, target): (CopySide, CopySide) = (from.copy_side()?, to.copy_side()?);
        let mut dims = [1; RANK];
        for (slot, &dim) in dims[RANK - from.dims.len()..].iter_mut().zip(&from.dims) {
            *slot = number(dim, "elements")?;
        }
        let (x, y) = (at(from.buffer, 0)?, at(to.buffer, 0)?);
        self.steps.push(Step::Copy(Copy { x, y, dims, from: source, to: target }));
        Ok(())
    }

    fn enter(&mut self, id: ValueId, offset: u32) -> Result<(), Why> {
        let dims = self.graph.dims(id).to_vec();
        let x = Operand { space: Space::Input as u32, page: 0, offset, rows_per_page: 1 };
        let n = if self.whole { 1 } else { number(dims[0], "items")? };
        let item = if self.whole { &dims[..] } else { &dims[1..] };
        let len = number(item.iter().product(), "elements")?;
        if let Some(element) = word_type(self.graph.element(id)) {
            let y = at(self.new_tensor(id), 0)?;
            self.steps.push(Step::EnterWhole(EnterWhole { x, y, n, len, element: element as u32 }));
            return Ok(());
        }
        let block = if dims.len() == 4 && !self.whole && !self.enters_as_rows(id) {
            let (buffer, image) = self.new_image(id)?;
            let (channels, hw) = (number(dims[1], "channels")?, number(dims[2] * dims[3], "elements")?);
            let blocks = number(image.whole, "channel blocks")?;
            Enter { x, y: at(buffer, image.first)?, n, channels, hw, blocks }
        } else {
            Enter { x, y: at(self.new_tensor(id), 0)?, n, channels: len, hw: 1, blocks: 0 }
        };
        self.steps.push(Step::Enter(block));
        Ok(())
    }

    /// Whether all that read an input read it row by row.
    fn enters_as_rows(&self, id: ValueId) -> bool {
        let mut readers = self.graph.nodes.iter().filter(|node| node.inputs.contains(&Some(id)));
        readers.all(|node| node.input(0) == Some(id) && node.input(3) != Some(id) && self.reads_rows(node))
            && !self.graph.outputs.contains(&id)
    }

    fn leave(&mut self, id: ValueId, offset: u32) -> Result<(), Why> {
        let y = Operand { space: Space::Output as u32, page: 0, offset, rows_per_page: 1 };
        let view = self.view(id)?;
        let n = if self.whole { 1 } else { number(view.dims[0], "items")? };
        let item = if self.whole { &view.dims[..] } else { &view.dims[1..] };
        let len = number(item.iter().product(), "elements")?;
        if let Some(element) = word_type(self.graph.element(id)) {
            let view = self.contiguous(id)?;
            let x = at(view.buffer, view.first)?;
            self.steps.push(Step::LeaveWhole(LeaveWhole { x, y, n, len, element: element as u32 }));
            return Ok(());
        }
        let block = match view.as_blocked().filter(|_| !self.whole) {
            Some(Blocked { first, dims: [_, c, h, w], whole }) => {
                let (channels, hw) = (number(c, "channels")?, number(h * w, "elements")?);
                Leave { x: at(view.buffer, first)?, y, n, channels, hw, blocks: number(whole, "channel blocks")? }
            }
            _ => {
                let view = self.contiguous(id)?;
                Leave { x: at(view.buffer, view.first)?, y, n, channels: len, hw: 1, blocks: 0 }
            }
        };
        self.steps.push(Step::Leave(block));
        Ok(())
    }
}

/// The type in slots of what the workspace holds as words; none for floats.
fn word_type(element: Element) -> Option<Whole> {
    match element {
        Element::Float => None,
        Element::Int64 => Some(Whole::I64),
        Element::Int32 => Some(Whole::I32),
        Element::Uint8 => Some(Whole::U8),
        Element::Bool => Some(Whole::Bool),
    }
}
