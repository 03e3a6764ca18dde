//! The part of a package that is for people and clients: labels, dictionary, pre-processing.

use super::error::Fault;
use crate::base::limits::MAX_CARD_BYTES;

/// A JSON object, kept as its bytes: the runtime passes it on and never looks inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card(String);

impl Card {
    /// The card with that text.
    ///
    /// # Errors
    /// [`Fault::Card`] if it is not UTF-8 or no JSON object, [`Fault::Count`] if it is longer than [`MAX_CARD_BYTES`].
    pub fn new(bytes: Vec<u8>) -> Result<Card, Fault> {
        if bytes.len() > MAX_CARD_BYTES {
            return Err(Fault::Count {
                what: "bytes of the card",
                found: bytes.len() as u64,
                limit: MAX_CARD_BYTES as u64,
            });
        }
        let text = String::from_utf8(bytes).map_err(|error| Fault::Card { reason: error.to_string() })?;
        serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text)
            .map_err(|error| Fault::Card { reason: error.to_string() })?;
        Ok(Card(text))
    }

    /// Its JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its bytes, as they stand in the package.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Default for Card {
    /// The card that says nothing.
    fn default() -> Card {
        Card("{}".to_owned())
    }
}
