//! A key of the configuration as it is displayed.

/// A key with its effective value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveSetting {
    /// Name of the section, without brackets.
    pub section: &'static str,
    /// Name of the table in a section that is a list, or its 1-based number if it has no name.
    pub table: Option<String>,
    /// Name of the key.
    pub key: &'static str,
    /// Value as TOML, or `(hidden)` for a secret. `None` if the key is absent and has no default.
    pub value: Option<String>,
    /// Meaning of the absence of the key, for keys without a default.
    pub absent: Option<&'static str>,
    /// Line of the file that sets the value, 1-based. `None` if it is the default.
    pub line: Option<u32>,
}
