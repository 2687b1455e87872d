//! A body of the management API as typed values. Every fault is noted with its JSON Pointer (RFC
//! 6901).
//!
//! Owns the rules for members: which are unknown, repeated, missing or mistyped. Must not know what
//! a value means: its own type parses it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write as _;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use crate::domain::rejection::FieldError;

use super::json_value::JsonValue;

/// The longest name of a caller that an error repeats, in bytes.
const MAX_TOLD_NAME: usize = 64;

/// Where a value stands in a body.
#[derive(Debug, Clone, Copy)]
pub enum FieldPlace<'p> {
    /// It is the whole body.
    Root,
    /// It is this member of an object.
    Member(&'p FieldPlace<'p>, &'p str),
    /// It is this item of an array.
    Item(&'p FieldPlace<'p>, usize),
}

impl FieldPlace<'_> {
    /// The JSON Pointer.
    pub fn pointer(self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Member(parent, name) => {
                let name = name.replace('~', "~0").replace('/', "~1");
                parent.pointer() + "/" + &name
            }
            Self::Item(parent, index) => {
                let mut pointer = parent.pointer();
                // Writing to a String cannot fail.
                let _ = write!(pointer, "/{index}");
                pointer
            }
        }
    }

    /// The error that the value at this place breaks this rule.
    pub fn error(self, reason: impl Into<Cow<'static, str>>) -> FieldError {
        FieldError::new(self.pointer(), reason)
    }
}

/// A type that is read from a JSON value.
pub trait FromJson: Sized {
    /// What the document says about such a value.
    fn schema() -> RefOr<Schema>;

    /// Reads all parts, even if one of them is wrong. `None` if a part is missing or wrong. The
    /// errors have been noted by then.
    fn from_json(
        value: &JsonValue<'_>,
        at: FieldPlace<'_>,
        errors: &mut Vec<FieldError>,
    ) -> Option<Self>;
}

/// A member of a JSON Merge Patch (RFC 7396).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchMember<T> {
    /// The member is absent: the value stays.
    Absent,
    /// The member is `null`: the value becomes what creation would have set without the member.
    Null,
    /// The new value.
    Value(T),
}

impl<T> PatchMember<T> {
    /// The change of a value that may be absent: `Some(None)` removes it.
    #[expect(
        clippy::option_option,
        reason = "a patch leaves, removes or sets a value"
    )]
    pub(super) fn nullable(self) -> Option<Option<T>> {
        match self {
            Self::Absent => None,
            Self::Null => Some(None),
            Self::Value(value) => Some(Some(value)),
        }
    }

    /// The change of a value that is never absent: `null` makes it the default.
    pub(super) fn or(self, default: T) -> Option<T> {
        self.nullable().map(|value| value.unwrap_or(default))
    }
}

/// Reads the members of one object.
pub struct ObjectReader<'v, 'e> {
    members: &'v [(Cow<'v, str>, JsonValue<'v>)],
    at: FieldPlace<'v>,
    errors: &'e mut Vec<FieldError>,
    known: Vec<&'static str>,
}

/// What an object has under a name.
enum FoundMember<'v> {
    Absent,
    Repeated,
    Value(&'v JsonValue<'v>),
}

impl<'v, 'e> ObjectReader<'v, 'e> {
    /// The members of this value, which must be an object.
    pub fn open(
        value: &'v JsonValue<'v>,
        at: FieldPlace<'v>,
        errors: &'e mut Vec<FieldError>,
    ) -> Option<Self> {
        let JsonValue::Object(members) = value else {
            errors.push(at.error("must be a JSON object"));
            return None;
        };
        Some(Self {
            members,
            at,
            errors,
            known: vec![],
        })
    }

    /// A member that must be given.
    pub fn required<T: FromJson>(&mut self, name: &'static str) -> Option<T> {
        match self.find(name) {
            FoundMember::Value(value) => self.read(name, value),
            FoundMember::Absent => {
                self.note(name, "is missing");
                None
            }
            FoundMember::Repeated => None,
        }
    }

    /// A member that may be left out. `null` means the same as leaving it out.
    pub fn optional<T: FromJson>(&mut self, name: &'static str) -> Option<Option<T>> {
        match self.find(name) {
            FoundMember::Value(JsonValue::Null) | FoundMember::Absent => Some(None),
            FoundMember::Value(value) => self.read(name, value).map(Some),
            FoundMember::Repeated => None,
        }
    }

    /// A member of a merge patch that cannot be removed.
    pub fn patch_required<T: FromJson>(&mut self, name: &'static str) -> Option<Option<T>> {
        match self.patch(name)? {
            PatchMember::Absent => Some(None),
            PatchMember::Value(value) => Some(Some(value)),
            PatchMember::Null => {
                self.note(name, "cannot be removed");
                None
            }
        }
    }

