//! ONNX Runtime in a process of its own, to be measured against.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use runtime::package::TensorType;
use serde_json::json;
use thiserror::Error;

/// What the process runs.
const SCRIPT: &str = include_str!("../models/onnxruntime_times.py");

/// Why it can't be measured.
#[derive(Debug, Error)]
pub enum OnnxRuntimeError {
    /// Python can't be started.
    #[error("{python} can't be started: {source}; name a Python that has onnxruntime with --python")]
    Start {
        /// What was to be started.
        python: String,
        /// Why.
        source: std::io::Error,
    },
    /// The process can't be talked to.
    #[error("the process of ONNX Runtime can't be talked to: {0}")]
    Pipe(#[from] std::io::Error),
    /// It ended, or said what was not expected; its own words are on standard error.
    #[error("ONNX Runtime does not run {model}: it answered {answer:?}; see its own message above")]
    Answer {
        /// The ONNX file.
        model: String,
        /// The line that was read, empty if it ended.
        answer: String,
    },
}

/// One input tensor.
#[derive(Debug)]
pub struct Input {
    /// Its name in the graph.
    pub name: String,
    /// Type of its elements.
    pub kind: TensorType,
    /// The shape of an item. Its places lie in front of it, unless there is one and the graph wants as many
    /// dimensions as it has.
    pub item: Vec<usize>,
    /// Places of the batch.
    pub places: usize,
    /// Its elements.
    pub data: Vec<u8>,
}

/// One model in a process with one thread. Ends with the value.
#[derive(Debug)]
pub struct OnnxRuntime {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    model: String,
}

impl OnnxRuntime {
    /// Starts `python`, pinned to `core`, and lets it run `model` once.
    ///
    /// # Errors
    /// [`OnnxRuntimeError`].
    pub fn start(python: &Path, model: &Path, core: usize, inputs: &[Input]) -> Result<OnnxRuntime, OnnxRuntimeError> {
        let mut command = Command::new(python);
        command.args(["-c", SCRIPT]).arg(model).arg(core.to_string());
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child =
            started.map_err(|source| OnnxRuntimeError::Start { python: python.display().to_string(), source })?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            unreachable!("both were asked to be pipes")
        };
        let model = model.display().to_string();
        let mut this = OnnxRuntime { child, to, from: BufReader::new(from), model };
        let specs = inputs.iter().map(|input| {
            json!({
                "name": input.name, "type": input.kind.name(), "item": input.item, "places": input.places,
                "bytes": input.data.len(),
            })
        });
        writeln!(this.to, "{}", json!({ "inputs": specs.collect::<Vec<_>>() }))?;
        for input in inputs {
            this.to.write_all(&input.data)?;
        }
        this.to.flush()?;
        let answer = this.line()?;
        if answer == "ready" { Ok(this) } else { Err(this.unexpected(answer)) }
    }

    /// Nanoseconds of so many runs in a row, after one that is not counted.
    ///
    /// # Errors
    /// [`OnnxRuntimeError`].
    pub fn run(&mut self, runs: usize) -> Result<Vec<u64>, OnnxRuntimeError> {
        writeln!(self.to, "{runs}")?;
        self.to.flush()?;
        let answer = self.line()?;
        match serde_json::from_str::<Vec<u64>>(&answer) {
            Ok(times) if times.len() == runs => Ok(times),
            _ => Err(self.unexpected(answer)),
        }
    }

    fn line(&mut self) -> Result<String, OnnxRuntimeError> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    fn unexpected(&self, answer: String) -> OnnxRuntimeError {
        OnnxRuntimeError::Answer { model: self.model.clone(), answer }
    }
}

impl Drop for OnnxRuntime {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to do about an error here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
