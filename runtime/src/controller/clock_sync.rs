//! Converts between a peer's clock and ours, with a bound on the error.
//!
//! Each exchange gives four stamps. The round trip that was not spent at the peer bounds how far off
//! the estimate can be: the true offset lies within half of it. So the exchange with the shortest
//! round trip of a window is believed, and two such windows, one behind the other, give the slope.

use crate::base::Nanos;

/// Exchanges that one window holds; two windows span the slope.
const EXCHANGES_PER_WINDOW: u32 = 16;
/// Two windows nearer than this say nothing about the slope.
const SLOPE_BASE: Nanos = Nanos::millis(100);
/// How far two crystals drift apart at most, in parts per million: what ages an estimate.
const DRIFT_PPM: i64 = 100;

/// The four stamps of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamps {
    /// When we sent the question, on our clock.
    pub sent: Nanos,
    /// When the peer received it, on its clock.
    pub peer_received: Nanos,
    /// When the peer answered, on its clock.
    pub peer_sent: Nanos,
    /// When we received the answer, on our clock.
    pub received: Nanos,
}

impl Stamps {
    /// Time on the way, there and back; none if the stamps contradict each other.
    pub fn round_trip(&self) -> Option<Nanos> {
        let there = self.received.0.checked_sub(self.sent.0)?;
        let held = self.peer_sent.0.checked_sub(self.peer_received.0)?;
        there.checked_sub(held).map(Nanos)
    }
}

/// One believed exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Estimate {
    /// Our time in the middle of the exchange.
    at: Nanos,
    /// Peer's clock minus ours.
    offset: i64,
    round_trip: Nanos,
}

/// One peer's clock as seen from ours.
#[derive(Clone, Debug, Default)]
pub struct ClockSync {
    same_clock: bool,
    /// Best of the window before the last complete one, of the last complete one, of the open one.
    before: Option<Estimate>,
    last: Option<Estimate>,
    open: Option<Estimate>,
    exchanges: u32,
}

impl ClockSync {
    /// A peer of which nothing is known yet: not usable before the first exchange.
    pub fn new() -> ClockSync {
        ClockSync::default()
    }

    /// A peer that reads the very clock that we read: the identity, without error.
    pub fn same_clock() -> ClockSync {
        ClockSync { same_clock: true, ..ClockSync::default() }
    }

    /// Takes one exchange. False, and without effect, if its stamps contradict each other.
    pub fn record(&mut self, stamps: Stamps) -> bool {
        let Some(round_trip) = stamps.round_trip() else { return false };
        let forth = stamps.peer_received.signed_since(stamps.sent);
        let back = stamps.peer_sent.signed_since(stamps.received);
        // The half of each first, so that far clocks do not overflow.
        let offset = forth / 2 + back / 2 + (forth % 2 + back % 2) / 2;
        let at = stamps.sent + Nanos(stamps.received.since(stamps.sent).0 / 2);
        let estimate = Estimate { at, offset, round_trip };
        if self.open.is_none_or(|best| round_trip <= best.round_trip) {
            self.open = Some(estimate);
        }
        self.exchanges += 1;
        if self.exchanges == EXCHANGES_PER_WINDOW {
            self.exchanges = 0;
            self.before = self.last.take();
            self.last = self.open.take();
        }
        true
    }

    /// Whether times can be converted.
    pub fn is_synchronised(&self) -> bool {
        self.same_clock || self.best().is_some()
    }

    /// Our time as the peer's clock would show it. None before the first exchange.
    pub fn to_peer(&self, ours: Nanos) -> Option<Nanos> {
        if self.same_clock {
            return Some(ours);
        }
        Some(ours.offset(self.offset_at(self.best()?, ours)))
    }

    /// The peer's time on our clock. None before the first exchange.
    pub fn to_ours(&self, peer: Nanos) -> Option<Nanos> {
        if self.same_clock {
            return Some(peer);
        }
        let best = self.best()?;
        let roughly = peer.offset(best.offset.saturating_neg());
        Some(peer.offset(self.offset_at(best, roughly).saturating_neg()))
    }

    /// Bound on the error of a conversion at `now`: half the believed round trip, and what the clocks
    /// may have drifted since. [`Nanos::MAX`] before the first exchange.
    pub fn error(&self, now: Nanos) -> Nanos {
        if self.same_clock {
            return Nanos::ZERO;
        }
        let Some(best) = self.best() else { return Nanos::MAX };
        best.round_trip_half() + Nanos(scaled(distance(best.at, now), DRIFT_PPM).unsigned_abs())
    }

