//! Time as every part of Clockwork sees it.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// Nanoseconds: either a point on a monotonic clock or a length of time.
///
/// A point is only meaningful beside the clock it was read from (DESIGN, "Time"): the scheduler
/// sees controller time alone, sessions convert. Addition and subtraction saturate, so that a far
/// deadline plus a margin stays far and a margin larger than the time elapsed gives the clock's zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The clock's zero, or no time at all.
    pub const ZERO: Nanos = Nanos(0);
    /// Later than anything that happens.
    pub const MAX: Nanos = Nanos(u64::MAX);

    /// `n` microseconds.
    pub const fn micros(n: u64) -> Nanos {
        Nanos(n * 1_000)
    }

    /// `n` milliseconds.
    pub const fn millis(n: u64) -> Nanos {
        Nanos(n * 1_000_000)
    }

    /// `n` seconds.
    pub const fn seconds(n: u64) -> Nanos {
        Nanos(n * 1_000_000_000)
    }

    /// The time from `earlier` to `self`; zero if `earlier` is later.
    pub const fn since(self, earlier: Nanos) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }

    /// The signed distance `self - other`, clamped to the range of `i64`.
    pub fn signed_since(self, other: Nanos) -> i64 {
        if self.0 >= other.0 {
            i64::try_from(self.0 - other.0).unwrap_or(i64::MAX)
        } else {
            i64::try_from(other.0 - self.0).map_or(i64::MIN, |distance| -distance)
        }
    }

    /// `self` moved by a signed number of nanoseconds, saturating at both ends.
    pub const fn offset(self, by: i64) -> Nanos {
        Nanos(self.0.saturating_add_signed(by))
    }

    /// Three halves of `self`, the bound used while there are few samples.
    pub const fn three_halves(self) -> Nanos {
        Nanos(self.0.saturating_add(self.0 / 2))
    }

    /// As fractional milliseconds, for people.
    #[expect(clippy::cast_precision_loss, reason = "printed with three decimals")]
    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl Add for Nanos {
    type Output = Nanos;
    fn add(self, other: Nanos) -> Nanos {
        Nanos(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Nanos {
    fn add_assign(&mut self, other: Nanos) {
        *self = *self + other;
    }
}

impl Sub for Nanos {
    type Output = Nanos;
    fn sub(self, other: Nanos) -> Nanos {
        self.since(other)
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0;
        match n {
            0..1_000 => write!(f, "{n} ns"),
            1_000..1_000_000 => write!(f, "{}.{:01} us", n / 1_000, n % 1_000 / 100),
            1_000_000..1_000_000_000 => write!(f, "{}.{:02} ms", n / 1_000_000, n % 1_000_000 / 10_000),
            _ => write!(f, "{}.{:02} s", n / 1_000_000_000, n % 1_000_000_000 / 10_000_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Nanos::MAX + Nanos(1), Nanos::MAX);
        assert_eq!(Nanos(1) - Nanos(2), Nanos::ZERO);
        assert_eq!(Nanos(1).offset(-5), Nanos::ZERO);
        assert_eq!(Nanos(3).signed_since(Nanos(5)), -2);
    }

    #[test]
    fn reads_in_the_unit_that_fits() {
        assert_eq!(Nanos(999).to_string(), "999 ns");
        assert_eq!(Nanos(1_250).to_string(), "1.2 us");
        assert_eq!(Nanos::millis(12).to_string(), "12.00 ms");
        assert_eq!(Nanos(1_050_000_000).to_string(), "1.05 s");
    }
}
