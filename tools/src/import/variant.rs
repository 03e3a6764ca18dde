//! Shape variants: which shapes each input has, from the file and from the command line.

use runtime::base::limits::MAX_SHAPES;

use super::error::{ImportError, Why};
use super::load::Model;

/// By variant, by input: the shape of one item, without the batch.
pub fn resolve(model: &Model, given: &[String]) -> Result<Vec<Vec<Vec<usize>>>, ImportError> {
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
        check(name, &dims, model.declared[input].as_deref())?;
        shapes[input].push(dims[1..].to_vec());
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
    let of_input = |shapes: &Vec<Vec<usize>>, variant: usize| shapes[variant.min(shapes.len() - 1)].clone();
    Ok((0..count).map(|variant| shapes.iter().map(|shapes| of_input(shapes, variant)).collect()).collect())
}

fn parse(text: &str) -> Result<(&str, Vec<usize>), ImportError> {
    let wrong = || ImportError::ShapeSyntax { text: text.to_owned() };
    let (name, dims) = text.rsplit_once('=').ok_or_else(wrong)?;
    let dims: Vec<usize> = dims.split('x').map(|dim| dim.parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
    if dims[0] != 1 || dims.contains(&0) {
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

/// The shape of one item as the file fixes it.
fn declared(name: &str, declared: Option<&[Option<usize>]>) -> Result<Vec<usize>, ImportError> {
    let open = || ImportError::OpenShape { name: name.to_owned() };
    let [batch, item @ ..] = declared.ok_or_else(open)? else { return Err(open()) };
    if let Some(found @ 2..) = *batch {
        let why = Why::Shape { found: vec![found], wanted: "1 or open as dimension 0" };
        return Err(ImportError::Tensor { role: "input", name: name.to_owned(), why });
    }
    item.iter().map(|dim| dim.ok_or_else(open)).collect()
}
