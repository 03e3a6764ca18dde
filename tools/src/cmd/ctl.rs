//! `clockwork ctl`

use bench::table::Table;
use clap::{Args, ValueEnum};
use runtime::client::{ConnectError, Control, QueryError};
use runtime::host::config::DEFAULT_CONTROLLER;
use runtime::wire::message::Topic;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::print::{say, say_part};

/// Ask a running server about itself
#[derive(Args, Debug)]
pub struct CtlArgs {
    /// What about
    #[arg(value_enum)]
    topic: About,
    /// The controller
    #[arg(long, value_name = "HOST:PORT", default_value_t = DEFAULT_CONTROLLER.to_string())]
    server: String,
    /// Print the server's JSON as it is
    #[arg(long)]
    json: bool,
}

/// What a server can be asked about.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum About {
    /// The server as a whole
    Status,
    /// Its models
    Models,
    /// Its workers
    Workers,
    /// Its effective configuration
    Config,
}

/// Why the command failed.
#[derive(Debug, Error)]
pub enum Error {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No answer.
    #[error("{server}: {source}")]
    Query {
        /// The server.
        server: String,
        /// Why.
        source: QueryError,
    },
    /// An answer that is no JSON.
    #[error("{server}: its answer is no JSON: {source}")]
    NotJson {
        /// The server.
        server: String,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// Runs the command.
///
/// # Errors
/// [`enum@Error`].
pub fn run(args: &CtlArgs) -> Result<(), Error> {
    let topic = match args.topic {
        About::Status => Topic::Status,
        About::Models => Topic::Models,
        About::Workers => Topic::Workers,
        About::Config => Topic::Config,
    };
    let mut control = Control::connect(&args.server)?;
    let text = control.query(topic).map_err(|source| Error::Query { server: args.server.clone(), source })?;
    if args.json {
        say!("{text}");
        return Ok(());
    }
    let value: Value =
        serde_json::from_str(&text).map_err(|source| Error::NotJson { server: args.server.clone(), source })?;
    // The configuration comes as the text of the file that would give it.
    match value.get("toml").and_then(Value::as_str) {
        Some(toml) => say_part!("{toml}"),
        None => say_part!("{}", tables(&value)),
    }
    Ok(())
}

/// An answer as tables: first what stands alone, then one table for each list of objects.
fn tables(value: &Value) -> String {
    let mut alone = Table::new(&["what", "value"]);
    let mut lists = Vec::new();
    collect("", value, &mut alone, &mut lists);
    let alone = if alone.is_empty() { String::new() } else { alone.to_string() };
    let mut parts: Vec<String> = Some(alone).filter(|alone| !alone.is_empty()).into_iter().collect();
    for (name, rows) in &lists {
        let title = if name.is_empty() { String::new() } else { format!("{name}\n") };
        parts.push(title + &list(rows));
    }
    parts.join("\n")
}

/// Walks an object: its scalars are named by their path, its lists of objects kept for tables.
fn collect<'a>(
    name: &str,
    value: &'a Value,
    alone: &mut Table,
    lists: &mut Vec<(String, Vec<&'a Map<String, Value>>)>,
) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let path = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                collect(&path, value, alone, lists);
            }
        }
        Value::Array(items) if items.iter().all(Value::is_object) => {
            lists.push((name.to_owned(), items.iter().filter_map(Value::as_object).collect()));
        }
        other => alone.row([name.to_owned(), cell(name, other)]),
    }
}

/// Columns that say what a row is about: they come first, in this order.
const NAMES: [&str; 4] = ["name", "worker", "device", "model"];

/// A list as a table, followed by a table for each list inside one of its rows.
fn list(rows: &[&Map<String, Value>]) -> String {
    let Some(first) = rows.first() else { return "none\n".to_owned() };
    let is_list = |value: &Value| value.as_array().is_some_and(|items| items.iter().all(Value::is_object));
    let mut keys: Vec<&str> = first.keys().map(String::as_str).filter(|key| !is_list(&first[*key])).collect();
    let rank = |key: &str| NAMES.iter().position(|name| *name == key).unwrap_or(NAMES.len());
    keys.sort_by_key(|key| rank(key));
    let value = |row: &Map<String, Value>, key| row.get(key).map_or_else(|| "-".to_owned(), |value| cell(key, value));
    let mut table = Table::new(&keys);
    let mut inner = String::new();
    for row in rows {
        table.row(keys.iter().map(|key| value(row, key)));
        for (key, items) in row.iter().filter(|(_, items)| is_list(items)) {
            let owner = keys.first().map(|name| format!("{name} {}", value(row, name))).unwrap_or_default();
            let items: Vec<_> = items.as_array().into_iter().flatten().filter_map(Value::as_object).collect();
            inner.push_str(&format!("\n{key} of {owner}\n{}", list(&items)));
        }
    }
    table.to_string() + &inner
}

/// A value as a cell; numbers whose names end in `_ns` are durations.
fn cell(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Number(number) if name.ends_with("_ns") => {
            number.as_u64().map_or_else(|| number.to_string(), |ns| runtime::base::Nanos(ns).to_string())
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_become_aligned_tables() {
        let value = serde_json::json!({
            "placement": "dense",
            "ends": { "ok": 12, "late": 0 },
            "workers": [
                { "exec_ns": 1_250_000, "name": "w0", "devices": [{ "pages": 7, "device": 0 }] },
                { "exec_ns": null, "name": "w1", "devices": [] },
            ],
        });
        let text = tables(&value);
        assert!(text.contains("ends.ok    12\n"), "{text}");
        assert!(text.contains("w0    1.25 ms\n") && text.contains("w1          -\n"), "{text}");
        assert!(text.contains("devices of name w0\ndevice  pages\n"), "{text}");
        assert_eq!(tables(&serde_json::json!([])), "none\n");
    }
}
