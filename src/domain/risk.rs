//! What the name of a scope says about its risk (contract D2), and which names count as high-risk.
//!
//! Owns the verbs and how a name is split into words. Must not know the catalogue's own marks.

use super::scope::Scope;

/// Verbs that change something. `tests/vectors/scope-words.toml` has the same list.
#[rustfmt::skip]
const WRITING: &[&str] = &[
    "write", "writes", "writer", "writeonly", "readwrite", "rw", "delete", "deletes", "remove", "destroy",
    "purge", "wipe", "drop", "admin", "admins", "administer", "administrator", "superuser", "root", "sudo",
    "manage", "manager", "management", "create", "creates", "update", "updates", "edit", "editor", "modify",
    "patch", "upsert", "insert", "append", "add", "import", "upload", "send", "publish", "submit", "share",
    "invite", "approve", "reject", "execute", "exec", "run", "invoke", "trigger", "deploy", "install", "grant",
    "assign", "revoke", "rotate", "reset", "transfer", "refund", "pay", "charge", "impersonate", "act",
    "control", "full", "fullcontrol", "owner", "register", "enroll", "enable", "disable", "suspend", "restore",
    "move", "rename", "merge", "configure", "provision", "sign", "issue", "mint", "encrypt", "decrypt",
];

/// Verbs that only read.
#[rustfmt::skip]
const READING: &[&str] = &[
    "read", "reads", "reader", "readonly", "readbasic", "viewonly", "list", "get", "view", "viewer", "views",
    "search", "query", "describe", "history", "monitor", "audit", "introspect", "download", "export", "count",
];

/// Writing verbs that are usually nouns when they are the first word of a name. They decide only if
/// they are the name's last verb.
const NOT_FIRST: &[&str] = &[
    "run",
    "share",
    "sign",
    "issue",
    "pay",
    "control",
    "management",
    "manager",
    "act",
    "full",
];

/// A segment that means everything, if it is the whole segment. It counts as a writing verb.
const WILDCARD: &str = "*";

/// What a name says about risk, independent of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRisk {
    /// The last segment is `write`, `delete` or `admin`, or the first is `admin`: high-risk under
    /// every rule.
    Floor,
    /// Its words change something.
    Writing,
    /// Its words only read.
    Reading,
    /// Its words contain no known verb.
    Unclassified,
}

/// Which names count as high-risk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NameRule {
    /// Names whose words change something.
    #[default]
    Words,
    /// Only names of [`NameRisk::Floor`].
    Suffix,
}

/// What a name without a known verb counts as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unclassified {
    /// Not high-risk.
    #[default]
    Low,
    /// High-risk.
    High,
}

/// Which scopes the configuration makes high-risk, besides the catalogue's marks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RiskRules {
    /// How names are judged.
    pub rule: NameRule,
    /// What a name without a known verb counts as. Only [`NameRule::Words`] uses it.
    pub unclassified: Unclassified,
    /// Scopes that are high-risk, independent of their names.
    pub high_risk: Vec<Scope>,
}

impl RiskRules {
    /// Whether a name of this kind is high-risk.
    pub fn is_high(&self, name: NameRisk) -> bool {
        match (self.rule, name) {
            (_, NameRisk::Floor) | (NameRule::Words, NameRisk::Writing) => true,
            (NameRule::Words, NameRisk::Unclassified) => self.unclassified == Unclassified::High,
            (NameRule::Words, NameRisk::Reading) | (NameRule::Suffix, _) => false,
        }
    }

    /// Whether the configuration lists the scope, in any letter case.
    pub fn lists(&self, scope: &Scope) -> bool {
        self.high_risk
            .iter()
            .any(|listed| listed.as_str().eq_ignore_ascii_case(scope.as_str()))
    }

    /// Whether a name of this kind leaves the risk undecided: the scope may change something, but
    /// its tokens may live for a day.
    pub fn leaves_open(&self, name: NameRisk) -> bool {
        self.rule == NameRule::Words
            && name == NameRisk::Unclassified
            && self.unclassified == Unclassified::Low
    }
}

impl NameRisk {
    /// Classifies a name. Letter case does not matter.
    pub fn of(name: &str) -> Self {
        if is_floor(name) {
            return Self::Floor;
        }
        let words = words(name);
        let first = words.first().map_or("", String::as_str);
        let leads = words.len() > 1 && is_writing(first) && !NOT_FIRST.contains(&first);
        if leads || first == "admin" || first == "admins" {
            return Self::Writing;
        }
        let verb = words.iter().rev().find_map(|word| {
            let reading = READING.contains(&word.as_str()).then_some(Self::Reading);
            if is_writing(word) {
                Some(Self::Writing)
            } else {
                reading
            }
        });
        verb.unwrap_or(Self::Unclassified)
    }
}

fn is_floor(name: &str) -> bool {
    let mut segments = name.split([':', '.']);
    let first = segments.next().unwrap_or_default();
    let last = segments.next_back().unwrap_or(first);
    first.eq_ignore_ascii_case("admin")
        || ["write", "delete", "admin"]
            .iter()
            .any(|word| last.eq_ignore_ascii_case(word))
}

fn is_writing(word: &str) -> bool {
    word == WILDCARD || WRITING.contains(&word)
}

/// The words of a name in lower case. A word ends at every character that is not an ASCII letter or
/// digit, and before a capital letter that begins a new word.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for segment in name.split([':', '.', '/']) {
        if segment == WILDCARD {
            words.push(WILDCARD.to_owned());
        }
        for part in segment
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|part| !part.is_empty())
        {
            for word in part_words(part) {
                match words.last_mut() {
                    // "read only" and "view only" are one word.
                    Some(last) if word == "only" && (last == "read" || last == "view") => {
                        last.push_str(&word);
                    }
                    _ => words.push(word),
                }
            }
        }
    }
    words
}

