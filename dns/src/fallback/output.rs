//! Where events go: a file that is rotated by size, or the log.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use config::model::{Fallback, LogFormat};

use super::Event;

/// An open destination.
#[derive(Debug)]
pub(super) enum Output {
    Log,
    File(Rotating),
}

/// A file that events are appended to.
#[derive(Debug)]
pub(super) struct Rotating {
    path: PathBuf,
    file: io::BufWriter<File>,
    format: LogFormat,
    size: u64,
    rotate: u64,
    keep: u32,
}

impl Output {
    /// Opens what the configuration names.
    pub fn open(settings: &Fallback) -> io::Result<Self> {
        match &settings.file {
            None => Ok(Self::Log),
            Some(path) => Ok(Self::File(Rotating::open(path, settings)?)),
        }
    }

    pub fn write(&mut self, event: &Event) -> io::Result<()> {
        match self {
            Self::Log => event.log(),
            Self::File(file) => file.write(event)?,
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

impl Rotating {
    fn open(path: &Path, settings: &Fallback) -> io::Result<Self> {
        let file = append(path)?;
        let size = file.metadata()?.len();
        let (rotate, keep) = (settings.rotate, settings.keep);
        Ok(Self { path: path.into(), file: io::BufWriter::new(file), format: settings.format, size, rotate, keep })
    }

    fn write(&mut self, event: &Event) -> io::Result<()> {
        let mut line = match self.format {
            LogFormat::Json => event.to_json(),
            LogFormat::Text => event.to_text(),
        };
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
