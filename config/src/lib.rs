//! Conversion of the operator's configuration file into settings for the server.
//!
//! The crate turns a TOML file into a checked [`PosternConfig`] with every default filled in. Otherwise it
//! returns all problems of the file, each with its line. It does not read zone files.
//!
//! ```text
//! postern.toml ─ read ─ parse ─ lint ─▶ PosternConfig   keys ─▶ parser, JSON Schema, sample, reference
//!                                  └──▶ Diagnostics     azure ─▶ public names, private-link names, zones
//! ```
//!
//! Reading order: [`model`] is the result, `keys` lists every key, and `parse` leads from one to
//! the other. `lint` checks combinations of keys, `effective` shows the source of each value, and
//! [`azure`] is the private-link table.
//!
//! ```
//! let text = "[[forward]]\nzone = '.'\nupstream = ['192.0.2.53']\n";
//! let problems = postern_config::parse(text, "postern.toml".as_ref()).unwrap_err();
//! assert_eq!(
//!     problems[1].to_string(),
//!     "postern.toml:3:1: error: unknown key `upstream` in `[[forward]]` help: did you mean `upstreams`?"
//! );
//! ```
#![forbid(unsafe_code)]

pub mod azure;
pub mod diagnostic;
mod domain_name;
mod effective;
mod file;
mod key;
mod keys;
mod kind;
mod lint;
mod load;
pub mod model;
mod override_line;
mod parse;
mod permissions;
mod pipe;
mod places;
mod preset;
mod problems;
mod reader;
pub mod rtype;
mod sample;
mod schema;
mod sections;
mod syntax;

pub use diagnostic::{DiagnosticSeverity, FileDiagnostic, did_you_mean};
pub use file::{LARGEST, WatchedFile, fingerprint, open, read, read_whole};
pub use kind::scoped_address;
pub use load::{LoadedConfig, RejectedConfig, load, parse};
pub use model::{EffectiveSetting, PosternConfig};
pub use override_line::{OverrideAnswer, OverrideLine, OverrideLineError};
pub use preset::preset_zones;
pub use sample::{reference, sample};
pub use schema::json_schema;

#[cfg(test)]
mod tests;