/// A verb in any letter case is one word (`rEmove`). Any other part is split at capital letters.
fn part_words(part: &str) -> Vec<String> {
    let lower = part.to_ascii_lowercase();
    if is_writing(&lower) || READING.contains(&lower.as_str()) {
        vec![lower]
    } else {
        camel_words(part)
    }
}

/// Splits at capital letters: `userReadWrite` is three words, `APIConnectors` two.
fn camel_words(part: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before: Option<char> = None;
    let mut rest = part.chars().peekable();
    while let Some(c) = rest.next() {
        let begins = match before {
            None => true,
            Some(before) if before.is_ascii_uppercase() => {
                c.is_ascii_uppercase() && rest.peek().is_some_and(char::is_ascii_lowercase)
            }
            Some(_) => c.is_ascii_uppercase(),
        };
        if begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(c.to_ascii_lowercase());
        }
        before = Some(c);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &str = include_str!("../../tests/vectors/scope-words.toml");
    const SCOPES: &str = include_str!("../../tests/vectors/scopes.tsv");

    #[test]
    fn the_floor_is_read_from_segments_in_any_case() {
        for high in [
            "db:write",
            "DB:Write",
            "db.delete",
            "x:y.ADMIN",
            "admin:read",
            "Admin.x",
            "admin",
            "write",
        ] {
            assert_eq!(NameRisk::of(high), NameRisk::Floor, "{high}");
        }
        for other in [
            "db:read",
            "write:db",
            "administrator:x",
            "rewrite",
            "a:writer",
            "x:admin:read",
        ] {
            assert_ne!(NameRisk::of(other), NameRisk::Floor, "{other}");
        }
    }

    #[test]
    fn words_decide_where_the_floor_does_not() {
        for writing in [
            "write:db",
            "WRITE:DB",
            "db:rEmove",
            "dElEtE_repo",
            "delete:users",
            "Mail.ReadWrite",
            "db:*",
            "files.*",
            "*",
            "delete_repo",
            "admins:read",
            "admin_org",
            "read:users-and-delete",
            "repo:read_write",
            "https://www.example.com/auth/gmail.send",
            "manage-users",
            "jobs:run",
            "a:writer",
        ] {
            assert_eq!(NameRisk::of(writing), NameRisk::Writing, "{writing}");
        }
        for reading in [
            "db:read",
            "audit",
            "audit:read",
            "Directory.Read.All",
            "drive.readonly",
            "drive.read-only",
            "logs.view_only",
            "logsReadOnly",
            "db:rEad",
            "read:packages",
            "share:read",
            "issue:read",
            "full.history",
            "User.ReadBasic.All",
            "a*b:read",
        ] {
            assert_eq!(NameRisk::of(reading), NameRisk::Reading, "{reading}");
        }
        for open in [
            "repo", "workflow", "openid", "x:y", "rewrite", "a*b", "::", "**",
        ] {
            assert_eq!(NameRisk::of(open), NameRisk::Unclassified, "{open}");
        }
    }

    #[test]
    fn the_floor_is_high_under_every_rule_and_only_words_ask_about_the_rest() {
        for rule in [NameRule::Words, NameRule::Suffix] {
            for unclassified in [Unclassified::Low, Unclassified::High] {
                let rules = RiskRules {
                    rule,
                    unclassified,
                    high_risk: vec![],
                };
                let words = rule == NameRule::Words;
                assert!(rules.is_high(NameRisk::Floor));
                assert_eq!(rules.is_high(NameRisk::Writing), words);
                assert!(!rules.is_high(NameRisk::Reading));
                assert_eq!(
                    rules.is_high(NameRisk::Unclassified),
                    words && unclassified == Unclassified::High
                );
            }
        }
    }

    #[test]
    fn the_verbs_are_those_of_the_file() {
        let file: toml::Table = toml::from_str(WORDS).unwrap();
        let listed = |key: &str| -> Vec<&str> {
            file[key]
                .as_array()
                .unwrap()
                .iter()
                .map(|word| word.as_str().unwrap())
                .collect()
        };
        assert_eq!(listed("writing"), WRITING);
        assert_eq!(listed("reading"), READING);
        assert_eq!(listed("not_first"), NOT_FIRST);
        assert_eq!(
            file["wildcard_is_writing"].as_bool(),
            Some(is_writing(WILDCARD))
        );
    }

    /// Real vocabularies. Of the scopes that change something: how many are high-risk, and how many
    /// are mistaken for reading. Of the scopes that only read: how many are high-risk.
    #[test]
    fn real_vocabularies_are_judged_as_the_contract_demands() {
        let rules = RiskRules::default();
        let (mut changes, mut high, mut taken_for_reading) = (0.0, 0.0, 0.0);
        let (mut reads, mut false_alarms) = (0.0, 0.0);
        for line in SCOPES.lines().filter(|line| !line.starts_with('#')) {
            let [_, name, changing] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let risk = NameRisk::of(Scope::parse(name).unwrap().as_str());
            let count = |yes: bool| if yes { 1.0 } else { 0.0 };
            if changing == "1" {
                changes += 1.0;
                high += count(rules.is_high(risk));
                taken_for_reading += count(risk == NameRisk::Reading);
            } else {
                reads += 1.0;
                false_alarms += count(rules.is_high(risk));
            }
        }
        let (high, missed) = (100.0 * high / changes, 100.0 * taken_for_reading / changes);
        let alarms = 100.0 * false_alarms / reads;
        println!(
            "of {changes} scopes that change something {high:.1} % are high and {missed:.1} % taken for \
             reading; of {reads} others {alarms:.1} % are high"
        );
        assert!(high >= 74.0 && missed <= 4.0 && alarms <= 4.0);
    }
}
