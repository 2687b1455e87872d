//! The files that `sealwright agent import` reads: JSON lines and CSV, both into [`Row`]s.
//!
//! A message names the field and the rule. It never repeats a value, which may be a secret.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::service::manage::row::Row;

use super::json_row::{json_row, words};

/// The longest line, in bytes. A longer line is refused, not kept in memory.
const MAX_LINE_BYTES: u64 = 1 << 18;

/// The fields of a row: the keys of a JSON object, or the first line of a CSV file.
const FIELDS: [&str; 16] = [
    "clientId",
    "name",
    "secret",
    "secretHash",
    "scopes",
    "ttl",
    "plan",
    "audiences",
    "redirectUris",
    "userIds",
    "status",
    "rawBasic",
    "description",
    "owner",
    "labels",
    "expiresAt",
];

/// A line of the file: its number, and its row or the reason why it cannot be read.
pub(super) struct FileLine {
    /// Its number, counted from 1.
    pub number: u64,
    /// Its row, or why the line cannot be read.
    pub row: Result<Row, String>,
}

/// The lines of a file, without blank lines. After an error there are no more lines.
pub(super) type Lines = Box<dyn Iterator<Item = io::Result<FileLine>>>;

/// Fails when a line is too long: otherwise the CSV reader would keep the whole line in memory.
struct BoundedLines<R> {
    inner: R,
    since_line_end: u64,
}

impl<R: Read> Read for BoundedLines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        for byte in &buffer[..count] {
            self.since_line_end = if *byte == b'\n' {
                0
            } else {
                self.since_line_end + 1
            };
        }
        if self.since_line_end > MAX_LINE_BYTES {
            return Err(io::Error::other("a line is too long"));
        }
        Ok(count)
    }
}

/// Opens `path`. The extension tells CSV from JSON lines. With another extension, the first
/// character does.
pub(super) fn open(path: &Path) -> io::Result<Lines> {
    let mut file = BufReader::new(File::open(path)?);
    let extension = path
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default()
        .to_ascii_lowercase();
    let is_csv = match extension.as_str() {
        "csv" => true,
        "jsonl" | "ndjson" | "json" => false,
        _ => {
            let first = file
                .fill_buf()?
                .iter()
                .find(|b| !b.is_ascii_whitespace())
                .copied();
            first.is_some_and(|byte| byte != b'{')
        }
    };
    if is_csv {
        read_csv(file)
    } else {
        Ok(Box::new(JsonLines { file, number: 0 }))
    }
}

struct JsonLines {
    file: BufReader<File>,
    number: u64,
}

impl Iterator for JsonLines {
    type Item = io::Result<FileLine>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.number += 1;
            let number = self.number;
            let mut line = Vec::new();
            let mut bounded = self.file.by_ref().take(MAX_LINE_BYTES);
            match bounded.read_until(b'\n', &mut line) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
            if bounded.limit() == 0 && !line.ends_with(b"\n") {
                if let Err(error) = self.file.skip_until(b'\n') {
                    return Some(Err(error));
                }
                return Some(Ok(FileLine {
                    number,
                    row: Err("the line is too long".to_owned()),
                }));
            }
            // Some programs begin a file with a byte order mark.
            let line = if number == 1 {
                line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&line)
            } else {
                &line
            };
            if !line.trim_ascii().is_empty() {
                return Some(Ok(FileLine {
                    number,
                    row: json_row(line, &FIELDS),
                }));
            }
        }
    }
}

