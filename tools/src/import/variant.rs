//! Shape variants: which shapes each input has, from the file and from the command line.

use runtime::base::limits::MAX_SHAPES;

use super::error::{ImportError, Why};
use super::load::Model;

/// The shapes of a model's inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variants {
    /// By variant, by input: the whole shape.
    pub shapes: Vec<Vec<Vec<usize>>>,
    /// Whether dimension 0 of every input is the batch, which is 1 in [`Variants::shapes`].
    pub batched: bool,
}

/// By variant, by input: the whole shape. The batch is dimension 0, unless an input has no dimension
/// of 1 or of open size there.
pub fn resolve(model: &Model, given: &[String]) -> Result<Variants, ImportError> {
    let graph = &model.graph;
    let names: Vec<&str> = graph.inputs.iter().map(|&id| graph.value(id).name.as_str()).collect();
    let mut shapes: Vec<Vec<Vec<usize>>> = vec![Vec::new(); names.len()];
    for text in given {
        let (name, dims) = parse(text)?;
        let input = names.iter().position(|known| *known == name).ok_or_else(|| ImportError::UnknownName {
            role: "input",
            name: name.to_owned(),
            known: names.join(", "),
        })?;
        let fixed = model.declared[input].as_deref();
        if dims[0] != 1 && fixed.is_none_or(|fixed| fixed.first().is_none_or(Option::is_none)) {
            return Err(ImportError::ShapeSyntax { text: text.clone() });
        }
        check(name, &dims, fixed)?;
        shapes[input].push(dims);
    }
    for (input, shapes) in shapes.iter_mut().enumerate() {
        if shapes.is_empty() {
            shapes.push(declared(names[input], model.declared[input].as_deref())?);
        }
    }
    let count = shapes.iter().map(Vec::len).max().unwrap_or(1);
    if count > MAX_SHAPES {
        return Err(ImportError::Limit { what: "shape variants", found: count, limit: MAX_SHAPES });
    }
    if let Some(input) = shapes.iter().position(|shapes| shapes.len() != 1 && shapes.len() != count) {
        let (name, found) = (names[input].to_owned(), shapes[input].len());
        return Err(ImportError::ShapeCount { name, found, wanted: count });
    }
    let batched = shapes.iter().flatten().all(|dims| dims.first() == Some(&1));
    let of_input = |shapes: &Vec<Vec<usize>>, variant: usize| shapes[variant.min(shapes.len() - 1)].clone();
    let of_variant = |variant| shapes.iter().map(|shapes| of_input(shapes, variant)).collect();
    Ok(Variants { shapes: (0..count).map(of_variant).collect(), batched })
}

fn parse(text: &str) -> Result<(&str, Vec<usize>), ImportError> {
    let wrong = || ImportError::ShapeSyntax { text: text.to_owned() };
    let (name, dims) = text.rsplit_once('=').ok_or_else(wrong)?;
    let dims: Vec<usize> = dims.split('x').map(|dim| dim.parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
    if dims.contains(&0) {
        return Err(wrong());
    }
    Ok((name, dims))
}

/// Refuses a shape that contradicts what the file fixes.
fn check(name: &str, dims: &[usize], declared: Option<&[Option<usize>]>) -> Result<(), ImportError> {
    let Some(declared) = declared else { return Ok(()) };
    let fits = |(&dim, fixed): (&usize, &Option<usize>)| fixed.is_none_or(|fixed| fixed == dim);
    if dims.len() == declared.len() && dims.iter().zip(declared).all(fits) {
        return Ok(());
    }
    let right = declared.iter().map(|dim| dim.unwrap_or(0)).collect();
    let why = Why::Mismatch { left: dims.to_vec(), right, wanted: "the dimensions that the model fixes (0: open)" };
    Err(ImportError::Tensor { role: "input", name: name.to_owned(), why })
}

/// The shape as the file fixes it; an open first dimension is the batch.
fn declared(name: &str, declared: Option<&[Option<usize>]>) -> Result<Vec<usize>, ImportError> {
    let open = || ImportError::OpenShape { name: name.to_owned() };
    let dims = declared.ok_or_else(open)?;
    dims.iter().enumerate().map(|(i, dim)| if i == 0 { Ok(dim.unwrap_or(1)) } else { dim.ok_or_else(open) }).collect()
}
