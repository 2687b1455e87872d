//! A response as it came over the wire, and what it must look like.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// A response.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// The value of the only header field of that name, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map_or("", |value| value.to_str().unwrap());
        assert!(values.next().is_none(), "{name} comes twice: {self:?}");
        value
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|fault| panic!("{fault}: {self:?}"))
    }

    /// One text member of the body.
    pub fn text(&self, member: &str) -> String {
        self.json()[member]
            .as_str()
            .unwrap_or_else(|| panic!("no {member}: {self:?}"))
            .to_owned()
    }

    /// The names of the body's members in the order in which they were written.
    pub fn keys(&self) -> Vec<String> {
        let body: Members = serde_json::from_str(&self.body).unwrap();
        body.0
    }

    /// Demands this status and exactly this body.
    #[track_caller]
    pub fn is(&self, status: u16, body: &str) -> &Self {
        assert_eq!((self.status, self.body.as_str()), (status, body));
        self.is_not_kept()
    }

    /// Demands an error of RFC 6749 §5.2: exactly two members, `error` and `error_description`, in
    /// the characters that the RFC allows.
    #[track_caller]
    pub fn is_error(&self, status: u16, code: &str) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.keys(), ["error", "error_description"], "{self:?}");
        assert_eq!(self.text("error"), code, "{self:?}");
        self.is_json().keeps_to_the_alphabet().is_not_kept()
    }

    /// Demands the management API's error.
    #[track_caller]
    pub fn is_management_error(&self, status: u16, code: &str) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.keys(), ["code", "message", "details"], "{self:?}");
        assert_eq!(self.text("code"), code, "{self:?}");
        self.is_json().is_not_kept()
    }

    /// Demands the error body of `/oauth/token` (contract §4), with its members in order.
    #[track_caller]
    pub fn is_merged_error(&self, status: u16, code: &str, error_code: &str) -> &Self {
        let told = self.json();
        let error = &told["error"];
        let said = (
            self.status,
            error["code"].as_str(),
            told["error_code"].as_str(),
        );
        assert_eq!(said, (status, Some(code), Some(error_code)), "{self:?}");
        let (message, told) = (&error["message"], &told["message"]);
        let id = self.header("x-request-id");
        let body = format!(
            r#"{{"error":{{"code":"{code}","message":{message},"request_id":"{id}"}},"error_code":"{error_code}","message":{told},"details":null,"error_description":{message}}}"#
        );
        assert_eq!(self.body, body);
        let allowed = |b: u8| matches!(b, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        assert!(message.as_str().unwrap().bytes().all(allowed), "{self:?}");
        self.is_json().is_not_kept()
    }

    /// Demands the refusal of a Bearer token on an OAuth path (contract §3).
    #[track_caller]
    pub fn is_bearer_error(&self, status: u16, error: &str, code: &str) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.keys().len(), 4, "{self:?}");
        assert_eq!(
            (self.text("error"), self.text("code")),
            (error.to_owned(), code.to_owned())
        );
        assert_eq!(self.text("error_description"), self.text("message"));
        assert!(
            self.header("www-authenticate").starts_with("Bearer "),
            "{self:?}"
        );
        self.is_json().keeps_to_the_alphabet().is_not_kept()
    }

    /// Demands a response that no cache may store and that names its request (contract D13).
    #[track_caller]
    pub fn is_not_kept(&self) -> &Self {
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        assert_eq!(self.header("pragma"), "no-cache", "{self:?}");
        self.names_its_request()
    }

    /// Demands an `X-Request-ID` in the characters that the contract allows.
    #[track_caller]
    pub fn names_its_request(&self) -> &Self {
        let id = self.header("x-request-id");
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        assert!(
            (1..=64).contains(&id.len()) && id.bytes().all(allowed),
            "{self:?}"
        );
        self
    }

    #[track_caller]
    fn is_json(&self) -> &Self {
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        self
    }

    /// RFC 6749 §5.2: `error` and `error_description` are %x20-21 / %x23-5B / %x5D-7E.
    #[track_caller]
    pub fn keeps_to_the_alphabet(&self) -> &Self {
        let allowed = |b: u8| matches!(b, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        for member in ["error", "error_description"] {
            assert!(self.text(member).bytes().all(allowed), "{self:?}");
        }
        self
    }

    /// Everything that could distinguish two responses: all except the request's id and the date.
    pub fn fingerprint(&self) -> (u16, Vec<(String, String)>, &str) {
        let mut headers: Vec<(String, String)> = self
            .headers
            .iter()
            .filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()))
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        headers.sort();
        (self.status, headers, &self.body)
    }
}

/// The names of a JSON object's members, in order. A name that comes twice fails the test.
struct Members(Vec<String>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Members, A::Error> {
                let mut names = Vec::new();
                while let Some((name, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                    assert!(!names.contains(&name), "the member {name} comes twice");
                    names.push(name);
                }
                Ok(Members(names))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}
