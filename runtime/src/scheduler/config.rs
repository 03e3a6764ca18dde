//! Settings of the scheduler, with their defaults.

use crate::base::Nanos;
use crate::base::limits::{EXEC_DEPTH, MAX_GATEWAYS, MAX_MODELS, MAX_REQUESTS, MAX_WORKERS, SAFETY_MARGIN};
use crate::profile::Percentile;

/// Settings of the scheduler; all durations are bounds until measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Models that may be registered.
    pub max_models: usize,
    /// Workers that may be connected.
    pub max_workers: usize,
    /// Requests admitted and not yet ended.
    pub max_requests: usize,
    /// Gateways that may ask.
    pub max_gateways: usize,
    /// One-way time of a control message, queue to queue, including waking the receiver.
    pub transport: Nanos,
    /// From PLACE to the input lying on the device, before any is measured.
    pub input_delay: Nanos,
    /// From the end of exec to the output lying on the host, before any is measured.
    pub output_delay: Nanos,
    /// From the output lying on the host to the gateway having it, before any is measured.
    pub handover_delay: Nanos,
    /// Kept free at admission for what no stage accounts for, such as the gap from one exec to the next;
    /// a start may be late by as much.
    pub safety_margin: Nanos,
    /// Which percentile of the last 1,000 durations is the bound.
    pub percentile: Percentile,
    /// INFERs ordered and not yet answered, per device.
    pub committed: usize,
    /// How often one request may be planned; where only its input had not come, as often as its time allows.
    pub attempts: u8,
    /// How long an INFER with nothing queued behind it waits for an input that is later than its bound,
    /// at most; never more than an eighth of the time that is left.
    pub input_patience: Nanos,
    /// LOAD of one page, before any is measured.
    pub load_per_page: Nanos,
    /// FETCH of one page, before any is measured.
    pub fetch_per_page: Nanos,
    /// Whether idle devices take models that nobody asked for yet, while pages are free.
    pub preload: bool,
    /// How often unmet demand is looked through.
    pub load_period: Nanos,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            max_models: MAX_MODELS,
            max_workers: MAX_WORKERS,
            max_requests: MAX_GATEWAYS * MAX_REQUESTS,
            max_gateways: MAX_GATEWAYS,
            transport: Nanos::micros(50),
            input_delay: Nanos::micros(200),
            output_delay: Nanos::micros(50),
            handover_delay: Nanos::micros(100),
            safety_margin: SAFETY_MARGIN,
            percentile: Percentile::P99,
            committed: EXEC_DEPTH + 1,
            attempts: 3,
            input_patience: Nanos::millis(10),
            load_per_page: Nanos::millis(1),
            fetch_per_page: Nanos::millis(4),
            preload: true,
            load_period: Nanos::millis(5),
        }
    }
}
