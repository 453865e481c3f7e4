//! The drivers that a command names, read and looked at before anything runs.

use std::path::{Path, PathBuf};

use callboard::{SENSOR, exit};
use pe_image::PeFile;

use crate::Failure;

/// A driver's file.
#[derive(Debug)]
pub(crate) struct DriverFile {
    /// Its service: the file's name without `.sys`.
    pub(crate) service: String,
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

impl DriverFile {
    /// The built-in one.
    pub(crate) fn built_in() -> Self {
        Self { service: "sensor".into(), path: "sensor.sys".into(), bytes: SENSOR.to_vec() }
    }

    /// Reads a driver and sees that it is one.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let bytes = std::fs::read(path).map_err(|error| {
            Failure::new(exit::BAD_DRIVER, format_args!("cannot read the driver {shown}: {error}"))
        })?;
        let stem = path.file_stem().unwrap_or(path.as_os_str());
        let file = Self { service: stem.to_string_lossy().into_owned(), path: path.to_owned(), bytes };
        file.parse()?;
        Ok(file)
    }

    /// The file as an image.
    pub(crate) fn parse(&self) -> Result<PeFile<'_>, Failure> {
        pe_image::parse(&self.bytes)
            .map_err(|error| Failure::new(exit::BAD_DRIVER, format_args!("{}: {error}", self.path.display())))
    }
}

/// The drivers that were named, or the built-in one. Two of one name would be one service.
pub(crate) fn named(paths: &[PathBuf]) -> Result<Vec<DriverFile>, Failure> {
    if paths.is_empty() {
        return Ok(vec![DriverFile::built_in()]);
    }
    let mut files: Vec<DriverFile> = Vec::new();
    for path in paths {
        let mut file = DriverFile::read(path)?;
        if let Err(error) = file.parse()?.require_driver() {
            return Err(Failure::new(exit::BAD_DRIVER, format_args!("{}: {error}", path.display())));
        }
        let count = files.iter().filter(|other| other.service.eq_ignore_ascii_case(&file.service)).count();
        if count > 0 {
            return Err(Failure::new(
                exit::USAGE,
                format_args!(
                    "two drivers are named {}: a service is named as its file, so rename one of the files",
                    file.service
                ),
            ));
        }
        file.path = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        files.push(file);
    }
    Ok(files)
}
