//! Output of results as tables or as the JSON of the API.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Read, Write};

use serde_json::Value;

use crate::client::OutputForm;

/// Number of spaces between columns of a table.
const GAP: usize = 2;
/// Indentation of the continuation of a wrapped line.
const INDENT: usize = 4;
/// Minimum width of a column that is narrowed to fit the terminal.
const LEAST: usize = 8;

/// Prints zones, one per line.
pub fn print_zones(output: OutputForm, zones: &[Value]) -> Result<(), String> {
    if output == OutputForm::Json {
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

/// Returns the number of files besides the named one.
fn and_more(files: usize) -> String {
    if files > 1 { format!(" and {} more", files - 1) } else { String::new() }
}

/// Prints RRsets, one record per line. If the records come from several files, each line names its
/// file.
pub fn print_sets(output: OutputForm, sets: &[Value]) -> Result<(), String> {
    if output == OutputForm::Json {
        return json(&Value::from(sets));
    }
    let files: BTreeSet<&str> = sets.iter().filter_map(|set| set["file"].as_str()).collect();
    let has_files = files.len() > 1; // with one file, the name adds no information
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

/// Prints changes: `-` marks removed records and `+` marks added ones.
pub fn print_changed(output: OutputForm, changes: &[Value]) -> Result<(), String> {
    if output == OutputForm::Json {
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
            continue; // with several zones, only those with changes are printed
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

/// Writes octets unchanged.
pub fn write(octets: &[u8]) -> Result<(), String> {
    match io::stdout().write_all(octets) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("error: {error}")),
        _ => Ok(()),
    }
}

/// Reads all of standard input.
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

/// Prints indented JSON.
pub fn json(value: &Value) -> Result<(), String> {
    let text = serde_json::to_string_pretty(value).map_err(|error| format!("error: {error}"))?;
    write(format!("{text}\n").as_bytes())
}

/// Returns the sort key of a name: its labels from the root down in lower case (RFC 4034, section
/// 6.1).
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

/// Formats a value without quotes, or `-` if there is none.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

/// Prints text. In a terminal, its lines are wrapped.
pub fn prose(text: &str) -> Result<(), String> {
    write(fitted(text, terminal_room()).as_bytes())
}

/// Returns the width of the terminal. Returns `None` if the output goes elsewhere, where lines stay
/// whole for other programs.
pub fn terminal_room() -> Option<usize> {
    io::stdout().is_terminal().then(terminal_width).flatten()
}

/// Wraps lines that do not fit. Continuation lines are indented by four columns, and the help of a
/// problem starts a new line.
pub fn fitted(text: &str, room: Option<usize>) -> String {
    let Some(room) = room else { return text.to_owned() };
    let mut out = String::new();
    for line in text.lines() {
        if line.chars().count() <= room {
            out += line;
            out.push('\n');
            continue;
        }
        let indent = " ".repeat((line.len() - line.trim_start().len() + INDENT).min(room / 2));
        let help = line.replace(" help: ", &format!("\n{indent}help: "));
        for (part, line) in help.lines().enumerate() {
            let lead = &line[..line.len() - line.trim_start().len()];
            let first = if part == 0 && lead.len() < indent.len() { lead } else { &indent };
            wrap(line.trim_start(), first, &indent, room, &mut out);
        }
    }
    out
}

/// Writes a line word by word. Words that are longer than a line are split like cells of a table.
fn wrap(text: &str, first: &str, indent: &str, room: usize, out: &mut String) {
    let mut line = first.to_owned();
    let mut is_empty = true;
    for word in text.split(' ') {
        let mut rest: Vec<char> = word.chars().collect();
        if !is_empty && line.chars().count() + 1 + rest.len() > room {
            *out += &line;
            out.push('\n');
            (line, is_empty) = (indent.to_owned(), true);
        }
        if !is_empty {
            line.push(' ');
        }
        while line.chars().count() + rest.len() > room {
            line += &cut(&mut rest, room - line.chars().count());
            *out += &line;
            out.push('\n');
            line = indent.to_owned();
        }
        line.extend(rest);
        is_empty = false;
    }
    *out += &line;
    out.push('\n');
}

/// Returns the part of a cell that fits into `width`. It ends after a separator, unless more than
/// three quarters of the width would stay empty.
fn cut(cell: &mut Vec<char>, width: usize) -> String {
    if cell.len() <= width {
        return cell.drain(..).collect();
    }
    let is_separator = |letter: &char| matches!(letter, ' ' | ',' | '.' | '-' | '/');
    let end = cell[..width].iter().rposition(is_separator).map(|at| at + 1).filter(|end| *end > width / 4);
    cell.drain(..end.unwrap_or(width)).collect()
}

/// Formats columns side by side. In a terminal they are narrowed until they fit, and long cells
/// continue on the next line.
pub fn table(rows: &[Vec<String>]) -> Result<(), String> {
    write(laid_out(rows, terminal_room()).as_bytes())
}

/// Formats columns side by side. Cells of the widest columns that do not fit into `room` continue
/// below.
pub fn laid_out(rows: &[Vec<String>], room: Option<usize>) -> String {
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
                let part = cut(cell, *width);
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

/// Returns the width of the terminal: `COLUMNS` if it is set, otherwise 80.
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
    fn cells_are_cut_behind_a_separator() {
        let rows = vec![vec!["host.department.contoso.com".to_owned(), "10.0.0.1".into()]];
        assert_eq!(laid_out(&rows, Some(28)), "host.department.    10.0.0.1\ncontoso.com\n");
    }

    #[test]
    fn long_lines_are_wrapped_and_their_help_begins_a_line() {
        let line = "dir/a.zone:32:10: error: `10.0.0.300` is not an IPv4 address help: four numbers from 0 to 255 are expected";
        let want =
            "dir/a.zone:32:10: error: `10.0.0.300` is\n    not an IPv4 address\n    help: four numbers from 0 to 255 are\n    expected\n";
        assert_eq!(fitted(line, Some(40)), want);
        assert_eq!(fitted(line, None), line, "for other programs a problem is a line");
        let long = format!("  1  {}  said\n", "label.".repeat(20));
        let shown = fitted(&long, Some(40));
        assert!(shown.lines().all(|line| line.chars().count() <= 40), "{shown}");
        assert!(shown.lines().skip(1).all(|line| line.starts_with("      ")), "{shown}");
        assert_eq!(shown.matches("label.").count(), 20, "{shown}");
    }

    #[test]
    fn names_are_in_canonical_order() {
        let mut names = ["z.a.test.", "b.test.", "a.test.", "A.a.test.", "x\\.a.test."];
        names.sort_by_cached_key(|name| canonical(name));
        assert_eq!(names, ["a.test.", "A.a.test.", "z.a.test.", "b.test.", "x\\.a.test."]);
    }
}
