//! Every kernel against plain loops, on every instruction set that this machine has.

mod attention;
mod check;
mod conv;
mod device;
mod harness;
mod image;
mod layout;
mod part;
mod pixels;
mod product;
mod rows;
mod strided;
mod winograd;
mod words;
