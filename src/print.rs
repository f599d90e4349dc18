//! Results as tables, or as the API gives them.

use std::io::{self, Read, Write};

use serde_json::Value;

use crate::client::Output;

/// Zones, one a line.
pub fn print_zones(output: Output, zones: &[Value]) -> Result<(), String> {
    if output == Output::Json {
        return json(&Value::from(zones));
    }
    let mut rows = vec![["ZONE", "NETWORKS", "WRITER", "SERIAL", "RECORDS", "ON MISSING"].map(String::from).to_vec()];
    for zone in zones {
        let writer = match zone["writer"]["file"].as_str() {
            Some(file) => format!("file {file}"),
            None => text(&zone["writer"]["kind"]),
        };
        let networks = zone["networks"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(",");
        rows.push(vec![text(&zone["id"]), networks, writer, text(&zone["serial"]), text(&zone["records"]), text(&zone["on_missing"])]);
    }
    table(&rows)
}

/// RRsets, one record a line.
pub fn print_sets(output: Output, sets: &[Value]) -> Result<(), String> {
    if output == Output::Json {
        return json(&Value::from(sets));
    }
    let mut rows = vec![["NAME", "TTL", "TYPE", "RDATA"].map(String::from).to_vec()];
    rows.extend(sets.iter().flat_map(|set| lines(set, None)));
    table(&rows)
}

/// What changes did: `-` what was taken out, `+` what was put in.
pub fn print_changed(output: Output, changes: &[Value]) -> Result<(), String> {
    if output == Output::Json {
        return json(&Value::from(changes));
    }
    let mut rows = Vec::new();
    for change in changes {
        for set in change["rrsets"].as_array().into_iter().flatten() {
            rows.extend(lines(&set["before"], Some("-")));
            rows.extend(lines(&set["after"], Some("+")));
        }
    }
    table(&rows)?;
    for change in changes {
        let [added, changed, removed] = ["added", "changed", "removed"].map(|key| change[key].as_u64().unwrap_or_default());
        for warning in change["warnings"].as_array().into_iter().flatten() {
            let warning = text(warning).replace("`allow_empty=true`", "--allow-empty").replace("`allow_loss=true`", "--allow-loss");
            eprintln!("warning: {}: {warning}", text(&change["zone"]));
        }
        if added + changed + removed == 0 && changes.len() > 1 {
            continue; // of many zones those that got something are told
        }
        let would = if change["dry_run"] == true { "would be " } else { "" };
        eprintln!(
            "{}: {added} {would}added, {changed} {would}changed, {removed} {would}removed; serial {}",
            text(&change["zone"]),
            text(&change["serial"])
        );
    }
    Ok(())
}

/// Octets as they are.
pub fn write(octets: &[u8]) -> Result<(), String> {
    match io::stdout().write_all(octets) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("error: {error}")),
        _ => Ok(()),
    }
}

/// All of standard input.
pub fn read_input() -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    io::stdin().read_to_end(&mut content).map_err(|error| format!("error: {error}"))?;
    Ok(content)
}

fn lines(set: &Value, mark: Option<&str>) -> Vec<Vec<String>> {
    let row = |rdata: &Value| {
        let name = mark.map_or_else(|| text(&set["name"]), |mark| format!("{mark} {}", text(&set["name"])));
        vec![name, text(&set["ttl"]), text(&set["type"]), text(rdata)]
    };
    set["records"].as_array().into_iter().flatten().map(row).collect()
}

/// JSON as people read it.
pub fn json(value: &Value) -> Result<(), String> {
    let text = serde_json::to_string_pretty(value).map_err(|error| format!("error: {error}"))?;
    write(format!("{text}\n").as_bytes())
}

/// A value without quotes; `-` where there is none.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

/// Columns side by side; the last one is as long as it is.
pub fn table(rows: &[Vec<String>]) -> Result<(), String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> =
        (0..columns).map(|at| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line += &format!("{cell:<width$}  ");
        }
        out += line.trim_end();
        out.push('\n');
    }
    write(out.as_bytes())
}
