//! Pooling over a sliding window.

use super::shape::{batch, blocked, within};
use super::window::sides;
use super::{Access, Block, BlockError, Region, Window, blocked_region, blocks_of};
use crate::operand::Operand;
use bytemuck::{Pod, Zeroable};

/// How a window becomes one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum PoolKind {
    /// The maximum; padding never wins.
    Max = 0,
    /// The sum over the places that lie in the image, divided by their number.
    Average = 1,
    /// The sum over the places that lie in the image, divided by the window's taps.
    AverageWithPadding = 2,
}

impl PoolKind {
    /// The kind with that number.
    pub const fn from_u32(n: u32) -> Option<PoolKind> {
        Some(match n {
            0 => PoolKind::Max,
            1 => PoolKind::Average,
            2 => PoolKind::AverageWithPadding,
            _ => return None,
        })
    }
}

/// `y = pool(x)`, blocked. Every window must hold at least one place of the image; `ceil_mode` is
/// the importer's matter, for it only decides `out_h` and `out_w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Pool {
    /// Blocked view of `in_h x in_w`.
    pub x: Operand,
    /// Blocked view of `out_h x out_w`.
    pub y: Operand,
    /// Items of the batch.
    pub n: u32,
    /// Channels.
    pub channels: u32,
    /// Input height.
    pub in_h: u32,
    /// Input width.
    pub in_w: u32,
    /// Output height.
    pub out_h: u32,
    /// Output width.
    pub out_w: u32,
    /// The window.
    pub window: Window,
    /// Channel blocks of the tensor that holds `x`.
    pub x_blocks: u32,
    /// Channel blocks of the tensor that holds `y`.
    pub y_blocks: u32,
    /// A [`PoolKind`] as its number.
    pub kind: u32,
}

impl Block for Pool {
    fn check(&self) -> Result<(), BlockError> {
        batch(self.n)?;
        self.window.check()?;
        sides([self.in_h, self.in_w, self.out_h, self.out_w])?;
        within("channels", self.channels, 1, u32::MAX)?;
        PoolKind::from_u32(self.kind).ok_or(BlockError::Unknown { field: "kind", value: self.kind })?;
        let w = &self.window;
        window_meets_image("out_h", [self.in_h, self.out_h, w.kernel_h, w.stride_h, w.dilation_h, w.pad_top])?;
        window_meets_image("out_w", [self.in_w, self.out_w, w.kernel_w, w.stride_w, w.dilation_w, w.pad_left])?;
        blocked("x_blocks", self.n, self.channels, &[self.in_h, self.in_w], self.x_blocks)?;
        blocked("y_blocks", self.n, self.channels, &[self.out_h, self.out_w], self.y_blocks)
    }

    fn grid(&self) -> u32 {
        self.n * blocks_of(self.channels)
    }

    fn footprint(&self, visit: &mut dyn FnMut(Region)) {
        let (in_hw, out_hw) = (self.in_h * self.in_w, self.out_h * self.out_w);
        visit(blocked_region("x", self.x, [self.n, self.channels, in_hw, self.x_blocks], Access::Read));
        visit(blocked_region("y", self.y, [self.n, self.channels, out_hw, self.y_blocks], Access::Write));
    }
}

/// Each window along one side holds at least one place of the image.
fn window_meets_image(field: &'static str, side: [u32; 6]) -> Result<(), BlockError> {
    match first_apart(side) {
        Some(o) => Err(BlockError::Field { field, value: side[1].into(), least: 1, most: o.into() }),
        None => Ok(()),
    }
}

/// The first window along one side without a place of the image. Of those that begin before it there are as many as the
/// padding holds strides, each looked at once; of the others those that begin behind it come last.
fn first_apart([input, output, kernel, stride, dilation, pad]: [u32; 6]) -> Option<u32> {
    let before = pad.div_ceil(stride);
    let leaps = |o: &u32| {
        let missing = pad - o * stride;
        let taps = missing.div_ceil(dilation);
        taps >= kernel || taps * dilation - missing >= input
    };
    let behind = (input + pad).div_ceil(stride);
    (0..before.min(output)).find(leaps).or((behind < output).then_some(behind))
}

#[cfg(test)]
mod tests {
    use super::first_apart;

    /// Window by window, tap by tap.
    fn looked_for([input, output, kernel, stride, dilation, pad]: [u32; 6]) -> Option<u32> {
        let inside = |place: u32| place >= pad && place - pad < input;
        (0..output).find(|o| !(0..kernel).any(|k| inside(o * stride + k * dilation)))
    }

    #[test]
    fn the_first_window_apart_is_the_one_that_looking_finds() {
        let mut apart = [0; 2];
        for code in 0..6 * 8 * 4 * 4 * 4 * 9 {
            let mut rest = code;
            let mut next = |count: u32| {
                let digit = rest % count;
                rest /= count;
                digit
            };
            let side = [1 + next(6), 1 + next(8), 1 + next(4), 1 + next(4), 1 + next(4), next(9)];
            let found = first_apart(side);
            assert_eq!(found, looked_for(side), "{side:?}");
            apart[usize::from(found.is_some())] += 1;
        }
        assert!(apart.iter().all(|&count| count > 4_000), "{apart:?}");
    }

    #[test]
    fn sides_and_windows_at_their_limits_are_looked_at() {
        for side in
            [[1 << 16, 1 << 16, 1, 1, 1, 0], [1 << 16, 1 << 16, 128, 1, 255, 255], [1, 1 << 16, 2, 255, 255, 255]]
        {
            assert_eq!(first_apart(side), looked_for(side), "{side:?}");
        }
    }
}
