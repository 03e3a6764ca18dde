//! Measurement.
#![forbid(unsafe_code)]
