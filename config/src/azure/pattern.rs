//! Name patterns with holes: `*.privatelink.{regionName}.kusto.windows.net`.

/// A name pattern of the table. `*` in front matches one or more labels, `{word}` matches one
/// label, and `{word}-text` its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamePatternWithHoles {
    pub(super) star: bool,
    pub(super) labels: Vec<Label>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Label {
    Text(String),
    Hole { before: String, name: String, after: String },
}

/// The labels that the holes of a pattern match in one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HoleContents {
    star: Vec<String>,
    holes: Vec<(String, String)>,
}

impl NamePatternWithHoles {
    /// Parses a pattern. The error describes the problem.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let lower = text.strip_suffix('.').unwrap_or(text);
        let mut labels = lower.split('.').peekable();
        let star = labels.next_if_eq(&"*").is_some();
        let labels = labels.map(|label| Label::parse(label).ok_or_else(|| format!("`{text}` is not a name: bad label `{label}`")));
        Ok(Self { star, labels: labels.collect::<Result<_, _>>()? })
    }

    /// Returns the pattern with `*.` in front.
    pub(super) fn below(&self) -> Self {
        Self { star: true, labels: self.labels.clone() }
    }

    /// Returns the contents of the holes if `name` (lower case, no final dot) matches.
    pub(super) fn fits(&self, name: &str) -> Option<HoleContents> {
        let given: Vec<&str> = name.split('.').collect();
        let head = given.len().checked_sub(self.labels.len())?;
        if (head > 0) != self.star {
            return None;
        }
        let mut bound = HoleContents { star: given[..head].iter().map(|label| label.to_string()).collect(), ..HoleContents::default() };
        for (pattern, label) in self.labels.iter().zip(&given[head..]) {
            match pattern {
                Label::Text(text) if text == label => {}
                Label::Text(_) => return None,
                Label::Hole { before, name, after } => {
                    let inside = label.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?;
                    if inside.is_empty() {
                        return None;
                    }
                    bound.holes.push((name.clone(), inside.into()));
                }
            }
        }
        Some(bound)
    }

    /// Returns the name with its holes filled. Returns `None` if `bound` lacks one of them.
    pub(super) fn fill(&self, bound: &HoleContents) -> Option<String> {
        let mut name = if self.star { bound.star.clone() } else { Vec::new() };
        if self.star && name.is_empty() {
            return None;
        }
        for label in &self.labels {
            name.push(match label {
                Label::Text(text) => text.clone(),
                Label::Hole { before, name, after } => format!("{before}{}{after}", bound.hole(name)?),
            });
        }
        Some(name.join("."))
    }

    /// Returns the end of the name after the last hole that `bound` does not fill.
    pub(super) fn known_end(&self, bound: &HoleContents) -> String {
        let mut end: Vec<String> = Vec::new();
        for label in self.labels.iter().rev() {
            match label {
                Label::Text(text) => end.push(text.clone()),
                Label::Hole { before, name, after } => match bound.hole(name) {
                    Some(value) => end.push(format!("{before}{value}{after}")),
                    None => break,
                },
            }
        }
        end.reverse();
        end.join(".")
    }

    /// Returns the labels after the last hole, and the minimum and maximum number of labels before
    /// them.
    pub(super) fn tail(&self) -> (String, usize, usize) {
        let front = self.labels.iter().rposition(|label| matches!(label, Label::Hole { .. })).map_or(0, |at| at + 1);
        let least = front + usize::from(self.star);
        (self.known_end(&HoleContents::default()), least, if self.star { usize::MAX } else { least })
    }

    /// Returns the index of the label `privatelink` or `privatelink-global`.
    pub(super) fn private_link_label(&self) -> Option<usize> {
        self.labels.iter().position(|label| matches!(label, Label::Text(text) if super::is_private_link_label(text)))
    }

    /// Returns a name as long as `name`, with the labels of `name` in the holes of this pattern.
    pub(super) fn with_holes_of(&self, name: &str) -> Option<String> {
        let given: Vec<&str> = name.split('.').collect();
        let same = given.len() == self.labels.len();
        let labels = self.labels.iter().enumerate().map(|(at, label)| match label {
            Label::Text(text) => Some(text.as_str()),
            Label::Hole { .. } if same => Some(given[at]),
            Label::Hole { .. } => None,
        });
        Some(labels.collect::<Option<Vec<_>>>()?.join("."))
    }

    /// Returns true if one of the two contains the other, with every hole matching anything.
    pub(super) fn is_related_to(&self, other: &Self) -> bool {
        self.labels.iter().rev().zip(other.labels.iter().rev()).all(|(a, b)| match (a, b) {
            (Label::Text(a), Label::Text(b)) => a == b,
            (Label::Text(_), Label::Hole { .. }) | (Label::Hole { .. }, Label::Text(_)) => false,
            (Label::Hole { .. }, Label::Hole { .. }) => true,
        })
    }
}

impl HoleContents {
    /// Returns the content of the hole `name`.
    pub(super) fn hole(&self, name: &str) -> Option<&str> {
        self.holes.iter().find(|(hole, _)| hole == name).map(|(_, value)| value.as_str())
    }

    /// Returns the holes with their contents.
    pub(super) fn holes_mut(&mut self) -> impl Iterator<Item = (&str, &mut String)> {
        self.holes.iter_mut().map(|(name, value)| (name.as_str(), value))
    }
}

impl Label {
    fn parse(text: &str) -> Option<Self> {
        let good = |part: &str| part.bytes().all(|octet| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
        match text.split_once('{') {
            None => (!text.is_empty() && text.len() <= 63 && good(text)).then(|| Self::Text(text.into())),
            Some((before, rest)) => {
                let (name, after) = rest.split_once('}')?;
                let good = good(before) && good(after) && !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_alphanumeric());
                good.then(|| Self::Hole { before: before.into(), name: name.into(), after: after.into() })
            }
        }
    }
}

impl std::fmt::Display for NamePatternWithHoles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.star {
            f.write_str("*.")?;
        }
        for (index, label) in self.labels.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            match label {
                Label::Text(text) => f.write_str(text)?,
                Label::Hole { before, name, after } => write!(f, "{before}{{{name}}}{after}")?,
            }
        }
        Ok(())
    }
}
