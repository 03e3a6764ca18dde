//! Greedy decoding of a reader's steps (connectionist temporal classification).

use super::card::Dictionary;
use super::error::VisionError;

/// Class of "no character here".
const BLANK: usize = 0;

/// A line that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its text.
    pub text: String,
    /// Share of the likeliest class at the least sure step that gave a character, from 0 to 1; 1 for
    /// an empty line.
    pub least_sure: f32,
}

/// The likeliest class of each step; runs of one class become one, blanks are dropped.
///
/// # Errors
/// [`VisionError::Classes`] if a step has not one class for blank and each character.
pub fn read(logits: &[f32], classes: usize, dictionary: &Dictionary) -> Result<Line, VisionError> {
    if classes != dictionary.0.len() + 1 {
        return Err(VisionError::Classes { found: classes, wanted: dictionary.0.len() + 1 });
    }
    let mut line = Line { text: String::new(), least_sure: 1.0 };
    let mut last = BLANK;
    for step in logits.chunks_exact(classes) {
        let best = (1..classes).fold(BLANK, |best, class| if step[class] > step[best] { class } else { best });
        if best != BLANK && best != last {
            line.text.push(dictionary.0[best - 1]);
            let whole: f32 = step.iter().map(|logit| (logit - step[best]).exp()).sum();
            line.least_sure = line.least_sure.min(1.0 / whole);
        }
        last = best;
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(steps: &[usize]) -> String {
        let mut logits = vec![0.0; steps.len() * 4];
        steps.iter().enumerate().for_each(|(step, class)| logits[step * 4 + class] = 9.0);
        read(&logits, 4, &Dictionary(vec!['a', 'b', ' '])).unwrap().text
    }

    #[test]
    fn repeats_become_one_and_blanks_part_them() {
        assert_eq!(text(&[0, 1, 1, 0, 1, 2, 2, 3, 2, 0]), "aab b");
        assert_eq!(text(&[0, 0]), "");
        assert_eq!(text(&[]), "");
    }

    #[test]
    fn a_dictionary_of_another_length_is_named() {
        let error = read(&[0.0; 8], 8, &Dictionary(vec!['a'])).unwrap_err();
        assert!(matches!(error, VisionError::Classes { found: 8, wanted: 2 }));
    }
}
