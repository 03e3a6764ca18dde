//! The worker's two machines: the walks of the design, and random events with faults.

mod random;
mod rig;
mod walks;
mod world;