fn read_csv(file: BufReader<File>) -> io::Result<Lines> {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(BoundedLines {
            inner: file,
            since_line_end: 0,
        });
    let head = reader.headers()?.clone();
    let named = |name: &str| {
        FIELDS
            .iter()
            .find(|f| **f == name.trim().trim_start_matches('\u{feff}'))
            .copied()
    };
    let mut columns = Vec::new();
    for name in &head {
        let Some(field) = named(name).filter(|field| !columns.contains(field)) else {
            let why = format!(
                "the first line names the columns, each once, among {}",
                FIELDS.join(", ")
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        };
        columns.push(field);
    }
    Ok(Box::new(reader.into_byte_records().map(move |record| {
        let record = match record {
            Ok(record) => record,
            Err(error) => return Err(io::Error::other(error)),
        };
        let number = record.position().map_or(0, csv::Position::line);
        Ok(FileLine {
            number,
            row: csv_row(&columns, &record),
        })
    })))
}

fn csv_row(columns: &[&str], record: &csv::ByteRecord) -> Result<Row, String> {
    if record.len() != columns.len() {
        return Err(format!(
            "the line has {} columns instead of {}",
            record.len(),
            columns.len()
        ));
    }
    let mut row = Row::default();
    for (field, value) in columns.iter().zip(record) {
        let text = std::str::from_utf8(value).map_err(|_| format!("{field}: it is not UTF-8"))?;
        let text = cell(field, text)?;
        // An empty cell means no value: CSV has no other way to leave a value out.
        let some = || (!text.is_empty()).then(|| text.to_owned());
        match *field {
            "clientId" => text.clone_into(&mut row.client_id),
            "name" => row.name = some(),
            "secret" => row.secret = some(),
            "secretHash" => row.secret_hash = some(),
            "scopes" => row.scopes = words(text),
            "ttl" => row.ttl = some(),
            "plan" => row.plan = some(),
            "audiences" => row.audiences = words(text),
            "redirectUris" => row.redirect_uris = words(text),
            "userIds" => row.user_ids = words(text),
            "status" => row.status = some(),
            "description" => row.description = some(),
            "owner" => row.owner = some(),
            "labels" => row.labels = words(text),
            "expiresAt" => row.expires_at = some(),
            _ => row.raw_basic = some(),
        }
    }
    Ok(row)
}

/// The text of a cell, without the spaces that many programs write after a comma.
///
/// A secret with spaces around it is refused. The CSV reader does not report which cells were
/// quoted, so we cannot know whether the spaces belong to the secret.
fn cell<'a>(field: &str, text: &'a str) -> Result<&'a str, String> {
    let trimmed = text.trim();
    if trimmed.len() != text.len() {
        if field == "secret" && !trimmed.is_empty() {
            return Err(
                "secret: it begins or ends with a space, which CSV cannot tell from the file's own: \
                        remove it, or write the line as JSON if it belongs to the secret"
                    .to_owned(),
            );
        }
        // A quote starts a quoted cell only when it follows the comma directly.
        if trimmed.starts_with('"') {
            return Err(format!("{field}: a space stands before a quote: remove it"));
        }
    }
    Ok(trimmed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &[u8]) -> Vec<FileLine> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        open(&path).unwrap().collect::<io::Result<_>>().unwrap()
    }

    #[test]
    fn both_formats_give_the_same_row() {
        let json =
            b"\n{\"clientId\":\"agt_1\",\"secret\":\"s\",\"scopes\":[\"a\",\"b\"],\"ttl\":600}\n";
        let csv = b"clientId,secret,scopes,ttl,name\nagt_1,s,a b,600,\n";
        for (name, text) in [
            ("x.jsonl", &json[..]),
            ("x", &json[..]),
            ("x.csv", &csv[..]),
            ("x", &csv[..]),
        ] {
            let lines = read(name, text);
            assert_eq!(lines.len(), 1, "{name}");
            assert_eq!(lines[0].number, 2, "{name}");
            let row = lines[0].row.clone().unwrap();
            assert_eq!(
                (row.client_id.as_str(), row.secret.as_deref()),
                ("agt_1", Some("s"))
            );
            assert_eq!(
                (row.scopes, row.ttl.as_deref(), row.name),
                (vec!["a".to_owned(), "b".to_owned()], Some("600"), None)
            );
        }
    }

    #[test]
    fn spaces_behind_commas_are_no_part_of_a_value_and_never_of_a_secret() {
        let lines = read(
            "x.csv",
            b"clientId, name, secret, scopes, ttl\n\
              a , An agent ,hunter2, db:read  db:list ,\t600\n\
              b, B, hunter2, db:read, 600\n\
              c, \"C\",hunter2, , \n\
              d,\" D \",\" hunter2\",db:read,\n\
              e, E, , , \n",
        );
        let row = lines[0].row.clone().unwrap();
        assert_eq!(
            (
                row.client_id.as_str(),
                row.name.as_deref(),
                row.ttl.as_deref()
            ),
            ("a", Some("An agent"), Some("600"))
        );
        assert_eq!(
            (row.secret.as_deref(), row.scopes),
            (
                Some("hunter2"),
                vec!["db:read".to_owned(), "db:list".to_owned()]
            )
        );
        let fault = |i: usize| lines[i].row.clone().err().unwrap_or_default();
        for refused in [1, 3] {
            assert!(
                fault(refused).starts_with("secret: it begins or ends with a space"),
                "{}",
                fault(refused)
            );
            assert!(!fault(refused).contains("hunter2"));
        }
        assert_eq!(fault(2), "name: a space stands before a quote: remove it");
        // A cell that holds only spaces is empty.
        let row = lines[4].row.clone().unwrap();
        assert_eq!((row.secret, row.scopes.len(), row.ttl), (None, 0, None));
    }

    #[test]
    fn json_keeps_a_secret_to_the_character() {
        let lines = read(
            "x.jsonl",
            b"{\"clientId\":\"a\",\"secret\":\" hunter2 \"}\n",
        );
        assert_eq!(
            lines[0].row.clone().unwrap().secret.as_deref(),
            Some(" hunter2 ")
        );
    }

    #[test]
    fn a_bad_line_is_refused_by_itself_and_repeats_no_value() {
        let lines = read(
            "x.jsonl",
            b"{\"clientId\":\"a\",\"secret\":12345}\n{hunter2\n[1]\n{\"clientid\":\"a\"}\n{\"clientId\":\"b\"}\n",
        );
        let faults: Vec<Option<String>> = lines.into_iter().map(|l| l.row.err()).collect();
        assert_eq!(faults[0].as_deref(), Some("secret: a text is needed"));
        assert_eq!(faults[1].as_deref(), Some("the line is not JSON: column 2"));
        assert_eq!(faults[2].as_deref(), Some("the line is no JSON object"));
        assert_eq!(
            faults[3].as_deref(),
            Some("no field is called \"clientid\"")
        );
        assert_eq!(faults[4], None);
    }

    #[test]
    fn a_repeated_field_is_refused_by_its_name_alone() {
        let lines = read(
            "x.jsonl",
            b"{\"clientId\":\"a\",\"secret\":\"hunter2\",\"secret\":\"hunter2\"}\n{\"ttl\":1,\"\\u0074tl\":1}\n\"a\"\n{\"ttl\":[}\n{} {}\n",
        );
        let faults: Vec<Option<String>> = lines.into_iter().map(|l| l.row.err()).collect();
        assert_eq!(faults[0].as_deref(), Some("secret: the field is repeated"));
        assert_eq!(faults[1].as_deref(), Some("ttl: the field is repeated"));
        assert_eq!(faults[2].as_deref(), Some("the line is no JSON object"));
        assert_eq!(faults[3].as_deref(), Some("the line is not JSON: column 9"));
        assert_eq!(faults[4].as_deref(), Some("the line is not JSON: column 4"));
    }

    #[test]
    fn an_endless_line_is_refused_and_the_next_one_read() {
        let mut text = vec![b'x'; 600_000];
        text.extend_from_slice(b"\n{\"clientId\":\"b\"}\n");
        let lines = read("x.jsonl", &text);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].row.is_err() && lines[1].row.is_ok());
        assert_eq!(lines[1].number, 2);
    }

    #[test]
    fn a_csv_line_without_end_ends_the_file_before_it_fills_the_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        let mut text = b"clientId\na\n".to_vec();
        text.resize(text.len() + 600_000, b'x');
        std::fs::write(&path, &text).unwrap();
        assert!(open(&path).unwrap().any(|line| line.is_err()));
        std::fs::write(&path, &text[11..]).unwrap();
        assert!(open(&path).is_err(), "a first line without end");
    }

    #[test]
    fn a_csv_line_with_other_columns_is_refused_and_an_unknown_column_refuses_the_file() {
        let lines = read("x.csv", b"clientId,name\na,b,c\nd,\"e\nf\"\ng,\xff\n");
        assert_eq!(
            lines[0].row.clone().err().as_deref(),
            Some("the line has 3 columns instead of 2")
        );
        assert_eq!(
            lines[1].row.clone().unwrap_or_default().name.as_deref(),
            Some("e\nf")
        );
        assert_eq!(
            (lines[2].number, lines[2].row.clone().err().as_deref()),
            (5, Some("name: it is not UTF-8"))
        );
        let folder = tempfile::tempdir().unwrap();
        for head in ["client_id,name\n", "clientId,clientId\n"] {
            let path = folder.path().join("x.csv");
            std::fs::write(&path, head).unwrap();
            assert!(open(&path).is_err(), "{head}");
        }
    }
}
