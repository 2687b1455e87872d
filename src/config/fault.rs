//! What is wrong with a configuration.
//!
//! Owns the text of a fault. Must not know how values are parsed.

use std::fmt;
use std::path::PathBuf;

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In the built-in `default.toml`.
    Default,
    /// In the file given with `--config`.
    File {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1; `None` when the fault concerns the whole file.
        line: Option<usize>,
    },
    /// In the environment variable of this name, or in the file that a `…_FILE` variable names.
    Environment(String),
    /// On the command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: None } => write!(f, "file {}", path.display()),
            Self::File {
                path,
                line: Some(line),
            } => write!(f, "file {} line {line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {}", name.escape_debug()),
            Self::Flag => f.write_str("flag --set"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key, `section.key`.
    pub key: String,
    /// Where it was set.
    pub origin: Origin,
    /// The text that was written. Always `None` for a secret and for an unknown key.
    pub value: Option<String>,
    /// The rule that was broken.
    pub rule: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key.escape_debug())?;
        if let Some(value) = &self.value {
            let shown: String = value.chars().take(100).collect();
            write!(f, " = {shown:?}")?;
        }
        write!(f, " ({}): {}", self.origin, self.rule)
    }
}

/// Everything that is wrong with a configuration, one line for each fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(
            f,
            "{count} configuration {}:",
            if count == 1 { "fault" } else { "faults" }
        )?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for Faults {}
