//! Results as tables, or as the API gives them.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Read, Write};

use serde_json::Value;

use crate::client::Output;

/// Blanks between columns of a table.
const GAP: usize = 2;
/// No column is made narrower than this to fit into the terminal.
const LEAST: usize = 8;

/// Zones, one a line.
pub fn print_zones(output: Output, zones: &[Value]) -> Result<(), String> {
    if output == Output::Json {
        return json(&Value::from(zones));
    }
    let mut rows = vec![["ZONE", "NETWORKS", "WRITER", "SERIAL", "RECORDS", "ON MISSING"].map(String::from).to_vec()];
    for zone in zones {
        let writer = match zone["writer"]["file"].as_str() {
            Some(file) => format!("file {file}{}", and_more(zone["writer"]["files"].as_array().map_or(0, Vec::len))),
            None => text(&zone["writer"]["kind"]),
        };
        let networks = zone["networks"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(",");
        rows.push(vec![text(&zone["id"]), networks, writer, text(&zone["serial"]), text(&zone["records"]), text(&zone["on_missing"])]);
    }
    table(&rows)
}

/// The number of files beside the one that is named.
fn and_more(files: usize) -> String {
    if files > 1 { format!(" and {} more", files - 1) } else { String::new() }
}

/// RRsets, one record a line. If they come from several files, each line names its file.
pub fn print_sets(output: Output, sets: &[Value]) -> Result<(), String> {
    if output == Output::Json {
        return json(&Value::from(sets));
    }
    let files: BTreeSet<&str> = sets.iter().filter_map(|set| set["file"].as_str()).collect();
    let has_files = files.len() > 1; // of one file it is known
    let titles = ["NAME", "TTL", "TYPE", "RDATA", "FILE"].map(String::from);
    let mut rows = vec![titles[..4 + usize::from(has_files)].to_vec()];
    let mut sets: Vec<&Value> = sets.iter().collect();
    sets.sort_by_cached_key(|set| (set["type"] != "SOA", canonical(&text(&set["name"])), text(&set["type"])));
    for set in sets {
        let file = has_files.then(|| text(&set["file"]));
        rows.extend(lines(set, None).into_iter().map(|row| row.into_iter().chain(file.clone()).collect()));
    }
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

/// What names are sorted by: their labels from the root down, in lower case (RFC 4034 section 6.1).
pub fn canonical(name: &str) -> Vec<String> {
    let (mut labels, mut is_escaped) = (vec![String::new()], false);
    for letter in name.trim_end_matches('.').chars() {
        match letter {
            '.' if !is_escaped => labels.push(String::new()),
            _ => labels.last_mut().into_iter().for_each(|label| label.push(letter.to_ascii_lowercase())),
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    labels.reverse();
    labels
}

/// A value without quotes; `-` where there is none.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

/// Columns side by side. In a terminal they are made narrower until they fit, and long cells go on in the next line.
pub fn table(rows: &[Vec<String>]) -> Result<(), String> {
    let room = io::stdout().is_terminal().then(terminal_width).flatten();
    write(laid_out(rows, room).as_bytes())
}

/// Columns side by side. What does not fit into `room` is cut in the widest columns but for the last one, which goes on below.
fn laid_out(rows: &[Vec<String>], room: Option<usize>) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut widths: Vec<usize> =
        (0..columns).map(|at| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0)).collect();
    if let Some(room) = room {
        while widths.iter().sum::<usize>() + GAP * columns.saturating_sub(1) > room {
            let Some(widest) = widths.iter_mut().filter(|width| **width > LEAST).max() else { break };
            *widest -= 1;
        }
    }
    let mut out = String::new();
    for row in rows {
        let mut cells: Vec<Vec<char>> = row.iter().map(|cell| cell.chars().collect()).collect();
        loop {
            let mut line = String::new();
            for (cell, width) in cells.iter_mut().zip(&widths) {
                let part: String = cell.drain(..cell.len().min(*width)).collect();
                line += &format!("{part:<width$}{:GAP$}", "");
            }
            out += line.trim_end();
            out.push('\n');
            if cells.iter().all(Vec::is_empty) {
                break;
            }
        }
    }
    out
}

/// Columns of the terminal: `COLUMNS` where it is set, otherwise 80.
fn terminal_width() -> Option<usize> {
    let given = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    Some(given.unwrap_or(80)).filter(|columns| *columns >= LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_the_terminal_and_loses_nothing() {
        let rows = vec![vec!["NAME".to_owned(), "TYPE".to_owned(), "RDATA".to_owned()], vec!["n".repeat(50), "TXT".into(), "r".repeat(60)]];
        let wide = laid_out(&rows, None);
        assert_eq!(wide.lines().count(), 2);
        let narrow = laid_out(&rows, Some(80));
        assert!(narrow.lines().all(|line| line.len() <= 80), "{narrow}");
        let count = |letter: char| narrow.matches(letter).count();
        assert_eq!((count('n'), count('r')), (50, 60), "{narrow}");
    }

    #[test]
    fn names_are_in_canonical_order() {
        let mut names = ["z.a.test.", "b.test.", "a.test.", "A.a.test.", "x\\.a.test."];
        names.sort_by_cached_key(|name| canonical(name));
        assert_eq!(names, ["a.test.", "A.a.test.", "z.a.test.", "b.test.", "x\\.a.test."]);
    }
}
