//! Scores of classes as shares with names.

use serde::Serialize;

use super::error::VisionError;

/// A class that a picture may show.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Class {
    /// Its number.
    pub class: usize,
    /// Its name.
    pub label: String,
    /// Its share after softmax, from 0 to 1.
    pub share: f32,
}

/// The `top` likeliest classes, likeliest first; of equal ones the lower number.
///
/// # Errors
/// [`VisionError::Classes`] if there are not as many labels as logits.
pub fn top(logits: &[f32], labels: &[String], top: usize) -> Result<Vec<Class>, VisionError> {
    if logits.len() != labels.len() {
        return Err(VisionError::Classes { found: logits.len(), wanted: labels.len() });
    }
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let whole: f32 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
    let class = |class: usize| {
        let share = (logits[class] - largest).exp() / whole;
        Class { class, label: labels[class].clone(), share }
    };
    Ok(order.into_iter().take(top).map(class).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_softmax() {
        let labels = ["a", "b", "c"].map(str::to_owned);
        let said = top(&[0.0, 2.0_f32.ln(), 0.0], &labels, 2).unwrap();
        assert_eq!(said.iter().map(|class| class.label.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert!((said[0].share - 0.5).abs() < 1e-6 && (said[1].share - 0.25).abs() < 1e-6);
        assert!(matches!(top(&[0.0], &labels, 1), Err(VisionError::Classes { found: 1, wanted: 3 })));
    }
}
