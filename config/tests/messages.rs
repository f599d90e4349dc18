//! What is said of a configuration: tables of files and messages.

use std::path::Path;

const REFUSED: &str = include_str!("messages/refused.txt");
const WARNED: &str = include_str!("messages/warned.txt");
const ACCEPTED: &str = include_str!("messages/accepted.txt");
const SYNTAX: &str = include_str!("messages/syntax.txt");
const TOGETHER: &str = include_str!("messages/together.txt");

/// The cases of a table: a configuration, and what is said of it.
fn cases(table: &str) -> Vec<(&str, &str)> {
    let cases: Vec<_> = table.split("===\n").skip(1).map(|case| case.split_once("---\n").expect("a line of dashes")).collect();
    assert!(!cases.is_empty());
    cases
}

/// All that is said of a configuration, and whether it can be served.
fn said(text: &str) -> (String, bool) {
    let result = postern_config::parse(text, Path::new("t.toml"));
    let good = result.is_ok();
    let problems = result.map_or_else(|problems| problems, |loaded| loaded.warnings);
    let lines = problems.iter().map(|problem| problem.to_string().strip_prefix("t.toml:").expect("names its file").to_string() + "\n");
    (lines.collect(), good)
}

fn holds(table: &str, good: bool) {
    for (text, want) in cases(table) {
        let (got, is_good) = said(text);
        assert_eq!(got, want, "of\n{text}");
        assert_eq!(is_good, good, "of\n{text}");
    }
}

#[test]
fn refuses_what_a_key_cannot_be() {
    holds(REFUSED, false);
}

#[test]
fn warns_of_what_was_hardly_meant() {
    holds(WARNED, true);
}

#[test]
fn says_nothing_of_what_is_right() {
    holds(ACCEPTED, true);
}

#[test]
fn tells_each_mistake_in_toml_once_with_its_line() {
    holds(SYNTAX, false);
}

#[test]
fn tells_all_problems_in_one_run_in_the_order_of_the_file() {
    holds(TOGETHER, false);
    let (_, said) = cases(TOGETHER)[0];
    assert!(said.lines().count() > 40 && said.contains(": warning: "));
    let lines: Vec<u32> = said.lines().map(|line| line.split(':').next().unwrap().parse().unwrap()).collect();
    assert!(lines.is_sorted());
}
