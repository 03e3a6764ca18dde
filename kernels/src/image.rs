//! The native images: every CPU kernel, compiled once for each instruction set.

use crate::cpu::{self, SCRATCH_BYTES, Tile, micro, view::Memory};
use crate::launch::for_each_kernel;
use crate::operand::Binding;
use crate::params;
use std::ffi::CStr;
use sys::cpu::{CpuEntry, CpuImage};
use thiserror::Error;

/// What the kernels of an image may use. Within one, equal inputs give equal bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InstructionSet {
    /// AVX-512F and AVX-512VL.
    Avx512,
    /// AVX2 and FMA.
    Avx2,
    /// The baseline of the target.
    Portable,
}

/// The instruction set was asked for by name, and this machine lacks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this machine's processor has no {}; the best that it has is {}", .0.name(), InstructionSet::best().name())]
pub struct Unavailable(pub InstructionSet);

impl InstructionSet {
    /// All, the best first.
    pub const ALL: [InstructionSet; 3] = [InstructionSet::Avx512, InstructionSet::Avx2, InstructionSet::Portable];

    /// The name in settings and reports.
    pub const fn name(self) -> &'static str {
        match self {
            InstructionSet::Avx512 => "avx512",
            InstructionSet::Avx2 => "avx2",
            InstructionSet::Portable => "portable",
        }
    }

    /// The one with that name.
    pub fn from_name(name: &str) -> Option<InstructionSet> {
        InstructionSet::ALL.into_iter().find(|set| set.name() == name)
    }

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        match self {
            InstructionSet::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && InstructionSet::Avx2.is_available()
            }
            InstructionSet::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            InstructionSet::Portable => true,
        }
    }

    /// The best that this machine has.
    pub fn best() -> InstructionSet {
        InstructionSet::ALL.into_iter().find(|set| set.is_available()).unwrap_or(InstructionSet::Portable)
    }
}

/// Bytes before the block: the binding's address.
pub(crate) const BINDING_BYTES: usize = size_of::<u64>();

macro_rules! entries {
    ($module:ident $features:literal $token:expr; $($name:ident $block:ident $($function:ident)::+;)*) => {
        mod $module {
            use super::*;
            $(
                /// # Safety
                /// As [`super::with`], for this kernel's block; the processor has the features.
                #[target_feature(enable = $features)]
                unsafe extern "C" fn $name(parameters: *const u8, tile: u32, scratch: *mut u8) {
                    // SAFETY: the caller's promise.
                    let (block, tile) = unsafe { with::<params::$block>(parameters, tile, scratch) };
                    cpu::$($function)::+($token, &block, tile);
                }
            )*
            static ENTRIES: &[CpuEntry] = &[$(
                CpuEntry::new(
                    match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                        Ok(name) => name,
                        Err(_) => unreachable!(),
                    },
                    $name,
                    BINDING_BYTES + size_of::<params::$block>(),
                ),
            )*];
            /// # Safety
            /// The processor has the features.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn multiply_adds(rounds: u64) -> f32 {
                micro::multiply_adds($token, rounds)
            }
            pub(super) static IMAGE: CpuImage = CpuImage::new(SCRATCH_BYTES, ENTRIES);
        }
    };
}

macro_rules! images {
    ($($id:literal $name:ident $block:ident $($function:ident)::+;)*) => {
        entries! {
            avx512 "avx512f,avx512vl,avx2,fma" {
                // SAFETY: the function is called only where its instructions are available.
                unsafe { micro::Avx512::new() }
            };
            $($name $block $($function)::+;)*
        }
        entries! {
            avx2 "avx2,fma" {
                // SAFETY: the function is called only where its instructions are available.
                unsafe { micro::Avx2::new() }
            };
            $($name $block $($function)::+;)*
        }
        entries! { portable "sse2" micro::Portable; $($name $block $($function)::+;)* }
    };
}

for_each_kernel!(images);

/// The block and the tile of one call.
///
/// # Safety
/// `parameters` are a binding's address and a `B` that passed its check and was bounded against the
/// memory that the binding names; `tile` is below the block's grid; `scratch` is this thread's own,
/// at least [`SCRATCH_BYTES`] and aligned for `f32`; nobody else touches what the footprint writes,
/// or writes what it reads, until the call returns.
#[inline(always)]
unsafe fn with<'a, B: params::Block>(parameters: *const u8, tile: u32, scratch: *mut u8) -> (B, Tile<'a>) {
    // SAFETY: the promise above, word for word.
    unsafe {
        let binding = parameters.cast::<u64>().read_unaligned() as *const Binding;
        let block = parameters.add(BINDING_BYTES).cast::<B>().read_unaligned();
        let scratch = std::slice::from_raw_parts_mut(scratch.cast(), SCRATCH_BYTES / size_of::<f32>());
        (block, Tile { memory: Memory::new(&*binding), index: tile as usize, scratch })
    }
}

/// The image of one instruction set.
///
/// # Errors
/// When this machine has not that instruction set.
pub fn image(set: InstructionSet) -> Result<&'static CpuImage, Unavailable> {
    if !set.is_available() {
        return Err(Unavailable(set));
    }
    Ok(match set {
        InstructionSet::Avx512 => &avx512::IMAGE,
        InstructionSet::Avx2 => &avx2::IMAGE,
        InstructionSet::Portable => &portable::IMAGE,
    })
}

/// So many rounds of multiply-adds that wait for nothing, in one instruction set.
///
/// # Errors
/// When this machine has not that instruction set.
pub(crate) fn multiply_adds(set: InstructionSet, rounds: u64) -> Result<f32, Unavailable> {
    if !set.is_available() {
        return Err(Unavailable(set));
    }
    // SAFETY: the processor has the features, checked above.
    Ok(unsafe {
        match set {
            InstructionSet::Avx512 => avx512::multiply_adds(rounds),
            InstructionSet::Avx2 => avx2::multiply_adds(rounds),
            InstructionSet::Portable => portable::multiply_adds(rounds),
        }
    })
}
