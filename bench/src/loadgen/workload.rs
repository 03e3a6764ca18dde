//! What is sent: models, rates, deadlines.

use std::sync::Arc;

use runtime::base::{ModelId, Nanos, ShapeId};

use crate::arrivals::Spacing;

/// What a closed-loop client does after a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterRefusal {
    /// Waits until the refused request's deadline: a system that refuses early is not offered more
    /// than one that refuses late.
    WaitForDeadline,
    /// Sends again at once.
    SendAtOnce,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// At times that owe nothing to the answers.
    Open {
        /// How they are spaced.
        spacing: Spacing,
        /// Mean rate.
        per_second: f64,
    },
    /// Each client sends its next request when its last one has ended.
    Closed {
        /// How many clients.
        clients: usize,
        /// What they do after a refusal.
        after_refusal: AfterRefusal,
    },
}

/// One stream of requests.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The model's name, for reports.
    pub name: String,
    /// The model.
    pub model: ModelId,
    /// Which of its shape variants.
    pub shape: ShapeId,
    /// How long each request may take.
    pub slo: Nanos,
    /// When they are sent.
    pub load: Load,
    /// Payloads of requests, sent in turn; at least one.
    pub payloads: Vec<Arc<[u8]>>,
}

/// How long, and from which seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Time in which requests are sent.
    pub length: Nanos,
    /// Seed of the arrivals.
    pub seed: u64,
    /// Ends the run after so many requests, if sooner.
    pub requests: Option<u64>,
}

impl Run {
    /// The seed of one workload's arrivals: its own, so that adding a workload moves no other's.
    pub fn seed_of(&self, workload: usize) -> u64 {
        self.seed ^ (workload as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl std::fmt::Display for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Load::Open { spacing: Spacing::Poisson, per_second } => write!(f, "poisson {per_second:.1}/s"),
            Load::Open { spacing: Spacing::Fixed, per_second } => write!(f, "fixed {per_second:.1}/s"),
            Load::Closed { clients, .. } => write!(f, "closed {clients}"),
        }
    }
}
