//! Writes stdout: JSON with `--json`, else a table on a terminal and tab-separated lines elsewhere.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Table, presets};
use serde::Serialize;

use super::failure::{CommandFailure, tell};

/// An answer in the form for people.
pub(super) struct Sheet {
    /// The names of the columns. Empty for a single thing, which has two columns without names.
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Sheet {
    /// Many things of one kind, one in each row.
    pub(super) fn list(head: &[&'static str], rows: Vec<Vec<String>>) -> Self {
        Self {
            head: head.to_vec(),
            rows,
        }
    }

    /// One thing, one property in each row.
    pub(super) fn of(properties: Vec<(&'static str, String)>) -> Self {
        let rows = properties
            .into_iter()
            .map(|(name, value)| vec![name.to_owned(), value])
            .collect();
        Self { head: vec![], rows }
    }

    fn to_table(&self) -> String {
        let mut table = Table::new();
        if self.head.is_empty() {
            table.load_style(presets::NOTHING);
        } else {
            table
                .load_style(presets::UTF8_FULL_CONDENSED)
                .set_header(&self.head);
        }
        table.add_rows(&self.rows);
        table.trim_fmt() + "\n"
    }

    fn to_lines(&self) -> String {
        let head = (!self.head.is_empty()).then(|| self.head.join("\t"));
        let rows = self.rows.iter().map(|row| row.join("\t"));
        head.into_iter()
            .chain(rows)
            .map(|line| line + "\n")
            .collect()
    }
}

/// Prints answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Printer {
    json: bool,
    terminal: bool,
}

impl Printer {
    /// A printer for this process's stdout.
    pub(super) fn new(json: bool) -> Self {
        Self {
            json,
            terminal: io::stdout().is_terminal(),
        }
    }

    /// Whether the answer is to be JSON.
    pub(super) fn is_json(self) -> bool {
        self.json
    }

    /// Prints `value` as JSON, or prints `sheet`, its form for people.
    pub(super) fn print(
        self,
        value: &impl Serialize,
        sheet: impl FnOnce() -> Sheet,
    ) -> Result<(), CommandFailure> {
        let text = if self.json {
            let json = if self.terminal {
                serde_json::to_string_pretty(value)
            } else {
                serde_json::to_string(value)
            };
            json.map_err(|e| CommandFailure::of(&e))? + "\n"
        } else if self.terminal {
            sheet().to_table()
        } else {
            sheet().to_lines()
        };
        let mut stdout = io::stdout();
        stdout.write_all(text.as_bytes())?;
        Ok(stdout.flush()?)
    }

    /// Prints `value` as JSON, or else `text` as it is, with its newline at the end.
    pub(super) fn print_text(
        self,
        value: &impl Serialize,
        text: &str,
    ) -> Result<(), CommandFailure> {
        if self.json {
            return self.print(value, || Sheet::of(vec![]));
        }
        let mut stdout = io::stdout();
        stdout.write_all(text.as_bytes())?;
        Ok(stdout.flush()?)
    }

    /// Prints the warnings on stderr. Prints nothing with `--json`, since a JSON answer contains
    /// them as `warnings`.
    pub(super) fn warn<'a>(self, warnings: impl IntoIterator<Item = &'a String>) {
        if !self.json {
            warnings
                .into_iter()
                .for_each(|warning| tell(&format!("warning: {warning}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_table_for_people_and_tab_separated_elsewhere() {
        let sheet = Sheet::list(
            &["id", "name"],
            vec![vec!["a".to_owned(), "An agent".to_owned()]],
        );
        assert_eq!(sheet.to_lines(), "id\tname\na\tAn agent\n");
        assert!(
            sheet.to_table().contains("│ a  ┆ An agent │"),
            "{}",
            sheet.to_table()
        );
        assert_eq!(
            Sheet::of(vec![("id", "a".to_owned())]).to_lines(),
            "id\ta\n"
        );
    }
}
