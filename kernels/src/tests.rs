//! Every kernel against plain loops, on every instruction set that this machine has.

mod conv;
mod harness;

mod speed;
