//! Inputs that come as pictures of bytes and are normalised on the device.

use std::fmt;
use std::str::FromStr;

use super::constant::Constant;
use super::element::Element;
use super::error::{ImportError, Why};
use super::graph::Node;
use super::load::Model;
use super::op::Op;

/// Values of a byte.
const BYTES: usize = 256;

/// How the bytes of an input become what the model reads: `(byte - mean) / deviation` by channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalise {
    /// What was given.
    text: String,
    input: String,
    /// One for each channel, or one for all.
    means: Vec<f32>,
    deviations: Vec<f32>,
    /// A client gives `[height][width][channels]` instead of `[channels][height][width]`.
    interleaved: bool,
}

impl FromStr for Normalise {
    type Err = ImportError;

    /// Reads `NAME=MEAN,.../DEVIATION,...`, and `/nhwc` behind it.
    fn from_str(text: &str) -> Result<Normalise, ImportError> {
        let wrong = || ImportError::NormaliseSyntax { text: text.to_owned() };
        let (input, rule) = text.rsplit_once('=').ok_or_else(wrong)?;
        let mut parts = rule.split('/');
        let mut numbers = || {
            let all: Option<Vec<f32>> = parts.next()?.split(',').map(|number| number.parse().ok()).collect();
            all.filter(|all| all.iter().all(|x| x.is_finite()))
        };
        let (means, deviations) = (numbers().ok_or_else(wrong)?, numbers().ok_or_else(wrong)?);
        let interleaved = match (parts.next(), parts.next()) {
            (None, _) | (Some("nchw"), None) => false,
            (Some("nhwc"), None) => true,
            _ => return Err(wrong()),
        };
        if deviations.contains(&0.0) {
            return Err(wrong());
        }
        Ok(Normalise { text: text.to_owned(), input: input.to_owned(), means, deviations, interleaved })
    }
}

impl fmt::Display for Normalise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Normalise {
    /// The name of the input.
    pub fn input(&self) -> &str {
        &self.input
    }

    /// Makes the input one of bytes.
    ///
    /// # Errors
    /// If there is no such input, or it is no picture of floats with that many channels.
    pub fn apply(&self, model: &mut Model) -> Result<(), ImportError> {
        let graph = &mut model.graph;
        let names = || graph.inputs.iter().map(|&id| graph.value(id).name.clone()).collect::<Vec<_>>().join(", ");
        let place = graph.inputs.iter().position(|&id| graph.value(id).name == self.input);
        let unknown = || ImportError::UnknownName { role: "input", name: self.input.clone(), known: names() };
        let place = place.ok_or_else(unknown)?;
        let refused = |why| ImportError::Tensor { role: "input", name: self.input.clone(), why };
        let floats = graph.inputs[place];
        if graph.element(floats) != Element::Float {
            let found = graph.element(floats).number();
            return Err(refused(Why::Type { found, wanted: "only floats (1) are normalised" }));
        }
        let form = || refused(Why::Form("only pictures with a fixed number of channels, at most 16, are normalised"));
        let declared = model.declared[place].as_mut().filter(|dims| dims.len() == 4).ok_or_else(form)?;
        let channels = declared[1].filter(|&channels| channels <= 16).ok_or_else(form)?;
        let table = Constant::floats(vec![channels, BYTES], self.table(channels).map_err(refused)?);
        if self.interleaved {
            declared[1..].rotate_left(1);
        }
        let bytes = graph.add(self.input.clone(), Vec::new(), None);
        graph.values[bytes.0].element = Element::Uint8;
        graph.values[floats.0].name = format!("{} normalised", self.input);
        graph.inputs[place] = bytes;
        let table = graph.add_constant(format!("{} by byte", self.input), table);
        graph.nodes.insert(
            0,
            Node {
                name: format!("normalise {}", self.input),
                operator: "Normalise".to_owned(),
                op: Op::Pixels { interleaved: self.interleaved },
                inputs: vec![Some(bytes), Some(table)],
                outputs: vec![floats],
            },
        );
        Ok(())
    }

    /// What each byte becomes, by channel.
    fn table(&self, channels: usize) -> Result<Vec<f32>, Why> {
        let by_channel = |numbers: &[f32]| match numbers {
            [one] => Ok(vec![*one; channels]),
            all if all.len() == channels => Ok(all.to_vec()),
            all => Err(Why::Elements { found: all.len(), wanted: channels }),
        };
        let (means, deviations) = (by_channel(&self.means)?, by_channel(&self.deviations)?);
        let bytes = |(mean, deviation): (f32, f32)| (0..=u8::MAX).map(move |byte| (f32::from(byte) - mean) / deviation);
        Ok(means.into_iter().zip(deviations).flat_map(bytes).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read() {
        let rule: Normalise = "x=123.5,116,103/58.25/nhwc".parse().unwrap();
        let means = vec![123.5, 116.0, 103.0];
        let text = rule.to_string();
        assert_eq!(rule, Normalise { text, input: "x".into(), means, deviations: vec![58.25], interleaved: true });
        assert!(!"a=b=0/255".parse::<Normalise>().unwrap().interleaved);
        for wrong in ["x", "x=1", "x=1/0", "x=1/2/hwc", "x=1/2/nhwc/nhwc", "x=a/2", "x=1,/2", "x=inf/2", "x=/"] {
            let error = wrong.parse::<Normalise>().unwrap_err();
            assert!(error.to_string().contains(&format!("`{wrong}`")), "{error}");
        }
    }

    #[test]
    fn a_table_says_what_each_byte_becomes() {
        let rule: Normalise = "x=127,10,0/128,2,255".parse().unwrap();
        let table = rule.table(3).unwrap();
        assert_eq!((table[0], table[255], table[256 + 12], table[512 + 255]), (-127.0 / 128.0, 1.0, 1.0, 1.0));
        assert!(matches!(rule.table(4), Err(Why::Elements { found: 3, wanted: 4 })));
    }
}
