//! `$INCLUDE file [origin]` (RFC 1035 section 5.1).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::lexer::Token;
use super::super::report::{TextError, TextResult, shown};
use super::super::{IncludeScope, IncludedFile};
use super::{File, Reader, Scope};
use crate::stamp::Stamp;

/// Files inside one another.
const MAX_DEPTH: usize = 16;
/// Files in all: a few files that include each other twice would be a million.
const MAX_FILES: usize = 1000;

/// Which files may be included, and which are being read.
pub(super) struct Includes {
    root: Option<PathBuf>,
    /// Resolved paths of the files that are being read, the outermost first.
    open: Vec<PathBuf>,
    /// Bytes that may be read in all, and how many of them are left.
    most: u64,
    left: u64,
}

impl Includes {
    pub fn new(scope: Option<IncludeScope<'_>>, file: &Path, length: usize) -> Self {
        // A source need not be a file: text from elsewhere has nothing to resolve.
        let open = vec![file.canonicalize().unwrap_or_else(|_| file.to_owned())];
        let most = scope.map_or(0, |scope| scope.most);
        // The directory of `a.zone` is written as an empty path.
        let root = scope.map(|scope| if scope.root == Path::new("") { PathBuf::from(".") } else { scope.root.to_owned() });
        Self { root, open, most, left: most.saturating_sub(length as u64) }
    }
}

impl Reader<'_> {
    /// Reads another file in place of the line; origin, owner and TTL are as before behind it.
    pub(super) fn include(&mut self, file: File<'_>, word: Token, rest: &[Token], scope: &Scope) -> TextResult<()> {
        let (token, origin) = match rest {
            [] => return Err(TextError::new(word.spot, "$INCLUDE lacks a file", "")),
            [token] => (*token, scope.origin.clone()),
            [token, origin] => (*token, self.directive_name(file, *origin, scope)?),
            [_, _, extra, ..] => {
                let extra_text = shown(extra.raw(file.text));
                return Err(TextError::new(extra.spot, format!("`{extra_text}` is more than $INCLUDE takes"), "a comment begins with `;`"));
            }
        };
        let (path, bytes) = self.load(file, token)?;
        let mut inner = Scope { default_ttl: scope.default_ttl, last_ttl: scope.last_ttl, ..Scope::new(origin) };
        self.file(&bytes, &path, &mut inner);
        self.includes.open.pop();
        self.sink.file(file.path);
        Ok(())
    }

    /// The bytes of the file that `token` names, once it is clear that it may be read; it is then one of those that are being read.
    fn load(&mut self, file: File<'_>, token: Token) -> TextResult<(Arc<PathBuf>, Vec<u8>)> {
        let mut name = Vec::new();
        let unescaped = super::super::rdata::unescape_into(token.content(file.text), &mut name);
        let quoted = format!("`{}`", shown(token.content(file.text)));
        let name = match (unescaped, String::from_utf8(name)) {
            (Ok(()), Ok(name)) if !name.is_empty() => name,
            _ => return Err(TextError::new(token.spot, format!("{quoted} is not a file name"), "")),
        };
        let Some(root) = self.includes.root.clone() else {
            return Err(TextError::new(token.spot, "$INCLUDE is not possible here", "this source is not a file in a zone directory"));
        };
        if self.read.included.len() >= MAX_FILES {
            return Err(TextError::new(token.spot, format!("more than {MAX_FILES} files are included"), ""));
        }
        if self.includes.open.len() > MAX_DEPTH {
            return Err(TextError::new(token.spot, format!("files include one another more than {MAX_DEPTH} deep"), ""));
        }
        let path = file.path.parent().unwrap_or(Path::new("")).join(&name);
        let unreadable = |error: std::io::Error| {
            TextError::new(
                token.spot,
                format!("{quoted} cannot be read: {}", plain(&error)),
                "the file is looked for beside the one that includes it",
            )
        };
        // Resolved first: what counts is where the bytes lie, through every link and `..`.
        let resolved = root.canonicalize().and_then(|root| Ok((root, path.canonicalize()?)));
        // Looked at before it is read: what is written or what a link is turned to meanwhile has another stamp. What is refused is a part
        // of the source as well, since it may be mended where it stands.
        let stamp = resolved.as_ref().ok().and_then(|(_, real)| Stamp::of(real).ok());
        let place = self.read.included.len();
        self.read.included.push(IncludedFile { path: path.clone(), stamp, fingerprint: None });
        let (root, real) = resolved.map_err(unreadable)?;
        if !real.starts_with(&root) {
            return Err(TextError::new(
                token.spot,
                format!("{quoted} lies outside the zone's directory"),
                format!("only files in or below {} are read, links followed", root.display()),
            ));
        }
        if self.includes.open.contains(&real) {
            return Err(TextError::new(token.spot, format!("{quoted} includes itself"), ""));
        }
        // The resolved path is what is opened, so that a link turned meanwhile leads nowhere else.
        let left = self.includes.left;
        let bytes =
            postern_config::open(&real).and_then(|(mut file, metadata)| postern_config::read_whole(&mut file, metadata.len(), left));
        self.read.included[place].fingerprint = bytes.as_ref().ok().map(|bytes| postern_config::fingerprint(bytes));
        let bytes = bytes.map_err(|error| match error.kind() {
            std::io::ErrorKind::FileTooLarge => {
                let message = format!("with {quoted} the zone file has more than {} bytes", self.includes.most);
                TextError::new(token.spot, message, "raise `server.max-source-size` if it is meant to be that large")
            }
            _ => unreadable(error),
        })?;
        self.includes.left -= bytes.len() as u64;
        self.includes.open.push(real);
        Ok((Arc::new(path), bytes))
    }
}

/// An error of the system without its number.
fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_file_without_a_directory_includes_from_the_working_directory() {
        let includes = |root: &str| Includes::new(Some(IncludeScope { root: Path::new(root), most: 9 }), Path::new("a.zone"), 0);
        assert!(includes("").root.is_some_and(|root| root.canonicalize().is_ok()));
        assert_eq!(includes("zones").root, Some(PathBuf::from("zones")));
    }
}
