//! The configuration as it was written: the text of each key, and the layer that set it.
//!
//! Owns the layers (`default.toml`, then the file of `--config`, then the environment, then
//! flags) and their syntax. Must not know what a value means. The environment is read here once,
//! before anything starts.

use std::ffi::OsString;
use std::path::Path;

use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::fault::{Fault, Origin};
use super::files::{FileKinds, named_file, read_text, without_newline};
use super::rule::Rule;
use super::table;
use super::written::Written;

/// The built-in file that names every key and its default.
pub(crate) const DEFAULTS: &str = include_str!("../../config/default.toml");

const PREFIX: &str = "SEALWRIGHT_";

/// A value under a known key.
#[derive(Clone)]
pub struct Setting {
    /// `section.key`.
    pub key: String,
    /// The value as it was written.
    pub written: Written,
    /// Where it was set.
    pub origin: Origin,
}

impl Setting {
    /// The fault that this setting breaks `rule`. The fault repeats the written value, but leaves
    /// out every part that may be a secret.
    pub(super) fn fault(&self, rule: Rule) -> Fault {
        let value = match &self.written {
            _ if table::is_secret(&self.key) => None,
            Written::One(text) => Some(without_secrets(text)),
            Written::Many(parts) => Some(without_secrets(&parts.join(", "))),
        };
        Fault {
            key: self.key.clone(),
            origin: self.origin.clone(),
            value,
            rule: rule.0.into_owned(),
        }
    }
}

/// Removes from a value what may be the user, password, query and fragment of a URL. A URL may be
/// written under a key that expects none, so this applies to every value.
fn without_secrets(text: &str) -> String {
    let (hidden, shown) = text
        .rsplit_once('@')
        .map_or(("", text), |(_, host)| ("(redacted)@", host));
    match shown.split_once(['?', '#']) {
        Some((before, _)) if text.contains("://") => format!("{hidden}{before}?(redacted)"),
        _ => format!("{hidden}{shown}"),
    }
}

/// The settings of all layers. Of two settings of one key, the later one wins.
#[derive(Clone, Default)]
pub struct Raw {
    pub(super) settings: Vec<Setting>,
    pub(super) faults: Vec<Fault>,
    kinds: FileKinds,
}

impl Raw {
    /// Reads all layers. Collects the faults instead of returning them, so that they are reported
    /// together with the faults of the values.
    pub fn read(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        flags: &[(String, String)],
    ) -> Self {
        Self::read_kinds(FileKinds::Any, file, environment, flags)
    }

    /// Like [`Raw::read`], from files of these kinds only.
    pub(crate) fn read_kinds(
        kinds: FileKinds,
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        flags: &[(String, String)],
    ) -> Self {
        let mut raw = Self {
            kinds,
            ..Self::default()
        };
        raw.read_toml(DEFAULTS, &|_| Origin::Default);
        if let Some(path) = file {
            raw.read_file(path);
        }
        raw.read_environment(environment);
        raw.read_flags(flags);
        raw
    }

    /// The effective setting of `key`: the one from the last layer that sets it.
    pub fn effective(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().rev().find(|s| s.key == key)
    }

    fn read_file(&mut self, path: &Path) {
        let at = |line| Origin::File {
            path: path.to_owned(),
            line,
        };
        match read_text(path, self.kinds) {
            // The file may hold a secret.
            Ok(text) => self.read_toml(&Zeroizing::new(text), &at),
            Err(why) => self.fault(
                "--config",
                at(None),
                format!("the file cannot be read: {why}"),
            ),
        }
    }

