//! The check refuses each kind of bad plan, and lets good ones pass.

use crate::launch::{CheckedPlan, Kernel, KernelId, Launch, LaunchError, PlanError, Spaces, entry};
use crate::operand::{Operand, Space};
use crate::params::{
    Activation, Binary, BinaryOp, BlockError, Conv, Enter, Gemm, GlobalPool, Leave, MAX_TAPS, Unary, Window, Winograd,
};
use bytemuck::Zeroable;

const SPACES: Spaces = Spaces {
    weight_pages: 2,
    page_bytes: 4096,
    input_bytes: 1024,
    output_bytes: 1024,
    workspace_bytes: 65536,
    batch: 2,
};

fn at(offset: u32) -> Operand {
    Operand::contiguous(Space::Workspace, 0, offset)
}

fn area(space: Space) -> Operand {
    Operand { space: space as u32, page: 0, offset: 0, rows_per_page: 1 }
}

fn weights(page: u32, offset: u32, rows_per_page: u32) -> Operand {
    Operand { space: Space::Weights as u32, page, offset, rows_per_page }
}

/// A convolution of two 4x4 images of 16 channels to 32, its rows of weights 1 KiB each.
fn conv() -> Conv {
    Conv {
        x: at(0),
        weights: weights(0, 1024, 1),
        bias: weights(0, 0, 1),
        y: at(4096),
        n: 2,
        in_channels: 16,
        out_channels: 32,
        groups: 1,
        in_h: 4,
        in_w: 4,
        out_h: 4,
        out_w: 4,
        window: Window::square(1, 1, 0),
        x_blocks: 1,
        y_blocks: 2,
        activation: Activation::RELU,
        ..Conv::zeroed()
    }
}

fn refused(kernel: &impl Kernel) -> LaunchError {
    match CheckedPlan::new(&[Launch::of(kernel)], SPACES) {
        Err(PlanError::Launch { index: 0, cause, .. }) => cause,
        other => panic!("{other:?}"),
    }
}

fn passes(kernel: &impl Kernel) {
    CheckedPlan::new(&[Launch::of(kernel)], SPACES).unwrap();
}

#[test]
fn a_good_plan_passes() {
    passes(&conv());
    let plan = CheckedPlan::new(&[Launch::of(&conv()), Launch::of(&conv())], SPACES).unwrap();
    assert_eq!((plan.len(), plan.is_empty(), *plan.spaces()), (2, false, SPACES));
}

#[test]
fn plans_without_launches_or_with_a_batch_beyond_the_limit_are_refused() {
    assert_eq!(CheckedPlan::new(&[], SPACES), Err(PlanError::Empty));
    for batch in [0, 17] {
        let spaces = Spaces { batch, ..SPACES };
        assert_eq!(CheckedPlan::new(&[Launch::of(&conv())], spaces), Err(PlanError::Batch { batch }));
    }
}

#[test]
fn unknown_kernels_and_blocks_of_another_size_are_refused() {
    let launch = Launch { kernel: KernelId(999), block: Box::new([]) };
    let cause = LaunchError::UnknownKernel(KernelId(999));
    assert_eq!(CheckedPlan::new(&[launch], SPACES), Err(PlanError::Launch { index: 0, kernel: "?", cause }));
    let mut launch = Launch::of(&conv());
    launch.block = launch.block[4..].into();
    let (given, wanted) = (size_of::<Conv>() - 4, size_of::<Conv>());
    let cause = LaunchError::BlockBytes { given, wanted };
    assert_eq!(CheckedPlan::new(&[launch], SPACES), Err(PlanError::Launch { index: 0, kernel: "conv", cause }));
}

#[test]
fn every_kernel_has_its_number_and_name() {
    for (i, entry_of) in crate::launch::KERNELS.iter().enumerate() {
        assert_eq!(usize::from(entry_of.id.0), i);
        assert_eq!(entry(entry_of.id).unwrap().name, entry_of.name);
        assert_eq!(entry_of.block_bytes % 4, 0);
    }
    assert_eq!(entry(Conv::ID).unwrap().name, Conv::NAME);
}

