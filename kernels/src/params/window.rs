//! The sliding window of convolutions and pools.

use super::BlockError;
use super::shape::within;
use bytemuck::{Pod, Zeroable};

/// A window over height and width. Padding at the bottom and right follows from the output's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Window {
    /// Taps down.
    pub kernel_h: u32,
    /// Taps across.
    pub kernel_w: u32,
    /// Rows from one output row to the next.
    pub stride_h: u32,
    /// Columns from one output column to the next.
    pub stride_w: u32,
    /// Rows from one tap to the next; 1 is dense.
    pub dilation_h: u32,
    /// Columns from one tap to the next; 1 is dense.
    pub dilation_w: u32,
    /// Rows of padding above.
    pub pad_top: u32,
    /// Columns of padding on the left.
    pub pad_left: u32,
}

/// The largest tap count, stride, dilation or padding in one direction.
pub(crate) const MAX_WINDOW: u32 = 255;

/// Taps of one window, at most.
pub const MAX_TAPS: u32 = 128;

/// The largest height or width of an image.
pub(crate) const MAX_SIDE: u32 = 1 << 16;

impl Window {
    /// A window of `size` taps each way with that stride and padding, dense.
    pub const fn square(size: u32, stride: u32, pad: u32) -> Window {
        Window {
            kernel_h: size,
            kernel_w: size,
            stride_h: stride,
            stride_w: stride,
            dilation_h: 1,
            dilation_w: 1,
            pad_top: pad,
            pad_left: pad,
        }
    }

    /// Taps of the window.
    pub const fn taps(&self) -> u32 {
        self.kernel_h * self.kernel_w
    }

    /// Whether each output sees the input at its own place alone, if both have the same size.
    pub(crate) const fn is_pointwise(&self) -> bool {
        self.taps() == 1 && self.stride_h == 1 && self.stride_w == 1 && self.pad_top == 0 && self.pad_left == 0
    }

    pub(crate) fn check(&self) -> Result<(), BlockError> {
        within("window.kernel_h", self.kernel_h, 1, MAX_WINDOW)?;
        within("window.kernel_w", self.kernel_w, 1, MAX_WINDOW)?;
        within("window's taps", self.taps(), 1, MAX_TAPS)?;
        within("window.stride_h", self.stride_h, 1, MAX_WINDOW)?;
        within("window.stride_w", self.stride_w, 1, MAX_WINDOW)?;
        within("window.dilation_h", self.dilation_h, 1, MAX_WINDOW)?;
        within("window.dilation_w", self.dilation_w, 1, MAX_WINDOW)?;
        within("window.pad_top", self.pad_top, 0, MAX_WINDOW)?;
        within("window.pad_left", self.pad_left, 0, MAX_WINDOW)
    }
}

/// Checks the four sides of an image pair.
pub(crate) fn sides([in_h, in_w, out_h, out_w]: [u32; 4]) -> Result<(), BlockError> {
    within("in_h", in_h, 1, MAX_SIDE)?;
    within("in_w", in_w, 1, MAX_SIDE)?;
    within("out_h", out_h, 1, MAX_SIDE)?;
    within("out_w", out_w, 1, MAX_SIDE)
}