    fn read_toml(&mut self, text: &str, at: &dyn Fn(Option<usize>) -> Origin) {
        let line = |offset: usize| {
            at(Some(
                1 + text.bytes().take(offset).filter(|b| *b == b'\n').count(),
            ))
        };
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            // Use the message only: the error's `Display` repeats the line, which may hold a
            // secret.
            let place = error
                .span()
                .map_or_else(|| at(None), |span| line(span.start));
            self.fault("toml", place, error.message().to_owned());
        }
        // The parts recovered from a broken document would only add misleading faults.
        if !errors.is_empty() {
            return;
        }
        for (name, value) in document.get_ref() {
            let (section, place) = (name.get_ref(), line(name.span().start));
            match value.get_ref() {
                DeValue::Table(entries) if table::is_section(section) => {
                    for (name, value) in entries {
                        let key = format!("{section}.{}", name.get_ref());
                        self.read_entry(key, value.get_ref(), line(name.span().start));
                    }
                }
                DeValue::Table(_) => self.fault(section, place, table::unknown_section(section)),
                _ => self.fault(section, place, table::unknown_key(section)),
            }
        }
    }

    fn read_entry(&mut self, key: String, value: &DeValue<'_>, origin: Origin) {
        if !table::is_known(&key) {
            return self.fault(&key, origin, table::unknown_key(&key));
        }
        let written = match value {
            DeValue::Array(parts) => parts
                .iter()
                .map(|part| scalar(part.get_ref()))
                .collect::<Option<Vec<String>>>()
                .map(Written::Many),
            value => scalar(value).map(Written::One),
        };
        match written {
            Some(written) => self.settings.push(Setting {
                key,
                written,
                origin,
            }),
            None => self.fault(
                &key,
                origin,
                "a text, a number, true, false or a list of them".to_owned(),
            ),
        }
    }

    fn read_environment(&mut self, environment: impl IntoIterator<Item = (OsString, OsString)>) {
        let mut variables: Vec<(String, OsString)> = environment
            .into_iter()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
            // A name without a double underscore belongs to another program: for example,
            // Kubernetes sets such variables for each service.
            .filter(|(name, _)| {
                name.strip_prefix(PREFIX)
                    .is_some_and(|rest| rest.contains("__"))
            })
            .collect();
        // The system gives the variables in any order. Sort them, so that faults come in one order.
        variables.sort();
        let is_set = |(name, value): &(String, OsString)| (!value.is_empty()).then(|| name.clone());
        let names: Vec<String> = variables.iter().filter_map(is_set).collect();
        for (name, value) in variables {
            // Kubernetes cannot unset a variable of an image. It can only make the variable empty.
            if value.is_empty() && names.contains(&format!("{name}_FILE")) {
                continue;
            }
            let from_file = name.strip_suffix("_FILE");
            let key = key_of(from_file.unwrap_or(&name));
            let origin = Origin::Environment(name.clone());
            if !table::is_known(&key) || name.chars().any(|c| c.is_ascii_lowercase()) {
                self.fault(&name, origin, table::unknown_variable(&key));
                continue;
            }
            if from_file.is_some_and(|direct| names.iter().any(|n| n == direct)) {
                self.fault(
                    &key,
                    origin,
                    "the same variable is set without _FILE too".to_owned(),
                );
                continue;
            }
            let text = value
                .into_string()
                .map_err(|_| "the value is not UTF-8".to_owned());
            let text = match from_file {
                None => text,
                Some(_) => text.and_then(|path| {
                    if path.is_empty() {
                        return Err("it names no file".to_owned());
                    }
                    let path = Path::new(&path);
                    read_text(path, self.kinds)
                        .map_err(|why| format!("{} cannot be read: {why}", named_file(path)))
                }),
            };
            match text {
                Ok(text) => {
                    let text = if from_file.is_some() {
                        without_newline(text)
                    } else {
                        text
                    };
                    self.settings.push(Setting {
                        key,
                        written: Written::One(text),
                        origin,
                    });
                }
                Err(why) => self.fault(&key, origin, why),
            }
        }
    }

    fn read_flags(&mut self, flags: &[(String, String)]) {
        for (key, value) in flags {
            if !table::is_known(key) {
                self.fault(key, Origin::Flag, table::unknown_key(key));
            } else if table::is_secret(key) {
                // Every user of the machine can read the arguments of every process.
                self.fault(
                    key,
                    Origin::Flag,
                    "a secret comes from a file or the environment".to_owned(),
                );
            } else {
                let written = Written::One(value.clone());
                self.settings.push(Setting {
                    key: key.clone(),
                    written,
                    origin: Origin::Flag,
                });
            }
        }
    }

    fn fault(&mut self, key: &str, origin: Origin, rule: String) {
        self.faults.push(Fault {
            key: key.to_owned(),
            origin,
            value: None,
            rule,
        });
    }
}

/// The key of an environment variable: `server.listen` for `SEALWRIGHT_SERVER__LISTEN`.
fn key_of(variable: &str) -> String {
    let rest = variable.strip_prefix(PREFIX).unwrap_or(variable);
    rest.replacen("__", ".", 1).to_ascii_lowercase()
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .map(|n| n.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
