//! A configuration file.

use std::path::Path;

use postern_config::DiagnosticSeverity;

/// Reads the octets as a configuration. A configuration that is accepted has warnings alone.
pub fn run(octets: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(octets) else { return false };
    // Files that it names are looked for in a directory that does not exist.
    match postern_config::parse(text, Path::new("/nonexistent/fuzz.toml")) {
        Ok(loaded) => {
            assert!(loaded.warnings.iter().all(|problem| problem.severity != DiagnosticSeverity::Error));
            true
        }
        Err(problems) => {
            assert!(
                problems.iter().any(|problem| problem.severity == DiagnosticSeverity::Error),
                "a configuration is rejected without a reason"
            );
            for problem in problems {
                assert!(!problem.to_string().is_empty());
            }
            false
        }
    }
}
