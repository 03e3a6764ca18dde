//! A connection's one direction: a delay, jitter, a bandwidth, and the order kept.

use super::seeded::Seeded;
use crate::base::Nanos;

/// How a link behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// Time that each byte travels at least, waking the receiver included.
    pub delay: Nanos,
    /// Most that is added to it, uniformly.
    pub jitter: Nanos,
    /// Bytes that pass in a microsecond, at least 1.
    pub bytes_per_us: u32,
}

impl Default for LinkConfig {
    fn default() -> LinkConfig {
        // A local network at 10 Gbit/s.
        LinkConfig { delay: Nanos::micros(20), jitter: Nanos::micros(5), bytes_per_us: 1_250 }
    }
}

/// When a message gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The sender's last byte was taken.
    pub sent: Nanos,
    /// The receiver has the head.
    pub head: Nanos,
    /// The receiver has everything.
    pub whole: Nanos,
}

/// Header and body of a frame, roughly.
const HEAD_BYTES: u64 = 96;

/// One direction of a connection. Like a stream socket it never reorders.
#[derive(Clone, Debug)]
pub struct Link {
    config: LinkConfig,
    stream: Seeded,
    /// When the sender's side is free again.
    free_at: Nanos,
    /// When the receiver had the last message whole.
    delivered: Nanos,
}

impl Link {
    /// An idle link.
    pub fn new(config: LinkConfig, stream: Seeded) -> Link {
        Link { config, stream, free_at: Nanos::ZERO, delivered: Nanos::ZERO }
    }

    /// Sends a message with `payload` bytes at `now`.
    pub fn send(&mut self, now: Nanos, payload: u32) -> Delivery {
        let begun = self.free_at.max(now);
        let head_taken = begun + self.passing(HEAD_BYTES);
        let sent = begun + self.passing(HEAD_BYTES + u64::from(payload));
        self.free_at = sent;
        let travel = self.config.delay + Nanos(self.stream.up_to(self.config.jitter.0));
        let head = self.delivered.max(head_taken + travel);
        let whole = head.max(sent + travel);
        self.delivered = whole;
        Delivery { sent, head, whole }
    }

    /// Forgets what was on the way: a new connection.
    pub fn reconnect(&mut self, now: Nanos) {
        (self.free_at, self.delivered) = (now, now);
    }

    fn passing(&self, bytes: u64) -> Nanos {
        Nanos(bytes * 1_000 / u64::from(self.config.bytes_per_us.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_overtakes() {
        let config = LinkConfig { delay: Nanos::micros(10), jitter: Nanos::micros(50), bytes_per_us: 100 };
        let mut link = Link::new(config, Seeded::new(1));
        let mut last = Nanos::ZERO;
        for n in 0..100u32 {
            let delivery = link.send(Nanos(u64::from(n) * 100), n % 3 * 1_000);
            assert!(delivery.head >= last && delivery.whole >= delivery.head && delivery.sent <= delivery.whole);
            assert!(delivery.head >= Nanos(u64::from(n) * 100) + config.delay);
            last = delivery.whole;
        }
    }

    #[test]
    fn payload_takes_its_time() {
        let config = LinkConfig { delay: Nanos::micros(10), jitter: Nanos::ZERO, bytes_per_us: 96 };
        let mut link = Link::new(config, Seeded::new(1));
        let delivery = link.send(Nanos::ZERO, 960);
        assert_eq!(delivery.sent, Nanos::micros(11));
        assert_eq!((delivery.head, delivery.whole), (Nanos::micros(11), Nanos::micros(21)));
        assert_eq!(link.send(Nanos::ZERO, 0).head, Nanos::micros(22));
    }
}
