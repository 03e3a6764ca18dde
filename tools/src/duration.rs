//! Durations on the command line: `100ms`, `2.5s`, `800us`.

use runtime::base::Nanos;
use thiserror::Error;

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no duration; write a number and a unit, for instance 100ms, 2.5s or 800us")]
pub struct NoDuration(String);

/// The duration that `text` is: a number from 0 up and one of ns, us, ms, s, min.
///
/// # Errors
/// [`NoDuration`].
pub fn parse(text: &str) -> Result<Nanos, NoDuration> {
    let wrong = || NoDuration(text.to_owned());
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "ns" => 1.0,
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "min" => 6e10,
        _ => return Err(wrong()),
    };
    let nanos = (number.parse::<f64>().map_err(|_| wrong())? * scale).round();
    // A float as large as this is exact to a nanosecond only up to 104 days, which is more than any use.
    if !(0.0..=9e15).contains(&nanos) {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
    Ok(Nanos(nanos as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_needs_its_unit() {
        assert_eq!(parse("100ms"), Ok(Nanos::millis(100)));
        assert_eq!(parse("2.5s"), Ok(Nanos::millis(2_500)));
        assert_eq!(parse("800us"), Ok(Nanos::micros(800)));
        for wrong in ["100", "ms", "", "-1s", "1h", "1.2.3s", "9999999999s"] {
            assert_eq!(parse(wrong), Err(NoDuration(wrong.to_owned())));
        }
    }
}
