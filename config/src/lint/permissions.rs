//! Files of the configuration that other users of the machine can change or read.

use super::Lint;
use crate::diagnostic::{DiagnosticSeverity, FileDiagnostic, whole_file};
use crate::permissions::{READ, WRITE, changeable, changed, everybody_may, readable};
use crate::problems::ConfigProblems;

/// Checks the configuration, the files that it names, and the state directory.
pub(super) fn open_to_everybody(lint: &Lint<'_>, problems: &mut ConfigProblems<'_>) {
    let (config, places) = (lint.config, lint.places);
    if let Some(path) = config.path.as_deref() {
        if everybody_may(WRITE, path) {
            let (message, help) = changed(path);
            problems.append(0, vec![FileDiagnostic { severity: DiagnosticSeverity::Warning, ..whole_file(path, message, help) }]);
        }
        if let Some(at) = places.secret.filter(|_| everybody_may(READ, path)) {
            let help = format!("move it into a `secret-file`, or run chmod o= {}", path.display());
            problems.warning(at, "every user of this machine can read this secret", help);
        }
    }
    let (api, server) = (&config.api, &config.server);
    let named = [
        (&api.key_file, places.api.key_file),
        (&api.certificate, places.api.certificate),
        (&api.private_key, places.api.private_key),
        (&api.client_ca, places.api.client_ca),
        (&server.zone_table, places.zone_table),
    ];
    for (path, at) in named {
        if let (Some(path), Some(at)) = (path, at) {
            changeable(path, at, problems);
        }
    }
    if let (Some(path), Some(at)) = (&api.private_key, places.api.private_key) {
        readable(path, at, problems);
    }
    if everybody_may(WRITE, &server.state) {
        let (message, help) = changed(&server.state);
        match places.state {
            Some(at) => problems.warning(at, message, help),
            None => problems
                .append(0, vec![FileDiagnostic { severity: DiagnosticSeverity::Warning, ..whole_file(&server.state, message, help) }]),
        }
    }
}
