//! `clockwork ctl`

use bench::table::Table;
use clap::{Args, ValueEnum};
use runtime::client::{ConnectError, Control, QueryError};
use runtime::host::config::DEFAULT_GATEWAY;
use runtime::wire::message::Topic;
use serde_json::{Map, Value};
use thiserror::Error;

/// Ask a running server about itself
#[derive(Args, Debug)]
pub struct CtlArgs {
    /// What about
    #[arg(value_enum)]
    topic: About,
    /// The server
    #[arg(long, value_name = "HOST:PORT", default_value_t = DEFAULT_GATEWAY.to_string())]
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
        println!("{text}");
        return Ok(());
    }
    let value: Value =
        serde_json::from_str(&text).map_err(|source| Error::NotJson { server: args.server.clone(), source })?;
    print!("{}", tables(&value));
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

fn list(rows: &[&Map<String, Value>]) -> String {
    let Some(first) = rows.first() else { return "none\n".to_owned() };
    let keys: Vec<&str> = first.keys().map(String::as_str).collect();
    let mut table = Table::new(&keys);
    for row in rows {
        table.row(keys.iter().map(|key| row.get(*key).map_or_else(|| "-".to_owned(), |value| cell(key, value))));
    }
    table.to_string()
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
            "workers": [{ "name": "w0", "exec_ns": 1_250_000 }, { "name": "w1" }],
        });
        let text = tables(&value);
        assert!(text.contains("ends.ok    12\n"), "{text}");
        assert!(text.contains("w0    1.25 ms\n") && text.contains("w1          -\n"), "{text}");
        assert_eq!(tables(&serde_json::json!([])), "none\n");
    }
}