#[test]
fn operands_beyond_their_page_are_refused() {
    let beyond = |operand, space, end, bytes| LaunchError::BeyondPage { operand, space, end, bytes };
    let y = Conv { y: at(65536 - 4032), ..conv() };
    assert_eq!(refused(&y), beyond("y", Space::Workspace, 65600, 65536));
    passes(&Conv { y: at(65536 - 4096), ..conv() });
    let row = Conv { weights: weights(0, 3136, 1), ..conv() };
    assert_eq!(refused(&row), beyond("weights", Space::Weights, 4160, 4096));
    let two_rows = Conv { weights: weights(0, 2112, 2), ..conv() };
    assert_eq!(refused(&two_rows), beyond("weights", Space::Weights, 4160, 4096));
    passes(&Conv { weights: weights(0, 2048, 2), ..conv() });
}

#[test]
fn operands_beyond_the_last_page_are_refused() {
    let beyond = LaunchError::BeyondPages { operand: "weights", space: Space::Weights, page: 2, pages: 2 };
    assert_eq!(refused(&Conv { weights: weights(1, 0, 1), ..conv() }), beyond);
    passes(&Conv { weights: weights(1, 0, 2), ..conv() });
    let workspace = Operand::contiguous(Space::Workspace, 1, 0);
    let beyond = LaunchError::BeyondPages { operand: "y", space: Space::Workspace, page: 1, pages: 1 };
    assert_eq!(refused(&Conv { y: workspace, ..conv() }), beyond);
    let enter = Enter { x: area(Space::Input), y: at(0), n: 3, channels: 1, hw: 4, blocks: 0 };
    let beyond = LaunchError::BeyondPages { operand: "x", space: Space::Input, page: 2, pages: 2 };
    assert_eq!(refused(&enter), beyond);
    passes(&Enter { n: 2, ..enter });
}

/// A kernel that reads a constant in one piece does not look for its rows in other pages.
#[test]
fn a_constant_that_is_read_whole_must_lie_in_one_page() {
    let y = [512, 1];
    let mut add =
        Binary::new(BinaryOp::Add, [at(0), weights(0, 0, 1), at(4096)], &[3, 512], [&[0, 0], &y, &y], Activation::NONE);
    let add = add.as_mut().unwrap();
    assert_eq!(refused(add), LaunchError::BeyondPage { operand: "b", space: Space::Weights, end: 6144, bytes: 4096 });
}

#[test]
fn misaligned_operands_and_pages_without_rows_are_refused() {
    assert_eq!(refused(&Conv { y: at(4100), ..conv() }), LaunchError::Misaligned { operand: "y", offset: 4100 });
    assert_eq!(refused(&Conv { bias: weights(0, 0, 0), ..conv() }), LaunchError::NoRows { operand: "bias" });
}

#[test]
fn only_enter_and_leave_touch_inputs_and_outputs() {
    let wrong = |operand, space, written| LaunchError::WrongSpace { operand, space, written };
    assert_eq!(refused(&Conv { x: area(Space::Input), ..conv() }), wrong("x", Space::Input, false));
    assert_eq!(refused(&Conv { y: area(Space::Output), ..conv() }), wrong("y", Space::Output, true));
    assert_eq!(refused(&Conv { y: weights(0, 0, 1), ..conv() }), wrong("y", Space::Weights, true));
    assert_eq!(refused(&Conv { x: area(Space::Output), ..conv() }), wrong("x", Space::Output, false));
    let enter = Enter { x: area(Space::Input), y: at(0), n: 1, channels: 1, hw: 4, blocks: 0 };
    assert_eq!(
        refused(&Enter { x: Operand { rows_per_page: 1, ..at(0) }, ..enter }),
        wrong("x", Space::Workspace, false)
    );
    assert_eq!(refused(&Enter { y: area(Space::Output), ..enter }), wrong("y", Space::Output, true));
    let leave = Leave { x: at(0), y: area(Space::Output), n: 1, channels: 1, hw: 4, blocks: 0 };
    passes(&leave);
    assert_eq!(refused(&Leave { x: area(Space::Input), ..leave }), wrong("x", Space::Input, false));
    assert_eq!(
        refused(&Leave { y: Operand { rows_per_page: 1, ..at(0) }, ..leave }),
        wrong("y", Space::Workspace, true)
    );
    let nowhere = Operand { space: 4, ..at(0) };
    assert_eq!(refused(&Conv { x: nowhere, ..conv() }), LaunchError::UnknownSpace { operand: "x", space: 4 });
}

