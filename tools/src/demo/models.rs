//! The demo's packages: imported once, kept by what they were made from.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::Places;
use super::error::DemoError;
use crate::import::{self, Options};
use crate::print::{say, say_part};

/// A model of the demo.
#[derive(Clone, Copy, Debug)]
pub struct DemoModel {
    /// Its name at the server.
    pub name: &'static str,
    /// Its file in `models`.
    onnx: &'static str,
    /// Its card in `cards`.
    pub card: Option<&'static str>,
    shapes: &'static [&'static str],
    outputs: &'static [&'static str],
    random_weights: Option<u64>,
}

/// Says what a picture shows; trained.
pub const CLASSIFIER: DemoModel = DemoModel {
    name: "efficientnet_lite0",
    onnx: "efficientnet_lite0.onnx",
    card: Some("efficientnet_lite0.json"),
    shapes: &[],
    outputs: &["logits"],
    random_weights: None,
};

/// Reads a line of text at three widths; trained.
pub const READER: DemoModel = DemoModel {
    name: "ppocr_v4_rec",
    onnx: "ppocr_v4_rec.onnx",
    card: Some("ppocr_v4_rec.json"),
    shapes: &["x=1x3x48x320", "x=1x3x48x480", "x=1x3x48x640"],
    outputs: &["p2o.Add.277"],
    random_weights: None,
};

/// Takes part in the load only: its weights are random.
pub const EXTRA: DemoModel = DemoModel {
    name: "squeezenet",
    onnx: "light_squeezenet.onnx",
    card: None,
    shapes: &[],
    outputs: &["r65"],
    random_weights: Some(1),
};

const ALL: [DemoModel; 3] = [CLASSIFIER, READER, EXTRA];

impl DemoModel {
    /// Its card, where it has one.
    pub fn card_path(&self, assets: &Path) -> Option<PathBuf> {
        self.card.map(|card| assets.join("cards").join(card))
    }
}

/// The folder with all packages; those that are not there yet are imported.
///
/// # Errors
/// [`DemoError`].
pub fn packages(places: &Places) -> Result<PathBuf, DemoError> {
    let folder = places.cache.join(made_from(&places.assets)?);
    let file = |path: &Path, doing, source| DemoError::File { path: path.to_owned(), doing, source };
    fs::create_dir_all(&folder).map_err(|source| file(&folder, "make", source))?;
    for model in ALL {
        let package = folder.join(model.name).with_extension("cwk");
        if package.exists() {
            continue;
        }
        say_part!("importing {} ... ", model.name);
        std::io::stdout().flush().map_err(|source| file(Path::new("stdout"), "write", source))?;
        let begin = Instant::now();
        import(model, &places.assets, &package)?;
        say!("{:.1} s", begin.elapsed().as_secs_f64());
    }
    Ok(folder)
}

fn import(model: DemoModel, assets: &Path, package: &Path) -> Result<(), DemoError> {
    // An import that is cut off must not be taken for a package.
    let unfinished = package.with_extension("unfinished");
    let options = Options {
        model: assets.join("models").join(model.onnx),
        package: unfinished.clone(),
        shapes: model.shapes.iter().map(|&shape| shape.to_owned()).collect(),
        outputs: model.outputs.iter().map(|&output| output.to_owned()).collect(),
        random_weights: model.random_weights,
        name: Some(model.name.to_owned()),
        card: model.card_path(assets),
        ..Options::default()
    };
    import::import(&options, &mut |_, _| {}).map_err(|source| DemoError::Import { model: model.name, source })?;
    fs::rename(&unfinished, package).map_err(|source| DemoError::File {
        path: package.to_owned(),
        doing: "write",
        source,
    })
}

/// A name for what the packages are made from: models, cards and the importer, which is this program.
fn made_from(assets: &Path) -> Result<String, DemoError> {
    let mut digest = blake3::Hasher::new();
    let mut add = |path: PathBuf| {
        let bytes = fs::read(&path).map_err(|source| DemoError::File { path: path.clone(), doing: "read", source })?;
        digest.update(&bytes);
        Ok::<(), DemoError>(())
    };
    for model in ALL {
        add(assets.join("models").join(model.onnx))?;
        model.card_path(assets).map_or(Ok(()), &mut add)?;
    }
    let program = std::env::current_exe();
    program.map_or(Ok(()), add)?;
    Ok(digest.finalize().to_hex()[..16].to_owned())
}
