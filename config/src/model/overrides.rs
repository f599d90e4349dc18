//! Policies of overrides.

/// Answer to a question for a type that an overridden name lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherTypes {
    /// NODATA, so that no public record leads clients around the override.
    NoData,
    /// The answer that the name has without overrides.
    Public,
}
