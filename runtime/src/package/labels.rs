//! What each launch computes, by names of the model's file: for people, and no part of the architecture.

use std::collections::BTreeMap;

use super::codec::{Decoder, Encoder, Placed};
use super::error::{Fault, SectionName};
use super::plan::Plan;
use crate::base::limits::{MAX_LABEL_BYTES, MAX_LABELS_BYTES};

/// A text for each launch of each plan, or nothing at all. Equal texts are held once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    texts: Vec<Box<str>>,
    /// By plan, by launch: which text.
    launches: Vec<Vec<u16>>,
}

impl Labels {
    /// Those texts, by plan, by launch. A text beyond [`MAX_LABEL_BYTES`] is cut; if all together would have more than
    /// [`MAX_LABELS_BYTES`], there are none: a model is not refused for what only people read.
    pub fn new(plans: &[Vec<String>]) -> Labels {
        let mut labels = Labels::default();
        let mut known: BTreeMap<&str, u16> = BTreeMap::new();
        for plan in plans {
            let mut launches = Vec::with_capacity(plan.len());
            for text in plan {
                let text = shortened(text);
                let Ok(next) = u16::try_from(known.len()) else { return Labels::default() };
                launches.push(*known.entry(text).or_insert_with(|| {
                    labels.texts.push(text.into());
                    next
                }));
            }
            labels.launches.push(launches);
        }
        if labels.texts.is_empty() || labels.bytes() > MAX_LABELS_BYTES { Labels::default() } else { labels }
    }

    /// What a launch of a plan computes, both by their place in the package; none if it does not say.
    pub fn of(&self, plan: usize, launch: usize) -> Option<&str> {
        let text = self.launches.get(plan)?.get(launch)?;
        self.texts.get(usize::from(*text)).map(AsRef::as_ref)
    }

    fn bytes(&self) -> usize {
        let texts: usize = self.texts.iter().map(|text| size_of::<u16>() + text.len()).sum();
        let launches: usize = self.launches.iter().map(|launches| launches.len() * size_of::<u16>()).sum();
        size_of::<u16>() + texts + launches
    }

    /// Appends them to the names section; nothing if there are none.
    ///
    /// # Errors
    /// [`Fault::Value`] if they are not those of `plans`.
    pub(super) fn encode(&self, out: &mut Encoder, plans: &[Plan]) -> Result<(), Fault> {
        if self.texts.is_empty() {
            return Ok(());
        }
        let fits = self.launches.iter().map(Vec::len).eq(plans.iter().map(|plan| plan.launches.len()));
        let number = |n: usize| u16::try_from(n).ok();
        let (true, Some(count)) = (fits, number(self.texts.len())) else {
            return Err(Fault::Value { what: "the number of labels", found: self.texts.len() as u64 });
        };
        out.u16(count);
        for text in &self.texts {
            let length = number(text.len()).ok_or(Fault::Name { what: "a launch's label" })?;
            out.u16(length);
            out.slice(text.as_bytes());
        }
        self.launches.iter().flatten().for_each(|&text| out.u16(text));
        Ok(())
    }

    /// Reads what is left of the names section.
    pub(super) fn decode(from: &mut Decoder, plans: &[Plan]) -> Result<Labels, Placed> {
        if from.left() == 0 {
            return Ok(Labels::default());
        }
        let at = from.offset();
        let count = from.u16("the number of labels")?;
        if count == 0 {
            return Err((at, Fault::Value { what: "the number of labels", found: 0 }));
        }
        let mut texts = Vec::new();
        for _ in 0..count {
            let at = from.offset();
            let length = usize::from(from.u16("the length of a label")?);
            let text = std::str::from_utf8(from.slice(length, "a launch's label")?);
            texts.push(text.map_err(|_| (at, Fault::Name { what: "a launch's label" }))?.into());
        }
        let mut launches = Vec::with_capacity(plans.len());
        for plan in plans {
            let mut of_plan = Vec::with_capacity(plan.launches.len());
            for _ in &plan.launches {
                let at = from.offset();
                let text = from.u16("a launch's label")?;
                if text >= count {
                    return Err((at, Fault::Value { what: "a launch's label", found: u64::from(text) }));
                }
                of_plan.push(text);
            }
            launches.push(of_plan);
        }
        if from.left() > 0 {
            return from.fault(Fault::LeftOver { section: SectionName::Names, bytes: from.left() as u64 });
        }
        Ok(Labels { texts, launches })
    }
}

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_LABEL_BYTES)]
}
