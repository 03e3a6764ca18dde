//! Numbers from a seed: splitmix64, the same everywhere and for ever.

/// A stream of pseudo-random numbers that is a function of its seed alone.
#[derive(Clone, Debug)]
pub struct Seeded {
    state: u64,
}

impl Seeded {
    /// The stream of `seed`.
    pub const fn new(seed: u64) -> Seeded {
        Seeded { state: seed }
    }

    /// A stream of its own for each part of a run, so that one part's draws never shift another's.
    pub fn part(seed: u64, part: Part, number: u64) -> Seeded {
        let mut mixer = Seeded::new(seed ^ (part as u64) << 56);
        let mixed = mixer.next_u64() ^ number.wrapping_mul(0xd134_2543_de82_ef95);
        Seeded::new(Seeded::new(mixed).next_u64())
    }

    /// The next 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in (0, 1]: never 0, so that its logarithm is finite.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    pub fn unit(&mut self) -> f64 {
        ((self.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in 0..=`most`.
    pub fn up_to(&mut self, most: u64) -> u64 {
        match most.checked_add(1) {
            Some(values) => self.next_u64() % values,
            None => self.next_u64(),
        }
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() <= probability
    }

    /// Exponentially distributed with the given mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.unit().ln()
    }
}

/// The parts of a run that draw numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Part {
    /// Arrivals of a model.
    Arrivals = 1,
    /// Withdrawals.
    Withdrawals = 2,
    /// Clock offsets and drifts.
    Clocks = 3,
    /// Links' jitter.
    Links = 4,
    /// Durations and faults of a device.
    Devices = 5,
    /// Durations and faults of a disk.
    Disks = 6,
    /// The profile that was measured before the run.
    Profile = 7,
    /// Lost workers.
    Losses = 8,
    /// Lateness of timers.
    Timers = 9,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_published_vector() {
        // First outputs of splitmix64 for seed 1234567.
        let mut stream = Seeded::new(1_234_567);
        assert_eq!(stream.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(stream.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn exponential_has_its_mean() {
        let mut stream = Seeded::new(7);
        let n = 100_000;
        let mean = (0..n).map(|_| stream.exponential(2.0)).sum::<f64>() / f64::from(n);
        assert!((mean - 2.0).abs() < 0.03, "{mean}");
    }

    #[test]
    fn parts_are_streams_of_their_own() {
        let first = |part, number| Seeded::part(9, part, number).next_u64();
        let mut firsts = vec![first(Part::Links, 0), first(Part::Links, 1), first(Part::Devices, 0)];
        firsts.dedup();
        assert_eq!(firsts.len(), 3);
        assert_eq!(first(Part::Links, 1), first(Part::Links, 1));
    }

    #[test]
    fn chances_and_ranges_keep_their_bounds() {
        let mut stream = Seeded::new(3);
        assert!((0..100).all(|_| !stream.chance(0.0) && stream.chance(1.0) && stream.up_to(2) <= 2));
    }
}
