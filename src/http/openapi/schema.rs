//! Short ways to write a schema and a parameter by hand.
//!
//! Must not know what is described.

use serde_json::Value;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{
    AdditionalProperties, Array, ArrayBuilder, KnownFormat, Object, ObjectBuilder, Schema,
    SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{Content, RefOr, Required};

/// Any text.
pub(crate) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// A text that is not empty.
pub(crate) fn filled() -> ObjectBuilder {
    text().min_length(Some(1))
}

/// A text of this shape.
pub(crate) fn pattern(pattern: &'static str) -> ObjectBuilder {
    text().pattern(Some(pattern))
}

/// One of these words.
pub(crate) fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> ObjectBuilder {
    text().enum_values(Some(words))
}

/// A time in RFC 3339.
pub(crate) fn time() -> ObjectBuilder {
    text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

/// A UTC day, `2026-11-26`.
pub(crate) fn day() -> ObjectBuilder {
    text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Date)))
}

/// A URI.
pub(crate) fn uri() -> ObjectBuilder {
    text().format(Some(SchemaFormat::Custom("uri".to_owned())))
}

/// An integer.
pub(crate) fn integer() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
}

/// An integer from `least` to `most`, both included.
pub(crate) fn within(least: i64, most: i64) -> ObjectBuilder {
    integer().minimum(Some(least)).maximum(Some(most))
}

/// A truth value.
pub(crate) fn truth() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean)
}

/// A list.
pub(crate) fn list(items: ObjectBuilder) -> Array {
    ArrayBuilder::new().items(items).build()
}

/// Bytes that are no text.
pub(crate) fn octets() -> ObjectBuilder {
    text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
}

/// A member of an object.
pub(crate) type Member = (&'static str, Presence, &'static str, RefOr<Schema>);

/// Whether an object always has a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It does.
    Always,
    /// It may lack the member.
    Sometimes,
}

/// A member that the object always has.
pub(crate) fn always(
    name: &'static str,
    schema: impl Into<RefOr<Schema>>,
    meaning: &'static str,
) -> Member {
    (name, Presence::Always, meaning, schema.into())
}

/// A member that the object may lack.
pub(crate) fn sometimes(
    name: &'static str,
    schema: impl Into<RefOr<Schema>>,
    meaning: &'static str,
) -> Member {
    (name, Presence::Sometimes, meaning, schema.into())
}

/// A member that a body may lack, or have as `null`.
pub(crate) fn or_null(
    name: &'static str,
    schema: impl Into<RefOr<Schema>>,
    meaning: &'static str,
) -> Member {
    let nullable = |known: SchemaType| match known {
        SchemaType::Type(known) => SchemaType::from_iter([known, Type::Null]),
        other => other,
    };
    let schema = match schema.into() {
        RefOr::T(Schema::Object(mut object)) => {
            object.schema_type = nullable(object.schema_type);
            object.into()
        }
        RefOr::T(Schema::Array(mut array)) => {
            array.schema_type = nullable(array.schema_type);
            array.into()
        }
        other => other,
    };
    sometimes(name, schema, meaning)
}

/// An object that has these members and no others, since a request with others is refused.
pub(crate) fn closed_object(
    description: &'static str,
    members: impl IntoIterator<Item = Member>,
) -> Object {
    ObjectBuilder::from(object(description, members))
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
        .build()
}

/// An object with these members.
pub(crate) fn object(
    description: &'static str,
    members: impl IntoIterator<Item = Member>,
) -> Object {
    let object = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(description).filter(|text| !text.is_empty()));
    let object = members
        .into_iter()
        .fold(object, |object, (name, presence, meaning, schema)| {
            let object = object.property(name, described(schema, meaning));
            match presence {
                Presence::Always => object.required(name),
                Presence::Sometimes => object,
            }
        });
    object.build()
}

/// The schema with this description. A reference keeps the description of its target.
fn described(schema: RefOr<Schema>, meaning: &'static str) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::Object(object)) => ObjectBuilder::from(object)
            .description(Some(meaning))
            .into(),
        RefOr::T(Schema::Array(array)) => {
            ArrayBuilder::from(array).description(Some(meaning)).into()
        }
        other => other,
    }
}

/// An optional parameter of the query.
pub(crate) fn query(
    name: impl Into<String>,
    schema: impl Into<RefOr<Schema>>,
    meaning: &'static str,
) -> Parameter {
    parameter(name, ParameterIn::Query, Required::False, schema, meaning)
}

/// A parameter that may be repeated in the query.
pub(crate) fn repeated(
    name: impl Into<String>,
    items: ObjectBuilder,
    meaning: &'static str,
) -> Parameter {
    let one = query(name, list(items), meaning);
    ParameterBuilder::from(one)
        .style(Some(ParameterStyle::Form))
        .explode(Some(true))
        .build()
}

/// A parameter.
pub(crate) fn parameter(
    name: impl Into<String>,
    place: ParameterIn,
    required: Required,
    schema: impl Into<RefOr<Schema>>,
    meaning: &'static str,
) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .schema(Some(schema))
        .description(Some(meaning))
        .build()
}

/// The parameter with this example.
pub(crate) fn for_example(parameter: Parameter, example: impl Into<Value>) -> Parameter {
    ParameterBuilder::from(parameter)
        .example(Some(example.into()))
        .build()
}

/// A body of these media types, which the request must have.
pub(crate) fn body(
    description: &'static str,
    media_types: &[&'static str],
    schema: impl Into<RefOr<Schema>>,
) -> RequestBody {
    let schema = schema.into();
    let body = RequestBodyBuilder::new()
        .description(Some(description))
        .required(Some(Required::True));
    let body = media_types.iter().fold(body, |body, media_type| {
        body.content(*media_type, Content::new(Some(schema.clone())))
    });
    body.build()
}