#[test]
fn what_is_written_must_not_overlap_what_is_read() {
    let overlap = LaunchError::Overlap { written: "y", other: "x" };
    assert_eq!(refused(&Conv { y: at(0), ..conv() }), overlap);
    assert_eq!(refused(&Conv { y: at(1984), ..conv() }), overlap);
    passes(&Conv { y: at(2048), ..conv() });
}

#[test]
fn views_of_one_tensor_may_interleave_but_not_overlap() {
    // Items of 4 blocks: block 0 is read, blocks 1 and 2 are written.
    let block = 4 * 4 * 64;
    let dense = Conv { x_blocks: 4, y_blocks: 4, x: at(0), y: at(block), ..conv() };
    passes(&dense);
    let overlap = LaunchError::Overlap { written: "y", other: "x" };
    assert_eq!(refused(&Conv { y: at(3 * block), ..dense }), overlap);
    assert_eq!(refused(&Conv { y: at(block), y_blocks: 3, ..dense }), overlap);
}

#[test]
fn only_what_is_worked_in_place_may_be_written_where_it_is_read() {
    let residual = Conv { residual: at(4096), residual_blocks: 2, ..conv() };
    passes(&residual);
    let overlap = LaunchError::Overlap { written: "y", other: "residual" };
    assert_eq!(refused(&Conv { residual: at(4096 + 64), ..residual }), overlap);
    let unary =
        Unary { x: at(64), y: at(64), rows: 2, len: 8, x_stride: 16, y_stride: 16, activation: Activation::RELU };
    passes(&unary);
    assert_eq!(refused(&Unary { x_stride: 8, ..unary }), LaunchError::Overlap { written: "y", other: "x" });
    let pool = GlobalPool { x: at(0), y: at(0), n: 1, channels: 16, hw: 1, x_blocks: 1, y_blocks: 1, kind: 1 };
    assert_eq!(refused(&pool), LaunchError::Overlap { written: "y", other: "x" });
}

#[test]
fn blocks_that_contradict_themselves_are_refused() {
    let field = |field, value, least, most| LaunchError::Block(BlockError::Field { field, value, least, most });
    assert_eq!(refused(&Conv { n: 0, ..conv() }), field("n", 0, 1, 16));
    assert_eq!(refused(&Conv { n: 17, ..conv() }), field("n", 17, 1, 16));
    assert_eq!(refused(&Conv { y_blocks: 1, ..conv() }), field("y_blocks", 1, 2, u32::MAX.into()));
    assert_eq!(refused(&Conv { in_h: 0, ..conv() }), field("in_h", 0, 1, 65536));
    let wide = Window { kernel_h: 16, kernel_w: 16, ..Window::square(1, 1, 0) };
    assert_eq!(refused(&Conv { window: wide, ..conv() }), field("window's taps", 256, 1, MAX_TAPS.into()));
    assert_eq!(refused(&Conv { groups: 3, ..conv() }), field("out_channels % groups", 2, 0, 0));
    let cut = Conv { groups: 2, in_channels: 8, window: Window::square(3, 1, 1), ..conv() };
    passes(&Conv { window: Window::square(1, 1, 0), ..cut });
    assert_eq!(Winograd::of(&cut, 2), None);
    let whole = Conv { groups: 2, x_blocks: 2, ..cut };
    let by_patches = Winograd::of(&Conv { in_channels: 16, ..whole }, 2).unwrap();
    assert_eq!(refused(&Winograd { in_channels: 8, ..by_patches }), field("in_channels % 16", 8, 0, 0));
    let large = Conv { in_channels: 1 << 20, x_blocks: 1 << 16, in_h: 256, in_w: 256, ..conv() };
    assert_eq!(refused(&large), LaunchError::Block(BlockError::TooLarge { field: "x_blocks" }));
    let activation = Activation { kind: 99, a: 0.0, b: 0.0 };
    assert_eq!(
        refused(&Conv { activation, ..conv() }),
        LaunchError::Block(BlockError::Unknown { field: "activation.kind", value: 99 })
    );
    let gemm = Gemm { m: u32::MAX, k: u32::MAX, n: 1, x_stride: u32::MAX, y_stride: 1, ..Gemm::zeroed() };
    assert_eq!(refused(&gemm), LaunchError::Block(BlockError::TooLarge { field: "x" }));
}
