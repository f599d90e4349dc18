//! Where events go: a file that is rotated by size, or the log.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use postern_config::model::{FallbackConfig, LogFormat};

use super::{FallbackEvent, RateOverflow};

/// An open destination.
#[derive(Debug)]
pub(super) enum FallbackOutput {
    Log,
    File(RotatingFile),
}

/// A file that events are appended to.
#[derive(Debug)]
pub(super) struct RotatingFile {
    path: PathBuf,
    file: io::BufWriter<File>,
    format: LogFormat,
    size: u64,
    rotate: u64,
    keep: u32,
}

impl FallbackOutput {
    /// Opens what the configuration names.
    pub fn open(settings: &FallbackConfig) -> io::Result<Self> {
        match &settings.file {
            None => Ok(Self::Log),
            Some(path) => Ok(Self::File(RotatingFile::open(path, settings)?)),
        }
    }

    pub fn write(&mut self, event: &FallbackEvent) -> io::Result<()> {
        match self {
            Self::Log => event.log(),
            Self::File(file) => file.write(event)?,
        }
        Ok(())
    }

    /// Writes what was counted in place of lines.
    pub fn write_overflow(&mut self, over: &RateOverflow) -> io::Result<()> {
        match self {
            Self::Log => over.log(),
            Self::File(file) => file.write_line(match file.format {
                LogFormat::Json => over.to_json(),
                LogFormat::Text => over.to_text(),
            })?,
        }
        Ok(())
    }

    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Log => Ok(()),
            Self::File(file) => file.file.flush(),
        }
    }
}

impl RotatingFile {
    fn open(path: &Path, settings: &FallbackConfig) -> io::Result<Self> {
        let file = append(path)?;
        let size = file.metadata()?.len();
        let (rotate, keep) = (settings.rotate, settings.keep);
        Ok(Self { path: path.into(), file: io::BufWriter::new(file), format: settings.format, size, rotate, keep })
    }

    fn write(&mut self, event: &FallbackEvent) -> io::Result<()> {
        self.write_line(match self.format {
            LogFormat::Json => event.to_json(),
            LogFormat::Text => event.to_text(),
        })
    }

    fn write_line(&mut self, mut line: String) -> io::Result<()> {
        line.push('\n');
        if self.rotate > 0 && self.size > 0 && self.size + line.len() as u64 > self.rotate {
            self.rotate()?;
        }
        self.file.write_all(line.as_bytes())?;
        self.size += line.len() as u64;
        Ok(())
    }

    /// `f` becomes `f.1`, `f.1` becomes `f.2` … and the one past `keep` goes.
    fn rotate(&mut self) -> io::Result<()> {
        self.file.flush()?;
        let numbered = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..self.keep).rev() {
            match std::fs::rename(numbered(number), numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        match self.keep {
            0 => std::fs::remove_file(&self.path)?,
            _ => std::fs::rename(&self.path, numbered(1))?,
        }
        self.file = io::BufWriter::new(append(&self.path)?);
        self.size = 0;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use postern_config::model::RepeatPolicy;

    use super::*;
    use crate::fallback::event::tests::event;

    fn settings(file: &Path, rotate: u64, keep: u32) -> FallbackConfig {
        FallbackConfig {
            file: Some(file.into()),
            format: LogFormat::Json,
            rotate,
            keep,
            repeat: RepeatPolicy::All,
            rate: 0,
            client_rate: 0,
            ledger: 10,
            max_public_ttl: 60,
            queue: 10,
        }
    }

    fn names(file: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_full_file_moves_aside_whole_and_old_ones_go() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("fallback.log");
        let two_lines = 2 * (event("hub", "n0").to_json().len() as u64 + 1);
        let mut output = FallbackOutput::open(&settings(&file, two_lines, 2)).unwrap();
        for number in 0..7 {
            output.write(&event("hub", &format!("n{number}"))).unwrap();
        }
        output.flush().unwrap();
        assert_eq!(names(&file), ["n6"]);
        assert_eq!(names(&directory.path().join("fallback.log.1")), ["n4", "n5"]);
        assert_eq!(names(&directory.path().join("fallback.log.2")), ["n2", "n3"]);
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 3);
    }

    #[test]
    fn what_is_there_is_kept_and_counts() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("fallback.log");
        for name in ["n0", "n1"] {
            let mut output = FallbackOutput::open(&settings(&file, 10, 1)).unwrap();
            output.write(&event("hub", name)).unwrap();
            output.flush().unwrap();
        }
        assert_eq!((names(&file), names(&directory.path().join("fallback.log.1"))), (vec!["n1".into()], vec!["n0".into()]));
    }

    #[test]
    fn keeps_none_where_none_is_to_be_kept_and_rotates_never_where_there_is_no_bound() {
        let directory = tempfile::tempdir().unwrap();
        for (rotate, left) in [(1, vec!["n2"]), (0, vec!["n0", "n1", "n2"])] {
            let file = directory.path().join(format!("{rotate}.log"));
            let mut output = FallbackOutput::open(&settings(&file, rotate, 0)).unwrap();
            for number in 0..3 {
                output.write(&event("hub", &format!("n{number}"))).unwrap();
            }
            output.flush().unwrap();
            assert_eq!(names(&file), left);
        }
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 2);
    }
}
