//! What an import made, for people.

use std::fmt;
use std::time::Duration;

use runtime::package::{Plan, Written};

use super::batch::{Beyond, Unbatchable};
use super::prove::Proof;
use super::tune::Choices;

/// What an import made.
#[derive(Debug)]
pub struct Report {
    /// The model's name.
    pub name: String,
    /// Identity and length of the package.
    pub written: Written,
    /// Weight tensors.
    pub tensors: usize,
    /// Weight pages.
    pub pages: usize,
    /// Length of a page in bytes.
    pub page_bytes: usize,
    /// Bytes of the pages that no tensor covers.
    pub waste: usize,
    /// The algorithms of convolutions.
    pub choices: Choices,
    /// The plans.
    pub plans: Vec<PlanReport>,
    /// What running the batch proved; none if there is none.
    pub proof: Option<Proof>,
    /// Why there are plans for batch 1 only, if there are.
    pub unbatchable: Option<Unbatchable>,
    /// Batches that are too large, by shape variant.
    pub beyond: Vec<Beyond>,
    /// How long it took.
    pub took: Duration,
    /// The most memory that the process held up to now, in bytes; none where the system does not say.
    pub memory: Option<usize>,
}

/// What one plan is like.
#[derive(Clone, Copy, Debug)]
pub struct PlanReport {
    /// Shape variant.
    pub shape: u8,
    /// Batch size.
    pub batch: u8,
    /// Launches.
    pub launches: usize,
    /// Workspace in bytes.
    pub workspace_bytes: u32,
}

impl PlanReport {
    /// The report of that plan.
    pub fn of(plan: &Plan) -> PlanReport {
        PlanReport {
            shape: plan.shape.0,
            batch: plan.batch.get(),
            launches: plan.launches.len(),
            workspace_bytes: plan.workspace_bytes,
        }
    }
}

/// The most memory that this process has held, in bytes.
pub fn most_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

const MIB: f64 = (1 << 20) as f64;

impl fmt::Display for Report {
    #[expect(clippy::cast_precision_loss, reason = "shown to people")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: usize| bytes as f64 / MIB;
        let all = self.pages * self.page_bytes;
        writeln!(f, "{} (model {})", self.name, self.written.id)?;
        writeln!(f, "  weights   {:>8.1} MiB in {} tensors", mib(all - self.waste), self.tensors)?;
        let share = 100.0 * self.waste as f64 / all.max(1) as f64;
        writeln!(f, "  pages     {:>8} of {} KiB, {share:.1}% of them empty", self.pages, self.page_bytes >> 10)?;
        if self.choices.growth() > 0 {
            let [two, four] = self.choices.counts();
            let grown = self.choices.growth() as f64 / MIB;
            writeln!(f, "  winograd  {grown:>8.1} MiB more weights: {two} convolutions by 2x2, {four} by 4x4")?;
        }
        writeln!(f, "  package   {:>8.1} MiB", self.written.bytes as f64 / MIB)?;
        writeln!(f, "  time      {:>8.2} s", self.took.as_secs_f64())?;
        if let Some(memory) = self.memory {
            writeln!(f, "  memory    {:>8.1} MiB at most", mib(memory))?;
        }
        if let Some(Proof { variants, of }) = self.proof {
            writeln!(f, "  batch     proven by running: {variants} of {of} shape variants")?;
        }
        writeln!(f, "  shape  batch  launches  workspace MiB")?;
        for plan in &self.plans {
            let workspace = f64::from(plan.workspace_bytes) / MIB;
            writeln!(f, "  {:>5}  {:>5}  {:>8}  {workspace:>13.2}", plan.shape, plan.batch, plan.launches)?;
        }
        for Beyond { shape, batch, why } in &self.beyond {
            writeln!(f, "  no batch of {batch} or more in shape variant {}: {why}", shape.0)?;
        }
        match &self.unbatchable {
            None => Ok(()),
            Some(why) => writeln!(f, "  batch 1 only: {why}"),
        }
    }
}
