//! Every picture once, with what was answered beside what it shows.

use bench::table::Table;
use runtime::base::{Nanos, ShapeId};
use runtime::client::payload::pack;
use runtime::client::{Client, InferError, Request, Timing};
use runtime::wire::ModelEntry;

use super::error::DemoError;
use super::inputs::{self, Input, Truth};
use super::models::{CLASSIFIER, DemoModel, READER};
use super::{Places, model};
use crate::print::{say, say_part};
use crate::vision::{self, Card, Said};

/// Deadline of each request: the first of each model waits for its weights, and an unoptimised build
/// takes ten times as long. Tight deadlines are the load's business.
const SLO: Nanos = Nanos::seconds(5);

/// A model that answered, with what the load needs of it.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The model.
    pub entry: ModelEntry,
    /// The shape variant of the payloads.
    pub shape: ShapeId,
    /// Inputs, as payloads of requests.
    pub payloads: Vec<Vec<u8>>,
    /// Their exec times.
    pub execs: Vec<Nanos>,
}

/// Shows each input to its model and prints what it said; what the load needs of both.
///
/// # Errors
/// [`DemoError`], also if anything was answered wrongly.
pub fn show(client: &mut Client, places: &Places) -> Result<Vec<Answered>, DemoError> {
    let inputs = inputs::read(&places.assets)?;
    let is_line = |input: &&Input| matches!(input.truth, Truth::Line(_));
    let (lines, pictures): (Vec<&Input>, Vec<&Input>) = inputs.iter().partition(is_line);
    say!("\nTrained models, asked over the network with deadlines\n");
    let mut table = Table::new(&["", "input", "shows", "answer", "sure", "latency", "exec"]);
    let mut wrong = 0;
    let mut answered = Vec::new();
    for (of, inputs) in [(READER, lines), (CLASSIFIER, pictures)] {
        let (one, failures) = ask(client, of, &inputs, places, &mut table)?;
        wrong += failures;
        answered.extend(one);
    }
    say_part!("{table}");
    if wrong > 0 {
        return Err(DemoError::Wrong { wrong, all: inputs.len() });
    }
    say!("\nall {} right", inputs.len());
    Ok(answered)
}

/// What one model answered: by shape variant what the load needs, and how many answers were wrong.
fn ask(
    client: &mut Client,
    of: DemoModel,
    inputs: &[&Input],
    places: &Places,
    table: &mut Table,
) -> Result<(Option<Answered>, usize), DemoError> {
    let entry = model(client, of.name)?;
    let Some(card) = of.card_path(&places.assets).map(|path| Card::read(&path)).transpose()? else {
        return Ok((None, 0));
    };
    let mut kept: Option<Answered> = None;
    let mut wrong = 0;
    for input in inputs {
        let prepared = vision::prepare(&card, &entry, &places.assets.join("inputs").join(&input.file))?;
        let shape = prepared.shape;
        let fault = |source| DemoError::Infer { file: input.file.clone(), source };
        let request = Request { model: &entry, shape, inputs: &[&prepared.input], slo: SLO };
        let answer = client.infer(request).map_err(fault)?;
        let said = vision::interpret(&card, &entry, shape, &answer.outputs, 1)?;
        let is_right = row(table, input, &said, &answer.timing);
        wrong += usize::from(!is_right);
        let first = || Answered { entry: entry.clone(), shape, payloads: vec![], execs: vec![] };
        let kept = kept.get_or_insert_with(first);
        if kept.shape == shape {
            let payload = pack(&entry, shape, &[&prepared.input]);
            kept.payloads.push(payload.map_err(|error| fault(InferError::Answer(error)))?);
            kept.execs.push(answer.timing.stages.exec.duration());
        }
    }
    Ok((kept, wrong))
}

/// Adds the row of one answer; whether it was right.
fn row(table: &mut Table, input: &Input, said: &Said, timing: &Timing) -> bool {
    let (answer, sure, is_right) = match (said, &input.truth) {
        (Said::Text(line), Truth::Line(truth)) => (line.text.clone(), line.least_sure, line.text == *truth),
        (Said::Classes(classes), Truth::Picture(names)) => {
            let Some(best) = classes.first() else { return false };
            (best.label.clone(), best.share, names.iter().any(|named| named.class == best.class))
        }
        (Said::Text(line), Truth::Picture(_)) => (line.text.clone(), line.least_sure, false),
        (Said::Classes(_), Truth::Line(_)) => (String::new(), 0.0, false),
    };
    table.row([
        if is_right { "right" } else { "WRONG" }.to_owned(),
        input.file.clone(),
        input.truth.words(),
        answer,
        format!("{:.0}%", sure * 100.0),
        timing.latency().to_string(),
        timing.stages.exec.duration().to_string(),
    ]);
    is_right
}