    /// The estimate that is believed: of the newer windows the one with the shorter round trip.
    fn best(&self) -> Option<Estimate> {
        match (self.last, self.open) {
            (Some(last), Some(open)) => Some(if open.round_trip <= last.round_trip { open } else { last }),
            (last, open) => last.or(open),
        }
    }

    /// Peer's drift against ours in parts per million, where two windows are far enough apart.
    fn slope_ppm(&self) -> i64 {
        let (Some(before), Some(newer)) = (self.before, self.best()) else { return 0 };
        let span = newer.at.since(before.at);
        // A slope smaller than the uncertainty of its two ends is noise.
        let moved = newer.offset.saturating_sub(before.offset);
        let unsure = before.round_trip_half() + newer.round_trip_half();
        if span < SLOPE_BASE || moved.unsigned_abs() <= unsure.0 {
            return 0;
        }
        let span = i64::try_from(span.0).unwrap_or(i64::MAX);
        (moved.saturating_mul(1_000_000) / span).clamp(-DRIFT_PPM, DRIFT_PPM)
    }

    fn offset_at(&self, from: Estimate, ours: Nanos) -> i64 {
        from.offset.saturating_add(scaled(ours.signed_since(from.at), self.slope_ppm()))
    }
}

impl Estimate {
    fn round_trip_half(self) -> Nanos {
        Nanos(self.round_trip.0.div_ceil(2))
    }
}

fn distance(one: Nanos, other: Nanos) -> i64 {
    i64::try_from(one.since(other).0.max(other.since(one).0)).unwrap_or(i64::MAX)
}

/// `span` times parts per million.
fn scaled(span: i64, ppm: i64) -> i64 {
    (span / 1_000_000).saturating_mul(ppm).saturating_add(span % 1_000_000 * ppm / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An exchange with a peer whose clock is `offset` ahead at 0 and drifts by `ppm`.
    fn exchange(at: u64, offset: i64, ppm: i64, there: u64, held: u64, back: u64) -> Stamps {
        let peer = |ours: u64| Nanos(ours).offset(offset + scaled(ours as i64, ppm));
        Stamps {
            sent: Nanos(at),
            peer_received: peer(at + there),
            peer_sent: peer(at + there + held),
            received: Nanos(at + there + held + back),
        }
    }

    proptest! {
        #[test]
        fn the_error_bounds_every_conversion(
            offset in -1_000_000_000_000i64..1_000_000_000_000,
            ppm in -90i64..90,
            delays in prop::collection::vec((10_000u64..2_000_000, 0u64..100_000, 10_000u64..2_000_000), 1..80),
        ) {
            let start = 2_000_000_000_000u64;
            let mut sync = ClockSync::new();
            for (i, &(there, held, back)) in delays.iter().enumerate() {
                let at = start + i as u64 * 50_000_000;
                prop_assert!(sync.record(exchange(at, offset, ppm, there, held, back)));
                let now = Nanos(at + 10_000_000);
                let truth = now.offset(offset + scaled(now.0 as i64, ppm));
                let told = sync.to_peer(now).unwrap();
                let error = sync.error(now);
                // A slope that is wrong by its own uncertainty doubles what drift may add.
                let allowed = (error + error).0 + 10;
                prop_assert!(told.signed_since(truth).unsigned_abs() <= allowed, "{told} {truth} {error}");
                let again = sync.to_ours(told).unwrap();
                prop_assert!(again.signed_since(now).unsigned_abs() <= 200, "{again} {now}");
            }
        }
    }

    #[test]
    fn the_shortest_round_trip_is_believed() {
        let mut sync = ClockSync::new();
        assert_eq!((sync.to_peer(Nanos(5)), sync.error(Nanos(5))), (None, Nanos::MAX));
        sync.record(exchange(1_000_000, 500, 0, 90_000, 0, 10_000));
        sync.record(exchange(2_000_000, 500, 0, 100, 50, 100));
        sync.record(exchange(3_000_000, 500, 0, 10_000, 0, 90_000));
        assert_eq!(sync.to_peer(Nanos(2_000_000)), Some(Nanos(2_000_500)));
        assert_eq!(sync.error(Nanos(2_000_125)), Nanos(100));
    }

    #[test]
    fn stamps_that_contradict_each_other_are_refused() {
        let mut stamps = exchange(1_000, 0, 0, 10, 10, 10);
        stamps.peer_sent = stamps.peer_received + Nanos(1_000);
        assert!(!ClockSync::new().record(stamps));
        assert!(ClockSync::same_clock().is_synchronised());
    }
}
