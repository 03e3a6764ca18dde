//! Faults that a worker's driver is made to have: a setting for tests, off in service.

use sys::cuda::{DriverCode, ENTRY_POINTS, Fault, FaultRule, When};
use thiserror::Error;

/// Faults as the configuration states them: `seed=N` and rules, separated by commas. A rule is
/// `ENTRY@WHEN=WHAT`: WHEN is `N` (the call of that number, from 1), `N+` (from that call on) or `N%`
/// (each call with a chance of N percent); WHAT is `fail:CODE`, `slow:MICROSECONDS` or `stall`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultPlan {
    /// Decides chances.
    pub seed: u64,
    /// What happens to which calls.
    pub rules: Vec<FaultRule>,
}

/// Why a text states no faults.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("worker.faults: `{part}` is neither `seed=N` nor `ENTRY@WHEN=WHAT` with {wanted}")]
pub struct FaultError {
    /// What was found.
    pub part: String,
    /// What is wrong with it.
    pub wanted: &'static str,
}

impl FaultPlan {
    /// Reads the text of the configuration.
    ///
    /// # Errors
    /// [`FaultError`] names the part that is wrong.
    pub fn parse(text: &str) -> Result<FaultPlan, FaultError> {
        let mut plan = FaultPlan::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let wrong = |wanted| FaultError { part: part.to_owned(), wanted };
            if let Some(seed) = part.strip_prefix("seed=") {
                plan.seed = seed.parse().map_err(|_| wrong("N a number"))?;
            } else {
                plan.rules.push(rule(part).map_err(wrong)?);
            }
        }
        Ok(plan)
    }
}

fn rule(part: &str) -> Result<FaultRule, &'static str> {
    let (calls, what) = part.split_once('=').ok_or("a `=`")?;
    let (entry, when) = calls.split_once('@').ok_or("a `@`")?;
    let entry = ENTRY_POINTS.iter().find(|known| **known == entry).ok_or("ENTRY an entry point of the driver")?;
    Ok(FaultRule {
        entry,
        when: parse_when(when).ok_or("WHEN `N`, `N+` or `N%`")?,
        fault: parse_fault(what).ok_or("WHAT `fail:CODE`, `slow:MICROSECONDS` or `stall`")?,
    })
}

fn parse_when(text: &str) -> Option<When> {
    if let Some(percent) = text.strip_suffix('%') {
        return percent
            .parse()
            .ok()
            .filter(|&percent: &u32| percent <= 100)
            .map(|percent| When::Chance(percent * 10_000));
    }
    match text.strip_suffix('+') {
        Some(first) => first.parse().ok().map(When::From),
        None => text.parse().ok().map(When::Nth),
    }
}

fn parse_fault(text: &str) -> Option<Fault> {
    match text.split_once(':') {
        Some(("fail", code)) => code.parse().ok().map(|code| Fault::Fail(DriverCode(code))),
        Some(("slow", us)) => us.parse().ok().and_then(|us: u64| us.checked_mul(1000)).map(Fault::Slow),
        None if text == "stall" => Some(Fault::Stall),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read() {
        let plan = FaultPlan::parse("seed=7, cuMemcpyHtoDAsync_v2@1=fail:719,cuGraphLaunch@5%=slow:20,cuInit@3+=stall");
        let rules = vec![
            FaultRule { entry: "cuMemcpyHtoDAsync_v2", when: When::Nth(1), fault: Fault::Fail(DriverCode(719)) },
            FaultRule { entry: "cuGraphLaunch", when: When::Chance(50_000), fault: Fault::Slow(20_000) },
            FaultRule { entry: "cuInit", when: When::From(3), fault: Fault::Stall },
        ];
        assert_eq!(plan, Ok(FaultPlan { seed: 7, rules }));
        assert_eq!(FaultPlan::parse(""), Ok(FaultPlan::default()));
    }

    #[test]
    fn what_is_no_rule_is_named() {
        for wrong in [
            "cuInit",
            "cuInit@1",
            "cuInit@x=stall",
            "cuNothing@1=stall",
            "cuInit@1=fall",
            "seed=x",
            "cuInit@101%=stall",
        ] {
            let error = FaultPlan::parse(&format!("cuInit@1=stall,{wrong}")).unwrap_err();
            assert_eq!(error.part, wrong);
        }
    }
}
