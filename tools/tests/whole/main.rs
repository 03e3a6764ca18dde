//! The whole system as a user meets it: the real binary, its processes, its sockets and its files.

mod answers;
mod bad_files;
mod bad_frames;
mod bad_requests;
mod bench;
mod ends;
mod heavy;
mod held_gateway;
mod house;
mod losses;
mod model;
#[allow(dead_code, reason = "the tests write the simplest of models")]
#[path = "../../src/import/onnx.rs"]
mod onnx;
mod pipes;
mod profiles;
mod program;
mod raw;
mod stalled;
mod trio;
mod walks;