    /// A member of a merge patch.
    pub fn patch<T: FromJson>(&mut self, name: &'static str) -> Option<PatchMember<T>> {
        match self.find(name) {
            FoundMember::Absent => Some(PatchMember::Absent),
            FoundMember::Value(JsonValue::Null) => Some(PatchMember::Null),
            FoundMember::Value(value) => self.read(name, value).map(PatchMember::Value),
            FoundMember::Repeated => None,
        }
    }

    /// Notes every member that was not asked for.
    pub fn finish(self) {
        let names = self.members.iter().map(|(name, _)| &**name);
        let unknown = names.filter(|name| !self.known.contains(name));
        let (mut noted, mut is_any_untold) = (HashSet::new(), false);
        for name in unknown.filter(|name| noted.insert(*name)) {
            if may_tell(name) {
                let error = FieldPlace::Member(&self.at, name).error("is not known here");
                self.errors.push(error);
            } else {
                is_any_untold = true;
            }
        }
        if is_any_untold {
            let error = self.at.error("has a member that is not known here");
            self.errors.push(error);
        }
    }

    fn find(&mut self, name: &'static str) -> FoundMember<'v> {
        self.known.push(name);
        let mut found = self.members.iter().filter(|(other, _)| other == name);
        match (found.next(), found.next()) {
            (None, _) => FoundMember::Absent,
            (Some((_, value)), None) => FoundMember::Value(value),
            (Some(_), Some(_)) => {
                self.note(name, "is given more than once");
                FoundMember::Repeated
            }
        }
    }

    fn read<T: FromJson>(&mut self, name: &'static str, value: &JsonValue<'_>) -> Option<T> {
        T::from_json(value, FieldPlace::Member(&self.at, name), self.errors)
    }

    fn note(&mut self, name: &'static str, reason: &'static str) {
        let error = FieldPlace::Member(&self.at, name).error(reason);
        self.errors.push(error);
    }
}

/// Whether an error may repeat a name that the caller wrote: if it is a short word.
fn may_tell(name: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b"_-.[]".contains(&b);
    name.len() <= MAX_TOLD_NAME && name.bytes().all(is_word)
}

/// This name if an error may repeat it. Otherwise an empty text.
pub(super) fn told(name: &str) -> String {
    Some(name)
        .filter(|name| may_tell(name))
        .unwrap_or_default()
        .to_owned()
}

/// A body as a struct, with the names of its members on the wire, and which of them are `required`,
/// `optional`, or of a `patch` (`patch_required` if `null` cannot remove it). The document of the API
/// is made from these lines too.
macro_rules! body {
    (
        $(#[doc = $doc:literal])*
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $member_doc:literal])*
                $(#[expect($($lint:tt)*)])?
                $kind:ident $member:ident($wire:literal): $type:ty, )*
        }
    ) => {
        $(#[doc = $doc])*
        $vis struct $name {
            $( $(#[doc = $member_doc])* $(#[expect($($lint)*)])? $vis $member: $crate::http::manage::body::body!(@$kind $type), )*
        }

        impl $crate::http::manage::body::FromJson for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                let members = [$(
                    $crate::http::manage::body::body!(@presence $kind)(
                        $wire,
                        <$type as $crate::http::manage::body::FromJson>::schema(),
                        concat!($($member_doc),*).trim_start(),
                    ),
                )*];
                $crate::http::openapi::schema::closed_object(concat!($($doc),*).trim_start(), members).into()
            }

            fn from_json(
                value: &$crate::http::manage::json_value::JsonValue<'_>,
                at: $crate::http::manage::body::FieldPlace<'_>,
                errors: &mut Vec<$crate::domain::rejection::FieldError>,
            ) -> Option<Self> {
                let mut object = $crate::http::manage::body::ObjectReader::open(value, at, errors)?;
                $( let $member = object.$kind::<$type>($wire); )*
                object.finish();
                Some(Self { $( $member: $member?, )* })
            }
        }
    };
    (@presence required) => { $crate::http::openapi::schema::always };
    (@presence patch_required) => { $crate::http::openapi::schema::sometimes };
    (@presence $kind:ident) => { $crate::http::openapi::schema::or_null };
    (@required $type:ty) => { $type };
    (@optional $type:ty) => { Option<$type> };
    (@patch_required $type:ty) => { Option<$type> };
    (@patch $type:ty) => { $crate::http::manage::body::PatchMember<$type> };
}
pub(crate) use body;
