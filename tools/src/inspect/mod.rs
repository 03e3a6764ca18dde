//! What a package holds and what its plans do: looked at, and measured launch by launch.

mod lifetimes;
mod lines;
mod measure;
mod pages;
mod picture;

pub use lifetimes::Workspace;
pub use lines::Line;
pub use measure::Times;
pub use pages::Waste;
pub use picture::picture;

use kernels::launch::{Description, describe};
use runtime::package::Plan;

/// The launches of a plan, described. A launch that no kernel knows is named so: the plan would be
/// refused, but may be looked at.
pub fn launches(plan: &Plan) -> Vec<Description> {
    let unknown = || Description {
        kernel: "?",
        what: "no kernel has this number".to_owned(),
        flops: 0,
        tiles: 0,
        regions: Vec::new(),
    };
    plan.launches.iter().map(|launch| describe(launch).unwrap_or_else(unknown)).collect()
}
