//! The runtime.
#![forbid(unsafe_code)]
