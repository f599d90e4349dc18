//! The sample and the reference: every key with its default and documentation.

use std::fmt::Write;

use crate::key::{AnyKey, KeyPresence, SectionForm, sentence, words};
use crate::keys;

const WIDTH: usize = 110;

/// Returns a configuration file that sets every key to its default, with an explanation of each.
pub fn sample() -> String {
    let mut text = String::from(
        "# Postern configuration: every key with its default.\n\
         #\n\
         # Lines that begin with `# ` explain. A key behind a bare `#` is not set: take the `#` away to set it.\n\
         # `postern check` says what is wrong with a file; `postern schema` prints a JSON Schema for editors.\n",
    );
    for section in keys::SECTIONS {
        text.push('\n');
        text.push_str(&comment(&crate::key::paragraphs(section.doc)));
        if section.form == SectionForm::Table {
            writeln!(text, "{}", section.header()).ok();
            for key in section.keys {
                text.push('\n');
                text.push_str(&explained(*key));
            }
            continue;
        }
        let mut told: Vec<&str> = Vec::new();
        for (index, keys) in section.shown.iter().enumerate() {
            text.push_str(if index > 0 { "\n" } else { "" });
            writeln!(text, "#{}", section.header()).ok();
            for shown in keys.iter() {
                let Some(key) = section.key(shown) else {
                    writeln!(text, "#{shown}").ok();
                    continue;
                };
                if told.contains(&key.name()) {
                    writeln!(text, "#{} = {}", key.name(), key.example()).ok();
                } else {
                    told.push(key.name());
                    text.push('\n');
                    text.push_str(&explained_unset(key));
                }
            }
        }
    }
    text
}

/// Returns the reference in Markdown, with one table per section.
pub fn reference() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         One TOML file. Unknown keys are rejected. `postern check` reports all problems of a file in one run.\n\
         Times are written as `\"250ms\"`, `\"30s\"`, or `\"5m\"`, and sizes as `\"64MiB\"`. Paths are relative to the directory\n\
         of the configuration file.\n",
    );
    let cell = |words: &str| words.replace('|', "\\|").replace("\n\n", "<br>").replace('\n', " ");
    for section in keys::SECTIONS.into_iter().chain([&keys::upstream::SECTION]) {
        let title =
            if section.name == keys::upstream::SECTION.name { "An upstream as a table".into() } else { format!("`{}`", section.header()) };
        writeln!(text, "\n## {title}\n\n{}\n\n| key | default | meaning |\n|---|---|---|", crate::key::paragraphs(section.doc)).ok();
        for key in section.keys {
            let default = match key.presence() {
                KeyPresence::Default(default) => format!("`{default}`"),
                KeyPresence::Absent(absent) => absent.to_string(),
                KeyPresence::Required => "required".into(),
            };
            writeln!(text, "| `{}` | {} | {} {} |", key.name(), cell(&default), cell(&key.doc()), cell(&sentence(&key.shape()))).ok();
        }
    }
    text
}

fn explained(key: &dyn AnyKey) -> String {
    match key.presence() {
        KeyPresence::Default(default) => format!("{}{} = {default}\n", comment(&words(key)), key.name()),
        _ => explained_unset(key),
    }
}

fn explained_unset(key: &dyn AnyKey) -> String {
    format!("{}#{} = {}\n", comment(&words(key)), key.name(), key.example())
}

/// Formats words as comment lines.
fn comment(words: &str) -> String {
    let mut text = String::new();
    for paragraph in words.lines() {
        let mut line = String::from("#");
        for word in paragraph.split_whitespace() {
            if line.len() + 1 + word.len() > WIDTH && line.len() > 1 {
                writeln!(text, "{line}").ok();
                line = String::from("#");
            }
            line.push(' ');
            line.push_str(word);
        }
        writeln!(text, "{line}").ok();
    }
    text
}
