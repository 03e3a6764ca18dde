//! What the demo shows its models: the list of pictures with their true content.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::error::DemoError;

/// One picture.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Input {
    /// Its file, in the folder of inputs.
    pub file: String,
    /// What it really shows.
    pub truth: Truth,
}

/// The true content of a picture.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Truth {
    /// The text of a line.
    Line(String),
    /// What is seen; several names where each is right.
    Picture(Vec<Named>),
}

/// A class by number and name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Named {
    /// Its number.
    pub class: usize,
    /// Its name.
    pub label: String,
}

impl Truth {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Truth::Line(text) => text.clone(),
            Truth::Picture(names) => {
                let names: Vec<&str> = names.iter().map(|named| named.label.as_str()).collect();
                names.join(" or ")
            }
        }
    }
}

/// The inputs in the folder `assets`.
///
/// # Errors
/// [`DemoError`].
pub fn read(assets: &Path) -> Result<Vec<Input>, DemoError> {
    let path = assets.join("inputs/inputs.json");
    let text =
        fs::read_to_string(&path).map_err(|source| DemoError::File { path: path.clone(), doing: "read", source })?;
    serde_json::from_str(&text).map_err(|source| DemoError::Inputs { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_carries_lines_and_pictures() {
        let inputs = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("demo")).unwrap();
        let lines = inputs.iter().filter(|input| matches!(input.truth, Truth::Line(_))).count();
        assert_eq!((lines, inputs.len() - lines), (10, 7));
        assert!(inputs.iter().any(|input| input.truth.words() == "tabby or tiger cat"));
    }
}
