//! Files of recorded steps: one a process, as lines of JSON, each with a time of the machine's one
//! monotonic clock. So the records of several processes of a machine are one sequence.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::order::record::{Record, Step};

/// The first line of a file.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Head {
    /// Steps that follow.
    steps: usize,
    /// Steps that found no room in the record.
    dropped: u64,
}

/// Why a record can't be written, or is none.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// The file can't be read or written.
    #[error("record {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is none of a record.
    #[error("record {path}, line {line}: {source}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The file is not whole.
    #[error("record {path}: {found} steps, its first line says {wanted}")]
    CutOff {
        /// The file.
        path: PathBuf,
        /// Steps that it has.
        found: usize,
        /// Steps that it should have.
        wanted: usize,
    },
    /// The record had too little room.
    #[error("record {path}: {dropped} steps found no room, so nothing can be said of the rest")]
    Dropped {
        /// The file.
        path: PathBuf,
        /// How many.
        dropped: u64,
    },
}

/// Writes what the roles of a process recorded.
///
/// # Errors
/// [`RecordingError::File`].
pub fn write(path: &Path, records: &[Record]) -> Result<(), RecordingError> {
    let dropped = records.iter().map(Record::dropped).sum();
    let steps = merge(records.iter().map(|record| record.steps().to_vec()));
    let put = || -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        serde_json::to_writer(&mut file, &Head { steps: steps.len(), dropped })?;
        for step in &steps {
            file.write_all(b"\n")?;
            serde_json::to_writer(&mut file, step)?;
        }
        file.write_all(b"\n")?;
        file.flush()
    };
    put().map_err(|source| RecordingError::File { path: path.to_owned(), source })
}

/// Reads what a process recorded, by time.
///
/// # Errors
/// [`RecordingError`], also when the record had too little room.
pub fn read(path: &Path) -> Result<Vec<Step>, RecordingError> {
    let path_of = || path.to_owned();
    let file = File::open(path).map_err(|source| RecordingError::File { path: path_of(), source })?;
    let mut head = Head { steps: 0, dropped: 0 };
    let mut steps = Vec::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|source| RecordingError::File { path: path_of(), source })?;
        let wrong = |source| RecordingError::Line { path: path_of(), line: number + 1, source };
        if number == 0 {
            head = serde_json::from_str(&line).map_err(wrong)?;
        } else {
            steps.push(serde_json::from_str(&line).map_err(wrong)?);
        }
    }
    if head.dropped > 0 {
        return Err(RecordingError::Dropped { path: path_of(), dropped: head.dropped });
    }
    if steps.len() != head.steps {
        return Err(RecordingError::CutOff { path: path_of(), found: steps.len(), wanted: head.steps });
    }
    Ok(steps)
}

/// One sequence of several, by time; what is of one time keeps the order in which it is given.
pub fn merge(parts: impl IntoIterator<Item = Vec<Step>>) -> Vec<Step> {
    let mut steps: Vec<Step> = parts.into_iter().flatten().collect();
    steps.sort_by_key(|step| step.at);
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ActionId, DeviceId, ModelId, Nanos, RequestId, SlotId, WorkerId};
    use crate::order::Status;
    use crate::order::record::{End, Event, Place, Verb};

    fn record(steps: &[(u64, Event)], room: usize) -> Record {
        let mut record = Record::new(room);
        steps.iter().for_each(|&(at, event)| record.write(Nanos(at), event));
        record
    }

    fn events() -> Vec<Event> {
        let (request, slot) = (RequestId::from_bits(u64::MAX - 7), SlotId::from_bits(3 << 32 | 9));
        let (action, worker, model, device) = (ActionId(u64::MAX), WorkerId(2), ModelId(u64::MAX - 1), DeviceId(1));
        let place = Place::Weights;
        vec![
            Event::Asked { request, model, deadline: Nanos::MAX },
            Event::Placed { request, worker, slot },
            Event::InputArrived { request, slot },
            Event::ActionSent { action, verb: Verb::Load, worker, model, earliest: Nanos(1), latest: Nanos(2) },
            Event::Bound { action, request, slot },
            Event::LaneBegan { action, place, device },
            Event::LaneEnded { action, place, device },
            Event::ResultSent { action, status: Status::DiskFault { errno: 5, block: 7 } },
            Event::ItemEnded { action, request, status: Status::Ok },
            Event::OutputSent { request, slot },
            Event::SlotFreed { slot },
            Event::Answered { request, end: End::Late },
        ]
    }

    #[test]
    fn every_step_survives_its_file_in_the_order_of_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        let all: Vec<(u64, Event)> = events().into_iter().zip(1..).map(|(event, at)| (at * 10, event)).collect();
        let (odd, even): (Vec<_>, Vec<_>) = all.iter().partition(|(at, _)| at % 20 == 10);
        write(&path, &[record(&even, 100), record(&odd, 100)]).unwrap();
        let read = read(&path).unwrap();
        assert_eq!(read, all.iter().map(|&(at, event)| Step { at: Nanos(at), event }).collect::<Vec<_>>());
    }

    #[test]
    fn a_record_that_lacks_steps_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        let steps: Vec<(u64, Event)> = events().into_iter().map(|event| (1, event)).collect();
        write(&path, &[record(&steps, 3)]).unwrap();
        assert!(matches!(read(&path), Err(RecordingError::Dropped { .. })));
        write(&path, &[record(&steps, 100)]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        std::fs::write(&path, lines[..lines.len() - 1].join("\n")).unwrap();
        assert!(matches!(read(&path), Err(RecordingError::CutOff { .. })));
        std::fs::write(&path, "{\"steps\":1,\"dropped\":0}\nnothing\n").unwrap();
        assert!(matches!(read(&path), Err(RecordingError::Line { line: 2, .. })));
    }
}
