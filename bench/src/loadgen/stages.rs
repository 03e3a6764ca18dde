//! What the server says of each answer, beside the client's view of it.

use runtime::base::Nanos;
use runtime::client::Timing;
use serde::Serialize;

use crate::summary::{Durations, Percentiles};

/// Durations of the stages of answered requests.
#[derive(Clone, Debug, Default)]
pub struct StageDurations {
    gateway: Durations,
    input: Durations,
    wait: Durations,
    exec: Durations,
    output: Durations,
    elsewhere: Durations,
}

/// Their percentiles, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StageTimes {
    /// From the request's first byte at the gateway to handing the answer to the socket.
    pub gateway: Percentiles,
    /// Copy of the input to the device.
    pub input: Percentiles,
    /// From input and order being there to the start of the exec.
    pub wait: Percentiles,
    /// The exec.
    pub exec: Percentiles,
    /// Copy of the output from the device.
    pub output: Percentiles,
    /// The client's latency less the gateway's time: network, and the generator's own lateness.
    pub elsewhere: Percentiles,
}

/// From the moment at which the order and the last input were there to the start of the exec.
pub fn start_wait(timing: &Timing) -> Nanos {
    let stages = &timing.stages;
    stages.exec.begin.since(stages.received.max(stages.input.end))
}

impl StageDurations {
    /// Adds an answered request.
    pub fn record(&mut self, timing: &Timing) {
        let at_gateway = timing.answered.since(timing.arrival);
        self.gateway.record(at_gateway);
        self.elsewhere.record(timing.latency() - at_gateway);
        self.input.record(timing.stages.input.duration());
        self.wait.record(start_wait(timing));
        self.exec.record(timing.stages.exec.duration());
        self.output.record(timing.stages.output.duration());
    }

    /// The percentiles.
    pub fn percentiles(&self) -> StageTimes {
        StageTimes {
            gateway: self.gateway.percentiles(),
            input: self.input.percentiles(),
            wait: self.wait.percentiles(),
            exec: self.exec.percentiles(),
            output: self.output.percentiles(),
            elsewhere: self.elsewhere.percentiles(),
        }
    }
}
